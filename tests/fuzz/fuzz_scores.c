/* SPDX-License-Identifier: MIT */
/* Tables of scores, as eval and report read them; what is read is written, and read as the same. */
#include <string.h>

#include "evaluation/metrics.h"
#include "evaluation/scores.h"
#include "fuzz.h"

static bool same(const us_scores *a, const us_scores *b) {
    if (a->count != b->count || a->columns != b->columns) return false;
    for (int c = 0; c < a->columns; c++)
        for (int64_t i = 0; i < a->count; i++)
            if (memcmp(&a->values[c][i], &b->values[c][i], sizeof(double)) != 0 &&
                a->values[c][i] == a->values[c][i])
                return false;
    return !a->anomalous == !b->anomalous &&
           (!a->anomalous || memcmp(a->anomalous, b->anomalous, (size_t)a->count) == 0);
}

static void evaluate(const us_scores *scores) {
    unseen_error error = {0};
    cJSON *results = cJSON_CreateObject();
    unseen_status status = us_metrics_of_scores(scores, scores->anomalous, results, &error);
    fuzz_check(status == UNSEEN_OK || error.message[0], "metrics that fail say why");
    cJSON_Delete(results);
}

void fuzz_one(const uint8_t *data, size_t size) {
    us_scores scores, again;
    unseen_error error = {0};
    const char *path = fuzz_file("scores.csv", data, size);
    if (!fuzz_accepted(us_scores_read(path, NULL, &scores, &error), &error, path)) return;
    fuzz_check(scores.count >= 1 && scores.columns >= 1, "the table is not empty");
    if (scores.anomalous) evaluate(&scores);
    const char *copy = fuzz_file("again.csv", "", 0);
    if (us_scores_write_all(&scores, scores.anomalous, copy, &error) == UNSEEN_OK) {
        fuzz_check(us_scores_read(copy, NULL, &again, &error) == UNSEEN_OK,
                   "what is written is read");
        fuzz_check(same(&scores, &again), "what is written is the same");
        us_scores_destroy(&again);
    }
    us_scores_destroy(&scores);
}
