/* SPDX-License-Identifier: MIT */
/* What a BatchNorm needs of each channel of a convolution's output, taken by the kernel that computes
 * it, on GPUs: us_convolution_args.moments and .sums. Host side of cl_kernels/channel_sums.cl. */
#ifndef US_OPS_CONVOLUTION_CHANNEL_SUMS_H
#define US_OPS_CONVOLUTION_CHANNEL_SUMS_H

#include "ops/convolution/algorithm.h"

typedef struct us_channel_sums {
    us_parts parts; /* stride 0: the kernel takes none; the buffer is NULL until the first are */
} us_channel_sums;

/* Decides whether a kernel that would leave so many parts takes any, if it needs `local_bytes` of
 * local memory in all then: its option CHANNEL_SUMS is whether sums->parts.stride is not 0. */
void us_channel_sums_plan(const us_device_facts *device, const us_convolution_problem *problem,
                          int64_t parts, size_t local_bytes, us_channel_sums *sums);
void us_channel_sums_release(us_channel_sums *sums);

/* Of a launch: the arguments that the kernel declares by CHANNEL_SUMS_ARGUMENTS. */
typedef struct us_channel_sums_args {
    us_buffer *normalized, *statistics, *parts;
    int stride, n;
} us_channel_sums_args;

#define US_CHANNEL_SUMS_TYPES "bbbii"
#define US_CHANNEL_SUMS(sums)                                                                      \
    (sums).normalized, (sums).statistics, (sums).parts, (sums).stride, (sums).n

/* What a launch is to take of what `args` ask for, which receive where it will be. */
unseen_status us_channel_sums_take(us_channel_sums *sums, us_device *device,
                                   const us_convolution_problem *problem,
                                   const us_convolution_args *args, us_channel_sums_args *taken,
                                   unseen_error *error);

#endif
