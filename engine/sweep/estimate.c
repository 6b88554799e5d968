/* SPDX-License-Identifier: MIT */
#include "sweep/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "device/selection.h"
#include "jobs/speeds.h"
#include "sweep/groups.h"
#include "sweep/halving.h"
#include "training/dataset.h"

/* ---- how many images ---- */

enum { MOST_COUNTS = 64 };

typedef struct counts {
    us_digest_text data[MOST_COUNTS];
    double images[MOST_COUNTS];
    int count;
    char why[300]; /* the last one is not known; "" */
} counts;

static unseen_status count_images(const us_sweep *sweep, const us_entry *entry, counts *known,
                                  double *images, unseen_error *error) {
    unseen_config *config;
    unseen_error why = {0};
    US_TRY(us_sweep_config(sweep, entry, &config, error));
    if (us_dataset_count_training(config, images, &why) != UNSEEN_OK) {
        *images = NAN;
        snprintf(known->why, sizeof known->why, "%.*s", (int)sizeof known->why - 1, why.message);
    }
    unseen_config_free(config);
    return UNSEEN_OK;
}

/* The images of an epoch; most plans have the same for all runs. */
static unseen_status images_of(const us_sweep *sweep, const us_entry *entry, counts *known,
                               double *images, unseen_error *error) {
    int at = 0;
    while (at < known->count && strcmp(known->data[at].text, entry->data.text) != 0)
        at++;
    if (at == MOST_COUNTS) {
        *images = NAN;
        return UNSEEN_OK;
    }
    if (at == known->count) {
        US_TRY(count_images(sweep, entry, known, &known->images[at], error));
        known->data[at] = entry->data;
        known->count++;
    }
    *images = known->images[at] * (1 - entry->held_out);
    return UNSEEN_OK;
}

/* ---- how fast ---- */

/* Trainings that are known, by their operations; as many are one, of the mean time. */
typedef struct speeds {
    us_speed *items;
    size_t count;
} speeds;

static int by_flops(const void *a, const void *b) {
    const us_speed *one = a, *other = b;
    return (one->flops > other->flops) - (one->flops < other->flops);
}

static void merge(speeds *all) {
    size_t count = 0;
    qsort(all->items, all->count, sizeof *all->items, by_flops);
    for (size_t first = 0, end; first < all->count; first = end) {
        double seconds = 0;
        for (end = first; end < all->count && all->items[end].flops == all->items[first].flops;
             end++)
            seconds += 1 / all->items[end].rate;
        all->items[count++] = (us_speed){all->items[first].flops, (double)(end - first) / seconds};
    }
    all->count = count;
}

/* The one whose operations are nearest to that many, as a ratio; NULL: none is known. */
static const us_speed *nearest(const speeds *all, double flops) {
    size_t low = 0, high = all->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (all->items[middle].flops < flops)
            low = middle + 1;
        else
            high = middle;
    }
    const us_speed *above = low < all->count ? &all->items[low] : NULL;
    const us_speed *below = low ? &all->items[low - 1] : NULL;
    if (!above || !below) return above ? above : below;
    return above->flops / flops < flops / below->flops ? above : below;
}

/* Operations per second of a training of so many on an image: those of the nearest one. */
static double power_of(const speeds *all, double flops) {
    const us_speed *speed = nearest(all, flops);
    return speed ? speed->rate * speed->flops : NAN;
}

/* Those of runs that are done. */
static void take_done(const us_sweep *sweep, speeds *all) {
    for (size_t i = 0; i < sweep->count; i++) {
        const us_entry *entry = &sweep->entries[i];
        const double rate = us_groups_speed(entry);
        if (entry->status == US_ENTRY_DONE && isfinite(rate) && rate > 0 && entry->flops > 0)
            all->items[all->count++] = (us_speed){entry->flops, rate};
    }
    merge(all);
}

static bool is_left(const us_entry *entry) {
    return entry->status != US_ENTRY_DONE && entry->status != US_ENTRY_STOPPED;
}

