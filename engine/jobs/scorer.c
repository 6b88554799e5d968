/* SPDX-License-Identifier: MIT */
/* unseen_scorer_*: photographs scored one by one, with a model that is kept ready. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/photograph.h"
#include "evaluation/metrics.h"
#include "jobs/trained.h"
#include "training/single.h"
#include "training/windows.h"

enum { WINDOWS_TOGETHER = 64 };

struct unseen_scorer {
    us_trained run;
    us_photograph_form form; /* of an image as the networks see it: a photograph, or a window */
    int batch;               /* images that are scored together: 1, of windows more */
    void *decoded, *pixels;  /* a batch, as photographs are decoded, and as the device takes it */
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
    s->batch = config->fit == US_FIT_TILE ? WINDOWS_TOGETHER : 1;
    return us_photograph_start(error);
}

static unseen_status create_single(unseen_scorer *s, unseen_error *error) {
    const bool deep = s->form.value_bytes == 2;
    const size_t bytes = us_photograph_bytes(&s->form) * (size_t)s->batch;
    const us_range_ends ends = us_range_get(deep ? US_RANGE_WORD : US_RANGE_BYTE);
    s->decoded = malloc(bytes);
    s->pixels = deep ? malloc(bytes / 2 * sizeof(float)) : s->decoded;
    if (!s->decoded || !s->pixels) return us_fail_memory(error, "a photograph");
    const us_image_source source = {.pixels = s->pixels,
                                    .is_float = deep,
                                    .count = s->batch,
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
    US_CHECK(us_trained_load(&s->run, device, s->batch, events, error));
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

static unseen_status read_file(const char *path, us_photograph_file *file, unseen_error *error) {
    struct stat about;
    *file = (us_photograph_file){0};
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: is a folder, expected a photograph (folders are scored by unseen score "
                       "--data)",
                       path);
    US_TRY(us_photograph_read(strdup(path), file, error));
    return check_photograph(file, error);
}

/* The first n images of `decoded` are scored. */
static unseen_status score_batch(unseen_scorer *s, int n,
                                 double *const columns[US_DETECTOR_MAX_COLUMNS],
                                 unseen_error *error) {
    const size_t values = us_photograph_bytes(&s->form) / 2 * (size_t)n;
    for (size_t i = 0; s->pixels != s->decoded && i < values; i++)
        ((float *)s->pixels)[i] = ((const uint16_t *)s->decoded)[i];
    return us_single_score(s->single, n, columns, error);
}

/* ---- its scores ---- */

typedef struct scored {
    double *columns[US_DETECTOR_MAX_COLUMNS]; /* of the photograph's windows, or of it; heap */
    int64_t n;
    double score; /* and of the whole; the columns are then joined likewise, into their first */
} scored;

static unseen_status reserve(scored *p, int64_t n, unseen_error *error) {
    p->n = n;
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
        if (!(p->columns[c] = malloc((size_t)n * sizeof(double))))
            return us_fail_memory(error, "scores");
    return UNSEEN_OK;
}

static unseen_status score_windows(unseen_scorer *s, const us_tiling *tiling, const void *whole,
                                   scored *p, unseen_error *error) {
    const size_t bytes = us_photograph_bytes(&s->form);
    const size_t pixel_bytes = (size_t)s->form.channels * (size_t)s->form.value_bytes;
    for (int64_t first = 0; first < p->n; first += s->batch) {
        const int n = p->n - first < s->batch ? (int)(p->n - first) : s->batch;
        double *at[US_DETECTOR_MAX_COLUMNS];
        for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
            at[c] = p->columns[c] + first;
        for (int k = 0; k < n; k++)
            us_tiling_cut(tiling, 0, first + k, whole, pixel_bytes,
                          (char *)s->decoded + (size_t)k * bytes);
        US_TRY(score_batch(s, n, at, error));
    }
    return UNSEEN_OK;
}

static unseen_status cut_and_score(unseen_scorer *s, const us_photograph_file *file, scored *p,
                                   unseen_error *error) {
    const us_tile_form form = {s->form.height, s->form.width, s->run.config->overlap};
    us_photograph_form whole = s->form;
    us_photograph_header header;
    us_tiling tiling;
    US_TRY(us_photograph_look(file, &header, error));
    whole.fit = US_FIT_RESIZE;
    whole.height = header.height;
    whole.width = header.width;
    US_TRY(us_tiling_create(1, &form, &tiling, error));
    tiling.sizes[0][0] = header.height;
    tiling.sizes[0][1] = header.width;
    void *pixels = malloc(us_photograph_bytes(&whole));
    unseen_status status = pixels ? us_tiling_finish(&tiling, file->path, error)
                                  : us_fail_memory(error, "a photograph");
    if (status == UNSEEN_OK) status = reserve(p, tiling.first[1], error);
    if (status == UNSEEN_OK) status = us_photograph_decode(file, &whole, pixels, error);
    if (status == UNSEEN_OK) status = score_windows(s, &tiling, pixels, p, error);
    free(pixels);
    us_tiling_release(&tiling);
    return status;
}

static unseen_status score_photograph(unseen_scorer *s, const us_photograph_file *file, scored *p,
                                      unseen_error *error) {
    if (s->form.fit == US_FIT_TILE) return cut_and_score(s, file, p, error);
    US_TRY(reserve(p, 1, error));
    US_TRY(us_photograph_decode(file, &s->form, s->decoded, error));
    return score_batch(s, 1, p->columns, error);
}

static unseen_status join(const unseen_scorer *s, scored *p, unseen_error *error) {
    const us_detector_spec *spec = &s->run.config->detector;
    const int top = spec->scoring.top_windows;
    double *combined = malloc((size_t)p->n * sizeof *combined);
    if (!combined) return us_fail_memory(error, "scores");
    for (int64_t i = 0; i < p->n; i++)
        combined[i] = us_score_combine(spec, &s->run.calibration, p->columns, i);
    p->score = us_windows_join(combined, p->n, top);
    for (int c = 0; c < us_detector_column_count(spec); c++)
        p->columns[c][0] = us_windows_join(p->columns[c], p->n, top);
    free(combined);
    return UNSEEN_OK;
}

/* ---- the answer ---- */

static bool add_columns(const us_detector_spec *spec, const scored *p, cJSON *object) {
    const int count = us_detector_column_count(spec);
    if (count == 1) return true;
    cJSON *parts = cJSON_AddObjectToObject(object, "columns");
    bool added = parts != NULL;
    for (int c = 0; added && c < count; c++)
        added = us_json_add_number(parts, us_detector_column(spec, c).name, p->columns[c][0]);
    return added;
}

static char *answer(const unseen_scorer *s, const char *path, const scored *p) {
    const us_calibration *calibration = &s->run.calibration;
    const double score = p->score;
    const double percentile = us_normal_scores_percentile(&calibration->normal, score);
    const bool anomalous = us_score_reaches(score, calibration->threshold);
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "path", path) &&
        us_json_add_number(object, "score", score) &&
        us_json_add_number(object, "percentile", percentile) &&
        cJSON_AddStringToObject(object, "verdict", anomalous ? "anomalous" : "normal") &&
        add_columns(&s->run.config->detector, p, object);
    char *text = complete ? us_json_print_line(object) : NULL;
    cJSON_Delete(object);
    return text;
}

unseen_status unseen_scorer_score(unseen_scorer *scorer, const char *photograph, char **json,
                                  unseen_error *error) {
    us_photograph_file file;
    scored p = {0};
    *json = NULL;
    unseen_status status = read_file(photograph, &file, error);
    if (status == UNSEEN_OK) {
        status = score_photograph(scorer, &file, &p, error);
        if (status == UNSEEN_OK) status = join(scorer, &p, error);
        if (status == UNSEEN_FAILURE) us_error_context(error, "%s", photograph);
    }
    if (status == UNSEEN_OK && !(*json = answer(scorer, photograph, &p)))
        status = us_fail_memory(error, "results");
    us_photograph_release(&file);
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
        free(p.columns[c]);
    return status;
}
