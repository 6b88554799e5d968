/* SPDX-License-Identifier: MIT */
#include "evaluation/metrics.h"

#include <stdio.h>

#include "base/json.h"

static bool add_warnings(const us_metrics *metrics, cJSON *object) {
    char text[256];
    if (metrics->auc < 0.5) {
        snprintf(text, sizeof text,
                 "AUC is %.4f, below one half: scores rank normal images above anomalous ones more "
                 "often than not; this model finds the anomalous images easier than the normal "
                 "ones",
                 metrics->auc);
        return us_json_append_string(object, "warnings", text);
    }
    if (metrics->auc_ci95[0] <= 0.5) {
        snprintf(text, sizeof text,
                 "AUC is %.4f with a 95%% interval from %.4f to %.4f, which holds one half: these "
                 "scores may be no better than chance",
                 metrics->auc, metrics->auc_ci95[0], metrics->auc_ci95[1]);
        return us_json_append_string(object, "warnings", text);
    }
    return true;
}

unseen_status us_metrics_to_json(const us_metrics *metrics, cJSON *object, unseen_error *error) {
    cJSON *rates = NULL;
    cJSON *ci95 = cJSON_CreateDoubleArray(metrics->auc_ci95, 2);
    bool added = cJSON_AddNumberToObject(object, "auc", metrics->auc) && ci95;
    if (ci95 && !cJSON_AddItemToObject(object, "auc_ci95", ci95)) {
        cJSON_Delete(ci95);
        added = false;
    }
    added =
        added && cJSON_AddNumberToObject(object, "average_precision", metrics->average_precision) &&
        cJSON_AddNumberToObject(object, "n", (double)metrics->n) &&
        cJSON_AddNumberToObject(object, "positives", (double)metrics->positives) &&
        (rates = cJSON_AddObjectToObject(object, "tpr_at_fpr")) &&
        cJSON_AddNumberToObject(rates, "0.01", metrics->tpr_at_fpr[0]) &&
        cJSON_AddNumberToObject(rates, "0.05", metrics->tpr_at_fpr[1]) &&
        cJSON_AddNumberToObject(rates, "0.1", metrics->tpr_at_fpr[2]) &&
        cJSON_AddNumberToObject(object, "best_f1", metrics->best_f1) &&
        cJSON_AddNumberToObject(object, "best_f1_threshold", metrics->best_f1_threshold) &&
        (cJSON_HasObjectItem(object, "warnings") || cJSON_AddArrayToObject(object, "warnings")) &&
        add_warnings(metrics, object);
    return added ? UNSEEN_OK : us_fail_memory(error, "the metrics");
}

unseen_status us_metrics_of_scores(const us_scores *scores, const unsigned char *anomalous,
                                   cJSON *object, unseen_error *error) {
    cJSON *columns = NULL;
    for (int column = 0; column < scores->columns; column++) {
        us_metrics metrics;
        unseen_status status =
            us_metrics_compute(scores->values[column], anomalous, scores->count, &metrics, error);
        if (status != UNSEEN_OK) {
            us_error_context(error, "score \"%s\"", scores->names[column]);
            return status;
        }
        if (column == 0) {
            US_TRY(us_metrics_to_json(&metrics, object, error));
            columns = cJSON_AddObjectToObject(object, "columns");
        }
        cJSON *one = columns ? cJSON_AddObjectToObject(columns, scores->names[column]) : NULL;
        if (!one) return us_fail_memory(error, "the metrics");
        US_TRY(us_metrics_to_json(&metrics, one, error));
    }
    return UNSEEN_OK;
}
