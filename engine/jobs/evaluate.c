/* SPDX-License-Identifier: MIT */
/* unseen_evaluate: the one place where files of scores and files of labels meet. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "data/array.h"
#include "data/labels.h"
#include "evaluation/kinds.h"
#include "evaluation/metrics.h"
#include "jobs/evaluate_maps.h"
#include "jobs/evaluate_report.h"
#include "jobs/results.h"

/* ---- scores ---- */

static unseen_status scores_of_array(const us_array *array, const char *path, us_scores *scores,
                                     unseen_error *error) {
    static const char *const names[] = {"score"};
    const us_array_header *header = &array->header;
    bool column = header->rank == 2 && header->dims[1] == 1;
    if (header->format != US_ARRAY_NPY || header->kind != 'f' || header->item_bytes > 8 ||
        (header->rank != 1 && !column))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds %s of shape %s; scores are a CSV, or .npy of float16, float32 or "
                       "float64 with the shape (number,) or (number, 1)",
                       path, us_array_type_text(header).text, us_array_shape_text(header).text);
    US_TRY(us_scores_create(header->dims[0], 1, names, scores, error));
    for (int64_t i = 0; i < scores->count; i++)
        us_array_number(array, (size_t)i, &scores->values[0][i]);
    scores->ids = (us_ids){.path = path, .what = "scores", .count = scores->count};
    return UNSEEN_OK;
}

static unseen_status read_scores(const unseen_evaluate_options *options, us_scores *scores,
                                 unseen_error *error) {
    us_array array;
    US_TRY(us_array_open(options->scores, &array, error));
    bool table = array.header.format == US_ARRAY_OTHER;
    unseen_status status =
        table ? UNSEEN_OK : scores_of_array(&array, options->scores, scores, error);
    if (!table && us_array_check(&array, options->scores, error) != UNSEEN_OK)
        status = UNSEEN_FAILURE;
    us_array_close(&array);
    if (!table || status != UNSEEN_OK) return status;
    const char *labels = options->labels ? NULL : options->label_column;
    return us_scores_read(options->scores, labels, scores, error);
}

/* The rows of a table may be in any order, so that the line is what helps to find one. */
static unseen_status check_finite(const us_scores *scores, unseen_error *error) {
    for (int column = 0; scores->ids.lines && column < scores->columns; column++)
        for (int64_t i = 0; i < scores->count; i++) {
            double score = scores->values[column][i];
            if (isfinite(score)) continue;
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: line %lld: the score \"%s\" is %s: only finite scores can be "
                           "evaluated",
                           scores->ids.path, (long long)scores->ids.lines[i], scores->names[column],
                           isnan(score) ? "nan" : "infinite");
        }
    return UNSEEN_OK;
}

/* ---- labels ---- */

/* The labels of another file find their scores; those of the same one lie beside them. */
static unseen_status read_labels(const unseen_evaluate_options *options, const us_scores *scores,
                                 us_labels *labels, unseen_error *error) {
    if (options->labels) {
        US_TRY(us_labels_open(options->labels, options->label_column, labels, error));
        return us_labels_match(labels, &scores->ids, error);
    }
    if (!scores->labelled && !options->label_column)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s has no column \"anomalous\", or another one that is called like labels: "
                       "give a file of labels",
                       options->scores);
    US_TRY(us_labels_open(options->scores, options->label_column, labels, error));
    strcpy(labels->joined, "by row");
    return UNSEEN_OK;
}

/* What scores are called anomalous from: as given, or that so many of the normal images reach it.
 */
static unseen_status add_threshold(const unseen_evaluate_options *options, const us_scores *scores,
                                   const unsigned char *anomalous, cJSON *object,
                                   unseen_error *error) {
    const double rate = 0.05;
    if (options->threshold)
        return us_json_add_number(object, "threshold", *options->threshold)
                   ? UNSEEN_OK
                   : us_fail_memory(error, "the metrics");
    double *normal = malloc((size_t)scores->count * sizeof *normal);
    int64_t count = 0;
    for (int64_t i = 0; normal && i < scores->count; i++)
        if (!anomalous[i]) normal[count++] = scores->values[0][i];
    const bool added =
        normal &&
        us_json_add_number(object, "threshold", us_threshold_for_rate(normal, count, rate)) &&
        us_json_add_number(object, "false_positive_rate", rate) &&
        cJSON_AddStringToObject(object, "calibrated_on", "the normal ones of these images");
    free(normal);
    return added ? UNSEEN_OK : us_fail_memory(error, "the metrics");
}

static unseen_status add_kinds(const us_labels *labels, const unsigned char *anomalous,
                               us_scores *scores, cJSON *object, unseen_error *error) {
    const cJSON *threshold = cJSON_GetObjectItemCaseSensitive(object, "threshold");
    US_TRY(us_results_take_kinds(labels, anomalous, scores, error));
    return us_kinds_to_json(scores, anomalous, threshold->valuedouble, object, error);
}

static unseen_status evaluate(const unseen_evaluate_options *options, us_scores *scores,
                              const us_labels *labels, const unsigned char *anomalous,
                              cJSON *object, unseen_error *error) {
    unseen_status status = us_metrics_of_scores(scores, anomalous, object, error);
    if (status != UNSEEN_OK)
        us_error_context(error, "%s", scores->ids.path);
    else if ((status = add_threshold(options, scores, anomalous, object, error)) ||
             (status = add_kinds(labels, anomalous, scores, object, error)))
        us_error_context(error, "%s", labels->path);
    else if (!us_labels_to_json(labels, object))
        status = us_fail_memory(error, "the metrics");
    return status;
}

static unseen_status evaluate_scores(const unseen_evaluate_options *options, cJSON *object,
                                     unseen_error *error) {
    us_scores scores = {0};
    us_labels labels = {0};
    unsigned char *anomalous = NULL;
    unseen_status status;
    US_CHECK(read_scores(options, &scores, error));
    US_CHECK(read_labels(options, &scores, &labels, error));
    US_CHECK(us_labels_anomalous(&labels, options->normal, &anomalous, error));
    US_CHECK(check_finite(&scores, error));
    US_CHECK(evaluate(options, &scores, &labels, anomalous, object, error));
    if (options->maps || options->masks)
        US_CHECK(us_evaluate_maps(options, &scores.ids, object, error));
    if (options->report) US_CHECK(us_evaluate_report(options, &scores, anomalous, object, error));
done:
    free(anomalous);
    us_labels_close(&labels);
    us_scores_destroy(&scores);
    return status;
}

unseen_status unseen_evaluate(const unseen_evaluate_options *options, char **json,
                              unseen_error *error) {
    *json = NULL;
    if (!options->scores && !options->maps && !options->masks)
        return us_fail(error, UNSEEN_BAD_INPUT, "neither scores nor maps to evaluate are given");
    if (options->threshold && !isfinite(*options->threshold))
        return us_fail(error, UNSEEN_BAD_INPUT, "the threshold is not finite");
    US_TRY(us_evaluate_check_report(options, error));
    cJSON *object = cJSON_CreateObject();
    unseen_status status = object ? UNSEEN_OK : us_fail_memory(error, "the metrics");
    if (status == UNSEEN_OK && options->scores) status = evaluate_scores(options, object, error);
    if (status == UNSEEN_OK && !options->scores)
        status = us_evaluate_maps(options, NULL, object, error);
    if (status == UNSEEN_OK && !(*json = us_json_print(object)))
        status = us_fail_memory(error, "the metrics");
    cJSON_Delete(object);
    return status;
}
