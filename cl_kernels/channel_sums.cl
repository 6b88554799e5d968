/* SPDX-License-Identifier: MIT */
/* Included by kernels that compute a convolution down or up by quads, four images of a pixel, on
 * GPUs. From their outputs, while these are in registers, they take what a BatchNorm needs of each
 * channel, which then need not read them once more for that:
 *
 *     moments   of outputs v:              count, mean, sum of (v - mean)^2
 *     sums      of outputs d, gradients:   sum of d, sum of d (z - mean), where z is what the
 *                                          normalisation read, and mean the one that it saved
 *
 * over the first n images, in parts as batchnorm.cl lays them out. Both come from two sums over
 * quads, of e and of e f: for sums e = d and f = z - mean; for moments e = f = v - origin, where the
 * origin is an output of the part itself, so that a mean that is large beside the deviation loses no
 * precision.
 *
 * Options
 *     CHANNEL_SUMS   1: the kernel does so; 0: it ignores the arguments. (It is no run-time condition
 *                    as PoCL 3.1 compiles barriers in those wrongly.) */

/* normalized (z) and statistics (us_backward_fusion) are NULL for moments. */
#define CHANNEL_SUMS_ARGUMENTS                                                                     \
    __global const float *restrict normalized, __global const float *restrict statistics,          \
        __global float *restrict parts, int stride, int n
#define CHANNEL_SUMS_WANTED                                                                        \
    (channel_sums) {                                                                               \
        normalized, statistics, parts, stride, n                                                   \
    }

typedef struct channel_sums {
    __global const float *normalized, *statistics;
    __global float *parts;
    int stride, n;
} channel_sums;

/* Both sums of a quad v, of images from `image` on, which is at `at` in memory. origin: for sums,
 * the mean. */
INLINE float2 quad_sums(const channel_sums *wanted, float4 v, float origin, size_t at, int image) {
    const float4 from =
        wanted->normalized ? *(__global const float4 *)(wanted->normalized + at) : v;
    const float4 f = from - origin;
    float4 e = wanted->normalized ? v : f;
    e = select((float4)(0.0f), e, image + (int4)(0, 1, 2, 3) < (int4)(wanted->n));
    const float4 products = e * f;
    return (float2)((e.x + e.y) + (e.z + e.w),
                    (products.x + products.y) + (products.z + products.w));
}

/* Writes a part of a channel. count: of its values, for moments. */
INLINE void put_channel_sums(const channel_sums *wanted, float2 sums, int channel, int part,
                             float origin, float count) {
    __global float *to =
        wanted->parts + (size_t)channel * (wanted->normalized ? 2 : 3) * wanted->stride + part;
    if (wanted->normalized) {
        to[0] = sums.x;
        to[wanted->stride] = sums.y;
        return;
    }
    const float mean = sums.x / max(count, 1.0f), squares = sums.y - sums.x * mean;
    to[0] = count;
    to[wanted->stride] = count > 0.0f ? origin + mean : 0.0f;
    to[2 * wanted->stride] = squares < 0.0f ? 0.0f : squares; /* a NaN stays one */
}
