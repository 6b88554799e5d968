/* SPDX-License-Identifier: MIT */
#include "sweep/halving.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- what a log says ---- */

/* Of one epoch, or of the last one before it where training ended earlier. */
typedef struct standing {
    int epoch; /* 0: none is finished */
    double loss, held_out_loss, synthetic_auc;
} standing;

static const standing nowhere = {.loss = NAN, .held_out_loss = NAN, .synthetic_auc = NAN};

static double number(const cJSON *record, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(record, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* A restart begins anew: what counts is the last record of an epoch. */
static void take_record(const cJSON *record, int most, standing *at, int *reached) {
    const double epoch = number(record, "epoch");
    if (cJSON_HasObjectItem(record, "restart")) {
        *at = nowhere;
        *reached = 0;
    }
    if (!(epoch >= 1 && epoch < INT_MAX)) return;
    *reached = (int)epoch;
    if (epoch > most) return;
    *at = (standing){(int)epoch, number(record, "loss"), number(record, "held_out_loss"),
                     number(record, "synthetic_auc")};
}

/* reached: the last epoch of all. A run without a log has reached none. */
static unseen_status read_log(const us_entry *entry, int most, standing *at, int *reached,
                              unseen_error *error) {
    char *path = us_path_join(entry->folder, US_RUN_LOG), *text = NULL;
    size_t size = 0;
    *at = nowhere;
    *reached = 0;
    if (!path) return us_fail_memory(error, "a path");
    if (us_file_exists(path) &&
        us_file_read(path, US_RUN_LOG_LIMIT, &text, &size, NULL) == UNSEEN_OK)
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
            cJSON *record = cJSON_ParseWithLength(line, (size_t)(end - line));
            take_record(record, most, at, reached);
            cJSON_Delete(record);
        }
    free(text);
    free(path);
    return UNSEEN_OK;
}

unseen_status us_halving_reached(const us_entry *entry, int *epochs, unseen_error *error) {
    standing at;
    return read_log(entry, 0, &at, epochs, error);
}

/* ---- who goes on ---- */

static bool by_synthetic(const us_sweep *sweep) {
    const char *by = us_sweep_criterion(sweep);
    return by && strcmp(by, "synthetic_auc") == 0;
}

typedef struct candidate {
    us_entry *entry;
    standing at;
} candidate;

static bool has_failed(const us_entry *entry) {
    return entry->status == US_ENTRY_DIVERGED || entry->status == US_ENTRY_FAILED;
}

/* Held-out and training losses do not compare, so that all are ranked by the same. */
static bool all_have_held_out(const candidate *candidates, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (isnan(candidates[i].at.held_out_loss)) return false;
    return true;
}

/* Those without a loss, which failed, are last; the plan's order decides between equal ones. */
static int by_loss(const void *a, const void *b) {
    const candidate *one = a, *other = b;
    const bool first = !isnan(one->at.loss), second = !isnan(other->at.loss);
    if (first != second) return first ? -1 : 1;
    if (first && one->at.loss != other->at.loss) return one->at.loss < other->at.loss ? -1 : 1;
    return one->entry < other->entry ? -1 : one->entry > other->entry;
}

static void stop(us_entry *entry, const standing *at) {
    cJSON *metrics = cJSON_CreateObject();
    cJSON_AddNumberToObject(metrics, "epochs", at->epoch);
    us_json_add_number(metrics, "loss", at->loss);
    us_json_add_number(metrics, "held_out_loss", at->held_out_loss);
    us_json_add_number(metrics, "synthetic_auc", at->synthetic_auc);
    us_entry_take_metrics(entry, metrics);
    entry->status = US_ENTRY_STOPPED;
}

/* Reads where the candidates are after `epochs`; *all: every one has got there. Those that have not
 * are to be trained until then. */
static unseen_status gather(candidate *candidates, size_t count, int epochs, bool *all,
                            unseen_error *error) {
    *all = true;
    for (size_t i = 0; i < count; i++) {
        us_entry *entry = candidates[i].entry;
        US_TRY(read_log(entry, epochs, &candidates[i].at, &entry->reached, error));
        entry->target = epochs;
        const bool over = entry->status == US_ENTRY_DONE || has_failed(entry);
        if (!over && (entry->reached < epochs || entry->status == US_ENTRY_RUNNING)) *all = false;
        if (has_failed(entry)) candidates[i].at = nowhere;
    }
    return UNSEEN_OK;
}

/* Leaves the best of the candidates, at least one, and stops the others. */
static size_t select_best(candidate *candidates, size_t count, double keep, bool synthetic) {
    size_t left = (size_t)ceil(keep * (double)count - 1e-9);
    size_t failed = 0;
    for (size_t i = 0; i < count; i++)
        failed += has_failed(candidates[i].entry);
    /* Failed ones have no losses, and are none that held-out losses are missing of. */
    for (size_t i = 0; synthetic && i < count; i++)
        candidates[i].at.loss = -candidates[i].at.synthetic_auc;
    qsort(candidates, count, sizeof *candidates, by_loss);
    if (!synthetic && all_have_held_out(candidates, count - failed)) {
        for (size_t i = 0; i < count; i++)
            candidates[i].at.loss = candidates[i].at.held_out_loss;
        qsort(candidates, count, sizeof *candidates, by_loss);
    }
    if (left > count - failed) left = count - failed;
    return left;
}

static unseen_status decide(us_sweep *sweep, candidate *candidates, unseen_error *error) {
    const us_halving *halving = &sweep->plan.halving;
    const bool synthetic = by_synthetic(sweep);
    size_t count = sweep->count;
    for (int rung = 0; rung < halving->count; rung++) {
        bool all;
        US_TRY(gather(candidates, count, halving->epochs[rung], &all, error));
        if (!all) return UNSEEN_OK;
        const size_t left = select_best(candidates, count, halving->keep, synthetic);
        for (size_t i = left; i < count; i++)
            if (!has_failed(candidates[i].entry) && candidates[i].entry->status != US_ENTRY_DONE) {
                int reached;
                standing at;
                US_TRY(read_log(candidates[i].entry, halving->epochs[rung], &at, &reached, error));
                stop(candidates[i].entry, &at);
            }
        count = left;
    }
    for (size_t i = 0; i < count; i++)
        candidates[i].entry->target = INT_MAX;
    return UNSEEN_OK;
}

unseen_status us_halving_decide(us_sweep *sweep, unseen_error *error) {
    candidate *candidates = calloc(sweep->count, sizeof *candidates);
    if (!candidates) return us_fail_memory(error, "a sweep");
    for (size_t i = 0; i < sweep->count; i++) {
        candidates[i].entry = &sweep->entries[i];
        sweep->entries[i].target = INT_MAX;
    }
    unseen_status status = sweep->plan.halving.count ? decide(sweep, candidates, error) : UNSEEN_OK;
    free(candidates);
    return status;
}

/* Runs that are compared by their synthetic AUC measure it when they are compared. */
static unseen_status check_measured(const us_sweep *sweep, size_t run, unseen_error *error) {
    const us_halving *halving = &sweep->plan.halving;
    const int every = sweep->entries[run].synthetic_epochs;
    for (int r = 0; by_synthetic(sweep) && r < halving->count; r++)
        if (every < 1 || halving->epochs[r] % every != 0)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: /halving: runs are compared by synthetic_auc after %d epochs, but "
                           "run %zu does not measure it then: set /training/synthetic_epochs, of "
                           "which these epochs are a multiple",
                           sweep->plan.path, halving->epochs[r], run + 1);
    return UNSEEN_OK;
}

unseen_status us_halving_check(const us_sweep *sweep, unseen_error *error) {
    const us_halving *halving = &sweep->plan.halving;
    if (!halving->count) return UNSEEN_OK;
    const int last = halving->epochs[halving->count - 1];
    for (size_t i = 0; i < sweep->count; i++) {
        if (!sweep->entries[i].detector)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: /halving: run %zu has members, which are trained one after the "
                           "other: there are no epochs of the whole to compare it after",
                           sweep->plan.path, i + 1);
        US_TRY(check_measured(sweep, i, error));
        if (sweep->entries[i].epochs <= last)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: /halving/epochs: run %zu has %d epochs in all, and must have more "
                           "than the %d after which runs are compared",
                           sweep->plan.path, i + 1, sweep->entries[i].epochs, last);
    }
    return UNSEEN_OK;
}
