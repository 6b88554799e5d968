/* SPDX-License-Identifier: MIT */
#include "training/calibration.h"

#include <math.h>
#include <string.h>

static double weighted(const us_detector_spec *spec, const us_calibration *calibration,
                       double value, int i) {
    if (spec->scoring.combine != US_COMBINE_SUM)
        value = (value - calibration->mean[i]) / calibration->deviation[i];
    return spec->scoring.weights[i] * value;
}

double us_score_combine(const us_detector_spec *spec, const us_calibration *calibration,
                        double *const *columns, int64_t image) {
    int count = us_detector_column_count(spec);
    if (count == 1) return columns[0][image];
    double result = weighted(spec, calibration, columns[0][image], 0);
    for (int i = 1; i < count; i++) {
        double value = weighted(spec, calibration, columns[i][image], i);
        if (spec->scoring.combine == US_COMBINE_MAXIMUM)
            result = fmax(result, value);
        else
            result += value;
    }
    return result;
}

us_score_parts us_score_parts_of(const us_detector_spec *spec, const us_calibration *calibration) {
    us_score_parts parts = {.maximum = spec->scoring.combine == US_COMBINE_MAXIMUM,
                            .count = us_detector_own_columns(spec->type)};
    const bool single = us_detector_column_count(spec) == 1;
    for (int i = 0; i < parts.count; i++) {
        const double weight = single ? 1 : spec->scoring.weights[i];
        const bool plain = single || spec->scoring.combine == US_COMBINE_SUM;
        const double scale = plain ? weight : weight / calibration->deviation[i];
        parts.factors[i] = scale * spec->type->columns[i].sign;
        parts.offsets[i] = plain ? 0 : -scale * calibration->mean[i];
    }
    return parts;
}

static unseen_status not_finite(const us_detector_spec *spec, int column, unseen_error *error) {
    const struct us_detector_column c = us_detector_column(spec, column);
    return us_fail(
        error, UNSEEN_DIVERGED,
        "training diverged: the %s scores of training images, by the %s, are not finite; "
        "a lower /training/optimizer/learning_rate or a /training/clip_norm may help",
        c.name, c.network);
}

/* Where networks play against each other, a constant score means that the game has collapsed;
 * elsewhere the cause is unknown. */
static unseen_status constant(const us_detector_spec *spec, int column, double value,
                              unseen_error *error) {
    const struct us_detector_column c = us_detector_column(spec, column);
    if (us_detector_judge_count(spec->type) > 0)
        return us_fail(error, UNSEEN_DIVERGED,
                       "training collapsed: the %s score, by the %s, is %g for every training "
                       "image: it says nothing; a lower learning rate in /training/optimizers/%s, "
                       "another /training/seed or /training/collapse/restarts may help",
                       c.name, c.network, value, c.network);
    return us_fail(error, UNSEEN_FAILURE,
                   "the %s score, by the %s, is %g for every training image: it says nothing",
                   c.name, c.network, value);
}

unseen_status us_calibration_measure(const us_detector_spec *spec, double *const *columns,
                                     int64_t count, us_calibration *calibration,
                                     unseen_error *error) {
    for (int c = 0; c < us_detector_column_count(spec); c++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < count; i++)
            sum += columns[c][i];
        double mean = sum / (double)count;
        for (int64_t i = 0; i < count; i++)
            squares += (columns[c][i] - mean) * (columns[c][i] - mean);
        double deviation = sqrt(squares / (double)count);
        if (!isfinite(deviation)) return not_finite(spec, c, error);
        if (deviation == 0 && count > 1) return constant(spec, c, mean, error);
        calibration->mean[c] = mean;
        calibration->deviation[c] = deviation > 0 ? deviation : 1;
    }
    return UNSEEN_OK;
}

/* ---- in a model's metadata ---- */

const char *us_calibration_source(const us_calibration *calibration) {
    return calibration->held_out ? "held-out images" : "training images";
}

