/* SPDX-License-Identifier: MIT */
#include "ops/precision.h"

#include "base/event.h"

const char *const us_precision_names[] = {"fp32", "tf32", "bf16", NULL};

/* Three products of TF32 make up nearly that of floats. MFMA has floats themselves, at the speed
 * that others have TF32. */
int us_precision_products(const us_device_facts *device, us_precision precision) {
    static const int products[US_MATRIX_UNITS_COUNT][US_PRECISION_BF16 + 1] = {
        [US_MATRIX_UNITS_MMA] = {3, 1, 1},    [US_MATRIX_UNITS_WMMA] = {0, 0, 1},
        [US_MATRIX_UNITS_MFMA] = {1, 0, 1},   [US_MATRIX_UNITS_DPAS] = {0, 0, 1},
        [US_MATRIX_UNITS_DPAS16] = {0, 1, 1},
    };
    return products[device->matrix_units][precision];
}

us_precision us_precision_on(const us_device_facts *device, us_precision wanted) {
    return us_precision_products(device, wanted) > 0 ? wanted : US_PRECISION_FP32;
}

void us_precision_tell(const us_device *device, us_precision wanted, const unseen_events *events) {
    if (us_precision_on(&device->facts, wanted) != wanted)
        us_event_message(events, UNSEEN_EVENT_MESSAGE,
                         "%s has no matrix units for /training/precision %s, so fp32 is used",
                         device->facts.name, us_precision_names[wanted]);
}

double us_precision_tolerance(us_precision precision) {
    static const double tolerances[] = {
        [US_PRECISION_FP32] = 1e-4, [US_PRECISION_TF32] = 3e-3, [US_PRECISION_BF16] = 2e-2};
    return tolerances[precision];
}
