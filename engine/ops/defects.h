/* SPDX-License-Identifier: MIT */
/* Defects drawn into a batch of normal images, on the device, and where they are: what a network
 * can learn to find, and a model be tried on, where no defective image is known. */
#ifndef US_OPS_DEFECTS_H
#define US_OPS_DEFECTS_H

#include "ops/layer.h"

/* Kinds of defect. A patch is what another place shows, turned by quarters: of the same image or of
 * another one of the batch. Beyond an image's edge it goes on mirrored. */
typedef enum us_defect_kind {
    US_DEFECT_CUT_PASTE, /* a rectangle from the same image, brighter or darker (arXiv 2104.04015)
                          */
    US_DEFECT_SCAR,      /* the same in a thin, tilted rectangle, with more change */
    US_DEFECT_PATCH,    /* a rectangle, an ellipse or a ragged spot with soft edges, from any image,
                           partly translucent */
    US_DEFECT_SEAMLESS, /* a rectangle or an ellipse from any image whose differences at the edge
                           are evened out, as by Poisson blending (arXiv 2109.15222) */
    US_DEFECT_LINE,     /* a crooked scratch or crack, darker or brighter */
    US_DEFECT_BLOB,     /* a small spot, soft or sharp, darker or brighter */
    US_DEFECT_SHADE,    /* a large area, soft or sharp, darker or brighter */
    US_DEFECT_KINDS,
} us_defect_kind;

enum {
    US_DEFECTS_AN_IMAGE = 3,   /* at most */
    US_DEFECT_BOUNDARY = 32,   /* points around a patch where it is compared with the image */
    US_DEFECT_LINE_POINTS = 9, /* at most */
};

typedef struct us_defects_settings {
    double shares[US_DEFECT_KINDS]; /* of defects that are of a kind, in any unit; not all 0 */
    double share;                   /* of images that get a defect */
    double more;                    /* probability of a second, and of a third, in such an image */
    double smallest, largest;       /* of patches and shades, as a share of the image's side */
    double visible;                 /* a change of a pixel by so much (the mean over its channels;
                                       from black to white it is 2) counts in full in the mask; more
                                       than 0 */
} us_defects_settings;

typedef struct us_defects us_defects;

/* settings are copied. batch is padded. */
unseen_status us_defects_create(us_device *device, us_purpose purpose,
                                const us_defects_settings *settings, us_shape shape, int batch,
                                us_defects **defects, unseen_error *error);
void us_defects_destroy(us_defects *defects); /* NULL is fine */

/* out: the first n images of x, [channels][height][width][batch], with values in -1 .. 1, with
 * defects; mask: how much each pixel changed, [height][width][batch], 0 to 1. Padded lanes are 0.
 * No buffer is another one.
 *
 * Random numbers are those of (seed, US_STREAM_DEFECT, substream). The words of the counters 8 (3 j
 * + s) to 8 (3 j + s) + 7 are w[0] to w[31] of the defect s of image j. With u(i) the top 24 bits
 * of w[i] as a number in 0 .. 1, m(i, c) = floor(w[i] c / 2^32), b(i, low, high) = low + (high -
 * low) u(i), e(i, low, high) = low (high / low)^u(i), S the root of height x width, lengths in
 * pixels:
 *
 *   existence   of s = 0: u(0) < share; of the others: image j has the defect 0, and u(0) < more
 *   kind        the first whose share and those of the kinds before it exceed u(1) of their sum
 *   centre      (m(2, height), m(3, width))
 *   radii       ry = a sqrt(q), rx = a / sqrt(q), at least 0.5, where
 *                 cut_paste, patch, seamless, shade: a = S / 2 e(4, smallest, largest),
 *                   q = exp(b(5, -1.2, 1.2))
 *                 blob: a = S / 2 e(4, 0.012, 0.1), q = exp(b(5, -0.9, 0.9))
 *                 scar: ry = S b(4, 0.02, 0.06), rx = S b(5, 0.004, 0.02), at least 0.5;
 *                 line: rx = max(0.4, S b(4, 0.001, 0.004)), half its width
 *   outline     cut_paste, scar: rectangle; blob: ellipse; seamless: m(7, 2); patch, shade:
 *               m(7, 3): 0 rectangle, 1 ellipse, 2 ragged
 *   tilt        scar, blob: pi u(6); patch, seamless, shade: pi u(6) where w[7] is odd; else 0
 *   edge        cut_paste, scar, line: 1; patch, seamless: e(8, 1, max(1.01, r / 4)); blob, shade:
 *               e(8, 1, max(1.01, r)); r is the smaller radius
 *   source      cut_paste, scar: image j; patch, seamless: image (j + 1 + m(19, n - 1)) mod n where
 *               n > 1 and u(13) < 0.7, else j; at (m(14, height), m(15, width)); turned by
 *               max(m(16, 8) - 4, 0) quarters
 *   change      content = (v + 1) gain - 1 + offset, within -1 .. 1, v the source's or the image's
 *               own value
 *   gain        cut_paste: b(10, 0.9, 1.1); scar: b(10, 0.8, 1.2); line: b(11, 0.3, 0.85) where
 *               u(10) < 0.8, else b(11, 1.15, 1.6); blob: b(11, 0.25, 0.85) where u(10) < 0.8, else
 *               b(11, 1.15, 1.7); shade: b(11, 0.4, 0.88) where u(10) < 0.65, else
 *               b(11, 1.12, 1.6); for line, blob and shade of more than one channel, where u(17) <
 *               0.5, times 0.8 + 0.4 t, t of channel c being the uniform of the counter
 *               2^32 + (3 j + s) channels + c
 *   offset      cut_paste: b(12, -0.2, 0.2); scar: b(12, -0.3, 0.3); patch: b(12, -0.25, 0.25), and
 *               where u(11) < 0.6 the mean of the differences at the boundary
 *   strength    patch: b(9, 0.5, 1); else 1
 *
 * With (p, q) a pixel's place from the centre, turned back by the tilt, its distance d from the
 * outline is max(|p| - ry, |q| - rx) in a rectangle, (sqrt((p / ry)^2 + (q / rx)^2) - 1) r in an
 * ellipse; ragged: + 0.2 r (sin(3 p' + 2 q' + 2 pi u(20)) + sin(3 q' - 2 p' + 2 pi u(21)) + 0.7
 * sin(7 p' - 5 q' + 2 pi u(22))), with p' = p / ry, q' = q / rx. Of a line, d is the distance from
 * its 3 + m(20, 7) points' segments, less half the width; each is S b(5, 0.015, 0.06) long, the
 * first goes from the centre in the direction 2 pi u(21), each further one turns by b(21 + i, -0.7,
 * 0.7). The pixel becomes v + strength a (content - v), a = 0.5 - d / edge within 0 .. 1. Defects
 * follow one another; sources and boundaries are those of x. The mask is |out - x| / visible, at
 * most 1.
 *
 * A seamless patch gets, for each pixel, the differences between image and patch at 32 points
 * around it, weighted by mean value coordinates (Farbman et al., Coordinates for Instant Image
 * Cloning, 2009): a membrane close to the solution of Poisson's equation with those values at the
 * boundary, without iterations. The points lie on the outline, enlarged by 1 + (edge / 2 + 1.5) /
 * r: of an ellipse at equal angles, of a rectangle eight to a side; values between pixels are
 * bilinear. */
typedef struct us_defects_args {
    us_buffer *x, *out, *mask;
    int n;
    uint64_t seed;
    uint32_t substream;
} us_defects_args;
unseen_status us_defects_draw(us_defects *defects, const us_defects_args *args,
                              unseen_error *error);

#endif