static cJSON *normal_to_json(const us_calibration *calibration) {
    const us_normal_scores *normal = &calibration->normal;
    cJSON *object = cJSON_CreateObject();
    if (cJSON_AddNumberToObject(object, "images", (double)normal->images) &&
        cJSON_AddStringToObject(object, "of", us_calibration_source(calibration)) &&
        cJSON_AddItemToObject(object, "quantiles",
                              cJSON_CreateDoubleArray(normal->quantiles, normal->count)))
        return object;
    cJSON_Delete(object);
    return NULL;
}

static cJSON *to_json(const us_detector_spec *spec, const us_calibration *calibration) {
    int count = us_detector_column_count(spec);
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddNumberToObject(object, "threshold", calibration->threshold) &&
        cJSON_AddItemToObject(object, "mean", cJSON_CreateDoubleArray(calibration->mean, count)) &&
        cJSON_AddItemToObject(object, "deviation",
                              cJSON_CreateDoubleArray(calibration->deviation, count)) &&
        cJSON_AddItemToObject(object, "normal_scores", normal_to_json(calibration));
    if (complete) return object;
    cJSON_Delete(object);
    return NULL;
}

static bool read_array(const cJSON *array, int count, double *values) {
    if (cJSON_GetArraySize(array) != count) return false;
    int i = 0;
    if (count == 0) return true;
    for (const cJSON *item = array->child; item; item = item->next) {
        if (!cJSON_IsNumber(item)) return false;
        values[i++] = item->valuedouble;
    }
    return true;
}

/* Models of earlier versions have none. */
static bool read_normal(const cJSON *object, us_calibration *calibration) {
    us_normal_scores *normal = &calibration->normal;
    const cJSON *images = cJSON_GetObjectItemCaseSensitive(object, "images");
    const cJSON *of = cJSON_GetObjectItemCaseSensitive(object, "of");
    const cJSON *quantiles = cJSON_GetObjectItemCaseSensitive(object, "quantiles");
    const int count = cJSON_GetArraySize(quantiles);
    *normal = (us_normal_scores){0};
    if (!object) return true;
    if (!cJSON_IsNumber(images) || !cJSON_IsString(of) || count < 1 ||
        count > US_NORMAL_QUANTILES || !(images->valuedouble >= count) ||
        images->valuedouble > INT32_MAX || !read_array(quantiles, count, normal->quantiles))
        return false;
    for (int i = 1; i < count; i++)
        if (!(normal->quantiles[i - 1] <= normal->quantiles[i])) return false;
    normal->images = (int64_t)images->valuedouble;
    normal->count = count;
    calibration->held_out = strcmp(of->valuestring, "held-out images") == 0;
    return true;
}

unseen_status us_calibration_load(const us_detector_spec *spec, const us_safetensors *file,
                                  us_calibration *calibration, unseen_error *error) {
    cJSON *object;
    US_TRY(us_safetensors_metadata_json(file, "calibration", &object, error));
    int count = us_detector_column_count(spec);
    const cJSON *threshold = cJSON_GetObjectItemCaseSensitive(object, "threshold");
    bool complete =
        cJSON_IsNumber(threshold) &&
        read_array(cJSON_GetObjectItemCaseSensitive(object, "mean"), count, calibration->mean) &&
        read_array(cJSON_GetObjectItemCaseSensitive(object, "deviation"), count,
                   calibration->deviation) &&
        read_normal(cJSON_GetObjectItemCaseSensitive(object, "normal_scores"), calibration);
    if (complete) calibration->threshold = threshold->valuedouble;
    cJSON_Delete(object);
    if (complete) return UNSEEN_OK;
    return us_fail(
        error, UNSEEN_BAD_INPUT,
        "%s: its metadata lacks the calibration that scoring needs, whole; models come from "
        "`unseen run` or `unseen train`",
        file->path);
}

unseen_status us_calibration_save(const us_detector_spec *spec, const us_calibration *calibration,
                                  us_safetensors_builder *builder, unseen_error *error) {
    cJSON *object = to_json(spec, calibration);
    char *text = object ? us_json_print_line(object) : NULL;
    cJSON_Delete(object);
    if (!text) return us_fail_memory(error, "the calibration");
    unseen_status status = us_safetensors_add_metadata(builder, "calibration", text, error);
    unseen_string_free(text);
    return status;
}
