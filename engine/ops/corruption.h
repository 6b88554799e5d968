/* SPDX-License-Identifier: MIT */
/* Images made wrong on purpose, on the device: what a classifier can learn anomalies from. */
#ifndef US_OPS_CORRUPTION_H
#define US_OPS_CORRUPTION_H

#include "ops/layer.h"

/* Kinds of corruption, of H x W pixels whose values lie in -1 .. 1. A rectangle's sides are from an
 * eighth to half of the image's, at least 1 pixel long. */
typedef enum us_corruption_kind {
    US_CORRUPTION_NOISE,  /* x + s N(0, 1) for each value, s in 0.1 .. 0.5, clamped to -1 .. 1 */
    US_CORRUPTION_CUTOUT, /* a rectangle of one grey, from -1 .. 1 */
    US_CORRUPTION_PASTE,  /* a rectangle of the same image (1 of 2) or of another one of the batch,
                             from anywhere in it, put anywhere */
    US_CORRUPTION_CROP,   /* a window of 0.4 to 0.8 of both sides, enlarged bilinearly */
    US_CORRUPTION_ROTATE, /* by 90, 180 or 270 degrees; images that are not square: upside down */
    US_CORRUPTION_BLUR,   /* the mean over boxes of 2 r + 1 pixels a side, of those within the
                             image, r from 1 to a twelfth of the smaller side (at least 1) */
    US_CORRUPTION_KINDS,
} us_corruption_kind;

typedef struct us_corruption us_corruption;

/* kinds: bit i for us_corruption_kind i; at least one. normal: noise images are N(0, 1), clamped to
 * -1 .. 1; else U(-1, 1). */
unseen_status us_corruption_create(us_device *device, unsigned kinds, bool normal, us_shape shape,
                                   int batch, us_corruption **corruption, unseen_error *error);
void us_corruption_destroy(us_corruption *corruption);

/* Image j < n of `out` is
 *   j < noise_begin:                     that of base (not needed where noise_begin is 0),
 *   noise_begin <= j < corrupted_begin:  a noise image,
 *   else:                                image j of x, corrupted in a way drawn from the kinds;
 * padded lanes are 0. No buffer is another one.
 *
 * Random numbers are those of US_STREAM_CORRUPTION. Number v of image j (in C,H,W order) is that of
 * (substream + 1, j C H W + v). The words a[4] of (substream, 2 j) and b[4] of (substream, 2 j + 1)
 * decide how image j is corrupted, m(w, c) being floor(w c / 2^32) and u(w) the top 24 bits of w as
 * a number in 0 .. 1: the kind is the m(a[0], kinds)-th of those to draw from; noise: s = 0.1 + 0.4
 * u(a[1]); blur: r = 1 + m(a[1], largest); rotate: 1 + m(a[1], 3) quarters against the clock; crop:
 * share = 0.4 + 0.4 u(a[1]), offset u(a[3]) (1 - share) H down, u(b[0]) right; a rectangle's height
 * and width are l + m(w, max(half, l) - l + 1), w being a[1] and a[2], l max(eighth, 1); its offset
 * is m(a[3], H - height + 1) down and m(b[0], W - width + 1) right, and that of what is pasted is
 * the same by b[2] and b[3]; the grey is 2 u(b[1]) - 1; what is pasted comes from image (j + 1 +
 * m(b[1], n - 1)) mod n where b[1] is odd and n > 1. */
typedef struct us_corruption_args {
    us_buffer *x, *base, *out;
    int n, noise_begin, corrupted_begin;
    uint64_t seed;
    uint32_t substream;
} us_corruption_args;
unseen_status us_corruption_run(us_corruption *corruption, const us_corruption_args *args,
                                unseen_error *error);

#endif
