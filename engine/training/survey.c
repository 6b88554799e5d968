/* SPDX-License-Identifier: MIT */
/* Looks at all training images, without a step: before epochs, and after the last one. */
#include <math.h>

#include "base/arithmetic.h"
#include "base/event.h"
#include "training/trainer_internal.h"

static unseen_status load(void *user, int64_t batch, int *n, unseen_error *error) {
    us_trainer *trainer = user;
    const int64_t size = trainer->detector->batch;
    const int64_t left = trainer->dataset->selected_count - batch * size;
    *n = (int)(left < size ? left : size);
    const us_image_batch_args args = {.out = trainer->detector->x, .first = batch * size, .n = *n};
    US_TRY(us_images_check(&trainer->dataset->images, error));
    return us_image_batch_load(trainer->images.loader, &args, error);
}

us_detector_survey us_trainer_survey(us_trainer *trainer) {
    return (us_detector_survey){
        .epoch = trainer->progress.epoch,
        .seed = trainer->seed,
        .images = trainer->dataset->selected_count,
        .batches = us_divide_up(trainer->dataset->selected_count, trainer->detector->batch),
        .load = load,
        .user = trainer};
}

/* The same, with progress told. */
static unseen_status load_to_finish(void *user, int64_t batch, int *n, unseen_error *error) {
    us_trainer *trainer = user;
    const double elapsed = us_clock() - trainer->epoch_started;
    const int64_t done = batch * trainer->detector->batch;
    const int64_t total = trainer->dataset->selected_count;
    const double rate = elapsed > 0 ? (double)done / elapsed : 0;
    const unseen_event event = {
        .kind = UNSEEN_EVENT_PROGRESS,
        .text = "looking at training images",
        .done = done,
        .total = total,
        .loss = NAN,
        .held_out_loss = NAN,
        .images_per_second = rate,
        .seconds_left = rate > 0 ? (double)(total - done) / rate : -1,
    };
    if (us_event_send(trainer->events, &event))
        return us_fail(error, UNSEEN_INTERRUPTED,
                       "interrupted while looking at the training images once more");
    return load(user, batch, n, error);
}

unseen_status us_trainer_finish(us_trainer *trainer, unseen_error *error) {
    if (!us_detector_finishes(trainer->detector->spec)) return UNSEEN_OK;
    us_detector_survey survey = us_trainer_survey(trainer);
    survey.load = load_to_finish;
    trainer->epoch_started = us_clock();
    US_TRY(us_detector_finish(trainer->detector, &survey, error));
    US_TRY(us_images_check(&trainer->dataset->images, error));
    trainer->progress.seconds += us_clock() - trainer->epoch_started;
    return UNSEEN_OK;
}
