/* SPDX-License-Identifier: MIT */
/* Cross entropy of class scores with one class per image, torch.nn.CrossEntropyLoss: of image j
 * log(sum over c of exp(y[c][j])) - y[labels[j]][j]. */
#ifndef US_OPS_CLASS_ENTROPY_H
#define US_OPS_CLASS_ENTROPY_H

#include "ops/layer.h"

typedef struct us_class_entropy us_class_entropy;

/* activation: the one that produced y. */
unseen_status us_class_entropy_create(us_device *device, us_purpose purpose, int classes, int batch,
                                      us_activation activation, us_class_entropy **out,
                                      unseen_error *error);
void us_class_entropy_destroy(us_class_entropy *entropy);

typedef struct us_class_entropy_args {
    us_buffer *y;         /* [classes][batch] */
    us_buffer *labels;    /* `batch` int32_t, padded lanes too */
    us_buffer *dy;        /* of the mean over images, before y's activation; NULL: not wanted */
    us_buffer *entropies; /* `batch` floats: of each image; accumulate: added to what is there */
    us_buffer *losses;    /* losses[slot] receives the mean over images; NULL: not wanted */
    int slot;
    int n;
    bool accumulate;
} us_class_entropy_args;
unseen_status us_class_entropy_run(us_class_entropy *entropy, const us_class_entropy_args *args,
                                   unseen_error *error);

#endif
