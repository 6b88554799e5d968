/* SPDX-License-Identifier: MIT */
#include "training/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/random.h"
#include "device/fence.h"
#include "evaluation/metrics.h"
#include "training/variety.h"

enum { CALIBRATION_IMAGES = 4096 };

/* ---- the file ---- */

static unseen_status add_metadata(const unseen_config *config, const us_calibration *calibration,
                                  us_safetensors_builder *builder, unseen_error *error) {
    US_TRY(us_calibration_save(config->detector.type, calibration, builder, error));
    US_TRY(us_safetensors_add_metadata(builder, "format", "pt", error));
    US_TRY(us_safetensors_add_metadata(builder, "detector", config->detector.type->name, error));
    return us_safetensors_add_metadata(builder, "name", config->name, error);
}

unseen_status us_model_save(const unseen_config *config, const us_detector *detector,
                            const us_calibration *calibration, const char *path,
                            unseen_error *error) {
    us_safetensors_builder builder;
    unseen_status status = us_safetensors_begin(&builder, error);
    if (status == UNSEEN_OK) status = add_metadata(config, calibration, &builder, error);
    if (status == UNSEEN_OK) status = us_detector_save(detector, &builder, error);
    if (status == UNSEEN_OK) status = us_safetensors_write(&builder, path, error);
    us_safetensors_end(&builder);
    return status;
}

