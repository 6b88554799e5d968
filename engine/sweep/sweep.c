/* SPDX-License-Identifier: MIT */
/* unseen_sweep: runs those runs of a plan that are not done. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/file.h"
#include "sweep/estimate.h"
#include "sweep/final.h"
#include "sweep/halving.h"
#include "sweep/leaderboard.h"
#include "sweep/share.h"
#include "sweep/workers.h"

/* ---- events ---- */

/* Passes events on and remembers that the caller asked to stop, as the run under way may be over
 * before it looks. */
static int pass_on(const unseen_event *event, void *user) {
    us_sweep *sweep = user;
    const us_entry *entry = sweep->current;
    if (event->kind == UNSEEN_EVENT_EPOCH && entry && event->epoch >= entry->target)
        sweep->paused = true;
    unseen_event passed = *event;
    /* What is not to be heard is still an occasion to stop. */
    if (sweep->runs_are_silent && event->kind == UNSEEN_EVENT_MESSAGE)
        passed = (unseen_event){.kind = UNSEEN_EVENT_PROGRESS,
                                .text = "sweep",
                                .loss = NAN,
                                .held_out_loss = NAN,
                                .seconds_left = -1};
    if (us_event_send(sweep->events, &passed)) sweep->stop = true;
    return sweep->stop || sweep->paused;
}

static const char *folder_name(const us_entry *entry) {
    const char *slash = strrchr(entry->folder, '/');
    return slash ? slash + 1 : entry->folder;
}

/* One line on how a run went. */
static void tell(const us_sweep *sweep, const us_entry *entry, const unseen_events *events) {
    size_t number = (size_t)(entry - sweep->entries) + 1;
    if (entry->status != US_ENTRY_DONE) {
        us_event_message(events, UNSEEN_EVENT_WARNING, "run %zu of %zu, %s: %s", number,
                         sweep->count, folder_name(entry), entry->message ? entry->message : "");
        return;
    }
    char held_out[48] = "", auc[48] = "";
    if (isfinite(us_entry_metric(entry, "held_out_loss")))
        snprintf(held_out, sizeof held_out, ", held out %.6g",
                 us_entry_metric(entry, "held_out_loss"));
    if (isfinite(us_entry_metric(entry, "auc")))
        snprintf(auc, sizeof auc, ", AUC %.5f", us_entry_metric(entry, "auc"));
    us_event_message(events, UNSEEN_EVENT_MESSAGE, "run %zu of %zu, %s: done, loss %.6g%s%s",
                     number, sweep->count, folder_name(entry), us_entry_metric(entry, "loss"),
                     held_out, auc);
}

/* ---- one run ---- */

static unseen_status train(us_sweep *sweep, us_entry *entry, const unseen_events *events,
                           unseen_error *error) {
    unseen_config *config;
    US_TRY(us_sweep_config(sweep, entry, &config, error));
    unseen_run_options options = {.device = sweep->options->device,
                                  .out = entry->folder,
                                  .resume = entry->resumed,
                                  /* One that only has its config begins anew. */
                                  .overwrite = !entry->resumed &&
                                               (entry->started || sweep->options->overwrite),
                                  .train_only = !config->data.test};
    char *json = NULL;
    unseen_status status = unseen_run(config, &options, events, &json, error);
    unseen_config_free(config);
    if (status == UNSEEN_OK && !us_entry_take_metrics(entry, cJSON_Parse(json)))
        status = us_fail_memory(error, "results");
    unseen_string_free(json);
    return status;
}

/* Whether another process was faster: it has taken the run, or finished it, between this one's look
 * at the folder and its attempt to take it. */
static bool was_taken(const us_sweep *sweep, us_entry *entry) {
    if (us_sweep_look_into(sweep, entry, NULL) != UNSEEN_OK) return false;
    return entry->status == US_ENTRY_RUNNING || entry->status == US_ENTRY_DONE;
}

static unseen_status note_failure(us_entry *entry, const unseen_error *failure,
                                  unseen_error *error) {
    free(entry->message);
    entry->failure = failure->status;
    entry->status = failure->status == UNSEEN_DIVERGED      ? US_ENTRY_DIVERGED
                    : failure->status == UNSEEN_INTERRUPTED ? US_ENTRY_INTERRUPTED
                                                            : US_ENTRY_FAILED;
    if (!(entry->message = strdup(failure->message))) return us_fail_memory(error, "a message");
    return entry->status == US_ENTRY_INTERRUPTED ? UNSEEN_OK : us_sweep_keep_failure(entry, error);
}

/* The run waits until the others are as far. */
static unseen_status end_stage(us_sweep *sweep, us_entry *entry, unseen_error *error) {
    us_event_message(sweep->events, UNSEEN_EVENT_MESSAGE,
                     "run %zu of %zu, %s: %d epochs are done, and it waits for the others",
                     (size_t)(entry - sweep->entries) + 1, sweep->count, folder_name(entry),
                     entry->target);
    sweep->current = NULL;
    return us_share_publish(sweep, error);
}

/* Runs one entry and writes down how it went. A run's own failure is not the sweep's. What would
 * stop every other run too ends the sweep. */
