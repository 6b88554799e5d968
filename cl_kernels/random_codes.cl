/* SPDX-License-Identifier: MIT */
/* Random codes [FEATURES][BATCH], drawn from a distribution or put together from real ones.
 *
 * The number of feature f of image n has index n * FEATURES + f in engine/base/random.h, so that it
 * depends neither on the batch's size nor on its padding. random.cl is written here once more, for
 * vectors of counters.
 *
 * Work-groups are (lane groups, splits of the features); an item has VECTORS vectors of ROWS
 * features.
 *
 * Options
 *     DISTRIBUTION       us_distribution
 *     FEATURES, BATCH    of the codes in memory
 *     NOISE_STREAM       of random numbers (us_stream)
 *     VECTORS, ROWS      see above
 *
 * Twin of engine/ops/random_codes.c. */

#define NORMAL 0
#define RECTIFIED_NORMAL 1
#define UNIFORM 2

#include "random.cl"

typedef WIDE(uint) words;

/* Philox4x32-10: the first two words for the counter (low, high, substream, stream). */
static inline void draw_words(ulong seed, uint substream, words low, words high, words *word0,
                              words *word1) {
    uint key0 = (uint)seed, key1 = (uint)(seed >> 32);
    words c0 = low, c1 = high, c2 = (words)(substream), c3 = (words)((uint)NOISE_STREAM);
    UNROLL_FOR (int round = 0; round < 10; round++) {
        const words upper0 = mul_hi(c0, (words)(0xD2511F53u)), lower0 = c0 * 0xD2511F53u;
        const words upper1 = mul_hi(c2, (words)(0xCD9E8D57u)), lower1 = c2 * 0xCD9E8D57u;
        c0 = upper1 ^ c1 ^ key0;
        c1 = lower1;
        c2 = upper0 ^ c3 ^ key1;
        c3 = lower0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    *word0 = c0;
    *word1 = c1;
}

static inline vec draw_values(words word0, words word1) {
#if DISTRIBUTION == UNIFORM
    return WIDE(convert_float)(word0 >> 8) * 0x1p-23f - 1.0f;
#else
    const vec radius = WIDE(convert_float)((word0 >> 8) + 1u) * 0x1p-24f;
    const vec angle = WIDE(convert_float)(word1 >> 8) * (6.28318530718f * 0x1p-24f);
    const vec normal = sqrt(-2.0f * log(radius)) * cos(angle);
    return DISTRIBUTION == RECTIFIED_NORMAL ? fmax(normal, (vec)(0.0f)) : normal;
#endif
}

/* With `base`, the numbers are added to it: noise on images or codes. */
__kernel GROUP_ATTRIBUTE void random_codes_draw(__global const float *restrict base,
                                                __global float *restrict out, int n, float scale,
                                                ulong seed, uint substream) {
    const int first_row = (int)get_group_id(1) * ROWS;
    for (int f = first_row; f < min(first_row + ROWS, FEATURES); f++)
        for (int j = 0; j < VECTORS; j++) {
            const int first = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
            const words lane = WIDE(convert_uint)(vec_lanes(first));
            /* The index has 64 bits: the sum's carry goes to its upper half. */
            const words product = lane * (uint)FEATURES, low = product + (uint)f;
            const words carry = vec_choose((words)(0u), (words)(1u), low < product);
            const words high = mul_hi(lane, (words)((uint)FEATURES)) + carry;
            words word0, word1;
            draw_words(seed, substream, low, high, &word0, &word1);
            const size_t i = (size_t)f * BATCH + first;
            vec values = scale * draw_values(word0, word1);
            if (base) values += vec_load(base + i);
            vec_store(vec_mask(values, first, n), out + i);
        }
}

/* out[f][j] = scale * codes[f][(j + shift) mod n] for j < n, shift being drawn for each feature. */
__kernel GROUP_ATTRIBUTE void random_codes_match(__global const float *restrict codes,
                                                 __global float *restrict out, int n, float scale,
                                                 ulong seed, uint substream) {
    const int first_row = (int)get_group_id(1) * ROWS;
    for (int f = first_row; f < min(first_row + ROWS, FEATURES); f++) {
        uint drawn[4];
        us_random_words(seed, NOISE_STREAM, substream, (ulong)f, drawn);
        const int shift = (int)mul_hi(drawn[0], (uint)n);
        for (int j = 0; j < VECTORS; j++)
            for (int l = 0; l < VECTOR_WIDTH; l++) {
                const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE + l;
                const int from = lane + shift < n ? lane + shift : lane + shift - n;
                out[(size_t)f * BATCH + lane] =
                    lane < n ? scale * codes[(size_t)f * BATCH + from] : 0.0f;
            }
    }
}
