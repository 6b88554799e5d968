/* SPDX-License-Identifier: MIT */
#include "sweep/share.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/event.h"
#include "base/file.h"
#include "sweep/final.h"
#include "sweep/halving.h"
#include "sweep/leaderboard.h"

/* ---- waiting ---- */

/* Sleeps a while, and sees whether the caller asks to stop. */
static void pause_for(us_sweep *sweep, double seconds) {
    const struct timespec time = {.tv_sec = (time_t)seconds,
                                  .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int64_t done = 0;
    for (size_t i = 0; i < sweep->count; i++)
        done += sweep->entries[i].status == US_ENTRY_DONE;
    const unseen_event event = {.kind = UNSEEN_EVENT_PROGRESS,
                                .text = "waiting for other processes of the sweep",
                                .done = done,
                                .total = (int64_t)sweep->count,
                                .loss = NAN,
                                .held_out_loss = NAN,
                                .seconds_left = -1};
    if (us_event_send(sweep->events, &event)) sweep->stop = true;
    nanosleep(&time, NULL);
}

/* Others hold the folder for moments, while they write the leaderboard; patient: also as long as
 * one evaluates the best run. */
static unseen_status claim(us_sweep *sweep, bool patient, unseen_error *error) {
    enum { ATTEMPTS = 3000, LAST_ATTEMPTS = 250 /* once it is to stop */ };
    const double moment = 0.02;
    const unseen_sweep_options *options = sweep->options;
    for (int attempt = 0;; attempt++) {
        unseen_error why;
        unseen_status status =
            us_folder_claim(options->out, US_FOLDER_SWEEP, options->overwrite, &sweep->claim, &why);
        if (status == UNSEEN_OK) return UNSEEN_OK;
        const int most = sweep->stop ? LAST_ATTEMPTS : patient ? INT_MAX : ATTEMPTS;
        if (!sweep->claim.busy || attempt >= most) {
            if (error) *error = why;
            return status;
        }
        pause_for(sweep, moment);
    }
}

/* ---- what others have done ---- */

static bool is_over(const us_entry *entry) {
    return entry->status != US_ENTRY_WAITING && entry->status != US_ENTRY_RUNNING;
}

/* A run that was trained as far as others are still to be has its turn when these are. */
static bool has_turn(const us_entry *entry) {
    return entry->status == US_ENTRY_WAITING && entry->reached < entry->target;
}

static unseen_status refresh(us_sweep *sweep, unseen_error *error) {
    for (size_t i = 0; i < sweep->count; i++)
        if (!is_over(&sweep->entries[i]))
            US_TRY(us_sweep_look_into(sweep, &sweep->entries[i], error));
    return us_halving_decide(sweep, error);
}

static bool all_over(const us_sweep *sweep) {
    for (size_t i = 0; i < sweep->count; i++)
        if (!is_over(&sweep->entries[i])) return false;
    return true;
}

static unseen_status note_beginning(us_sweep *sweep, unseen_error *error) {
    struct stat about = {0};
    char *path = us_path_join(sweep->options->out, US_SWEEP_DOCUMENT);
    if (!path) return us_fail_memory(error, "a path");
    if (stat(path, &about) == 0) sweep->since = about.st_mtim;
    free(path);
    return UNSEEN_OK;
}

/* ---- one process's part ---- */

unseen_status us_share_begin(us_sweep *sweep, unseen_error *error) {
    US_TRY(claim(sweep, false, error));
    sweep->since.tv_sec = INT64_MAX; /* earlier failures do not count */
    unseen_status status = us_sweep_find_folders(sweep, error);
    if (status == UNSEEN_OK) status = us_halving_decide(sweep, error);
    /* A board to which nothing will be added is written at the end alone. */
    if (status == UNSEEN_OK && !all_over(sweep)) {
        status = us_leaderboard_write(sweep, error);
        if (status == UNSEEN_OK) status = note_beginning(sweep, error);
    }
    us_folder_release(&sweep->claim);
    return status;
}

unseen_status us_share_next(us_sweep *sweep, us_entry **entry, unseen_error *error) {
    const double while_others_work = 0.5;
    for (*entry = NULL; !sweep->stop;) {
        bool others = false;
        US_TRY(refresh(sweep, error));
        for (size_t i = 0; i < sweep->count; i++) {
            us_entry *candidate = &sweep->entries[i];
            if (candidate->status == US_ENTRY_RUNNING) others = true;
            if (!has_turn(candidate)) continue;
            *entry = candidate;
            return UNSEEN_OK;
        }
        if (!others) break;
        pause_for(sweep, while_others_work);
    }
    return UNSEEN_OK;
}

unseen_status us_share_publish(us_sweep *sweep, unseen_error *error) {
    US_TRY(claim(sweep, false, error));
    unseen_status status = refresh(sweep, error);
    if (status == UNSEEN_OK) status = us_leaderboard_write(sweep, error);
    us_folder_release(&sweep->claim);
    return status;
}

unseen_status us_share_end(us_sweep *sweep, unseen_error *error) {
    US_TRY(claim(sweep, true, error));
    unseen_status status = refresh(sweep, error);
    if (status == UNSEEN_OK)
        status = us_final_settle(sweep, us_leaderboard_best(sweep), &sweep->final, error);
    if (status == UNSEEN_OK) status = us_leaderboard_finish(sweep, &sweep->document, error);
    us_folder_release(&sweep->claim);
    return status;
}
