/* SPDX-License-Identifier: MIT */
/* How well scores tell anomalies made from normal images (synthetic_kinds.h): a measure of a model
 * that needs no labels. */
#ifndef US_TRAINING_SYNTHETIC_H
#define US_TRAINING_SYNTHETIC_H

#include "training/columns.h"
#include "training/synthetic_kinds.h"

/* Normal images with 8 bits a value, from which anomalies are made. */
typedef struct us_synthetic_base {
    us_shape shape;
    int64_t count;
    uint64_t seed;
    unsigned char *pixels; /* [count][height][width][channels] */
} us_synthetic_base;

/* Takes some of the normal images, or of their windows, fitted to a shape. */
unseen_status us_synthetic_take(us_device *device, us_shape shape, const us_scored_images *normal,
                                uint64_t seed, us_synthetic_base *base, unseen_error *error);
void us_synthetic_release(us_synthetic_base *base);

/* As many images of a kind as the base has, or, with kind -1, these themselves, which then have
 * gone the same way. Released with us_synthetic_drop. */
unseen_status us_synthetic_make(const us_synthetic_base *base, int kind, us_dataset *images,
                                unseen_error *error);
/* Waits for the work that reads them. Where the device is lost it may still read them: they stay. */
void us_synthetic_drop(us_device *device, us_dataset *images);

/* What is told of a model. */
typedef struct us_synthetic {
    int64_t images; /* of each kind; 0: nothing was measured */
    double auc;     /* the mean of those of the kinds; NaN: not known */
    double kinds[US_SYNTHETIC_KINDS];
} us_synthetic;

/* scores[0] are those of the images themselves, scores[1 + kind] those of a kind, `count` each. */
us_synthetic us_synthetic_measure(double *const scores[US_SYNTHETIC_KINDS + 1], int64_t count);

/* Adds "synthetic_auc" and "synthetic_kinds" to an object; false: no memory. */
bool us_synthetic_to_json(const us_synthetic *synthetic, cJSON *object);

#endif