static unseen_status measure(const us_sweep *sweep, const us_entry *entry, const char *device,
                             us_speed *speed, unseen_error *error) {
    const double seconds = 0.3;
    unseen_config *config;
    US_TRY(us_sweep_config(sweep, entry, &config, error));
    unseen_status status = us_speeds_measure(config, device, seconds, sweep->events, speed, error);
    unseen_config_free(config);
    return status;
}

/* Of one device: remembered, of a training that is not much larger or smaller, or measured. */
static unseen_status ask_device(const us_sweep *sweep, const us_candidate *device,
                                const us_entry *entry, speeds *all, const char **how,
                                unseen_error *error) {
    const double alike = 8;
    us_speeds remembered;
    all->items = calloc(US_SPEEDS_MOST + 1, sizeof *all->items);
    if (!all->items) return us_fail_memory(error, "an estimate");
    us_speeds_recall(&device->facts, &remembered);
    memcpy(all->items, remembered.speeds, (size_t)remembered.count * sizeof *all->items);
    all->count = (size_t)remembered.count;
    merge(all);
    const us_speed *best = nearest(all, entry->flops);
    *how = "remembered";
    if (best && fabs(log(best->flops / entry->flops)) < log(alike)) return UNSEEN_OK;
    *how = "measured";
    US_TRY(measure(sweep, entry, device->facts.index, &all->items[all->count], error));
    all->count++;
    merge(all);
    return UNSEEN_OK;
}

/* ---- devices ---- */

enum { MOST_DEVICES = 16 };

/* Those that the sweep would run on, as of us_workers_open. */
static int choose_devices(const char *selectors, us_selection *selection,
                          const us_candidate *devices[MOST_DEVICES]) {
    int count = 0;
    if (selectors && strcmp(selectors, "all") == 0) {
        for (int layered = 0; layered < 2 && !count; layered++)
            for (size_t i = 0; i < selection->count && count < MOST_DEVICES; i++)
                if (selection->candidates[i].usable && selection->candidates[i].layered == layered)
                    devices[count++] = &selection->candidates[i];
        return count;
    }
    char selector[256];
    for (const char *at = selectors ? selectors : "";; at++) {
        const size_t length = strcspn(at, ",");
        snprintf(selector, sizeof selector, "%.*s", (int)length, at);
        us_selection_pick(selection, length ? selector : NULL);
        if (selection->picked && count < MOST_DEVICES) devices[count++] = selection->picked;
        at += length;
        if (!*at) return count;
    }
}

/* ---- the sum ---- */

/* Of the epochs that a run has left, how many are to be expected: with halving it may be stopped
 * after each of those numbers of epochs that it has not been trained for yet. */
static double expected_epochs(const us_sweep *sweep, const us_entry *entry, int reached) {
    const us_halving *halving = &sweep->plan.halving;
    double sum = 0, share = 1;
    int from = reached;
    for (int i = 0; i < halving->count; i++) {
        const int to = halving->epochs[i];
        if (to > from) {
            sum += share * (to - from);
            from = to;
        }
        if (entry->target <= to) share *= halving->keep;
    }
    return sum + share * (entry->epochs > from ? entry->epochs - from : 0);
}

/* What is known of the speed: of runs that are done, or of each device. */
typedef struct knowledge {
    speeds devices[MOST_DEVICES];
    int lists; /* how many of them there are */
} knowledge;

static void forget(knowledge *k) {
    for (int i = 0; i < MOST_DEVICES; i++)
        free(k->devices[i].items);
}

static unseen_status estimate_run(us_sweep *sweep, us_entry *entry, counts *known,
                                  const knowledge *k, unseen_error *error) {
    us_estimate *estimate = sweep->estimate;
    double *seconds = &estimate->seconds[entry - sweep->entries], images, power = 0;
    int reached = 0;
    if (!is_left(entry)) return UNSEEN_OK;
    US_TRY(images_of(sweep, entry, known, &images, error));
    if (entry->started) US_TRY(us_halving_reached(entry, &reached, error));
    for (int i = 0; i < k->lists; i++)
        power += power_of(&k->devices[i], entry->flops) / k->lists;
    const double of_epoch = images * entry->flops / power;
    *seconds = of_epoch * (entry->epochs > reached ? entry->epochs - reached : 0);
    estimate->total += of_epoch * expected_epochs(sweep, entry, reached) / estimate->devices;
    return UNSEEN_OK;
}

