/* SPDX-License-Identifier: MIT */
#include "training/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/random.h"
#include "evaluation/metrics.h"
#include "training/joint_maps.h"
#include "training/map_weights.h"
#include "training/variety.h"
#include "training/windows.h"

enum { CALIBRATION_IMAGES = 4096 };

/* ---- its parts ---- */

unseen_status us_model_create(us_device *device, const unseen_config *config, int64_t images,
                              us_model *model, unseen_error *error) {
    *model = (us_model){.config = config};
    const int batch = config->training.batch;
    if (!config->member_count)
        return us_detector_create(device, &config->detector, images < batch ? (int)images : batch,
                                  false, NULL, &model->detector, error);
    model->members = calloc((size_t)config->member_count, sizeof *model->members);
    if (!model->members) return us_fail_memory(error, "a model");
    for (int m = 0; m < config->member_count; m++)
        US_TRY(us_model_create(device, config->members[m], images, &model->members[m], error));
    return UNSEEN_OK;
}

void us_model_destroy(us_model *model) {
    us_detector_destroy(model->detector);
    for (int m = 0; model->members && m < model->config->member_count; m++)
        us_model_destroy(&model->members[m]);
    free(model->members);
    *model = (us_model){0};
}

/* ---- the file ---- */

static unseen_status add_metadata(const us_model *model, us_safetensors_builder *builder,
                                  unseen_error *error) {
    const unseen_config *config = model->config;
    const us_detector_type *type = config->detector.type;
    US_TRY(us_calibration_save(&config->detector, &model->calibration, builder, error));
    if (!type) US_TRY(us_joint_save(config, &model->joint, builder, error));
    US_TRY(us_safetensors_add_metadata(builder, "format", "pt", error));
    US_TRY(us_safetensors_add_metadata(builder, "detector", type ? type->name : "members", error));
    return us_safetensors_add_metadata(builder, "name", config->name, error);
}

unseen_status us_model_save(const us_model *model, const char *path, unseen_error *error) {
    us_safetensors_builder builder;
    unseen_status status = us_safetensors_begin(&builder, error);
    if (status == UNSEEN_OK) status = add_metadata(model, &builder, error);
    if (status == UNSEEN_OK && model->detector)
        status = us_detector_save(model->detector, &builder, error);
    if (status == UNSEEN_OK) status = us_safetensors_write(&builder, path, error);
    us_safetensors_end(&builder);
    return status;
}

