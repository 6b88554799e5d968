/* SPDX-License-Identifier: MIT */
/* Where a classifier's negatives come from: images decoded from random codes, moved images, noise
 * images and corrupted images, in proportions. */
#ifndef US_DETECTOR_NEGATIVES_H
#define US_DETECTOR_NEGATIVES_H

#include "detector/detector.h"
#include "ops/augmentation.h"
#include "ops/corruption.h"
#include "ops/lanes.h"
#include "ops/random_codes.h"

/* One more kind than us_distribution has: codes matched to those of the batch. */
enum { US_CODES_MATCHED = US_DISTRIBUTION_UNIFORM + 1 };

typedef struct us_negative_shares {
    double codes, moved, noise, corrupted; /* in any unit; not all 0 */
} us_negative_shares;

/* How a training image is moved to be a negative, by augmentation.h. */
typedef enum us_move {
    US_MOVE_ZOOM_IN,  /* 1.25 to 2.5 times, anywhere in the image */
    US_MOVE_ZOOM_OUT, /* 1 / 1.2 to 1 / 1.8, and shifted by up to a tenth of the sides */
    US_MOVE_SHIFT,    /* by 0.1 to 0.3 of the sides, down or up and to the right or left */
    US_MOVE_TILT,     /* by 15 to 45 degrees, either way */
    US_MOVE_TURN,     /* by 1 to 3 quarters; images that are not square: upside down */
    US_MOVES,
} us_move;

/* Their settings in a config. */
typedef struct us_negatives_settings {
    us_negative_shares shares;
    int codes; /* us_distribution, or US_CODES_MATCHED */
    double scale;
    int normal;           /* noise images are normal, not uniform */
    unsigned corruptions; /* bit i for us_corruption_kind i */
    unsigned moves;       /* bit i for us_move i */
    double reconstructed; /* share of moved and of corrupted images that encoder and decoder
                             reproduce */
} us_negatives_settings;

typedef struct us_negatives {
    const us_negatives_settings *settings;
    us_network *encoder, *decoder;
    us_tape *tape, *encoder_tape; /* of decoded codes and of reconstructions; the latter's alone */
    us_random_codes *random;
    us_matched_codes *matched;
    us_augmentation *moves;
    us_corruption *corruption;
    us_lanes *lanes;
    us_buffer *code, *moved, *images; /* NULL where they are not needed */
} us_negatives;

/* encoder, decoder: their indices in the detector. settings outlive the negatives. */
unseen_status us_negatives_create(us_detector *detector, const us_negatives_settings *settings,
                                  int encoder, int decoder, us_negatives *negatives,
                                  unseen_error *error);
void us_negatives_destroy(us_negatives *negatives);

/* *images: as many negatives as there are images in the batch, valid until the next ones are made.
 * codes: the encoder's of this batch. */
unseen_status us_negatives_make(us_negatives *negatives, const us_detector_step *step,
                                us_buffer *codes, us_buffer **images, unseen_error *error);

/* A batch's images from 0 to begin[0] are decoded, those from there to begin[1] moved, to begin[2]
 * noise, the rest corrupted. With u uniform in [0, 1), image j is of the kind that (j + u) / n of
 * the way through the shares belongs to: the expected number of every kind is exactly its share of
 * n, however small n is, and the actual one less than 1 off. */
void us_negatives_divide(const us_negative_shares *shares, int n, double u, int begin[3]);

/* Of `count` moved or corrupted images the first so many are reconstructed. */
int us_negatives_reconstructed(double share, int count, double u);

#endif
