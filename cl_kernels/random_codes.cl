/* Random codes [FEATURES][BATCH], one number per item, launched over elements. Options: DISTRIBUTION
 * (us_distribution), FEATURES, BATCH, NOISE_STREAM (us_stream). The number of feature f of image j is
 * that of index j * FEATURES + f, so it does not depend on the batch's size or padding. */

#include "random.cl"

#define NORMAL 0
#define RECTIFIED_NORMAL 1
#define UNIFORM 2

__kernel void draw(__global float *restrict out, int n, float scale, ulong seed, uint substream) {
    const size_t i = get_global_id(0);
    if (i >= (size_t)FEATURES * BATCH) return;
    const size_t feature = i / BATCH, lane = i % BATCH;
    float value = 0.0f;
    if (lane < (size_t)n) {
        const ulong index = (ulong)lane * FEATURES + feature;
#if DISTRIBUTION == UNIFORM
        value = 2.0f * us_random_uniform(seed, NOISE_STREAM, substream, index) - 1.0f;
#else
        value = us_random_normal(seed, NOISE_STREAM, substream, index);
        if (DISTRIBUTION == RECTIFIED_NORMAL) value = fmax(value, 0.0f);
#endif
    }
    out[i] = scale * value;
}
