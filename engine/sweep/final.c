/* SPDX-License-Identifier: MIT */
#include "sweep/final.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* Classes of photographs are their labels. */
static const char *labels_of(const us_final *final) {
    return final->labels ? final->labels : final->test;
}

unseen_status us_final_check(const us_sweep *sweep, unseen_error *error) {
    const us_final *final = &sweep->plan.final;
    const char *const paths[] = {final->test, final->labels};
    for (int i = 0; i < 2; i++)
        if (paths[i] && access(paths[i], R_OK) != 0)
            return us_fail(error, UNSEEN_BAD_INPUT, "%s: /final: %s: %s", sweep->plan.path,
                           paths[i], strerror(errno));
    return UNSEEN_OK;
}

/* What is compared with an earlier result. */
static cJSON *describe(const us_final *final, const char *best) {
    cJSON *object = cJSON_CreateObject();
    if (us_json_add_string(object, "run", best) &&
        us_json_add_string(object, "test", final->test) &&
        us_json_add_string(object, "labels", labels_of(final)) &&
        us_json_add_string(object, "normal", final->normal))
        return object;
    cJSON_Delete(object);
    return NULL;
}

/* An earlier result of the same run and images. */
static bool recall(const char *path, const cJSON *wanted, cJSON **result) {
    us_json kept = {0};
    const cJSON *member;
    if (!us_file_exists(path) || us_json_load(path, &kept, NULL) != UNSEEN_OK) return false;
    bool same = true;
    cJSON_ArrayForEach(member, wanted) {
        same = same && cJSON_Compare(cJSON_GetObjectItemCaseSensitive(kept.value, member->string),
                                     member, true);
    }
    if (same)
        *result = kept.value;
    else
        cJSON_Delete(kept.value);
    return same;
}

static unseen_status score(const us_sweep *sweep, const char *best, const char *scores,
                           unseen_error *error) {
    const char *device = sweep->options->device;
    const bool several = device && (strchr(device, ',') || strcmp(device, "all") == 0);
    const unseen_score_options options = {.device = several ? NULL : device,
                                          .data = sweep->plan.final.test,
                                          .out = scores,
                                          .overwrite = true};
    char *json = NULL;
    unseen_status status = unseen_score(best, &options, sweep->events, &json, error);
    unseen_string_free(json);
    return status;
}

static unseen_status evaluate(const us_sweep *sweep, const char *scores, cJSON *result,
                              unseen_error *error) {
    static const char *const kept[] = {"auc", "auc_ci95", "n", "positives", "kinds"};
    const us_final *final = &sweep->plan.final;
    const unseen_evaluate_options options = {
        .scores = scores, .labels = labels_of(final), .normal = final->normal};
    char *json = NULL;
    US_TRY(unseen_evaluate(&options, &json, error));
    cJSON *all = cJSON_Parse(json);
    unseen_string_free(json);
    bool complete = all != NULL;
    for (size_t i = 0; complete && i < sizeof kept / sizeof *kept; i++) {
        cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(all, kept[i]);
        if (item) complete = cJSON_AddItemToObject(result, kept[i], item);
    }
    cJSON_Delete(all);
    return complete ? UNSEEN_OK : us_fail_memory(error, "results");
}

static unseen_status compute(const us_sweep *sweep, const char *best, const char *path,
                             cJSON *result, unseen_error *error) {
    char *scores = us_path_join(sweep->options->out, "final.csv");
    unseen_status status =
        scores ? score(sweep, best, scores, error) : us_fail_memory(error, "a path");
    if (status == UNSEEN_OK) status = evaluate(sweep, scores, result, error);
    char *text = status == UNSEEN_OK ? us_json_print(result) : NULL;
    if (status == UNSEEN_OK)
        status = text ? us_file_write(path, text, strlen(text), error)
                      : us_fail_memory(error, "results");
    free(text);
    free(scores);
    if (status != UNSEEN_OK) us_error_context(error, "%s: /final", sweep->plan.path);
    return status;
}

unseen_status us_final_settle(const us_sweep *sweep, const char *best, cJSON **result,
                              unseen_error *error) {
    *result = NULL;
    if (!sweep->plan.final.test || !best) return UNSEEN_OK;
    char *path = us_path_join(sweep->options->out, US_SWEEP_FINAL);
    cJSON *wanted = describe(&sweep->plan.final, best);
    unseen_status status = path && wanted ? UNSEEN_OK : us_fail_memory(error, "results");
    if (status == UNSEEN_OK && !recall(path, wanted, result) && !sweep->options->list_only) {
        status = compute(sweep, best, path, wanted, error);
        if (status == UNSEEN_OK) {
            *result = wanted;
            wanted = NULL;
        }
    }
    cJSON_Delete(wanted);
    free(path);
    return status;
}
