/* SPDX-License-Identifier: MIT */
#include "sweep/leaderboard.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "evaluation/report_sweep.h"
#include "sweep/agreement.h"
#include "sweep/estimate.h"
#include "sweep/groups.h"

static const char *const statuses[] = {"waiting", "running",     "done",   "diverged",
                                       "failed",  "interrupted", "stopped"};

unseen_status us_leaderboard_check(const unseen_sweep_options *options, unseen_error *error) {
    if (!options->by) return UNSEEN_OK;
    for (int i = 0; us_criteria[i]; i++)
        if (strcmp(us_criteria[i], options->by) == 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "runs are ranked by held_out_loss, by loss, by auc or by synthetic_auc, not by "
                   "\"%s\"",
                   options->by);
}

/* ---- ranking ---- */

/* Held-out and training losses do not compare, so all runs are ranked by the same one. */
static const char *criterion(const us_sweep *sweep) {
    const char *asked = us_sweep_criterion(sweep);
    if (asked) return asked;
    bool held_out = false, all = true, auc = sweep->plan.final.test != NULL, members = false;
    for (size_t i = 0; i < sweep->count; i++) {
        if (sweep->entries[i].status != US_ENTRY_DONE) continue;
        bool has = isfinite(us_entry_metric(&sweep->entries[i], "held_out_loss"));
        held_out = held_out || has;
        all = all && has;
        members = members || !sweep->entries[i].detector;
        auc = auc && isfinite(us_entry_metric(&sweep->entries[i], "auc"));
    }
    /* Labels may choose where others remain to judge by. */
    if (auc) return "auc";
    if (members) return "synthetic_auc"; /* several have no loss in common */
    return held_out && all ? "held_out_loss" : "loss";
}

typedef struct place {
    const us_entry *entry;
    int stage;    /* 0: trained to the end; else the later a run was stopped the smaller */
    double value; /* the smaller the better; NaN: unranked */
} place;

/* Entries are in the order of the plan, which decides between equal ones. */
static int compare(const void *a, const void *b) {
    const place *one = a, *other = b;
    bool first = !isnan(one->value), second = !isnan(other->value);
    if (first != second) return first ? -1 : 1;
    if (one->stage != other->stage) return one->stage < other->stage ? -1 : 1;
    if (first && one->value != other->value) return one->value < other->value ? -1 : 1;
    return one->entry < other->entry ? -1 : one->entry > other->entry;
}

/* NULL: no memory. */
static place *rank(const us_sweep *sweep, const char *by) {
    place *places = calloc(sweep->count, sizeof *places);
    double sign = us_groups_sign(by);
    for (size_t i = 0; places && i < sweep->count; i++) {
        const us_entry *entry = &sweep->entries[i];
        bool stopped = entry->status == US_ENTRY_STOPPED;
        places[i] = (place){.entry = entry, .value = sign * us_entry_metric(entry, by)};
        /* By AUC, those without one follow in the order of their losses. */
        if (stopped && isnan(places[i].value))
            places[i].value = us_entry_metric(entry, "held_out_loss");
        if (stopped && isnan(places[i].value)) places[i].value = us_entry_metric(entry, "loss");
        if (stopped) places[i].stage = INT_MAX - (int)us_entry_metric(entry, "epochs");
    }
    if (places) qsort(places, sweep->count, sizeof *places, compare);
    return places;
}

/* ---- JSON ---- */

