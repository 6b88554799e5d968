/* unseen_evaluate: the one place where files of scores and files of labels meet. */
#include <stdlib.h>

#include "base/json.h"
#include "data/labels.h"
#include "evaluation/metrics.h"

static unseen_status evaluate(const us_scores *scores, const char *path,
                              const unsigned char *anomalous, char **json, unseen_error *error) {
    cJSON *object = cJSON_CreateObject();
    if (!object) return us_fail_memory(error, "the metrics");
    unseen_status status = us_metrics_of_scores(scores, anomalous, object, error);
    if (status != UNSEEN_OK)
        us_error_context(error, "%s", path);
    else if (!(*json = us_json_print(object)))
        status = us_fail_memory(error, "the metrics");
    cJSON_Delete(object);
    return status;
}

static unseen_status evaluate_by_file(const us_scores *scores, const char *path,
                                      const char *labels_path, const char *normal, char **json,
                                      unseen_error *error) {
    us_labels labels;
    unsigned char *anomalous = NULL;
    US_TRY(us_labels_open(labels_path, &labels, error));
    unseen_status status = us_labels_match(&labels, scores->count, path, error);
    if (status == UNSEEN_OK) status = us_labels_anomalous(&labels, normal, &anomalous, error);
    if (status == UNSEEN_OK) status = evaluate(scores, path, anomalous, json, error);
    free(anomalous);
    us_labels_close(&labels);
    return status;
}

unseen_status unseen_evaluate(const char *scores_path, const char *labels_path, const char *normal,
                              char **json, unseen_error *error) {
    *json = NULL;
    us_scores scores;
    unseen_status status;
    US_TRY(us_scores_read(scores_path, &scores, error));
    if (labels_path)
        status = evaluate_by_file(&scores, scores_path, labels_path, normal, json, error);
    else if (scores.anomalous)
        status = evaluate(&scores, scores_path, scores.anomalous, json, error);
    else
        status = us_fail(error, UNSEEN_BAD_INPUT,
                         "%s has no column \"anomalous\": give a file of labels", scores_path);
    us_scores_destroy(&scores);
    return status;
}
