/* SPDX-License-Identifier: MIT */
#ifndef US_OPS_CONVOLUTION_TILES_H
#define US_OPS_CONVOLUTION_TILES_H

#include "ops/convolution/problem.h"

/* How long a convolution down or up takes by tiles, by the model of ops/tiles.h; infinite where
 * that is not possible. */
double us_convolution_tiles_cycles(const us_device_facts *device,
                                   const us_convolution_problem *problem);

#endif
