/* SPDX-License-Identifier: MIT */
#include "base/fit.h"

#include <stddef.h>

const char *const us_fit_names[] = {"resize", "pad", "crop", "tile", NULL};