static bool add(cJSON *object, const char *name, cJSON *item) {
    if (item && cJSON_AddItemToObject(object, name, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool add_metrics(cJSON *run, const us_entry *entry) {
    static const char *const names[] = {"held_out_loss", "loss",   "auc",
                                        "synthetic_auc", "epochs", "train_seconds"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!us_json_add_number(run, names[i], us_entry_metric(entry, names[i]))) return false;
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(entry->metrics, "auc_ci95");
    return add(run, "auc_ci95", interval ? cJSON_Duplicate(interval, true) : cJSON_CreateNull());
}

static bool add_fronts(cJSON *run, unsigned char fronts) {
    cJSON *list = cJSON_AddArrayToObject(run, "fronts");
    bool complete = list != NULL;
    if (fronts & US_FRONT_PARAMETERS)
        complete = complete && cJSON_AddItemToArray(list, cJSON_CreateString("parameters"));
    if (fronts & US_FRONT_SPEED)
        complete = complete && cJSON_AddItemToArray(list, cJSON_CreateString("images_per_second"));
    return complete;
}

/* seconds: of training that is left; NULL: no estimate was asked for. */
static cJSON *entry_json(const place *where, size_t rank_number, unsigned char fronts,
                         const double *seconds) {
    const us_entry *entry = where->entry;
    cJSON *run = cJSON_CreateObject();
    bool ranked = !isnan(where->value);
    bool complete = us_json_add_number(run, "rank", ranked ? (double)rank_number : NAN) &&
                    us_json_add_string(run, "out", entry->folder) &&
                    add(run, "overrides",
                        cJSON_CreateStringArray((const char *const *)entry->overrides->items,
                                                (int)entry->overrides->count)) &&
                    us_json_add_string(run, "status", statuses[entry->status]) &&
                    us_json_add_number(run, "parameters", entry->parameters) &&
                    us_json_add_number(run, "images_per_second", us_groups_speed(entry)) &&
                    add_metrics(run, entry) && add_fronts(run, fronts);
    if (complete && seconds) complete = us_json_add_number(run, "seconds_left", *seconds);
    if (complete && entry->message) complete = us_json_add_string(run, "message", entry->message);
    if (complete) return run;
    cJSON_Delete(run);
    return NULL;
}

static bool detectors_differ(const us_sweep *sweep) {
    for (size_t i = 1; i < sweep->count; i++)
        if (sweep->entries[i].detector != sweep->entries[0].detector) return true;
    return false;
}

static bool add_warnings(cJSON *object, const us_sweep *sweep, const char *by) {
    bool label_informed = strcmp(by, "auc") == 0;
    bool done = cJSON_AddArrayToObject(object, "warnings") &&
                cJSON_AddBoolToObject(object, "label_informed", label_informed);
    if (done && label_informed)
        done = us_json_append_string(
            object, "warnings",
            sweep->plan.final.test
                ? "the ranking is by AUC, so it is informed by labels: the best run's AUC there is "
                  "no estimate for new images, but that on the final images is"
                : "the ranking is by AUC, so it is informed by labels: the best run's AUC is "
                  "no estimate for new images, as these labels chose it");
    if (done && us_groups_sign(by) > 0 && detectors_differ(sweep))
        done = us_json_append_string(object, "warnings",
                                     "the runs have different detectors, whose losses are "
                                     "sums of different things: do not compare them (they can be "
                                     "ranked by synthetic_auc, which needs no labels)");
    return done;
}

static bool add_counts(cJSON *object, const us_sweep *sweep) {
    size_t done = 0, failed = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        us_entry_status status = sweep->entries[i].status;
        done += status == US_ENTRY_DONE;
        failed += status == US_ENTRY_DIVERGED || status == US_ENTRY_FAILED;
    }
    return cJSON_AddNumberToObject(object, "done", (double)done) &&
           cJSON_AddNumberToObject(object, "failed", (double)failed);
}

static bool add_runs(cJSON *object, const us_sweep *sweep, const char *by, const place *places) {
    cJSON *runs = cJSON_AddArrayToObject(object, "runs");
    unsigned char *fronts = calloc(sweep->count, sizeof *fronts);
    bool complete = runs && fronts && us_groups_fronts(sweep, by, fronts);
    for (size_t i = 0; complete && i < sweep->count; i++) {
        const size_t at = (size_t)(places[i].entry - sweep->entries);
        cJSON *run = entry_json(&places[i], i + 1, fronts[at],
                                sweep->estimate ? &sweep->estimate->seconds[at] : NULL);
        complete = run && cJSON_AddItemToArray(runs, run);
    }
    free(fronts);
    return complete;
}

static bool add_estimate(cJSON *object, const us_estimate *estimate) {
    if (!estimate) return true;
    cJSON *member = cJSON_AddObjectToObject(object, "estimate");
    return us_json_add_number(member, "seconds_left", estimate->total) &&
           cJSON_AddNumberToObject(member, "devices", estimate->devices) &&
           cJSON_AddStringToObject(member, "basis", estimate->basis);
}

static bool fill(cJSON *object, const us_sweep *sweep, const char *by, const place *places) {
    bool ranked = !isnan(places[0].value);
    const char *best = ranked ? places[0].entry->folder : NULL;
    bool complete = cJSON_AddStringToObject(object, "name", sweep->plan.name) &&
                    cJSON_AddStringToObject(object, "plan", sweep->plan.path) &&
                    cJSON_AddStringToObject(object, "out", sweep->options->out) &&
                    cJSON_AddStringToObject(object, "by", by) && add_counts(object, sweep) &&
                    add(object, "best", best ? cJSON_CreateString(best) : cJSON_CreateNull()) &&
                    add_warnings(object, sweep, by) && add_estimate(object, sweep->estimate) &&
                    add(object, "scales", cJSON_Duplicate(sweep->plan.scales, true));
    if (complete && sweep->plan.final.test)
        complete = add(object, "final",
                       sweep->final ? cJSON_Duplicate(sweep->final, true) : cJSON_CreateNull());
    return complete && us_agreement_add(object, sweep) && us_groups_add(object, sweep) &&
           add_runs(object, sweep, by, places);
}

const char *us_leaderboard_best(const us_sweep *sweep) {
    place *places = rank(sweep, criterion(sweep));
    const char *best = places && !isnan(places[0].value) ? places[0].entry->folder : NULL;
    free(places);
    return best;
}

unseen_status us_leaderboard_json(const us_sweep *sweep, cJSON **json, unseen_error *error) {
    const char *by = criterion(sweep);
    place *places = rank(sweep, by);
    *json = places ? cJSON_CreateObject() : NULL;
    bool complete = *json && fill(*json, sweep, by, places);
    free(places);
    if (complete) return UNSEEN_OK;
    cJSON_Delete(*json);
    *json = NULL;
    return us_fail_memory(error, "a leaderboard");
}

/* ---- CSV ---- */

/* A cell by RFC 4180. A sheet would take a leading '=', '+' or '@' for a formula, but no number,
 * name of ours or JSON begins so; the paths and strings of a config that do are the user's own. */
static void put_cell(FILE *out, const char *text) {
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* A null is an empty cell. */
static bool put_value(FILE *out, const cJSON *value) {
    fputc(',', out);
    if (!value || cJSON_IsNull(value)) return true;
    if (cJSON_IsString(value)) {
        put_cell(out, value->valuestring);
        return true;
    }
    char *text = us_json_print_line(value);
    if (!text) return false;
    put_cell(out, text);
    free(text);
    return true;
}

/* One override for every place that any run sets, in the order of the plan: the columns. */
static const char **list_places(const us_sweep *sweep, size_t *count) {
    const char **places = NULL;
    *count = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const us_overrides *overrides = sweep->entries[i].overrides;
        for (size_t j = 0; j < overrides->count; j++) {
            size_t k = 0;
            while (k < *count && !us_override_same_place(places[k], overrides->items[j]))
                k++;
            if (k < *count) continue;
            const char **more = reallocarray(places, *count + 1, sizeof *places);
            if (!more) {
                free(places);
                return NULL;
            }
            places = more;
            places[(*count)++] = overrides->items[j];
        }
    }
    return places ? places : calloc(1, sizeof *places);
}

/* The override of the place `where` that holds, the last one; empty where the run has none. */
static bool put_override(FILE *out, const cJSON *overrides, const char *where) {
    const cJSON *item;
    const char *found = NULL;
    cJSON_ArrayForEach(item, overrides) {
        if (us_override_same_place(item->valuestring, where)) found = item->valuestring;
    }
    fputc(',', out);
    if (!found) return true;
    char *value = us_override_value(found);
    if (!value) return false;
    put_cell(out, value);
    free(value);
    return true;
}

static bool put_run(FILE *out, const cJSON *run, const char **places, size_t count) {
    static const char *const names[] = {"out",        "status",        "held_out_loss",
                                        "loss",       "auc",           "epochs",
                                        "parameters", "train_seconds", "synthetic_auc"};
    const cJSON *rank_item = cJSON_GetObjectItemCaseSensitive(run, "rank");
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(run, "auc_ci95");
    if (cJSON_IsNumber(rank_item)) fprintf(out, "%.0f", rank_item->valuedouble);
    bool done = true;
    for (size_t i = 0; done && i < sizeof names / sizeof *names; i++) {
        done = put_value(out, cJSON_GetObjectItemCaseSensitive(run, names[i]));
        if (strcmp(names[i], "auc") == 0)
            done = done && put_value(out, cJSON_GetArrayItem(interval, 0)) &&
                   put_value(out, cJSON_GetArrayItem(interval, 1));
    }
    const cJSON *overrides = cJSON_GetObjectItemCaseSensitive(run, "overrides");
    for (size_t i = 0; done && i < count; i++)
        done = put_override(out, overrides, places[i]);
    fputc('\n', out);
    return done;
}

static bool put_header(FILE *out, const char **places, size_t count) {
    fputs("rank,out,status,held_out_loss,loss,auc,auc_low,auc_high,epochs,parameters,train_seconds,"
          "synthetic_auc",
          out);
    for (size_t i = 0; i < count; i++) {
        char *pointer = strndup(places[i], strcspn(places[i], "="));
        if (!pointer) return false;
        fputc(',', out);
        put_cell(out, pointer);
        free(pointer);
    }
    fputc('\n', out);
    return true;
}

static unseen_status write_csv(const us_sweep *sweep, const cJSON *json, const char *path,
                               unseen_error *error) {
    size_t count;
    us_file_writer writer;
    US_TRY(us_file_begin(path, &writer, error));
    const char **places = list_places(sweep, &count);
    bool done = places && put_header(writer.stream, places, count);
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(json, "runs")) {
        done = done && put_run(writer.stream, run, places, count);
    }
    free(places);
    if (done) return us_file_commit(&writer, error);
    us_file_abandon(&writer);
    return us_fail_memory(error, "a leaderboard");
}

static unseen_status print(const cJSON *json, char **text, unseen_error *error) {
    *text = us_json_print(json);
    return *text ? UNSEEN_OK : us_fail_memory(error, "a leaderboard");
}

unseen_status us_leaderboard_print(const us_sweep *sweep, char **text, unseen_error *error) {
    cJSON *json;
    US_TRY(us_leaderboard_json(sweep, &json, error));
    unseen_status status = print(json, text, error);
    cJSON_Delete(json);
    return status;
}

static unseen_status write_tables(const us_sweep *sweep, const cJSON *json, const char *text,
                                  unseen_error *error) {
    char *document = us_path_join(sweep->options->out, US_SWEEP_DOCUMENT);
    char *table = us_path_join(sweep->options->out, US_SWEEP_LEADERBOARD);
    unseen_status status =
        document && table ? UNSEEN_OK : us_fail_memory(error, "the path of a leaderboard");
    if (status == UNSEEN_OK) status = us_file_write(document, text, strlen(text), error);
    if (status == UNSEEN_OK) status = write_csv(sweep, json, table, error);
    free(document);
    free(table);
    return status;
}

/* For thousands of runs the document takes its time, so that it is made once. */
static unseen_status write_all(const us_sweep *sweep, bool draw, char **text, unseen_error *error) {
    cJSON *json;
    *text = NULL;
    US_TRY(us_leaderboard_json(sweep, &json, error));
    unseen_status status = print(json, text, error);
    if (status == UNSEEN_OK) status = write_tables(sweep, json, *text, error);
    if (status == UNSEEN_OK && draw) status = us_report_sweep(sweep->options->out, json, error);
    cJSON_Delete(json);
    if (status == UNSEEN_OK) return UNSEEN_OK;
    unseen_string_free(*text);
    *text = NULL;
    return status;
}

unseen_status us_leaderboard_write(const us_sweep *sweep, unseen_error *error) {
    char *text;
    unseen_status status = write_all(sweep, false, &text, error);
    unseen_string_free(text);
    return status;
}

unseen_status us_leaderboard_finish(const us_sweep *sweep, char **text, unseen_error *error) {
    return write_all(sweep, true, text, error);
}
