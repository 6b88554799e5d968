/* SPDX-License-Identifier: MIT */
/* unseen_scorer_*: photographs scored one by one, with a model that is kept ready. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/photograph.h"
#include "evaluation/metrics.h"
#include "jobs/trained.h"
#include "training/single.h"

struct unseen_scorer {
    us_trained run;
    us_photograph_form form;
    void *decoded, *pixels; /* as photographs are decoded, and as the device takes them */
    us_single *single;
};

/* ---- opening ---- */

/* As photographs of a folder would be fitted for this model. Black and white are theirs, whatever
 * range the numbers of the images trained on had. */
static unseen_status choose_form(unseen_scorer *s, unseen_error *error) {
    const unseen_config *config = s->run.config;
    if (config->input.channels != 1 && config->input.channels != 3)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the model in %s takes images of %d channels, and photographs have 1 or 3",
                       s->run.folder, config->input.channels);
    s->form = (us_photograph_form){.height = config->input.height,
                                   .width = config->input.width,
                                   .channels = config->input.channels,
                                   .value_bytes = (us_range)config->range == US_RANGE_WORD ? 2 : 1,
                                   .fit = (us_fit)config->fit};
    return us_photograph_start(error);
}

static unseen_status create_single(unseen_scorer *s, unseen_error *error) {
    const bool deep = s->form.value_bytes == 2;
    const size_t bytes = us_photograph_bytes(&s->form);
    const us_range_ends ends = us_range_get(deep ? US_RANGE_WORD : US_RANGE_BYTE);
    s->decoded = malloc(bytes);
    s->pixels = deep ? malloc(bytes / 2 * sizeof(float)) : s->decoded;
    if (!s->decoded || !s->pixels) return us_fail_memory(error, "a photograph");
    const us_image_source source = {.pixels = s->pixels,
                                    .is_float = deep,
                                    .count = 1,
                                    .height = s->form.height,
                                    .width = s->form.width,
                                    .channels = s->form.channels,
                                    .black = ends.black,
                                    .white = ends.white};
    return us_single_create(s->run.detector, &source, &s->single, error);
}

static unseen_status describe(const unseen_scorer *s, char **json, unseen_error *error) {
    const us_calibration *calibration = &s->run.calibration;
    const bool known = calibration->normal.images > 0;
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "device", s->run.device->facts.name) &&
        us_json_add_number(object, "threshold", calibration->threshold) &&
        us_json_add_number(object, "normal_images", (double)calibration->normal.images) &&
        us_json_add_string(object, "calibrated_on",
                           known ? us_calibration_source(calibration) : NULL);
    *json = complete ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    return *json ? UNSEEN_OK : us_fail_memory(error, "results");
}

unseen_status unseen_scorer_open(const char *run_folder, const char *device,
                                 const unseen_events *events, unseen_scorer **scorer, char **json,
                                 unseen_error *error) {
    *scorer = NULL;
    *json = NULL;
    unseen_scorer *s = calloc(1, sizeof *s);
    if (!s) return us_fail_memory(error, "scoring");
    unseen_status status;
    US_CHECK(us_trained_open(run_folder, &s->run, error));
    US_CHECK(choose_form(s, error));
    US_CHECK(us_trained_load(&s->run, device, 1, events, error));
    US_CHECK(create_single(s, error));
    US_CHECK(describe(s, json, error));
    *scorer = s;
    return UNSEEN_OK;
done:
    unseen_scorer_close(s);
    return status;
}

void unseen_scorer_close(unseen_scorer *scorer) {
    if (!scorer) return;
    us_single_destroy(scorer->single);
    us_trained_close(&scorer->run);
    if (scorer->pixels != scorer->decoded) free(scorer->pixels);
    free(scorer->decoded);
    free(scorer);
}

/* ---- a photograph ---- */

/* Folders and arrays have a way of their own. */
static unseen_status check_photograph(const us_photograph_file *file, unseen_error *error) {
    if (us_photograph_find(file->bytes, file->size) != US_PHOTOGRAPH_NONE) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: no PNG, JPEG, TIFF, WebP, BMP, PNM or GIF picture (arrays, lists and "
                   "archives are scored by unseen score --data)",
                   file->path);
}

static unseen_status read_photograph(unseen_scorer *s, const char *path, unseen_error *error) {
    us_photograph_file file;
    struct stat about;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: is a folder, expected a photograph (folders are scored by unseen score "
                       "--data)",
                       path);
    unseen_status status = us_photograph_read(strdup(path), &file, error);
    if (status == UNSEEN_OK) status = check_photograph(&file, error);
    if (status == UNSEEN_OK) status = us_photograph_decode(&file, &s->form, s->decoded, error);
    us_photograph_release(&file);
    if (s->pixels == s->decoded) return status;
    const size_t values = us_photograph_bytes(&s->form) / 2;
    for (size_t i = 0; status == UNSEEN_OK && i < values; i++)
        ((float *)s->pixels)[i] = ((const uint16_t *)s->decoded)[i];
    return status;
}

static bool add_columns(const us_detector_type *type, const double *columns, cJSON *object) {
    const int count = us_detector_column_count(type);
    if (count == 1) return true;
    cJSON *parts = cJSON_AddObjectToObject(object, "columns");
    bool added = parts != NULL;
    for (int c = 0; added && c < count; c++)
        added = us_json_add_number(parts, type->columns[c].name, columns[c]);
    return added;
}

static char *answer(const unseen_scorer *s, const char *path, const double *columns) {
    const us_calibration *calibration = &s->run.calibration;
    double *places[US_DETECTOR_MAX_COLUMNS], values[US_DETECTOR_MAX_COLUMNS];
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++) {
        values[c] = columns[c];
        places[c] = &values[c];
    }
    const double score = us_score_combine(&s->run.config->detector, calibration, places, 0);
    const double percentile = us_normal_scores_percentile(&calibration->normal, score);
    const bool anomalous = us_score_reaches(score, calibration->threshold);
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "path", path) &&
        us_json_add_number(object, "score", score) &&
        us_json_add_number(object, "percentile", percentile) &&
        cJSON_AddStringToObject(object, "verdict", anomalous ? "anomalous" : "normal") &&
        add_columns(s->run.config->detector.type, columns, object);
    char *text = complete ? us_json_print_line(object) : NULL;
    cJSON_Delete(object);
    return text;
}

unseen_status unseen_scorer_score(unseen_scorer *scorer, const char *photograph, char **json,
                                  unseen_error *error) {
    double columns[US_DETECTOR_MAX_COLUMNS] = {0};
    *json = NULL;
    US_TRY(read_photograph(scorer, photograph, error));
    unseen_status status = us_single_score(scorer->single, columns, error);
    if (status != UNSEEN_OK) {
        us_error_context(error, "%s", photograph);
        return status;
    }
    *json = answer(scorer, photograph, columns);
    return *json ? UNSEEN_OK : us_fail_memory(error, "results");
}
