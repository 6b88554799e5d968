/* SPDX-License-Identifier: MIT */
#include "training/joint.h"

#include <math.h>
#include <string.h>

/* Of the normal scores, the share that the tail is fitted to. */
static const double tail_share = 0.1;

/* ---- the tail ---- */

/* The mean and half the mean difference of ascending values. */
static void l_moments(const double *values, int n, double start, double *first, double *second) {
    double sum = 0, weighted = 0;
    for (int i = 0; i < n; i++) {
        sum += values[i] - start;
        weighted += (values[i] - start) * (n > 1 ? (double)i / (n - 1) : 0.5);
    }
    *first = sum / n;
    *second = 2 * weighted / n - *first;
}

us_tail us_tail_fit(const us_normal_scores *normal) {
    /* Few values tell little of a shape: it is drawn to 0, as if there were so many that say so. */
    const double prior = 10, largest_shape = 0.9;
    const double *q = normal->quantiles;
    const int last = normal->count - 1;
    int first = (int)ceil((1 - tail_share) * last);
    if (first == last && first > 0) first--;
    us_tail tail = {.start = q[first], .scale = 0, .shape = 0};
    const int n = last - first;
    if (n > 0) {
        double mean, difference;
        l_moments(q + first + 1, n, tail.start, &mean, &difference);
        if (difference > 0) tail.shape = fmin(fmax(2 - mean / difference, 0), largest_shape);
        const double images = tail_share * (double)normal->images;
        tail.shape *= images / (images + prior);
        tail.scale = mean * (1 - tail.shape);
    }
    /* Where the tail is one value, what lies before it gives the scale. */
    const double least = 1e-3 * (tail.start - q[last / 2]);
    if (tail.scale < least) tail.scale = least;
    if (!(tail.scale > 0)) tail.scale = 0.05 * (fabs(tail.start) + 1e-30); /* nothing is known */
    return tail;
}

double us_tail_evidence(const us_tail *tail, const us_normal_scores *normal, double score) {
    const double median = log(2);
    if (!(score > tail->start)) {
        const double above = 1 - us_normal_scores_percentile(normal, score) / 100;
        return fmax(-log(fmax(above, tail_share)) - median, 0);
    }
    const double beyond = (score - tail->start) / tail->scale;
    const double rest = tail->shape > 0 ? log1p(tail->shape * beyond) / tail->shape : beyond;
    return -log(tail_share) + rest - median;
}

/* ---- joining ---- */

double us_joint_trust(const us_synthetic *synthetic) {
    const double least = 0.02, harm = 6;
    double sum = 0;
    int kinds = 0;
    for (int k = 0; k < US_SYNTHETIC_KINDS; k++) {
        const double told = 2 * synthetic->kinds[k] - 1;
        if (!us_synthetic_is_moved(k)) continue;
        sum += isnan(told) ? -harm : told < 0 ? harm * told : told;
        kinds++;
    }
    return fmax(sum / kinds, least);
}

double us_joint_score(const us_joint *joint, int kind, const double *evidence) {
    double sum = 0, weights = 0, squares = 0, squared_weights = 0, largest = 0, heaviest = 0;
    for (int i = 0; i < joint->count; i++) {
        const double weight = joint->members[i].weight, value = weight * evidence[i];
        sum += value;
        weights += weight;
        squares += value * value;
        squared_weights += weight * weight;
        largest = fmax(largest, value);
        heaviest = fmax(heaviest, weight);
    }
    if (!(weights > 0)) return 0;
    switch ((us_joining_kind)kind) {
    case US_JOINING_SUM:
        return sum / weights;
    case US_JOINING_MAXIMUM:
        return largest / heaviest;
    default:
        return sqrt(squares / squared_weights);
    }
}

/* ---- in a model's metadata ---- */

static const char *const numbers[] = {"start", "scale", "shape",     "weight",
                                      "low",   "high",  "map_weight"};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static double *number_of(us_joint_member *member, int i) {
    double *const all[NUMBERS] = {&member->tail.start, &member->tail.scale, &member->tail.shape,
                                  &member->weight,     &member->low,        &member->high,
                                  &member->map_weight};
    return all[i];
}

unseen_status us_joint_save(const unseen_config *config, const us_joint *joint,
                            us_safetensors_builder *builder, unseen_error *error) {
    cJSON *object = cJSON_CreateObject();
    bool complete = object != NULL;
    for (int m = 0; complete && m < joint->count; m++) {
        us_joint_member member = joint->members[m];
        cJSON *own = cJSON_AddObjectToObject(object, config->members[m]->name);
        for (int i = 0; complete && i < NUMBERS; i++)
            complete = cJSON_AddNumberToObject(own, numbers[i], *number_of(&member, i)) != NULL;
    }
    char *text = complete ? us_json_print_line(object) : NULL;
    cJSON_Delete(object);
    if (!text) return us_fail_memory(error, "the calibration");
    unseen_status status = us_safetensors_add_metadata(builder, "members", text, error);
    unseen_string_free(text);
    return status;
}

unseen_status us_joint_load(const unseen_config *config, const us_safetensors *file,
                            us_joint *joint, unseen_error *error) {
    cJSON *object;
    US_TRY(us_safetensors_metadata_json(file, "members", &object, error));
    bool complete = cJSON_GetArraySize(object) == config->member_count;
    *joint = (us_joint){.count = config->member_count};
    for (int m = 0; complete && m < config->member_count; m++) {
        const cJSON *own = cJSON_GetObjectItemCaseSensitive(object, config->members[m]->name);
        for (int i = 0; complete && i < NUMBERS; i++) {
            const cJSON *number = cJSON_GetObjectItemCaseSensitive(own, numbers[i]);
            /* Models of before have no weights of maps: they weighed what scores do. */
            if (!number && strcmp(numbers[i], "map_weight") == 0)
                number = cJSON_GetObjectItemCaseSensitive(own, "weight");
            complete = cJSON_IsNumber(number);
            if (complete) *number_of(&joint->members[m], i) = number->valuedouble;
        }
        complete = complete && joint->members[m].tail.scale > 0 &&
                   joint->members[m].tail.shape >= 0 && joint->members[m].weight >= 0 &&
                   joint->members[m].map_weight >= 0;
    }
    cJSON_Delete(object);
    if (complete) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: its metadata does not tell how the scores of the config's members are "
                   "joined",
                   file->path);
}
