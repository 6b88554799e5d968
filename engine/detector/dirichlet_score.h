/* SPDX-License-Identifier: MIT */
/* What a classifier of several heads answers for normal images after each of some transformations:
 * a Dirichlet distribution for every transformation and head (Golan and El-Yaniv, arXiv 1805.10917,
 * section 4.1). */
#ifndef US_DETECTOR_DIRICHLET_SCORE_H
#define US_DETECTOR_DIRICHLET_SCORE_H

#include "network/safetensors.h"
#include "ops/class_entropy.h"

typedef struct us_answers {
    us_class_heads heads;
    int transformations, classes; /* of all heads together */
    float *alpha;                 /* [transformations][classes]; 0 before they are known */
    us_buffer *weights;           /* alpha - 1, for us_class_entropy_weighted */
} us_answers;

unseen_status us_answers_create(us_device *device, const us_class_heads *heads, int transformations,
                                us_answers **answers, unseen_error *error);
void us_answers_destroy(us_answers *answers); /* NULL is fine */

/* In models and checkpoints, as the tensor "dirichlet". */
unseen_status us_answers_save(const us_answers *answers, us_safetensors_builder *builder,
                              unseen_error *error);
unseen_status us_answers_load(us_answers *answers, const us_safetensors *file, unseen_error *error);

/* Sums over images, while answers are looked at: of softmax, and of its logarithm. */
typedef struct us_answer_sums {
    double *values, *logs; /* [transformations][classes] */
    int64_t images;
} us_answer_sums;

unseen_status us_answer_sums_create(const us_answers *answers, us_answer_sums *sums,
                                    unseen_error *error);
void us_answer_sums_release(us_answer_sums *sums);

/* Adds the class scores y, [classes][batch] on the host, of n images after transformation t; their
 * number counts where t is 0. */
void us_answer_sums_add(us_answer_sums *sums, const us_answers *answers, int t, const float *y,
                        int batch, int n);

/* Estimates the distributions from the sums. */
unseen_status us_answers_estimate(us_answers *answers, const us_answer_sums *sums,
                                  unseen_error *error);

#endif
