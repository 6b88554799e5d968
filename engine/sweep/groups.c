/* SPDX-License-Identifier: MIT */
#include "sweep/groups.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char seed[] = "/training/seed=";

double us_groups_sign(const char *by) {
    return strcmp(by, "auc") == 0 || strcmp(by, "synthetic_auc") == 0 ? -1 : 1;
}

/* ---- seeds ---- */

static bool is_seed(const char *override) {
    return us_override_same_place(override, seed);
}

/* A run, and its overrides without seeds as one text. */
typedef struct member {
    us_entry *entry;
    char *key;
} member;

/* Heap; NULL: no memory. */
static char *key_of(const us_overrides *overrides) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; out && i < overrides->count; i++)
        if (!is_seed(overrides->items[i])) fprintf(out, "%s\n", overrides->items[i]);
    if (out && fclose(out) == 0) return text;
    free(text);
    return NULL;
}

static int by_key(const void *a, const void *b) {
    const member *one = a, *other = b;
    const int order = strcmp(one->key, other->key);
    if (order) return order;
    return one->entry < other->entry ? -1 : one->entry > other->entry;
}

/* The 97.5% quantile of Student's t; from 30 degrees of freedom on by its expansion about the
 * normal's (Abramowitz and Stegun, 26.7.5). */
static double student(size_t freedom) {
    static const double quantiles[] = {
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
        2.2010,  2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
        2.0796,  2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452};
    const double z = 1.959964, n = (double)freedom;
    if (freedom - 1 < sizeof quantiles / sizeof *quantiles) return quantiles[freedom - 1];
    return z + (z * z * z + z) / (4 * n) + (5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * n * n);
}

static cJSON *summary(const member *members, size_t count, const char *name) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += us_entry_metric(members[i].entry, name);
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += pow(us_entry_metric(members[i].entry, name) - mean, 2);
    const double half =
        count > 1 ? student(count - 1) * sqrt(squares / (double)(count - 1) / (double)count) : NAN;
    cJSON *object = cJSON_CreateObject();
    bool complete = us_json_add_number(object, "mean", mean);
    double low = mean - half, high = mean + half;
    if (us_groups_sign(name) < 0) {
        low = fmax(low, 0);
        high = fmin(high, 1);
    }
    cJSON *interval = isfinite(half) ? cJSON_CreateDoubleArray((const double[]){low, high}, 2)
                                     : cJSON_CreateNull();
    complete = complete && interval && cJSON_AddItemToObject(object, "ci95", interval);
    if (complete) return object;
    cJSON_Delete(object);
    return NULL;
}

static cJSON *describe(const member *members, size_t count) {
    static const char *const names[] = {"auc", "held_out_loss", "loss", "synthetic_auc"};
    cJSON *group = cJSON_CreateObject(), *shared = cJSON_AddArrayToObject(group, "overrides");
    bool complete = shared != NULL;
    const us_overrides *overrides = members[0].entry->overrides;
    for (size_t i = 0; complete && i < overrides->count; i++)
        complete = is_seed(overrides->items[i]) ||
                   cJSON_AddItemToArray(shared, cJSON_CreateString(overrides->items[i]));
    complete = complete && cJSON_AddNumberToObject(group, "runs", (double)count);
    for (size_t i = 0; complete && i < sizeof names / sizeof *names; i++) {
        cJSON *values = summary(members, count, names[i]);
        complete = values && cJSON_AddItemToObject(group, names[i], values);
    }
    if (complete) return group;
    cJSON_Delete(group);
    return NULL;
}

/* The members of one key lie side by side. *several: some key has more than one. */
static bool add_all(cJSON *groups, const member *members, size_t count, bool *several) {
    *several = false;
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && strcmp(members[end].key, members[first].key) == 0;)
            end++;
        cJSON *group = describe(members + first, end - first);
        if (!group || !cJSON_AddItemToArray(groups, group)) return false;
        *several = *several || end - first > 1;
    }
    return true;
}

bool us_groups_add(cJSON *object, const us_sweep *sweep) {
    cJSON *groups = cJSON_CreateArray();
    member *members = calloc(sweep->count, sizeof *members);
    size_t count = 0;
    bool several = false, complete = groups && members;
    for (size_t i = 0; complete && i < sweep->count; i++) {
        us_entry *entry = &sweep->entries[i];
        if (entry->status != US_ENTRY_DONE) continue;
        members[count++] = (member){entry, key_of(entry->overrides)};
        complete = members[count - 1].key != NULL;
    }
    if (complete) {
        qsort(members, count, sizeof *members, by_key);
        complete = add_all(groups, members, count, &several);
    }
    for (size_t i = 0; members && i < count; i++)
        free(members[i].key);
    free(members);
    if (complete && several) complete = cJSON_AddItemToObject(object, "groups", groups);
    if (!complete || !several) cJSON_Delete(groups);
    return complete;
}

/* ---- fronts ---- */

double us_groups_speed(const us_entry *entry) {
    return us_entry_metric(entry, "epochs") * us_entry_metric(entry, "training_images") /
           us_entry_metric(entry, "train_seconds");
}

/* A run on one axis; of both numbers, the smaller the better. */
typedef struct point {
    double quality, cost;
    size_t index;
} point;

static int by_quality(const void *a, const void *b) {
    const point *one = a, *other = b;
    if (one->quality != other->quality) return one->quality < other->quality ? -1 : 1;
    return one->cost < other->cost ? -1 : one->cost > other->cost;
}

static size_t gather(const us_sweep *sweep, const char *by, int axis, point *points) {
    bool have_auc = true;
    size_t count = 0;
    for (size_t i = 0; i < sweep->count; i++)
        if (sweep->entries[i].status == US_ENTRY_DONE)
            have_auc = have_auc && !isnan(us_entry_metric(&sweep->entries[i], "auc"));
    if (have_auc) by = "auc";
    for (size_t i = 0; i < sweep->count; i++) {
        const us_entry *entry = &sweep->entries[i];
        if (entry->status != US_ENTRY_DONE) continue;
        const point p = {.quality = us_entry_metric(entry, by) * us_groups_sign(by),
                         .cost = axis == 0 ? entry->parameters : -us_groups_speed(entry),
                         .index = i};
        if (!isnan(p.quality) && !isnan(p.cost)) points[count++] = p;
    }
    return count;
}

bool us_groups_fronts(const us_sweep *sweep, const char *by, unsigned char *fronts) {
    static const unsigned char flags[] = {US_FRONT_PARAMETERS, US_FRONT_SPEED};
    point *points = calloc(sweep->count, sizeof *points);
    if (!points) return false;
    memset(fronts, 0, sweep->count);
    for (int axis = 0; axis < 2; axis++) {
        size_t count = gather(sweep, by, axis, points);
        qsort(points, count, sizeof *points, by_quality);
        /* Those of better quality come first, so that a run is beaten where one of them, or one as
         * good, costs less. */
        double least = INFINITY, least_before = INFINITY;
        for (size_t i = 0; i < count; i++) {
            if (i && points[i].quality != points[i - 1].quality) least_before = least;
            const bool first = i == 0 || points[i].quality != points[i - 1].quality;
            const bool equal = !first && points[i].cost == points[i - 1].cost &&
                               (fronts[points[i - 1].index] & flags[axis]);
            if ((first && points[i].cost < least_before) || equal)
                fronts[points[i].index] |= flags[axis];
            least = fmin(least, points[i].cost);
        }
    }
    free(points);
    return true;
}
