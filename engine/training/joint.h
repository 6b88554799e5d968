/* SPDX-License-Identifier: MIT */
/* How the scores of members become one, by statistics of normal images alone.
 *
 * A member's score becomes evidence: minus the logarithm of the share of normal images that score
 * as high, less its value at their median, and never below 0. What a member finds more normal than
 * most normal images thus says nothing, and cancels no other's alarm. Beyond the highest 10% of the
 * normal scores that share follows a generalised Pareto distribution fitted to them (Pickands,
 * "Statistical inference using extreme order statistics", Annals of Statistics 3, 1975), by
 * L-moments (Hosking and Wallis, "Parameter and quantile estimation for the generalized Pareto
 * distribution", Technometrics 29, 1987), so that members with heavy tails do not drown others.
 *
 * The joint score is the root of the sum of squared, weighted evidences: between their sum (as
 * Fisher's method has it), which suits members that all see a little of an anomaly, and their
 * maximum, which suits those of which one sees it and the others add noise. */
#ifndef US_TRAINING_JOINT_H
#define US_TRAINING_JOINT_H

#include "training/calibration.h"
#include "training/synthetic.h"

/* The distribution of a member's normal scores: below `start` that of its calibration. */
typedef struct us_tail {
    double start;        /* nine tenths of the normal scores are not above it */
    double scale, shape; /* of what exceeds it; shape 0: exponential */
} us_tail;

typedef struct us_joint_member {
    us_tail tail;
    double weight;     /* relative; by the synthetic AUC and the config */
    double low, high;  /* of a normal image's map: its median, and what 1% of it exceeds */
    double map_weight; /* of its maps, relative; training/map_weights.h */
} us_joint_member;

typedef struct us_joint {
    int count; /* of members */
    us_joint_member members[US_MEMBERS_MOST];
} us_joint;

us_tail us_tail_fit(const us_normal_scores *normal);

/* The evidence that a member's score is. */
double us_tail_evidence(const us_tail *tail, const us_normal_scores *normal, double score);

/* What a member's evidence weighs: the mean of 2 AUC - 1 over those kinds of synthetic anomalies that
 * move what normal images show (us_synthetic_is_moved), at least 0.02. Noise, lines and patches of
 * one colour are found by any density of pixels, also by one to which every other object looks
 * normal: they tell little of how far to trust a member. Where the number is negative it counts six
 * times: a score that takes a kind of anomaly to be more normal than normal images are (as
 * reconstruction errors do with smooth ones) does harm, and not only no good. */
double us_joint_trust(const us_synthetic *synthetic);

/* One score of the evidences of all members. */
double us_joint_score(const us_joint *joint, int kind, const double *evidence);

/* In a model's metadata, as JSON; UNSEEN_BAD_INPUT where it is not there or of other members. */
unseen_status us_joint_save(const unseen_config *config, const us_joint *joint,
                            us_safetensors_builder *builder, unseen_error *error);
unseen_status us_joint_load(const unseen_config *config, const us_safetensors *file,
                            us_joint *joint, unseen_error *error);

#endif
