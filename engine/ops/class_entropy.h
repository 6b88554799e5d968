/* SPDX-License-Identifier: MIT */
/* Cross entropy of class scores with one class per image, torch.nn.CrossEntropyLoss: of image j
 * log(sum over c of exp(y[c][j])) - y[labels[j]][j]. Where scores are those of several heads, each
 * with classes of its own, it is the sum over heads. */
#ifndef US_OPS_CLASS_ENTROPY_H
#define US_OPS_CLASS_ENTROPY_H

#include "ops/layer.h"

typedef struct us_class_entropy us_class_entropy;

enum { US_CLASS_HEADS_MOST = 4, US_CLASSES_MOST = 255 /* of a head, and a divisor */ };

/* Heads lie in y one after the other. With label l the class of head h is l / divisors[h] mod
 * sizes[h]: a single head of divisor 1 has the labels themselves. */
typedef struct us_class_heads {
    int count;
    int sizes[US_CLASS_HEADS_MOST], divisors[US_CLASS_HEADS_MOST];
} us_class_heads;

/* Class scores of an image, all heads together. */
int us_class_heads_classes(const us_class_heads *heads);

/* activation: the one that produced y. */
unseen_status us_class_entropy_create(us_device *device, us_purpose purpose,
                                      const us_class_heads *heads, int batch,
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
    bool gradient_of_sum; /* dy is that of the sum over images: of each its own entropy's */
} us_class_entropy_args;
unseen_status us_class_entropy_run(us_class_entropy *entropy, const us_class_entropy_args *args,
                                   unseen_error *error);

/* scores[j] becomes minus the sum over classes c of weights[first + c] log p[c][j], where p are a
 * head's softmax, or is increased by it (accumulate): the cross entropy with weights in the place
 * of a label. dy (NULL: not wanted) becomes its gradient, before y's activation. */
typedef struct us_class_weighting {
    us_buffer *y, *weights, *scores, *dy;
    size_t first;
    int n;
    bool accumulate;
} us_class_weighting;
unseen_status us_class_entropy_weighted(us_class_entropy *entropy, const us_class_weighting *args,
                                        unseen_error *error);

#endif
