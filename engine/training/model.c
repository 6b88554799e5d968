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
#include "training/windows.h"

enum { CALIBRATION_IMAGES = 4096 };

/* Batches that the host enqueues before it waits for the first of them: a few, so that the device
 * has work while the host copies images for later ones. Maps take memory for each. */
enum { SCORED_IN_FLIGHT = 4 };

/* ---- the file ---- */

static unseen_status add_metadata(const unseen_config *config, const us_calibration *calibration,
                                  us_safetensors_builder *builder, unseen_error *error) {
    US_TRY(us_calibration_save(&config->detector, calibration, builder, error));
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
    unseen_status status = us_calibration_load(detector->spec, &file, calibration, error);
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
    if (pass->maps) US_TRY(us_map_pass_run(pass->maps, slot, first, n, error));
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

unseen_status us_model_columns(us_detector *detector, const us_scored_images *of,
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

/* ---- calibration ---- */

/* Some of the images (NULL: of all `count`), the same ones for the same seed, and of windows no
 * more than are soon scored. */
static unseen_status sample(const us_dataset *training, uint64_t seed, const uint32_t *images,
                            int64_t count, uint32_t **selection, int64_t *selected,
                            unseen_error *error) {
    enum { CALIBRATION_WINDOWS = 1 << 16 };
    const int64_t most = count < CALIBRATION_IMAGES ? count : CALIBRATION_IMAGES;
    int64_t windows = 0;
    *selected = 0;
    *selection = malloc((size_t)most * sizeof **selection);
    if (!*selection) return us_fail_memory(error, "a selection");
    for (int64_t i = 0; i < most; i++) {
        uint32_t place =
            us_random_permute(seed, US_STREAM_HELD_OUT, 1, (uint32_t)count, (uint32_t)i);
        const uint32_t image = images ? images[place] : place;
        if (training->images.tiling.count)
            windows += us_tiling_windows(&training->images.tiling, image);
        if (i > 0 && windows > CALIBRATION_WINDOWS) break;
        (*selection)[(*selected)++] = image;
    }
    return UNSEEN_OK;
}

/* The held-out images, or a sample of those trained on; whole ones. Heap. */
static unseen_status choose_normal(const us_dataset *training, uint64_t seed, uint32_t **selection,
                                   int64_t *count, unseen_error *error) {
    const bool held_out = training->held_out != NULL;
    const uint32_t *given = held_out ? training->held_out : training->selected;
    int64_t n = held_out ? training->held_out_count : training->selected_count;
    uint32_t *whole = NULL;
    if (training->images.tiling.count)
        US_TRY(us_windows_images(training, given, n, &whole, &n, error));
    unseen_status status = UNSEEN_OK;
    if (!held_out) {
        status = sample(training, seed, whole ? whole : given, n, selection, count, error);
    } else if ((*selection = malloc((size_t)n * sizeof **selection))) {
        memcpy(*selection, whole ? whole : given, (size_t)n * sizeof **selection);
        *count = n;
    } else {
        status = us_fail_memory(error, "a selection");
    }
    free(whole);
    return status;
}

/* One score of each image: of its columns, or of those of its windows. */
static unseen_status join_columns(const us_detector_spec *spec, const us_calibration *calibration,
                                  const us_scored_images *of, double *const *columns,
                                  double *scores, unseen_error *error) {
    const us_tiling *tiling = &of->dataset->images.tiling;
    double *windows = malloc(
        (size_t)(tiling->count ? us_windows_count(of->dataset, of->selection, of->count) : 1) *
        sizeof *windows);
    if (!windows) return us_fail_memory(error, "scores");
    int64_t first = 0;
    for (int64_t i = 0; i < of->count; i++) {
        const uint32_t image = of->selection ? of->selection[i] : (uint32_t)i;
        const int64_t n = tiling->count ? us_tiling_windows(tiling, image) : 1;
        for (int64_t k = 0; k < n; k++)
            windows[k] = us_score_combine(spec, calibration, columns, first + k);
        scores[i] = us_windows_join(windows, n, spec->scoring.top_windows);
        first += n;
    }
    free(windows);
    return UNSEEN_OK;
}

/* Identical images are one: their scores are no sign of a collapse. */
static int64_t count_different(const us_scored_images *of) {
    const us_dataset *dataset = of->dataset;
    if (!dataset->images.tiling.count)
        return us_dataset_alike(dataset, of->selection, of->count) ? 1 : of->count;
    const int64_t windows = us_windows_count(dataset, of->selection, of->count);
    return us_dataset_alike(dataset, NULL, dataset->images.count) ? 1 : windows;
}

static unseen_status calibrate(us_detector *detector, const us_scored_images *of,
                               us_calibration *calibration, unseen_error *error) {
    double *columns[US_DETECTOR_MAX_COLUMNS];
    US_TRY(us_model_columns(detector, of, columns, error));
    unseen_status status =
        us_calibration_measure(detector->spec, columns, count_different(of), calibration, error);
    double *scores = malloc((size_t)of->count * sizeof *scores);
    if (status == UNSEEN_OK && !scores) status = us_fail_memory(error, "scores");
    if (status == UNSEEN_OK)
        status = join_columns(detector->spec, calibration, of, columns, scores, error);
    if (status == UNSEEN_OK) {
        calibration->threshold =
            us_threshold_for_rate(scores, of->count, detector->spec->scoring.false_positive_rate);
        us_normal_scores_take(scores, of->count, &calibration->normal);
    }
    free(scores);
    us_columns_release(columns);
    return status;
}

unseen_status us_model_calibrate(us_detector *detector, us_dataset *training, uint64_t seed,
                                 const unseen_events *events, us_calibration *calibration,
                                 unseen_error *error) {
    uint32_t *selection = NULL;
    us_scored_images of = {.dataset = training, .what = "calibrating", .events = events};
    unseen_status status = choose_normal(training, seed, &selection, &of.count, error);
    of.selection = selection;
    calibration->held_out = training->held_out != NULL;
    if (status == UNSEEN_OK) status = calibrate(detector, &of, calibration, error);
    free(selection);
    return status;
}

/* ---- scores ---- */

unseen_status us_model_scores(const us_detector_spec *spec, int64_t count, us_scores *scores,
                              unseen_error *error) {
    const char *names[US_DETECTOR_MAX_COLUMNS + 1] = {"combined"};
    int columns = us_detector_column_count(spec);
    if (columns == 1) {
        names[0] = us_detector_column(spec, 0).name;
        return us_scores_create(count, 1, names, scores, error);
    }
    for (int c = 0; c < columns; c++)
        names[c + 1] = us_detector_column(spec, c).name;
    return us_scores_create(count, columns + 1, names, scores, error);
}

/* The columns of windows are joined as their scores are. */
static void take_column(const us_detector_spec *spec, const us_scored_images *images,
                        double *column, double *out) {
    const us_tiling *tiling = &images->dataset->images.tiling;
    if (!tiling->count) {
        memcpy(out, column, (size_t)images->count * sizeof *out);
        return;
    }
    for (int64_t i = 0, first = 0; i < images->count; i++) {
        const uint32_t image = images->selection ? images->selection[i] : (uint32_t)i;
        const int64_t n = us_tiling_windows(tiling, image);
        out[i] = us_windows_join(column + first, n, spec->scoring.top_windows);
        first += n;
    }
}

static unseen_status fill_scores(const us_detector_spec *spec, const us_calibration *calibration,
                                 const us_scored_images *images, double *const *columns,
                                 us_scores *scores, unseen_error *error) {
    US_TRY(join_columns(spec, calibration, images, columns, scores->values[0], error));
    for (int c = 1; c < scores->columns; c++)
        take_column(spec, images, columns[c - 1], scores->values[c]);
    /* Identical images have one score; different ones that do are a collapse. */
    return count_different(images) == 1 && images->count > 1 ? us_scores_check_finite(scores, error)
                                                             : us_scores_check(scores, error);
}

unseen_status us_model_score(us_detector *detector, const us_calibration *calibration,
                             const us_scored_images *images, us_scores *scores,
                             unseen_error *error) {
    double *columns[US_DETECTOR_MAX_COLUMNS];
    US_TRY(us_model_columns(detector, images, columns, error));
    unseen_status status = us_model_scores(detector->spec, images->count, scores, error);
    if (status == UNSEEN_OK) {
        status = fill_scores(detector->spec, calibration, images, columns, scores, error);
        if (status != UNSEEN_OK) us_scores_destroy(scores);
    }
    us_columns_release(columns);
    return status;
}
