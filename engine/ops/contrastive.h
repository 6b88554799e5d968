/* SPDX-License-Identifier: MIT */
/* The contrastive loss of SimCLR (NT-Xent, arXiv 2002.05709), and the score of CSI (arXiv
 * 2007.08176, equations 5 to 9). */
#ifndef US_OPS_CONTRASTIVE_H
#define US_OPS_CONTRASTIVE_H

#include "ops/layer.h"

/* ---- the loss ---- */

typedef struct us_contrastive_loss us_contrastive_loss;

/* dimensions: of a vector; batch: padded; activation: the one that produced the vectors. */
unseen_status us_contrastive_loss_create(us_device *device, int dimensions, int batch,
                                         us_activation activation, double temperature,
                                         us_contrastive_loss **loss, unseen_error *error);
void us_contrastive_loss_destroy(us_contrastive_loss *loss);

/* Of n vectors z, [dimensions][batch], n even: i and i + n / 2 are views of one thing. With u = z /
 * max(|z|, 1e-8), the loss of vector a, whose partner is p, is
 *
 *   log(sum over b < n, b not a, of exp(u_a u_b / temperature)) - u_a u_p / temperature
 */
typedef struct us_contrastive_loss_args {
    us_buffer *z;
    us_buffer *dz;     /* of the mean over vectors, before z's activation; NULL: not wanted */
    us_buffer *losses; /* losses[slot] receives the mean over vectors */
    int slot, n;
} us_contrastive_loss_args;
unseen_status us_contrastive_loss_run(us_contrastive_loss *loss,
                                      const us_contrastive_loss_args *args, unseen_error *error);

/* ---- the score ---- */

typedef struct us_contrastive_score us_contrastive_score;

/* What is known of normal images, for each of `parts` shifts. points is a multiple of
 * US_CONTRASTIVE_POINTS. */
enum { US_CONTRASTIVE_POINTS = 8 };
typedef struct us_contrastive_memory {
    int parts, dimensions, points;
    const float *directions; /* [part][dimension][point], each of length 1 */
    const float *weights;    /* [part] of similarities, then [part] of logits */
} us_contrastive_memory;

/* lanes: of a batch of images; wide: of vectors and logits. The memory is copied. */
unseen_status us_contrastive_score_create(us_device *device, const us_contrastive_memory *memory,
                                          int lanes, int wide, us_contrastive_score **score,
                                          unseen_error *error);
void us_contrastive_score_destroy(us_contrastive_score *score);

/* z: [dimensions][wide], logits: [parts][wide]; image j's are in lane p lanes + j for shift p. Of
 * each image, `lanes` floats:
 *
 *   similarities  sum over p of weight[p] max over m of z_p . direction[p][m], which is the largest
 *                 cosine times the length of z
 *   shifts        sum over p of weight[parts + p] logits[p][p lanes + j]
 */
unseen_status us_contrastive_score_run(us_contrastive_score *score, us_buffer *z, us_buffer *logits,
                                       us_buffer *similarities, us_buffer *shifts,
                                       unseen_error *error);

#endif