static unseen_status load_file(us_model *model, const char *path, unseen_error *error) {
    us_safetensors file;
    US_TRY(us_safetensors_open(path, &file, error));
    unseen_status status =
        us_calibration_load(&model->config->detector, &file, &model->calibration, error);
    if (status == UNSEEN_OK)
        status = model->detector ? us_detector_load(model->detector, &file, error)
                                 : us_joint_load(model->config, &file, &model->joint, error);
    if (us_safetensors_check(&file, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
    us_safetensors_close(&file);
    return status;
}

unseen_status us_member_folder(const char *folder, const unseen_config *member, char **path,
                               unseen_error *error) {
    char *members = us_path_join(folder, US_RUN_MEMBERS);
    *path = members ? us_path_join(members, member->name) : NULL;
    free(members);
    return *path ? UNSEEN_OK : us_fail_memory(error, "a path");
}

unseen_status us_model_load_members(us_model *model, const char *folder, unseen_error *error) {
    for (int m = 0; m < model->config->member_count; m++) {
        char *own;
        US_TRY(us_member_folder(folder, model->config->members[m], &own, error));
        unseen_status status = us_model_load(&model->members[m], own, error);
        free(own);
        US_TRY(status);
    }
    return UNSEEN_OK;
}

unseen_status us_model_load(us_model *model, const char *folder, unseen_error *error) {
    char *path;
    US_TRY(us_folder_path(folder, US_RUN_MODEL, &path, error));
    unseen_status status = load_file(model, path, error);
    free(path);
    return status == UNSEEN_OK ? us_model_load_members(model, folder, error) : status;
}

/* ---- normal images ---- */

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

/* ---- scores of whole images ---- */

/* Maps, where they are wanted, are those of the model's own scores. */
static unseen_status take_columns(us_model *model, const us_scored_images *of,
                                  double *columns[US_DETECTOR_MAX_COLUMNS], unseen_error *error) {
    us_scored_images own = *of;
    own.calibration = &model->calibration;
    return us_columns_take(model->detector, &own, columns, error);
}

static unseen_status detector_scores(us_model *model, const us_scored_images *of, double *scores,
                                     double *const *parts, unseen_error *error) {
    const us_detector_spec *spec = model->detector->spec;
    double *columns[US_DETECTOR_MAX_COLUMNS];
    US_TRY(take_columns(model, of, columns, error));
    unseen_status status = join_columns(spec, &model->calibration, of, columns, scores, error);
    for (int c = 0; status == UNSEEN_OK && parts && c < us_detector_column_count(spec); c++)
        take_column(spec, of, columns[c], parts[c]);
    us_columns_release(columns);
    return status;
}

static unseen_status take_scores(us_model *model, const us_scored_images *of, double *scores,
                                 double *const *parts, unseen_error *error);

/* Each member sees the images in its own size, one member after the other. */
static unseen_status member_scores(us_model *model, const us_scored_images *of,
                                   double *const *parts, unseen_error *error) {
    for (int m = 0; m < model->config->member_count; m++) {
        us_scored_images own = *of;
        own.dataset = us_dataset_of(of->dataset, m);
        own.maps = NULL;
        US_TRY(take_scores(&model->members[m], &own, parts[m], NULL, error));
    }
    return UNSEEN_OK;
}

static unseen_status joined_scores(us_model *model, const us_scored_images *of, double *scores,
                                   double *const *parts, unseen_error *error) {
    US_TRY(member_scores(model, of, parts, error));
    for (int64_t i = 0; i < of->count; i++)
        scores[i] = us_model_combine(model, parts, i);
    return of->maps ? us_model_show(model, of, error) : UNSEEN_OK;
}

/* A table of `rows` times `count` numbers. */
static unseen_status create_rows(int rows, int64_t count, double **table, unseen_error *error) {
    *table = malloc((size_t)rows * (size_t)count * sizeof **table);
    return *table ? UNSEEN_OK : us_fail_memory(error, "scores");
}

/* One score of each image, and, where they are wanted, those of columns or members. */
static unseen_status take_scores(us_model *model, const us_scored_images *of, double *scores,
                                 double *const *parts, unseen_error *error) {
    if (model->detector) return detector_scores(model, of, scores, parts, error);
    if (parts) return joined_scores(model, of, scores, parts, error);
    double *table, *rows[US_MEMBERS_MOST];
    US_TRY(create_rows(model->config->member_count, of->count, &table, error));
    for (int m = 0; m < model->config->member_count; m++)
        rows[m] = table + m * of->count;
    unseen_status status = joined_scores(model, of, scores, rows, error);
    free(table);
    return status;
}

double us_model_combine(const us_model *model, double *const *columns, int64_t image) {
    double evidence[US_MEMBERS_MOST];
    if (model->detector)
        return us_score_combine(model->detector->spec, &model->calibration, columns, image);
    for (int m = 0; m < model->config->member_count; m++)
        evidence[m] = us_tail_evidence(&model->joint.members[m].tail,
                                       &model->members[m].calibration.normal, columns[m][image]);
    return us_joint_score(&model->joint, model->config->joining.join, evidence);
}

/* ---- synthetic anomalies ---- */

/* Scores of the base's own images, and of each kind, in rows of rows[1 + kind][part]; the parts are
 * members, or the whole where there are none. */
static unseen_status score_synthetic(us_model *model, const us_synthetic_base *base,
                                     const unseen_events *events, int parts, double *table,
                                     unseen_error *error) {
    us_device *device = (model->detector ? model : &model->members[0])->detector->device;
    for (int kind = -1; kind < US_SYNTHETIC_KINDS; kind++) {
        us_dataset images;
        double *rows[US_MEMBERS_MOST];
        for (int p = 0; p < parts; p++)
            rows[p] = table + ((kind + 1) * parts + p) * base->count;
        US_TRY(us_synthetic_make(base, kind, &images, error));
        const us_scored_images of = {.dataset = &images,
                                     .count = base->count,
                                     .what = "judging by synthetic anomalies",
                                     .events = events};
        unseen_status status = model->detector ? detector_scores(model, &of, rows[0], NULL, error)
                                               : member_scores(model, &of, rows, error);
        us_synthetic_drop(device, &images);
        US_TRY(status);
    }
    return UNSEEN_OK;
}

static us_synthetic measure_part(const double *table, int parts, int part, int64_t count) {
    double *rows[US_SYNTHETIC_KINDS + 1];
    for (int k = 0; k <= US_SYNTHETIC_KINDS; k++)
        rows[k] = (double *)table + (k * parts + part) * count;
    return us_synthetic_measure(rows, count);
}

/* Weights of members by what their own scores tell, then what the joined ones do. */
static unseen_status measure_members(us_model *model, const double *table, int64_t count,
                                     unseen_error *error) {
    const int parts = model->config->member_count;
    double *joined, *rows[US_SYNTHETIC_KINDS + 1];
    US_TRY(create_rows(US_SYNTHETIC_KINDS + 1, count, &joined, error));
    for (int m = 0; m < parts; m++) {
        us_synthetic *own = &model->members[m].synthetic;
        *own = measure_part(table, parts, m, count);
        model->joint.members[m].weight = model->config->joining.weights[m] * us_joint_trust(own);
    }
    for (int k = 0; k <= US_SYNTHETIC_KINDS; k++) {
        double *own[US_MEMBERS_MOST];
        for (int m = 0; m < parts; m++)
            own[m] = (double *)table + (k * parts + m) * count;
        rows[k] = joined + k * count;
        for (int64_t i = 0; i < count; i++)
            rows[k][i] = us_model_combine(model, own, i);
    }
    model->synthetic = us_synthetic_measure(rows, count);
    free(joined);
    return UNSEEN_OK;
}

/* Anomalies are made in the size of the model's input, but in no larger one than the images have:
 * what is drawn finer than their pixels is no anomaly that such images can show. Only where images
 * are resized: they would not be padded or cropped a second time alike. */
static us_shape anomalous_shape(const us_model *model, const us_dataset *dataset) {
    us_shape shape = model->config->input;
    if (dataset->fit != US_FIT_RESIZE) return shape;
    if (dataset->images.height < shape.height) shape.height = dataset->images.height;
    if (dataset->images.width < shape.width) shape.width = dataset->images.width;
    return shape;
}

static unseen_status measure_synthetic(us_model *model, const us_scored_images *normal,
                                       uint64_t seed, unseen_error *error) {
    const int parts = model->detector ? 1 : model->config->member_count;
    us_device *device = (model->detector ? model : &model->members[0])->detector->device;
    us_synthetic_base base;
    double *table = NULL;
    unseen_status status = us_synthetic_take(device, anomalous_shape(model, normal->dataset),
                                             normal, seed, &base, error);
    if (status == UNSEEN_OK)
        status = create_rows((US_SYNTHETIC_KINDS + 1) * parts, base.count, &table, error);
    if (status == UNSEEN_OK)
        status = score_synthetic(model, &base, normal->events, parts, table, error);
    if (status == UNSEEN_OK && model->detector)
        model->synthetic = measure_part(table, 1, 0, base.count);
    else if (status == UNSEEN_OK)
        status = measure_members(model, table, base.count, error);
    free(table);
    us_synthetic_release(&base);
    return status;
}

/* ---- calibrating ---- */

static void take_normal(us_model *model, double rate, double *scores, int64_t count) {
    model->calibration.threshold = us_threshold_for_rate(scores, count, rate);
    us_normal_scores_take(scores, count, &model->calibration.normal);
}

static unseen_status calibrate_detector(us_model *model, const us_scored_images *of, double *scores,
                                        unseen_error *error) {
    us_detector *detector = model->detector;
    double *columns[US_DETECTOR_MAX_COLUMNS];
    US_TRY(us_columns_take(detector, of, columns, error));
    unseen_status status = us_calibration_measure(detector->spec, columns, count_different(of),
                                                  &model->calibration, error);
    if (status == UNSEEN_OK)
        status = join_columns(detector->spec, &model->calibration, of, columns, scores, error);
    us_columns_release(columns);
    return status;
}

/* What the members' scores weigh is known before they are joined. */
static unseen_status calibrate_members(us_model *model, const us_scored_images *of, uint64_t seed,
                                       double *scores, unseen_error *error) {
    enum { FEW = 20 };
    if (of->count < FEW)
        us_event_message(of->events, UNSEEN_EVENT_WARNING,
                         "only %" PRId64 " %s to join the scores of members by: their weights and "
                         "the threshold say little (/training/held_out sets the share)",
                         of->count, us_calibration_source(&model->calibration));
    model->joint.count = model->config->member_count;
    for (int m = 0; m < model->joint.count; m++)
        model->joint.members[m] = (us_joint_member){
            .tail = us_tail_fit(&model->members[m].calibration.normal), .weight = 1, .high = 1};
    US_TRY(us_joint_maps_measure(model, of, error));
    US_TRY(measure_synthetic(model, of, seed, error));
    US_TRY(us_map_weights_measure(model, anomalous_shape(model, of->dataset), of, seed, error));
    return take_scores(model, of, scores, NULL, error);
}

unseen_status us_model_calibrate(us_model *model, us_dataset *training, uint64_t seed,
                                 const unseen_events *events, unseen_error *error) {
    uint32_t *selection = NULL;
    double *scores = NULL;
    us_scored_images of = {.dataset = training, .what = "calibrating", .events = events};
    unseen_status status = choose_normal(training, seed, &selection, &of.count, error);
    of.selection = selection;
    model->calibration.held_out = training->held_out != NULL;
    if (status == UNSEEN_OK) status = create_rows(1, of.count, &scores, error);
    if (status == UNSEEN_OK)
        status = model->detector ? calibrate_detector(model, &of, scores, error)
                                 : calibrate_members(model, &of, seed, scores, error);
    if (status == UNSEEN_OK)
        take_normal(model, model->config->detector.scoring.false_positive_rate, scores, of.count);
    if (status == UNSEEN_OK && model->detector) status = measure_synthetic(model, &of, seed, error);
    free(scores);
    free(selection);
    return status;
}

/* ---- scores ---- */

int us_model_columns(const unseen_config *config, const char *names[US_MEMBERS_MOST + 1]) {
    const us_detector_spec *spec = &config->detector;
    const int count = spec->type ? us_detector_column_count(spec) : config->member_count;
    names[0] = spec->type && count == 1 ? us_detector_column(spec, 0).name : "combined";
    if (spec->type && count == 1) return 1;
    for (int c = 0; c < count; c++)
        names[c + 1] = spec->type ? us_detector_column(spec, c).name : config->members[c]->name;
    return count + 1;
}

unseen_status us_model_scores(const unseen_config *config, int64_t count, us_scores *scores,
                              unseen_error *error) {
    const char *names[US_MEMBERS_MOST + 1];
    const int columns = us_model_columns(config, names);
    return us_scores_create(count, columns, names, scores, error);
}

/* Identical images have one score; different ones that do are a collapse. That of a single member
 * is none of the whole. */
static unseen_status check_scores(const us_model *model, const us_scored_images *images,
                                  const us_scores *scores, unseen_error *error) {
    const bool identical = count_different(images) == 1 && images->count > 1;
    if (model->detector && !identical) return us_scores_check(scores, error);
    US_TRY(us_scores_check_finite(scores, error));
    us_scores whole = *scores;
    whole.columns = 1;
    return identical ? UNSEEN_OK : us_scores_check(&whole, error);
}

unseen_status us_model_score(us_model *model, const us_scored_images *images, us_scores *scores,
                             unseen_error *error) {
    US_TRY(us_model_scores(model->config, images->count, scores, error));
    double *const *parts = scores->columns > 1 ? scores->values + 1 : NULL;
    unseen_status status = take_scores(model, images, scores->values[0], parts, error);
    if (status == UNSEEN_OK) status = check_scores(model, images, scores, error);
    if (status != UNSEEN_OK) us_scores_destroy(scores);
    return status;
}

unseen_status us_model_show(us_model *model, const us_scored_images *images, unseen_error *error) {
    if (!model->detector) return us_joint_maps_show(model, images, error);
    double *columns[US_DETECTOR_MAX_COLUMNS];
    US_TRY(take_columns(model, images, columns, error));
    us_columns_release(columns);
    return UNSEEN_OK;
}

unseen_status us_model_check_maps(const unseen_config *config, unseen_error *error) {
    for (int m = 0; m < config->member_count; m++)
        if (us_maps_check(&config->members[m]->detector, NULL) == UNSEEN_OK) return UNSEEN_OK;
    return us_maps_check(config->member_count ? &config->members[0]->detector : &config->detector,
                         error);
}
