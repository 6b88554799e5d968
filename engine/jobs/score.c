/* SPDX-License-Identifier: MIT */
/* unseen_score: images scored with the model of a run's folder. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/output.h"
#include "data/archive.h"
#include "evaluation/metrics.h"
#include "jobs/maps.h"
#include "jobs/results.h"
#include "jobs/trained.h"

typedef struct scoring {
    us_trained run;
    us_dataset dataset;
    us_scores scores;
    us_maps_job maps;
    double seconds;
} scoring;

/* The images to score are read as those that the run was trained on. */
static unseen_status open_scored(const unseen_score_options *options, const unseen_events *events,
                                 scoring *s, unseen_error *error) {
    us_layout_request layout = us_dataset_layout(s->run.config, NULL);
    layout.when = options->layout ? US_LAYOUT_ALWAYS : US_LAYOUT_IN_DOUBT;
    if (options->layout && !(layout.layout = us_layout_find(options->layout)))
        layout.when = US_LAYOUT_OF_ITS_RANK;
    us_dataset_source source = {.path = options->data, .layout = layout, .training = &s->run.scale};
    return us_dataset_open(s->run.config, &source, events, &s->dataset, error);
}

static unseen_status describe_scoring(scoring *s, const char *out, const unseen_events *events,
                                      char **json, unseen_error *error) {
    int64_t above = 0;
    for (int64_t i = 0; i < s->scores.count; i++)
        above += us_score_reaches(s->scores.values[0][i], s->run.model.calibration.threshold);
    cJSON *object = cJSON_CreateObject();
    unseen_status status = UNSEEN_OK;
    bool complete =
        us_json_add_number(object, "n", (double)s->scores.count) &&
        cJSON_AddStringToObject(object, "out", out) &&
        cJSON_AddStringToObject(object, "device", s->run.device->facts.name) &&
        us_json_add_number(object, "images_per_second", (double)s->scores.count / s->seconds) &&
        us_json_add_number(object, "threshold", s->run.model.calibration.threshold) &&
        us_json_add_number(object, "above_threshold", (double)above) &&
        cJSON_AddItemToObject(object, "data", us_dataset_describe(&s->dataset));
    if (complete) status = us_maps_finish(&s->maps, object, error);
    if (status == UNSEEN_OK && complete)
        status = us_results_warn_of_identical(object, &s->dataset, error);
    if (status == UNSEEN_OK && complete) us_results_tell_warnings(object, events);
    *json = status == UNSEEN_OK && complete ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    if (status == UNSEEN_OK && !*json) status = us_fail_memory(error, "results");
    return status;
}

/* What a detector's scores.csv begins with, so that an earlier one is known. */
static unseen_status columns_header(const scoring *s, char **header, unseen_error *error) {
    us_scores none = {0};
    US_TRY(us_model_scores(s->run.config, 1, &none, error));
    *header = us_scores_header(&none);
    us_scores_destroy(&none);
    return *header ? UNSEEN_OK : us_fail_memory(error, "a header");
}

/* What can be wrong about the output is better said before scoring than after. */
static unseen_status check_score_options(const char *folder, const unseen_score_options *options,
                                         const us_output *scores, const us_output *columns,
                                         unseen_error *error) {
    if (!options->data) return us_fail(error, UNSEEN_BAD_INPUT, "no images to score are given");
    if (!options->out) return us_fail(error, UNSEEN_BAD_INPUT, "no file for the scores is given");
    if (options->layout) US_TRY(us_layout_check(options->layout, error));
    US_TRY(us_scores_check_header(options->csv_header, error));
    if (options->columns && us_same_file(options->columns, options->out))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s cannot hold both the scores and the columns: give them two files",
                       options->out);
    const us_output *const outputs[] = {scores, columns};
    for (int i = 0; i < 2; i++) {
        US_TRY(us_output_check(outputs[i], error));
        char *data = us_archive_file(options->data);
        unseen_status status = us_output_spares(outputs[i], "the images to score", data, error);
        free(data);
        US_TRY(status);
        US_TRY(
            us_folder_spares(folder, US_FOLDER_RUN, outputs[i]->option, outputs[i]->path, error));
    }
    return options->overwrite ? UNSEEN_OK : us_output_replaces(scores, error);
}

static unseen_status check_columns(const scoring *s, const unseen_score_options *options,
                                   us_output *columns, unseen_error *error) {
    char *header;
    if (options->overwrite || !options->columns) return UNSEEN_OK;
    US_TRY(columns_header(s, &header, error));
    columns->what = header;
    unseen_status status = us_output_replaces(columns, error);
    free(header);
    return status;
}

static unseen_status score_images(scoring *s, const unseen_events *events, unseen_error *error) {
    const us_scored_images of = {.dataset = &s->dataset,
                                 .count = us_images_whole(&s->dataset.images),
                                 .what = "scoring",
                                 .maps = us_maps_wanted(&s->maps) ? &s->maps.consumer : NULL,
                                 .events = events};
    const double started = us_clock();
    unseen_status status = us_model_score(&s->run.model, &of, &s->scores, error);
    s->seconds = us_clock() - started + 1e-9;
    return status;
}

static unseen_status write_outputs(scoring *s, const unseen_score_options *options,
                                   unseen_error *error) {
    us_scores_name(&s->scores, &s->dataset.images.ids);
    if (options->verdict) s->scores.threshold = &s->run.model.calibration.threshold;
    US_TRY(us_scores_write_prediction(&s->scores, options->csv_header, options->out, error));
    return options->columns ? us_scores_write_all(&s->scores, NULL, options->columns, error)
                            : UNSEEN_OK;
}

unseen_status unseen_score(const char *run_folder, const unseen_score_options *options,
                           const unseen_events *events, char **json, unseen_error *error) {
    const us_output scores = {.path = options->out,
                              .option = "--out",
                              .recognize = us_scores_recognize,
                              .what = options->csv_header};
    us_output columns = {
        .path = options->columns, .option = "--columns", .recognize = us_scores_recognize};
    *json = NULL;
    scoring s = {0};
    unseen_status status = check_score_options(run_folder, options, &scores, &columns, error);
    if (status == UNSEEN_OK) status = us_trained_open(run_folder, &s.run, error);
    if (status == UNSEEN_OK) status = open_scored(options, events, &s, error);
    if (status == UNSEEN_OK) status = check_columns(&s, options, &columns, error);
    const us_maps_options maps = {.folder = options->maps,
                                  .masks = options->masks,
                                  .overwrite = options->overwrite,
                                  .events = events};
    if (status == UNSEEN_OK) status = us_maps_open(&maps, s.run.config, &s.dataset, &s.maps, error);
    if (status == UNSEEN_OK)
        status = us_trained_load(&s.run, options->device, s.dataset.selected_count, events, error);
    if (status == UNSEEN_OK) status = score_images(&s, events, error);
    if (status == UNSEEN_OK) us_dataset_warn_changed(&s.dataset, events);
    if (status == UNSEEN_OK) status = write_outputs(&s, options, error);
    if (status == UNSEEN_OK) status = describe_scoring(&s, options->out, events, json, error);
    if (status == UNSEEN_OK)
        status = us_maps_draw(&s.maps, &s.run.model, &s.dataset, &s.scores.ids, error);
    if (status != UNSEEN_OK) {
        unseen_string_free(*json);
        *json = NULL;
    }
    us_maps_close(&s.maps);
    us_scores_destroy(&s.scores);
    us_dataset_leave_device(&s.dataset);
    if (us_trained_close(&s.run)) us_dataset_close(&s.dataset);
    return status;
}
