/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include <math.h>

/* One source for host and device, so that both draw the same numbers. */
#include "../../cl_kernels/random.cl"
