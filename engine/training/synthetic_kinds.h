/* SPDX-License-Identifier: MIT */
/* Anomalies of many kinds made from normal images, on the host, to judge scores by where there are
 * no labels. */
#ifndef US_TRAINING_SYNTHETIC_KINDS_H
#define US_TRAINING_SYNTHETIC_KINDS_H

#include <stdbool.h>
#include <stdint.h>

enum { US_SYNTHETIC_KINDS = 15 };
extern const char *const us_synthetic_names[US_SYNTHETIC_KINDS];

typedef struct us_synthetic_image {
    int height, width, channels;
    const unsigned char *normal; /* [height][width][channels] */
    const unsigned char *other;  /* another normal image, to take parts from */
    uint64_t seed, index;        /* the same ones make the same anomaly */
    float *scratch;              /* room for as many values */
} us_synthetic_image;

/* Whether a kind changes a small part of an image and leaves the rest as it is. */
bool us_synthetic_is_local(int kind);

/* Whether a kind moves what normal images show, by parts or as a whole, and adds nothing. */
bool us_synthetic_is_moved(int kind);

/* Makes an anomaly of a kind of the image into `out`, of the same size. */
void us_synthetic_draw(const us_synthetic_image *image, int kind, unsigned char *out);

#endif