static unseen_status run_entry(us_sweep *sweep, us_entry *entry, unseen_error *error) {
    const unseen_events events = {pass_on, sweep};
    sweep->current = entry;
    sweep->paused = false;
    us_event_message(sweep->events, UNSEEN_EVENT_MESSAGE, "run %zu of %zu: %s",
                     (size_t)(entry - sweep->entries) + 1, sweep->count, entry->folder);
    unseen_error own = {0};
    unseen_status status = train(sweep, entry, &events, &own);
    if (status == UNSEEN_NO_DEVICE) {
        if (error) *error = own;
        return status;
    }
    if (status == UNSEEN_BAD_INPUT && was_taken(sweep, entry)) return UNSEEN_OK;
    if (status == UNSEEN_INTERRUPTED && sweep->paused && !sweep->stop)
        return end_stage(sweep, entry, error);
    entry->status = US_ENTRY_DONE;
    if (status != UNSEEN_OK) US_TRY(note_failure(entry, &own, error));
    US_TRY(us_share_publish(sweep, error));
    sweep->current = NULL;
    if (status != UNSEEN_INTERRUPTED) tell(sweep, entry, sweep->events);
    return UNSEEN_OK;
}

/* ---- the sweep ---- */

static void tell_beginning(const us_sweep *sweep) {
    size_t done = 0, started = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        done += sweep->entries[i].status == US_ENTRY_DONE;
        started += sweep->entries[i].started;
    }
    us_event_message(sweep->events, UNSEEN_EVENT_MESSAGE,
                     "%s: %zu runs in %s, %zu of them done, %zu more begun", sweep->plan.name,
                     sweep->count, sweep->options->out, done, started - done);
    if (sweep->strangers)
        us_event_message(
            sweep->events, UNSEEN_EVENT_MESSAGE,
            "%s holds %zu runs more, whose configs are not (or no longer) in the plan: "
            "they stay as they are, and the leaderboard leaves them out",
            sweep->options->out, sweep->strangers);
}

/* Every run has been tried, by this process or by another. */
static unseen_status sum_up(us_sweep *sweep, unseen_error *error) {
    size_t done = 0, failed = 0, left = 0;
    const us_entry *last = NULL;
    for (size_t i = 0; i < sweep->count; i++) {
        const us_entry *entry = &sweep->entries[i];
        done += entry->status == US_ENTRY_DONE;
        left += entry->status == US_ENTRY_WAITING || entry->status == US_ENTRY_RUNNING ||
                entry->status == US_ENTRY_INTERRUPTED;
        if (entry->status != US_ENTRY_DIVERGED && entry->status != US_ENTRY_FAILED) continue;
        failed++;
        last = entry;
    }
    if (sweep->stop && left)
        return us_fail(error, UNSEEN_INTERRUPTED,
                       "interrupted with %zu of %zu runs done; the same sweep into %s continues",
                       done, sweep->count, sweep->options->out);
    US_TRY(us_share_end(sweep, error));
    sweep->ended = true;
    if (!last) return UNSEEN_OK;
    return us_fail(error, last->failure, "%zu of %zu runs failed; the last of them: %s", failed,
                   sweep->count, last->message);
}

/* What one process does of the sweep. */
static unseen_status run_some(us_sweep *sweep, unseen_error *error) {
    for (us_entry *entry;;) {
        US_TRY(us_share_next(sweep, &entry, error));
        if (!entry) return UNSEEN_OK;
        US_TRY(run_entry(sweep, entry, error));
    }
}

static unseen_status sweep_all(us_sweep *sweep, unseen_error *error) {
    US_TRY(us_halving_check(sweep, error));
    US_TRY(us_final_check(sweep, error));
    if (sweep->options->list_only) {
        US_TRY(us_sweep_find_folders(sweep, error));
        US_TRY(us_halving_decide(sweep, error));
        US_TRY(us_final_settle(sweep, us_leaderboard_best(sweep), &sweep->final, error));
        return us_estimate_make(sweep, error);
    }
    US_TRY(us_json_check_name(sweep->options->out, error));
    US_TRY(us_share_begin(sweep, error));
    us_workers *workers;
    US_TRY(us_workers_open(sweep, &workers, error));
    tell_beginning(sweep);
    unseen_status status =
        workers ? us_workers_run(workers, sweep, run_some, error) : run_some(sweep, error);
    us_workers_close(workers);
    return status == UNSEEN_OK ? sum_up(sweep, error) : status;
}

unseen_status unseen_sweep(const char *plan, const unseen_sweep_options *options,
                           const unseen_events *events, char **json, unseen_error *error) {
    *json = NULL;
    if (!options->out) return us_fail(error, UNSEEN_BAD_INPUT, "no folder is given for the sweep");
    US_TRY(us_leaderboard_check(options, error));
    us_sweep sweep;
    unseen_status status = us_sweep_open(plan, options, events, &sweep, error);
    if (status == UNSEEN_OK) status = sweep_all(&sweep, error);
    if (sweep.ended) {
        *json = sweep.document;
        sweep.document = NULL;
    } else if (status == UNSEEN_OK) {
        status = us_leaderboard_print(&sweep, json, error);
    }
    us_sweep_close(&sweep);
    return status;
}
