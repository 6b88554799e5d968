/* SPDX-License-Identifier: MIT */
/* The search for the parameters that make kernels fastest on a device. */
#ifndef US_TUNING_TUNER_H
#define US_TUNING_TUNER_H

#include "base/json.h"
#include "tuning/tunable.h"

typedef struct us_tuner_options {
    const char *selector; /* of the device */
    /* Creates what is to be tuned on the device, in another process: every kernel that is chosen by
     * us_tuning_choose meanwhile. */
    unseen_status (*collect)(us_device *device, void *user, unseen_error *error);
    void *user;
    const unseen_events *events;
    bool force;               /* search again where there is a winner already */
    double seconds;           /* of searching in all, about; 0: until nothing better is found, on
                                 GPUs 2 for each kernel and shape */
    double candidate_seconds; /* after which a candidate has failed; 0: 10 */
    int candidates;           /* most of a kernel and shape; 0: 20 */
} us_tuner_options;

/* Searches and stores the winners, each as soon as it is known. The process must not have opened a
 * device yet, for OpenCL implementations do not survive a fork. UNSEEN_INTERRUPTED when the caller
 * asks to stop; a later call goes on.
 * {device, file, seconds, shapes: [{kernel, shape, default_ms, best_ms, speedup, algorithm,
 *  parameters: {NAME: integer}, candidates, failed}]}; candidates is 0 for a winner of an earlier
 * call; numbers that are not known are null, and so are algorithm and parameters where every
 * candidate failed. */
unseen_status us_tuner_run(const us_tuner_options *options, cJSON **result, unseen_error *error);

#endif
