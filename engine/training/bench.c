/* unseen_bench: throughput on made-up images, beside the device's measured peak. */
#include <math.h>
#include <stdlib.h>

#include "base/event.h"
#include "device/tuning.h"
#include "ops/peak.h"
#include "training/model.h"
#include "training/trainer.h"

enum { ROUNDS = 5, BATCHES = 8 };
static const double round_seconds = 1.0;

typedef struct bench {
    const unseen_config *config;
    const unseen_events *events;
    us_dataset dataset;
    us_device *device;
    us_detector *detector;
    us_trainer *trainer;
    double train_rate, score_rate, peak;
} bench;

static unseen_status train_once(bench *b, int64_t position, unseen_error *error) {
    us_trainer *trainer = b->trainer;
    us_image_batch_args batch = {
        .out = trainer->x,
        .first = position % BATCHES * b->detector->batch,
        .n = b->detector->batch,
        .shuffle = true,
        .seed = 1,
    };
    US_TRY(us_image_batch_load(trainer->loader, &batch, error));
    trainer->progress.step = 0; /* the losses are not looked at */
    US_TRY(us_trainer_step(trainer, batch.n, error));
    us_fence *fence = &trainer->fences[position % US_STEPS_IN_FLIGHT];
    US_TRY(us_fence_wait(fence, b->device, error));
    return us_fence_set(fence, b->device, error);
}

/* Images per second of training over about a second. */
static unseen_status time_training(bench *b, double *rate, unseen_error *error) {
    int64_t steps = 0;
    double started = us_clock();
    do {
        US_TRY(train_once(b, steps++, error));
    } while (us_clock() - started < round_seconds);
    US_TRY(us_device_finish(b->device, error));
    *rate = (double)(steps * b->detector->batch) / (us_clock() - started);
    return UNSEEN_OK;
}

static unseen_status time_scoring(bench *b, double *rate, unseen_error *error) {
    double *columns[US_DETECTOR_MAX_COLUMNS], started = us_clock();
    int64_t images = 0;
    do {
        US_TRY(us_model_columns(b->detector, &b->dataset, NULL, b->dataset.images.count, "scoring",
                                NULL, columns, error));
        us_columns_release(columns);
        images += b->dataset.images.count;
    } while (us_clock() - started < round_seconds);
    *rate = (double)images / (us_clock() - started);
    return UNSEEN_OK;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

/* The three measurements take turns, so that a machine that slows down slows all of them. */
static unseen_status measure(bench *b, unseen_error *error) {
    double train[ROUNDS], score[ROUNDS], peak[ROUNDS], unused;
    us_event_message(b->events, UNSEEN_EVENT_MESSAGE, "building kernels for %s", b->device->name);
    US_TRY(train_once(b, 0, error));
    US_TRY(us_device_finish(b->device, error));
    US_TRY(time_scoring(b, &unused, error));
    for (int i = 0; i < ROUNDS; i++) {
        US_TRY(time_training(b, &train[i], error));
        US_TRY(time_scoring(b, &score[i], error));
        US_TRY(us_peak_measure(b->device, &peak[i], error));
        unseen_event event = {.kind = UNSEEN_EVENT_PROGRESS,
                              .text = "measuring",
                              .done = i + 1,
                              .total = ROUNDS,
                              .loss = NAN,
                              .held_out_loss = NAN,
                              .images_per_second = train[i],
                              .seconds_left = (ROUNDS - i - 1) * 2.5};
        if (us_event_send(b->events, &event))
            return us_fail(error, UNSEEN_INTERRUPTED, "interrupted while measuring");
    }
    b->train_rate = median(train, ROUNDS);
    b->score_rate = median(score, ROUNDS);
    b->peak = median(peak, ROUNDS);
    return UNSEEN_OK;
}

static unseen_status describe(const bench *b, char **json, unseen_error *error) {
    double gflops = b->train_rate * us_detector_training_flops(&b->config->detector) * 1e-9;
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "device", b->device->name) &&
        cJSON_AddStringToObject(object, "config", b->config->name) &&
        cJSON_AddNumberToObject(object, "batch", b->config->training.batch) &&
        cJSON_AddNumberToObject(object, "train_images_per_second", b->train_rate) &&
        cJSON_AddNumberToObject(object, "score_images_per_second", b->score_rate) &&
        cJSON_AddNumberToObject(object, "gflops", gflops) &&
        cJSON_AddNumberToObject(object, "peak_gflops", b->peak * 1e-9) &&
        cJSON_AddNumberToObject(object, "fraction_of_peak", gflops / (b->peak * 1e-9)) &&
        cJSON_AddNumberToObject(object, "device_memory_bytes", (double)b->device->peak_bytes);
    *json = complete ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    return *json ? UNSEEN_OK : us_fail_memory(error, "results");
}

unseen_status unseen_bench(const unseen_config *config, const char *device,
                           const unseen_events *events, char **json, unseen_error *error) {
    *json = NULL;
    bench b = {.config = config, .events = events};
    unseen_status status = us_device_open(device, &b.device, error);
    if (status == UNSEEN_OK) status = us_tuning_open(b.device, error);
    if (status == UNSEEN_OK)
        status = us_dataset_make_up(config, (int64_t)config->training.batch * BATCHES, &b.dataset,
                                    error);
    if (status == UNSEEN_OK)
        status = us_detector_create(b.device, &config->detector, config->training.batch, true,
                                    &b.detector, error);
    if (status == UNSEEN_OK)
        status = us_trainer_create(config, b.detector, &b.dataset, NULL, NULL, &b.trainer, error);
    if (status == UNSEEN_OK) status = measure(&b, error);
    if (status == UNSEEN_OK) status = describe(&b, json, error);
    us_trainer_destroy(b.trainer);
    us_detector_destroy(b.detector);
    if (b.device) us_device_close(b.device);
    us_dataset_unmake(&b.dataset);
    return status;
}
