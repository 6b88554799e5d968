/* SPDX-License-Identifier: MIT */
/* How well each anomalous class by itself is told from the normal images. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "evaluation/metrics.h"
#include "jobs/results.h"

/* The anomalous classes that there are, ascending. */
static int find_kinds(const us_labels *labels, const unsigned char *anomalous,
                      int64_t kinds[US_KINDS_MOST]) {
    int count = 0;
    for (int64_t i = 0; i < labels->count; i++) {
        int at = 0;
        while (at < count && kinds[at] < labels->values[i])
            at++;
        if (!anomalous[i] || (at < count && kinds[at] == labels->values[i])) continue;
        if (count == US_KINDS_MOST) return 0;
        memmove(kinds + at + 1, kinds + at, (size_t)(count - at) * sizeof *kinds);
        kinds[at] = labels->values[i];
        count++;
    }
    return count;
}

/* The scores of the normal images and of one class; how many. */
static int64_t gather(const us_scores *scores, const us_labels *labels,
                      const unsigned char *anomalous, int64_t kind, double *values,
                      unsigned char *positive) {
    int64_t count = 0;
    for (int64_t i = 0; i < scores->count; i++) {
        if (anomalous[i] && labels->values[i] != kind) continue;
        values[count] = scores->values[0][i];
        positive[count++] = anomalous[i];
    }
    return count;
}

/* metrics NULL: all scores of the kind and of the normal images are the same. */
static bool add_kind(cJSON *kinds, const char *name, int64_t images, const us_metrics *metrics) {
    cJSON *kind = cJSON_AddObjectToObject(kinds, name);
    if (!kind || !us_json_add_number(kind, "images", (double)images) ||
        !us_json_add_number(kind, "auc", metrics ? metrics->auc : NAN))
        return false;
    return !metrics || (cJSON_AddItemToObject(kind, "auc_ci95",
                                              cJSON_CreateDoubleArray(metrics->auc_ci95, 2)) &&
                        us_json_add_number(kind, "average_precision", metrics->average_precision));
}

unseen_status us_results_add_kinds(cJSON *results, const us_scores *scores, const us_labels *labels,
                                   const unsigned char *anomalous, unseen_error *error) {
    int64_t found[US_KINDS_MOST];
    const int count = find_kinds(labels, anomalous, found);
    if (count < 2) return UNSEEN_OK;
    double *values = malloc((size_t)scores->count * sizeof *values);
    unsigned char *positive = malloc((size_t)scores->count);
    cJSON *kinds = cJSON_AddObjectToObject(results, "kinds");
    bool added = values && positive && kinds;
    for (int k = 0; added && k < count; k++) {
        us_metrics metrics;
        char number[24];
        int64_t images = 0;
        const int64_t n = gather(scores, labels, anomalous, found[k], values, positive);
        for (int64_t i = 0; i < n; i++)
            images += positive[i];
        const bool told = us_metrics_compute(values, positive, n, &metrics, NULL) == UNSEEN_OK;
        added = add_kind(kinds, us_labels_class(labels, found[k], number), images,
                         told ? &metrics : NULL);
    }
    free(values);
    free(positive);
    return added ? UNSEEN_OK : us_fail_memory(error, "results");
}
