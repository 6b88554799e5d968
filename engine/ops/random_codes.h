/* A batch of random codes, drawn on the device. */
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

#endif
