/* SPDX-License-Identifier: MIT */
/* Restarts: training that diverged or collapsed begins again with other random numbers. */
#include <inttypes.h>
#include <string.h>

#include "base/random.h"
#include "training/log.h"
#include "training/trainer_internal.h"

/* The seed has 53 bits, which is what a config and JSON can hold. */
uint64_t us_trainer_seed(const unseen_config *config, int restarts) {
    uint32_t words[4];
    uint64_t seed = (uint64_t)config->training.seed;
    if (!restarts) return seed;
    us_random_words(seed, US_STREAM_RESTART, 0, (uint64_t)restarts, words);
    return ((uint64_t)words[0] << 32 | words[1]) >> 11;
}

/* Resets everything on the device to what it is when a trainer has been created. */
static unseen_status begin_again(us_trainer *trainer, unseen_error *error) {
    US_TRY(us_device_finish(trainer->device, error));
    for (int i = 0; i < US_STEPS_IN_FLIGHT; i++)
        us_fence_drop(&trainer->fences[i]);
    for (int i = 0; i < US_DETECTOR_MAX_NETWORKS; i++) {
        if (trainer->moment1[i]) US_TRY(us_buffer_zero(trainer->moment1[i], error));
        if (trainer->moment2[i]) US_TRY(us_buffer_zero(trainer->moment2[i], error));
    }
    trainer->seed = us_trainer_seed(trainer->config, trainer->progress.restarts);
    return us_detector_initialize(trainer->detector, trainer->seed, error);
}

unseen_status us_trainer_restart(us_trainer *trainer, unseen_error *error) {
    us_progress *progress = &trainer->progress;
    int most = trainer->config->training.collapse.restarts;
    unseen_error reason = *error;
    if (progress->restarts >= most) {
        if (progress->restarts > 0)
            us_error_context(error, "after %d of %d restarts", progress->restarts, most);
        return UNSEEN_DIVERGED;
    }
    *error = (unseen_error){0};
    progress->restarts++;
    US_TRY(begin_again(trainer, error));
    us_event_message(trainer->events, UNSEEN_EVENT_WARNING,
                     "%s; restart %d of %d: from the beginning, with the seed %" PRIu64,
                     reason.message, progress->restarts, most, trainer->seed);
    if (trainer->folder)
        US_TRY(us_log_restart(trainer->folder, reason.message, trainer->seed, progress, error));
    us_progress_begin(progress);
    return us_trainer_save(trainer, error);
}
