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

/* A detector, with what it needs of a photograph: the model's own, or one of its members'. */
typedef struct part {
    const us_model *model;
    us_photograph_form form; /* of an image as the networks see it: a photograph, or a window */
    int batch;               /* images that are scored together: 1, of windows more */
    void *decoded, *pixels;  /* a batch, as photographs are decoded, and as the device takes it */
    us_single *single;
} part;

struct unseen_scorer {
    us_trained run;
    part parts[US_MEMBERS_MOST];
    int part_count;
};

/* ---- opening ---- */

/* As photographs of a folder would be fitted for this model. Black and white are theirs, whatever
 * range the numbers of the images trained on had. */
static unseen_status choose_form(const char *folder, part *p, unseen_error *error) {
    const unseen_config *config = p->model->config;
    if (config->input.channels != 1 && config->input.channels != 3)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the model in %s takes images of %d channels, and photographs have 1 or 3",
                       folder, config->input.channels);
    p->form = (us_photograph_form){.height = config->input.height,
                                   .width = config->input.width,
                                   .channels = config->input.channels,
                                   .value_bytes = (us_range)config->range == US_RANGE_WORD ? 2 : 1,
                                   .fit = (us_fit)config->fit};
    return UNSEEN_OK;
}

static unseen_status create_single(part *p, unseen_error *error) {
    const bool deep = p->form.value_bytes == 2;
    p->batch = p->model->detector->batch;
    const size_t bytes = us_photograph_bytes(&p->form) * (size_t)p->batch;
    const us_range_ends ends = us_range_get(deep ? US_RANGE_WORD : US_RANGE_BYTE);
    p->decoded = malloc(bytes);
    p->pixels = deep ? malloc(bytes / 2 * sizeof(float)) : p->decoded;
    if (!p->decoded || !p->pixels) return us_fail_memory(error, "a photograph");
    const us_image_source source = {.pixels = p->pixels,
                                    .is_float = deep,
                                    .count = p->batch,
                                    .height = p->form.height,
                                    .width = p->form.width,
                                    .channels = p->form.channels,
                                    .black = ends.black,
                                    .white = ends.white};
    return us_single_create(p->model->detector, &source, &p->single, error);
}

static bool cuts_windows(const unseen_config *config) {
    bool any = config->fit == US_FIT_TILE;
    for (int m = 0; m < config->member_count; m++)
        any = any || config->members[m]->fit == US_FIT_TILE;
    return any;
}

/* The forms are looked at before the device is opened. */
static unseen_status open_parts(unseen_scorer *s, const char *device, const unseen_events *events,
                                unseen_error *error) {
    const unseen_config *config = s->run.config;
    const int members = config->member_count;
    s->part_count = members ? members : 1;
    us_model forms[US_MEMBERS_MOST];
    for (int i = 0; i < s->part_count; i++) {
        forms[i] = (us_model){.config = members ? config->members[i] : config};
        s->parts[i].model = &forms[i];
        US_TRY(choose_form(s->run.folder, &s->parts[i], error));
    }
    US_TRY(us_photograph_start(error));
    US_TRY(us_trained_load(&s->run, device, cuts_windows(config) ? WINDOWS_TOGETHER : 1, events,
                           error));
    for (int i = 0; i < s->part_count; i++) {
        s->parts[i].model = members ? &s->run.model.members[i] : &s->run.model;
        US_TRY(create_single(&s->parts[i], error));
    }
    return UNSEEN_OK;
}

static unseen_status describe(const unseen_scorer *s, char **json, unseen_error *error) {
    const us_calibration *calibration = &s->run.model.calibration;
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
    US_CHECK(open_parts(s, device, events, error));
    US_CHECK(describe(s, json, error));
    *scorer = s;
    return UNSEEN_OK;
done:
    unseen_scorer_close(s);
    return status;
}

