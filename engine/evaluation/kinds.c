/* SPDX-License-Identifier: MIT */
#include "evaluation/kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "evaluation/metrics.h"

unseen_status us_kinds_create(int64_t images, us_kinds *kinds, unseen_error *error) {
    *kinds = (us_kinds){.of = malloc((size_t)images * sizeof *kinds->of)};
    if (!kinds->of) return us_fail_memory(error, "kinds of images");
    for (int64_t i = 0; i < images; i++)
        kinds->of[i] = -1;
    return UNSEEN_OK;
}

void us_kinds_release(us_kinds *kinds) {
    for (int k = 0; k < kinds->count; k++)
        free(kinds->names[k]);
    free(kinds->of);
    *kinds = (us_kinds){0};
}

int us_kinds_add(us_kinds *kinds, const char *name, size_t length) {
    for (int k = 0; k < kinds->count; k++)
        if (strlen(kinds->names[k]) == length && memcmp(kinds->names[k], name, length) == 0)
            return k;
    if (kinds->count == US_KINDS_MOST) return -1;
    if (!(kinds->names[kinds->count] = strndup(name, length))) return -1;
    return kinds->count++;
}

/* The scores of the normal images and of one kind, and what share of the kind is below the
 * threshold. */
typedef struct of_kind {
    double *values;
    unsigned char *positive;
    int64_t count, images;
    double missed;
} of_kind;

static void gather(const us_scores *scores, const unsigned char *anomalous, int kind,
                   double threshold, of_kind *g) {
    int64_t below = 0;
    g->count = g->images = 0;
    for (int64_t i = 0; i < scores->count; i++) {
        if (anomalous[i] && scores->kinds.of[i] != kind) continue;
        g->values[g->count] = scores->values[0][i];
        g->positive[g->count++] = anomalous[i];
        g->images += anomalous[i];
        below += anomalous[i] && !us_score_reaches(scores->values[0][i], threshold);
    }
    g->missed = isfinite(threshold) ? (double)below / (double)g->images : NAN;
}

/* metrics NULL: all scores of the kind and of the normal images are the same. */
static bool add_kind(cJSON *kinds, const char *name, const of_kind *g, const us_metrics *metrics) {
    cJSON *kind = cJSON_AddObjectToObject(kinds, name);
    if (!kind || !us_json_add_number(kind, "images", (double)g->images) ||
        !us_json_add_number(kind, "auc", metrics ? metrics->auc : NAN))
        return false;
    return (!metrics ||
            (cJSON_AddItemToObject(kind, "auc_ci95",
                                   cJSON_CreateDoubleArray(metrics->auc_ci95, 2)) &&
             us_json_add_number(kind, "average_precision", metrics->average_precision))) &&
           us_json_add_number(kind, "missed", g->missed);
}

unseen_status us_kinds_to_json(const us_scores *scores, const unsigned char *anomalous,
                               double threshold, cJSON *results, unseen_error *error) {
    const us_kinds *known = &scores->kinds;
    if (known->count < 2) return UNSEEN_OK;
    of_kind g = {.values = malloc((size_t)scores->count * sizeof *g.values),
                 .positive = malloc((size_t)scores->count)};
    cJSON *kinds = cJSON_AddObjectToObject(results, "kinds");
    cJSON *confused = cJSON_AddArrayToObject(results, "confused");
    bool added = g.values && g.positive && kinds && confused;
    for (int k = 0; added && k < known->count; k++) {
        us_metrics metrics;
        gather(scores, anomalous, k, threshold, &g);
        const bool told =
            us_metrics_compute(g.values, g.positive, g.count, &metrics, NULL) == UNSEEN_OK;
        added = add_kind(kinds, known->names[k], &g, told ? &metrics : NULL);
        if (added && (!told || metrics.auc_ci95[0] <= 0.5))
            added = us_json_append_string(results, "confused", known->names[k]);
    }
    free(g.values);
    free(g.positive);
    return added ? UNSEEN_OK : us_fail_memory(error, "results");
}
