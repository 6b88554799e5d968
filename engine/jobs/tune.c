/* SPDX-License-Identifier: MIT */
/* unseen_tune: which kernels a config needs, for tuning/tuner.c to search their parameters. */
#include "base/arithmetic.h"
#include "training/model.h"
#include "training/trainer.h"
#include "tuning/tuner.h"

/* A detector at work, on as few images as make a batch. */
typedef struct rehearsal {
    us_dataset dataset;
    us_detector *detector, *scoring;
    us_trainer *trainer;
} rehearsal;

/* One step of training and one batch of scores, as some kernels are built when first needed. What
 * scores a trained model may see other numbers of images at once, and is only created: it has
 * learned nothing. */
static unseen_status rehearse(const unseen_config *config, us_device *device, rehearsal *r,
                              unseen_error *error) {
    const int shards = config->training.shards;
    const int batch = us_divide_up(config->training.batch, shards > 0 ? shards : 1);
    const us_scored_images scored = {.dataset = &r->dataset, .count = batch, .what = "scoring"};
    double *columns[US_DETECTOR_MAX_COLUMNS];
    US_TRY(us_dataset_make_up(config, batch, &r->dataset, error));
    US_TRY(us_detector_create(device, &config->detector, batch, true, NULL, &r->detector, error));
    const us_trainer_options options = {
        .config = config, .detector = r->detector, .dataset = &r->dataset};
    US_TRY(us_trainer_create(&options, &r->trainer, error));
    US_TRY(us_trainer_rehearse(r->trainer, 0, error));
    US_TRY(us_trainer_finish(r->trainer, error));
    US_TRY(us_columns_take(r->detector, &scored, columns, error));
    us_columns_release(columns);
    return us_detector_create(device, &config->detector, config->training.batch, false, NULL,
                              &r->scoring, error);
}

static unseen_status collect(us_device *device, void *user, unseen_error *error) {
    const unseen_config *config = user;
    rehearsal r = {0};
    for (int m = 0; m < config->member_count; m++)
        US_TRY(collect(device, config->members[m], error));
    if (config->member_count) return UNSEEN_OK;
    unseen_status status = rehearse(config, device, &r, error);
    us_trainer_destroy(r.trainer);
    us_detector_destroy(r.detector);
    us_detector_destroy(r.scoring);
    us_dataset_leave_device(&r.dataset);
    if (us_device_finish(device, NULL) == UNSEEN_OK) us_dataset_unmake(&r.dataset);
    return status;
}

unseen_status unseen_tune(const unseen_config *config, const unseen_tune_options *options,
                          const unseen_events *events, char **json, unseen_error *error) {
    *json = NULL;
    const us_tuner_options tuner = {
        .selector = options->device,
        .collect = collect,
        .user = (void *)config,
        .events = events,
        .force = options->force,
        .seconds = options->seconds,
    };
    cJSON *result;
    US_TRY(us_tuner_run(&tuner, &result, error));
    if (cJSON_AddStringToObject(result, "config", config->name)) *json = us_json_print(result);
    cJSON_Delete(result);
    return *json ? UNSEEN_OK : us_fail_memory(error, "results");
}