void unseen_scorer_close(unseen_scorer *scorer) {
    if (!scorer) return;
    for (int i = 0; i < scorer->part_count; i++)
        us_single_destroy(scorer->parts[i].single);
    us_trained_close(&scorer->run);
    for (int i = 0; i < scorer->part_count; i++) {
        part *p = &scorer->parts[i];
        if (p->pixels != p->decoded) free(p->pixels);
        free(p->decoded);
    }
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
static unseen_status score_batch(part *p, int n, double *const columns[US_DETECTOR_MAX_COLUMNS],
                                 unseen_error *error) {
    const size_t values = us_photograph_bytes(&p->form) / 2 * (size_t)n;
    for (size_t i = 0; p->pixels != p->decoded && i < values; i++)
        ((float *)p->pixels)[i] = ((const uint16_t *)p->decoded)[i];
    return us_single_score(p->single, n, columns, error);
}

/* ---- its scores ---- */

typedef struct scored {
    double *columns[US_DETECTOR_MAX_COLUMNS]; /* of the photograph's windows, or of it; heap */
    int64_t n;
    double score; /* and of the whole; the columns are then joined likewise, into their first */
} scored;

static unseen_status reserve(scored *of, int64_t n, unseen_error *error) {
    of->n = n;
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
        if (!(of->columns[c] = malloc((size_t)n * sizeof(double))))
            return us_fail_memory(error, "scores");
    return UNSEEN_OK;
}

static void release(scored *of) {
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
        free(of->columns[c]);
}

static unseen_status score_windows(part *p, const us_tiling *tiling, const void *whole, scored *of,
                                   unseen_error *error) {
    const size_t bytes = us_photograph_bytes(&p->form);
    const size_t pixel_bytes = (size_t)p->form.channels * (size_t)p->form.value_bytes;
    for (int64_t first = 0; first < of->n; first += p->batch) {
        const int n = of->n - first < p->batch ? (int)(of->n - first) : p->batch;
        double *at[US_DETECTOR_MAX_COLUMNS];
        for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
            at[c] = of->columns[c] + first;
        for (int k = 0; k < n; k++)
            us_tiling_cut(tiling, 0, first + k, whole, pixel_bytes,
                          (char *)p->decoded + (size_t)k * bytes);
        US_TRY(score_batch(p, n, at, error));
    }
    return UNSEEN_OK;
}

static unseen_status cut_and_score(part *p, const us_photograph_file *file, scored *of,
                                   unseen_error *error) {
    const us_tile_form form = {p->form.height, p->form.width, p->model->config->overlap};
    us_photograph_form whole = p->form;
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
    if (status == UNSEEN_OK) status = reserve(of, tiling.first[1], error);
    if (status == UNSEEN_OK) status = us_photograph_decode(file, &whole, pixels, error);
    if (status == UNSEEN_OK) status = score_windows(p, &tiling, pixels, of, error);
    free(pixels);
    us_tiling_release(&tiling);
    return status;
}

static unseen_status join_windows(const part *p, scored *of, unseen_error *error) {
    const us_detector_spec *spec = &p->model->config->detector;
    const int top = spec->scoring.top_windows;
    double *combined = malloc((size_t)of->n * sizeof *combined);
    if (!combined) return us_fail_memory(error, "scores");
    for (int64_t i = 0; i < of->n; i++)
        combined[i] = us_model_combine(p->model, of->columns, i);
    of->score = us_windows_join(combined, of->n, top);
    for (int c = 0; c < us_detector_column_count(spec); c++)
        of->columns[c][0] = us_windows_join(of->columns[c], of->n, top);
    free(combined);
    return UNSEEN_OK;
}

static unseen_status score_part(part *p, const us_photograph_file *file, scored *of,
                                unseen_error *error) {
    if (p->form.fit == US_FIT_TILE) {
        US_TRY(cut_and_score(p, file, of, error));
        return join_windows(p, of, error);
    }
    US_TRY(reserve(of, 1, error));
    US_TRY(us_photograph_decode(file, &p->form, p->decoded, error));
    US_TRY(score_batch(p, 1, of->columns, error));
    return join_windows(p, of, error);
}

/* The score of the whole, then those of columns or members: as many as the model has. */
static unseen_status score_photograph(unseen_scorer *s, const us_photograph_file *file,
                                      double scores[US_MEMBERS_MOST + 1], unseen_error *error) {
    double *members[US_MEMBERS_MOST];
    for (int i = 0; i < s->part_count; i++) {
        scored of = {0};
        unseen_status status = score_part(&s->parts[i], file, &of, error);
        if (status == UNSEEN_OK) {
            scores[1 + i] = of.score;
            members[i] = &scores[1 + i];
            if (s->run.model.detector) {
                scores[0] = of.score;
                const int columns = us_detector_column_count(&s->run.config->detector);
                for (int c = 0; c < columns; c++)
                    scores[1 + c] = of.columns[c][0];
            }
        }
        release(&of);
        US_TRY(status);
    }
    if (!s->run.model.detector) scores[0] = us_model_combine(&s->run.model, members, 0);
    return UNSEEN_OK;
}

/* ---- the answer ---- */

static bool add_columns(const unseen_config *config, const double *scores, cJSON *object) {
    const char *names[US_MEMBERS_MOST + 1];
    const int count = us_model_columns(config, names);
    if (count == 1) return true;
    cJSON *parts = cJSON_AddObjectToObject(object, "columns");
    bool added = parts != NULL;
    for (int c = 1; added && c < count; c++)
        added = us_json_add_number(parts, names[c], scores[c]);
    return added;
}

static char *answer(const unseen_scorer *s, const char *path, const double *scores) {
    const us_calibration *calibration = &s->run.model.calibration;
    const double percentile = us_normal_scores_percentile(&calibration->normal, scores[0]);
    const bool anomalous = us_score_reaches(scores[0], calibration->threshold);
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "path", path) &&
        us_json_add_number(object, "score", scores[0]) &&
        us_json_add_number(object, "percentile", percentile) &&
        cJSON_AddStringToObject(object, "verdict", anomalous ? "anomalous" : "normal") &&
        add_columns(s->run.config, scores, object);
    char *text = complete ? us_json_print_line(object) : NULL;
    cJSON_Delete(object);
    return text;
}

unseen_status unseen_scorer_score(unseen_scorer *scorer, const char *photograph, char **json,
                                  unseen_error *error) {
    us_photograph_file file;
    double scores[US_MEMBERS_MOST + US_DETECTOR_MAX_COLUMNS] = {0};
    *json = NULL;
    unseen_status status = read_file(photograph, &file, error);
    if (status == UNSEEN_OK) {
        status = score_photograph(scorer, &file, scores, error);
        if (status == UNSEEN_FAILURE) us_error_context(error, "%s", photograph);
    }
    if (status == UNSEEN_OK && !(*json = answer(scorer, photograph, scores)))
        status = us_fail_memory(error, "results");
    us_photograph_release(&file);
    return status;
}
