/* SPDX-License-Identifier: MIT */
/* A batch of random codes, drawn on the device: from a distribution, or from real codes. */
#ifndef US_OPS_RANDOM_CODES_H
#define US_OPS_RANDOM_CODES_H

#include "ops/layer.h"

typedef enum us_distribution {
    US_DISTRIBUTION_NORMAL,           /* scale * N(0, 1) */
    US_DISTRIBUTION_RECTIFIED_NORMAL, /* scale * max(0, N(0, 1)) */
    US_DISTRIBUTION_UNIFORM,          /* scale * U(-1, 1) */
} us_distribution;

typedef struct us_random_codes us_random_codes;

unseen_status us_random_codes_create(us_device *device, us_distribution distribution,
                                     us_shape shape, int batch, us_random_codes **codes,
                                     unseen_error *error);
void us_random_codes_destroy(us_random_codes *codes);

/* out[f][j] for image j < n, feature f of F in C,H,W order: base[f][j] (base NULL: 0) plus the
 * number of (seed, US_STREAM_NOISE, substream, j F + f); 0 in padded lanes. A detector that draws
 * several times in a step takes substream = draws * step + draw. */
unseen_status us_random_codes_draw(us_random_codes *codes, us_buffer *base, us_buffer *out, int n,
                                   float scale, uint64_t seed, uint32_t substream,
                                   unseen_error *error);

/* Codes matched to real ones: each feature takes its values from the real codes of the batch,
 * shifted by a number of images of its own, so that it is distributed exactly as in real codes
 * while features are combined at random. With a batch of 1 there is nothing to combine: out is the
 * real code. */
typedef struct us_matched_codes us_matched_codes;

unseen_status us_matched_codes_create(us_device *device, us_shape shape, int batch,
                                      us_matched_codes **codes, unseen_error *error);
void us_matched_codes_destroy(us_matched_codes *codes);

/* out[f][j] = scale real[f][(j + shift) mod n] for j < n, 0 in padded lanes; shift is
 * floor(w n / 2^32), w being word 0 of (seed, US_STREAM_NOISE, substream, f). */
unseen_status us_matched_codes_draw(us_matched_codes *codes, us_buffer *real, us_buffer *out, int n,
                                    float scale, uint64_t seed, uint32_t substream,
                                    unseen_error *error);

#endif
