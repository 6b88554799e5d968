/* SPDX-License-Identifier: MIT */
/* How long algorithms of GPUs take by their models, in cycles of a compute unit: by which another
 * one tells whether it is the faster. Infinite where they cannot compute the problem. */
#ifndef US_OPS_CONVOLUTION_CYCLES_H
#define US_OPS_CONVOLUTION_CYCLES_H

#include "ops/convolution/problem.h"

double us_convolution_quads_cycles(const us_device_facts *device,
                                   const us_convolution_problem *problem);
double us_convolution_tiles_cycles(const us_device_facts *device,
                                   const us_convolution_problem *problem);
double us_weight_gradient_tiles_cycles(const us_device_facts *device,
                                       const us_convolution_problem *problem);

#endif
