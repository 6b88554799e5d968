/* SPDX-License-Identifier: MIT */
#include "training/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "device/fence.h"
#include "training/windows.h"

/* Batches that the host enqueues before it waits for the first of them: a few, so that the device
 * has work while the host copies images for later ones. Maps take memory for each. */
enum { SCORED_IN_FLIGHT = 4 };

typedef struct scoring_pass {
    us_detector *detector;
    const us_images *images;
    us_image_loader *loader;
    us_buffer *columns[US_DETECTOR_MAX_COLUMNS];
    float *scores[US_DETECTOR_MAX_COLUMNS]; /* of all images, as they come off the device */
    us_map_pass *maps;                      /* NULL: none are wanted */
    us_fence fences[SCORED_IN_FLIGHT];
    int in_flight; /* of the fences, those in use */
    int column_count;
} scoring_pass;

static unseen_status begin_pass(scoring_pass *pass, us_detector *detector,
                                const us_scored_images *of, unseen_error *error) {
    memset(pass, 0, sizeof *pass);
    us_device *device = detector->device;
    size_t lane_bytes = (size_t)detector->padded * sizeof(float);
    pass->detector = detector;
    pass->images = &of->dataset->images;
    pass->in_flight = of->maps ? US_STEPS_IN_FLIGHT : SCORED_IN_FLIGHT;
    pass->column_count = us_detector_column_count(detector->spec);
    US_TRY(us_dataset_loader(of->dataset, device, detector->spec->input, detector->padded,
                             of->selection, of->count, &pass->loader, error));
    for (int c = 0; c < pass->column_count; c++) {
        if (!(pass->scores[c] = malloc((size_t)of->count * sizeof(float))))
            return us_fail_memory(error, "scores");
        US_TRY(us_buffer_create(device, lane_bytes, "scores", &pass->columns[c], error));
    }
    if (!of->maps) return UNSEEN_OK;
    const us_score_parts parts = us_score_parts_of(detector->spec, of->calibration);
    return us_map_pass_create(detector, &parts, of->maps, &pass->maps, error);
}

/* ended false: work may be under way that writes scores, which are then never freed. */
static void end_pass(scoring_pass *pass, bool ended) {
    for (int i = 0; i < SCORED_IN_FLIGHT; i++)
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
    US_TRY(us_detector_score(detector, detector->x, n, pass->columns, error));
    if (pass->maps) US_TRY(us_map_pass_run(pass->maps, pass->columns, slot, first, n, error));
    us_detector_next_batch(detector);
    for (int c = 0; c < pass->column_count; c++)
        US_TRY(us_buffer_read_later(pass->columns[c], 0, pass->scores[c] + first,
                                    (size_t)n * sizeof(float), error));
    US_TRY(us_fence_set(&pass->fences[slot], detector->device, error));
    return us_image_batch_send_next(pass->loader, &batch, error);
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
    for (int64_t b = 0; b < batches + pass->in_flight; b++) {
        const int slot = (int)(b % pass->in_flight);
        const int64_t done = (b + 1 - pass->in_flight) * size, first = b * size;
        US_TRY(us_fence_wait(&pass->fences[slot], device, error));
        US_TRY(us_images_check(pass->images, error));
        if (pass->maps) US_TRY(us_map_pass_deliver(pass->maps, slot, error));
        if (b >= pass->in_flight)
            US_TRY(send_progress(of, done < count ? done : count, started, error));
        if (b >= batches) continue;
        US_TRY(score_batch(pass, slot, first, (int)(count - first < size ? count - first : size),
                           error));
    }
    return UNSEEN_OK;
}

/* Of images, or windows, as they lie in the dataset. */
static unseen_status plain_columns(us_detector *detector, const us_scored_images *of,
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
            columns[c][i] = us_detector_column(detector->spec, c).sign * (double)pass.scores[c][i];
    end_pass(&pass, end == UNSEEN_OK);
    if (status != UNSEEN_OK) us_columns_release(columns);
    return status;
}

unseen_status us_columns_take(us_detector *detector, const us_scored_images *of,
                              double *columns[US_DETECTOR_MAX_COLUMNS], unseen_error *error) {
    const us_dataset *dataset = of->dataset;
    if (!dataset->images.tiling.count) return plain_columns(detector, of, columns, error);
    us_scored_images windows = *of;
    uint32_t *selection = NULL;
    us_window_maps *maps = NULL;
    memset(columns, 0, US_DETECTOR_MAX_COLUMNS * sizeof *columns);
    windows.count = us_windows_count(dataset, of->selection, of->count);
    unseen_status status = UNSEEN_OK;
    if (of->selection)
        status = us_windows_select(dataset, of->selection, of->count, &selection, error);
    windows.selection = selection;
    if (status == UNSEEN_OK && of->maps) {
        status = us_window_maps_create(dataset, of->selection, detector->spec->input, of->maps,
                                       &maps, error);
        if (status == UNSEEN_OK) windows.maps = us_window_maps_consumer(maps);
    }
    if (status == UNSEEN_OK) status = plain_columns(detector, &windows, columns, error);
    us_window_maps_destroy(maps);
    free(selection);
    return status;
}

void us_columns_release(double *columns[US_DETECTOR_MAX_COLUMNS]) {
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++) {
        free(columns[c]);
        columns[c] = NULL;
    }
}
