/* SPDX-License-Identifier: MIT */
/* Where a classifier's negatives come from: images decoded from random codes, noise images and
 * corrupted images, in proportions. */
#ifndef US_DETECTOR_NEGATIVES_H
#define US_DETECTOR_NEGATIVES_H

#include "detector/detector.h"
#include "ops/corruption.h"
#include "ops/random_codes.h"

/* One more kind than us_distribution has: codes matched to those of the batch. */
enum { US_CODES_MATCHED = US_DISTRIBUTION_UNIFORM + 1 };

typedef struct us_negative_shares {
    double codes, noise, corrupted; /* in any unit; not all 0 */
} us_negative_shares;

/* Their settings in a config. */
typedef struct us_negatives_settings {
    us_negative_shares shares;
    int codes; /* us_distribution, or US_CODES_MATCHED */
    double scale;
    int normal;           /* noise images are normal, not uniform */
    unsigned corruptions; /* bit i for us_corruption_kind i */
} us_negatives_settings;

typedef struct us_negatives {
    const us_negatives_settings *settings;
    us_network *decoder;
    us_tape *tape;
    us_random_codes *random;
    us_matched_codes *matched;
    us_corruption *corruption;
    us_buffer *code, *images; /* NULL where they are not needed */
} us_negatives;

/* decoder: its index in the detector. settings outlive the negatives. */
unseen_status us_negatives_create(us_detector *detector, const us_negatives_settings *settings,
                                  int decoder, us_negatives *negatives, unseen_error *error);
void us_negatives_destroy(us_negatives *negatives);

/* *images: as many negatives as there are images in the batch, valid until the next ones are made.
 * codes: the encoder's of this batch. */
unseen_status us_negatives_make(us_negatives *negatives, const us_detector_step *step,
                                us_buffer *codes, us_buffer **images, unseen_error *error);

/* A batch's images from 0 to begin[0] are decoded, those from there to begin[1] noise, the rest
 * corrupted. With u uniform in [0, 1), image j is of the kind that (j + u) / n of the way through
 * the shares belongs to: the expected number of every kind is exactly its share of n, however small
 * n is, and the actual one less than 1 off. */
void us_negatives_divide(const us_negative_shares *shares, int n, double u, int begin[2]);

#endif
