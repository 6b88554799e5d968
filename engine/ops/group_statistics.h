/* SPDX-License-Identifier: MIT */
/* Statistics of a batch whose images are shared among ranks: each takes those of its own images in
 * parts (fusion.h), and here they become those of all, the same on every rank. They pass through
 * the host, which waits for the device. */
#ifndef US_OPS_GROUP_STATISTICS_H
#define US_OPS_GROUP_STATISTICS_H

#include "device/device.h"
#include "ops/fusion.h"
#include "parallel/group.h"

typedef struct us_group_statistics us_group_statistics;

unseen_status us_group_statistics_create(us_device *device, us_group *group, int channels,
                                         us_group_statistics **statistics, unseen_error *error);
void us_group_statistics_destroy(us_group_statistics *statistics); /* NULL is fine */

/* *parts, of count, mean and sum of squared deviations, become those of all ranks' values, which
 * last until the next call. */
unseen_status us_group_statistics_moments(us_group_statistics *statistics, us_parts *parts,
                                          unseen_error *error);

/* The same of sums of gradients, [channel][2][part]. Losses are means over the images of a rank, so
 * its gradients count by its weight; what is given back is in this rank's measure. *values: of how
 * many values the sums are, of this rank's before and of all ranks' afterwards. */
unseen_status us_group_statistics_sums(us_group_statistics *statistics, us_parts *parts,
                                       double *values, unseen_error *error);

#endif