unseen_status us_model_load(us_detector *detector, us_calibration *calibration, const char *path,
                            unseen_error *error) {
    us_safetensors file;
    US_TRY(us_safetensors_open(path, &file, error));
    unseen_status status = us_calibration_load(detector->spec->type, &file, calibration, error);
    if (status == UNSEEN_OK) status = us_detector_load(detector, &file, error);
    if (us_safetensors_check(&file, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
    us_safetensors_close(&file);
    return status;
}

/* ---- columns ---- */

typedef struct scoring_pass {
    us_detector *detector;
    const us_images *images;
    us_image_loader *loader;
    us_buffer *columns[US_DETECTOR_MAX_COLUMNS];
    float *scores[US_DETECTOR_MAX_COLUMNS]; /* of all images, as they come off the device */
    us_map_pass *maps;                      /* NULL: none are wanted */
    us_fence fences[US_STEPS_IN_FLIGHT];
    int column_count;
} scoring_pass;

static unseen_status begin_pass(scoring_pass *pass, us_detector *detector,
                                const us_scored_images *of, unseen_error *error) {
    memset(pass, 0, sizeof *pass);
    us_device *device = detector->device;
    size_t lane_bytes = (size_t)detector->padded * sizeof(float);
    pass->detector = detector;
    pass->images = &of->dataset->images;
    pass->column_count = us_detector_column_count(detector->spec->type);
    US_TRY(
        us_dataset_loader(of->dataset, detector, of->selection, of->count, &pass->loader, error));
    for (int c = 0; c < pass->column_count; c++) {
        if (!(pass->scores[c] = malloc((size_t)of->count * sizeof(float))))
            return us_fail_memory(error, "scores");
        US_TRY(us_buffer_create(device, lane_bytes, "scores", &pass->columns[c], error));
    }
    return of->maps ? us_map_pass_create(detector, of->maps, &pass->maps, error) : UNSEEN_OK;
}

/* ended false: work may be under way that writes scores, which are then never freed. */
static void end_pass(scoring_pass *pass, bool ended) {
    for (int i = 0; i < US_STEPS_IN_FLIGHT; i++)
        us_fence_drop(&pass->fences[i]);
    us_image_loader_destroy(pass->loader);
    us_map_pass_destroy(pass->maps, ended);
    for (int c = 0; c < pass->column_count; c++) {
        us_buffer_destroy(pass->columns[c]);
        if (ended) free(pass->scores[c]);
    }
}

static unseen_status score_batch(scoring_pass *pass, int slot, int64_t first, int n,
                                 unseen_error *error) {
    us_detector *detector = pass->detector;
    us_image_batch_args batch = {.out = detector->x, .first = first, .n = n};
    US_TRY(us_image_batch_load(pass->loader, &batch, error));
    US_TRY(detector->spec->type->score(detector, detector->x, n, pass->columns, error));
    if (pass->maps) US_TRY(us_map_pass_run(pass->maps, slot, first, n, error));
    us_detector_next_batch(detector);
    for (int c = 0; c < pass->column_count; c++)
        US_TRY(us_buffer_read_later(pass->columns[c], 0, pass->scores[c] + first,
                                    (size_t)n * sizeof(float), error));
    return UNSEEN_OK;
}

static unseen_status send_progress(const us_scored_images *of, int64_t done, double started,
                                   unseen_error *error) {
    double rate = (double)done / (us_clock() - started + 1e-9);
    unseen_event event = {
        .kind = UNSEEN_EVENT_PROGRESS,
        .text = of->what,
        .done = done,
        .total = of->count,
        .loss = NAN,
        .held_out_loss = NAN,
        .images_per_second = rate,
        .seconds_left = done > 0 ? (double)(of->count - done) / rate : -1,
    };
    if (!us_event_send(of->events, &event)) return UNSEEN_OK;
    return us_fail(error, UNSEEN_INTERRUPTED, "interrupted while %s", of->what);
}

/* The host stays a few batches ahead, so that the device never waits for it. */
static unseen_status score_all(scoring_pass *pass, const us_scored_images *of,
                               unseen_error *error) {
    const int64_t count = of->count;
    us_device *device = pass->detector->device;
    int64_t size = pass->detector->batch, batches = (count + size - 1) / size;
    double started = us_clock();
    US_TRY(send_progress(of, 0, started, error));
    for (int64_t b = 0; b < batches + US_STEPS_IN_FLIGHT; b++) {
        const int slot = (int)(b % US_STEPS_IN_FLIGHT);
        us_fence *fence = &pass->fences[slot];
        const int64_t done = (b + 1 - US_STEPS_IN_FLIGHT) * size, first = b * size;
        US_TRY(us_fence_wait(fence, device, error));
        US_TRY(us_images_check(pass->images, error));
        if (pass->maps) US_TRY(us_map_pass_deliver(pass->maps, slot, error));
        if (b >= US_STEPS_IN_FLIGHT)
            US_TRY(send_progress(of, done < count ? done : count, started, error));
        if (b >= batches) continue;
        US_TRY(score_batch(pass, slot, first, (int)(count - first < size ? count - first : size),
                           error));
        US_TRY(us_fence_set(fence, device, error));
    }
    return UNSEEN_OK;
}

unseen_status us_model_columns(us_detector *detector, const us_scored_images *of,
                               double *columns[US_DETECTOR_MAX_COLUMNS], unseen_error *error) {
    const int64_t count = of->count;
    scoring_pass pass;
    memset(columns, 0, US_DETECTOR_MAX_COLUMNS * sizeof *columns);
    unseen_status status = begin_pass(&pass, detector, of, error);
    for (int c = 0; status == UNSEEN_OK && c < pass.column_count; c++)
        if (!(columns[c] = malloc((size_t)count * sizeof(double))))
            status = us_fail_memory(error, "scores");
    if (status == UNSEEN_OK) status = score_all(&pass, of, error);
    unseen_status end = us_device_finish(detector->device, status == UNSEEN_OK ? error : NULL);
    if (status == UNSEEN_OK) status = end;
    if (status == UNSEEN_OK) status = us_images_check(&of->dataset->images, error);
    for (int c = 0; status == UNSEEN_OK && c < pass.column_count; c++)
        for (int64_t i = 0; i < count; i++)
            columns[c][i] = detector->spec->type->columns[c].sign * (double)pass.scores[c][i];
    end_pass(&pass, end == UNSEEN_OK);
    if (status != UNSEEN_OK) us_columns_release(columns);
    return status;
}

void us_columns_release(double *columns[US_DETECTOR_MAX_COLUMNS]) {
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++) {
        free(columns[c]);
        columns[c] = NULL;
    }
}

/* ---- scores ---- */

/* Selects some of the training images, the same ones for the same seed. */
static unseen_status sample(const us_dataset *training, uint64_t seed, int64_t count,
                            uint32_t **selection, unseen_error *error) {
    *selection = malloc((size_t)count * sizeof **selection);
    if (!*selection) return us_fail_memory(error, "a selection");
    for (int64_t i = 0; i < count; i++) {
        uint32_t place = us_random_permute(seed, US_STREAM_HELD_OUT, 1,
                                           (uint32_t)training->selected_count, (uint32_t)i);
        (*selection)[i] = training->selected ? training->selected[place] : place;
    }
    return UNSEEN_OK;
}

unseen_status us_model_calibrate(us_detector *detector, us_dataset *training, uint64_t seed,
                                 const unseen_events *events, us_calibration *calibration,
                                 unseen_error *error) {
    uint32_t *sampled = NULL;
    const uint32_t *selection = training->held_out;
    int64_t count = training->held_out_count;
    calibration->held_out = selection != NULL;
    if (!selection) {
        count = training->selected_count < CALIBRATION_IMAGES ? training->selected_count
                                                              : CALIBRATION_IMAGES;
        US_TRY(sample(training, seed, count, &sampled, error));
        selection = sampled;
    }
    const us_scored_images of = {.dataset = training,
                                 .selection = selection,
                                 .count = count,
                                 .what = "calibrating",
                                 .events = events};
    double *columns[US_DETECTOR_MAX_COLUMNS], *combined = NULL;
    unseen_status status = us_model_columns(detector, &of, columns, error);
    /* Identical images are one: their scores are no sign of a collapse. */
    int64_t different = us_dataset_alike(training, selection, count) ? 1 : count;
    if (status == UNSEEN_OK)
        status = us_calibration_measure(detector->spec, columns, different, calibration, error);
    if (status == UNSEEN_OK && !(combined = malloc((size_t)count * sizeof *combined)))
        status = us_fail_memory(error, "scores");
    if (status == UNSEEN_OK) {
        for (int64_t i = 0; i < count; i++)
            combined[i] = us_score_combine(detector->spec, calibration, columns, i);
        calibration->threshold =
            us_threshold_for_rate(combined, count, detector->spec->scoring.false_positive_rate);
        us_normal_scores_take(combined, count, &calibration->normal);
    }
    free(combined);
    free(sampled);
    us_columns_release(columns);
    return status;
}

unseen_status us_model_scores(const us_detector_type *type, int64_t count, us_scores *scores,
                              unseen_error *error) {
    const char *names[US_DETECTOR_MAX_COLUMNS + 1] = {"combined"};
    int columns = us_detector_column_count(type);
    if (columns == 1) {
        names[0] = type->columns[0].name;
        return us_scores_create(count, 1, names, scores, error);
    }
    for (int c = 0; c < columns; c++)
        names[c + 1] = type->columns[c].name;
    return us_scores_create(count, columns + 1, names, scores, error);
}

unseen_status us_model_score(us_detector *detector, const us_calibration *calibration,
                             const us_scored_images *images, us_scores *scores,
                             unseen_error *error) {
    double *columns[US_DETECTOR_MAX_COLUMNS];
    const int64_t count = images->count;
    US_TRY(us_model_columns(detector, images, columns, error));
    unseen_status status = us_model_scores(detector->spec->type, count, scores, error);
    if (status == UNSEEN_OK) {
        for (int64_t i = 0; i < count; i++)
            scores->values[0][i] = us_score_combine(detector->spec, calibration, columns, i);
        for (int c = 1; c < scores->columns; c++)
            memcpy(scores->values[c], columns[c - 1], (size_t)count * sizeof(double));
        /* Identical images have one score; different ones that do are a collapse. */
        status = us_dataset_alike(images->dataset, images->selection, count)
                     ? us_scores_check_finite(scores, error)
                     : us_scores_check(scores, error);
        if (status != UNSEEN_OK) us_scores_destroy(scores);
    }
    us_columns_release(columns);
    return status;
}