/* Every device that the sweep would use is asked. */
static unseen_status ask_devices(us_sweep *sweep, const us_entry *entry, knowledge *k,
                                 unseen_error *error) {
    us_selection selection;
    const us_candidate *devices[MOST_DEVICES];
    const char *how = NULL;
    us_estimate *estimate = sweep->estimate;
    US_TRY(us_selection_make(NULL, &selection, error));
    const int count = choose_devices(sweep->options->device, &selection, devices);
    unseen_status status =
        count ? UNSEEN_OK : us_fail(error, UNSEEN_NO_DEVICE, "%s", selection.why);
    for (; status == UNSEEN_OK && k->lists < count; k->lists++)
        status = ask_device(sweep, devices[k->lists], entry, &k->devices[k->lists], &how, error);
    estimate->devices = count ? count : 1;
    if (status == UNSEEN_OK && count > 1)
        snprintf(estimate->basis, sizeof estimate->basis,
                 "by the speeds of %d devices, which are %s", count, how);
    else if (status == UNSEEN_OK)
        snprintf(estimate->basis, sizeof estimate->basis, "by the speed of %.250s, which is %s",
                 devices[0]->facts.name, how);
    us_selection_release(&selection);
    return status;
}

/* Runs that are done tell best. */
static unseen_status find_speeds(us_sweep *sweep, const us_entry *entry, knowledge *k,
                                 unseen_error *error) {
    us_estimate *estimate = sweep->estimate;
    speeds done = {.items = calloc(sweep->count, sizeof *done.items)};
    if (!done.items) return us_fail_memory(error, "an estimate");
    take_done(sweep, &done);
    if (!done.count) {
        free(done.items);
        return ask_devices(sweep, entry, k, error);
    }
    k->devices[k->lists++] = done;
    snprintf(estimate->basis, sizeof estimate->basis, "by the speed of the runs that are done");
    const char *device = sweep->options->device;
    for (const char *at = device; at && (at = strchr(at, ',')); at++)
        estimate->devices++;
    return UNSEEN_OK;
}

static unseen_status estimate_all(us_sweep *sweep, knowledge *k, unseen_error *error) {
    us_estimate *estimate = sweep->estimate;
    counts known = {0};
    unseen_error why = {0};
    size_t first = 0;
    while (first < sweep->count && !is_left(&sweep->entries[first]))
        first++;
    if (first == sweep->count) {
        snprintf(estimate->basis, sizeof estimate->basis, "no run is left");
        return UNSEEN_OK;
    }
    if (find_speeds(sweep, &sweep->entries[first], k, &why) != UNSEEN_OK) {
        if (why.status == UNSEEN_INTERRUPTED || sweep->stop)
            return us_fail(error, UNSEEN_INTERRUPTED, "interrupted");
        k->lists = 0;
        snprintf(estimate->basis, sizeof estimate->basis, "no speed can be measured: %.500s",
                 why.message);
    }
    for (size_t i = first; i < sweep->count; i++)
        US_TRY(estimate_run(sweep, &sweep->entries[i], &known, k, error));
    if (known.why[0])
        snprintf(estimate->basis, sizeof estimate->basis, "images cannot be counted: %s",
                 known.why);
    return UNSEEN_OK;
}

unseen_status us_estimate_make(us_sweep *sweep, unseen_error *error) {
    us_estimate *estimate = calloc(1, sizeof *estimate);
    if (estimate) estimate->seconds = calloc(sweep->count, sizeof *estimate->seconds);
    if (!estimate || !estimate->seconds) {
        free(estimate);
        return us_fail_memory(error, "an estimate");
    }
    estimate->devices = 1;
    sweep->estimate = estimate;
    knowledge k = {0};
    unseen_status status = estimate_all(sweep, &k, error);
    forget(&k);
    return status;
}

void us_estimate_release(us_estimate *estimate) {
    if (estimate) free(estimate->seconds);
    free(estimate);
}
