/* SPDX-License-Identifier: MIT */
#include "ops/precision.h"

const char *const us_precision_names[] = {"fp32", "tf32", "bf16", NULL};

us_precision us_precision_on(const us_device_facts *device, us_precision wanted) {
    return device->matrix_units == US_MATRIX_UNITS_NONE ? US_PRECISION_FP32 : wanted;
}

double us_precision_tolerance(us_precision precision) {
    static const double tolerances[] = {
        [US_PRECISION_FP32] = 1e-4, [US_PRECISION_TF32] = 3e-3, [US_PRECISION_BF16] = 2e-2};
    return tolerances[precision];
}
