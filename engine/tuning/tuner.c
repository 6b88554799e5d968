/* SPDX-License-Identifier: MIT */
#include "tuning/tuner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/thread.h"
#include "tuning/tuner_builders.h"
#include "tuning/tuner_starts.h"
#include "tuning/tuner_worker.h"
#include "tuning/tuning.h"

enum { CANDIDATES = 20, MOST_CANDIDATES = 128, CONFIRMATIONS = 3 };
static const double candidate_seconds = 10;
static const double start_seconds = 60; /* that a driver may take to open its device */
static const double begin_limits = 3;   /* of a candidate, for the default and operands */
/* Seconds of timing a candidate, at first and when it is confirmed. GPUs do nothing else meanwhile,
 * and run most kernels hundreds of times. */
typedef struct timing {
    double trial, confirmation;
} timing;
/* Seconds of a shape on a GPU, where the user sets no limit. Its compiler takes about one for each
 * candidate, so that to search until nothing better is found would take minutes. */
static const double gpu_shape_seconds = 2;
static const double better = 0.99; /* of the best so far, to be worth following */
static const double faster = 0.97; /* of the default, to win: more than noise */

typedef struct tuner {
    const us_tuner_options *options;
    us_device_facts device;
    us_tuning *tuning; /* the store of winners */
    us_tuner_shape *shapes;
    int count;
    us_worker worker;
    us_builders builders;
    const us_tuner_shape *begun; /* what the worker is prepared for */
    double started;              /* seconds of the clock, since when searches are counted */
    double seconds;              /* of all searches, about; 0: there is no limit */
    double units, total_units;   /* of progress: a candidate of those that a search may have */
    bool stopped;
    cJSON *results;
} tuner;

/* A candidate that was tried. */
typedef struct point {
    us_choice choice;
    bool failed, confirmed;
    double cost; /* compared with other points: the ratio to the default, or without one seconds */
    us_trial_times times;
} point;

typedef struct search {
    tuner *tuner;
    const us_tuner_shape *shape;
    bool with_default; /* until the default turns out not to work */
    bool hopeless;     /* not even operands can be made */
    double end;        /* seconds of the clock */
    int most, count, failed;
    point points[MOST_CANDIDATES];
} search;

/* ---- talking to the worker ---- */

static bool tell_progress(void *user) {
    tuner *t = user;
    double elapsed = us_clock() - t->started, left = -1;
    if (t->seconds > 0)
        left = fmax(t->seconds - elapsed, 0);
    else if (t->units > 0)
        left = elapsed / t->units * (t->total_units - t->units);
    const unseen_event event = {
        .kind = UNSEEN_EVENT_PROGRESS,
        .text = "tuning",
        .done = (int64_t)t->units,
        .total = (int64_t)t->total_units,
        .loss = NAN,
        .held_out_loss = NAN,
        .seconds_left = left,
    };
    t->stopped = us_event_send(t->options->events, &event) || t->stopped;
    return t->stopped;
}

static unseen_status interrupted(unseen_error *error) {
    return us_fail(error, UNSEEN_INTERRUPTED,
                   "interrupted while tuning; what is done is kept, and the same command goes on");
}

/* What a reply, or its absence, means; a worker that failed is ended: drivers differ in what works
 * after a failure. */
static unseen_status receive(tuner *t, us_worker_reply *reply, double seconds,
                             unseen_error *error) {
    char how[80];
    switch (us_worker_receive(&t->worker, reply, seconds, tell_progress, t)) {
    case US_ANSWER_GOT:
        if (reply->status == UNSEEN_OK) return UNSEEN_OK;
        us_worker_kill(&t->worker, how);
        return us_fail(error, reply->status, "%s", reply->message);
    case US_ANSWER_LATE:
        us_worker_kill(&t->worker, how);
        return us_fail(error, UNSEEN_FAILURE, "no result within %g seconds", seconds);
    case US_ANSWER_GONE:
        us_worker_kill(&t->worker, how);
        return us_fail(error, UNSEEN_FAILURE, "its process ended: %s", how);
    case US_ANSWER_STOPPED:
        break;
    }
    us_worker_kill(&t->worker, how);
    return interrupted(error);
}

static unseen_status start_worker(tuner *t, unseen_error *error) {
    if (t->worker.process) return UNSEEN_OK;
    us_worker_job job = {.selector = t->options->selector, .shapes = t->shapes};
    us_worker_reply reply;
    t->begun = NULL;
    US_TRY(us_worker_start(&job, &t->worker, error));
    unseen_status status = receive(t, &reply, start_seconds, error);
    if (status != UNSEEN_OK && !t->stopped)
        us_error_context(error, "opening the device of the search again");
    return status;
}

static double limit(const tuner *t) {
    return t->options->candidate_seconds > 0 ? t->options->candidate_seconds : candidate_seconds;
}

static unseen_status request_begin(tuner *t, const us_worker_request *what, unseen_error *error) {
    us_worker_reply reply;
    us_worker_send(&t->worker, what); /* a worker that is gone is noticed by its silence */
    return receive(t, &reply, begin_limits * limit(t), error);
}

/* Makes the worker ready for the shape. A default that fails is done without. Returns what ends the
 * whole tuning; otherwise the search may be hopeless. */
static unseen_status begin(search *s, unseen_error *error) {
    tuner *t = s->tuner;
    while (!s->hopeless) {
        US_TRY(start_worker(t, error));
        if (t->begun == s->shape) return UNSEEN_OK;
        us_worker_request what = {
            .shape = (int)(s->shape - t->shapes), .begin = true, .with_default = s->with_default};
        unseen_error why;
        if (request_begin(t, &what, &why) == UNSEEN_OK) {
            t->begun = s->shape;
            return UNSEEN_OK;
        }
        if (t->stopped) return interrupted(error);
        us_event_message(t->options->events, UNSEEN_EVENT_WARNING, "%s%s: %s",
                         s->shape->tunable->name,
                         s->with_default ? ", with its default parameters" : "", why.message);
        if (s->with_default && s->count == 0)
            s->with_default = false;
        else
            s->hopeless = true;
    }
    return UNSEEN_OK;
}

/* ---- candidates ---- */

static timing timing_of(const tuner *t) {
    return us_device_is_gpu(&t->device) ? (timing){0.05, 0.15} : (timing){0.1, 0.5};
}

static point *find(search *s, const us_choice *choice) {
    for (int i = 0; i < s->count; i++)
        if (memcmp(&s->points[i].choice, choice, sizeof *choice) == 0) return &s->points[i];
    return NULL;
}

/* Times a point, or says that it failed. Returns what ends the whole tuning. */
static unseen_status measure(search *s, point *p, double seconds, unseen_error *error) {
    tuner *t = s->tuner;
    US_TRY(begin(s, error));
    if (s->hopeless) {
        p->failed = true;
        return UNSEEN_OK;
    }
    us_worker_request what = {.seconds = seconds, .choice = p->choice};
    us_worker_send(&t->worker, &what);
    us_worker_reply reply = {0};
    unseen_error why;
    unseen_status status = receive(t, &reply, limit(t) + seconds, &why);
    if (t->stopped) return interrupted(error);
    p->failed = status != UNSEEN_OK;
    s->failed += p->failed;
    p->times = reply.times;
    p->cost = p->failed ? INFINITY : s->with_default ? reply.times.ratio : reply.times.seconds;
    return UNSEEN_OK;
}

/* The first point is tried in any case. */
static bool ended(const search *s) {
    return s->hopeless || (s->count > 0 && (s->count >= s->most || us_clock() > s->end));
}

static unseen_status add_point(search *s, const us_choice *choice, point **p, unseen_error *error) {
    *p = &s->points[s->count++];
    (*p)->choice = *choice;
    s->tuner->units++;
    return measure(s, *p, timing_of(s->tuner).trial, error);
}

static bool is_valid(const search *s, const us_choice *choice) {
    return us_choice_algorithm(s->shape->tunable, choice)
        ->valid(&s->tuner->device, s->shape->problem, choice->parameters);
}

/* Tries a point unless it was or cannot be; *reached is NULL where it is nothing to go by. */
static unseen_status visit(search *s, const us_choice *choice, const point **reached,
                           unseen_error *error) {
    point *p = find(s, choice);
    *reached = NULL;
    if (!p && !ended(s) && is_valid(s, choice)) US_TRY(add_point(s, choice, &p, error));
    if (p && !p->failed) *reached = p;
    return UNSEEN_OK;
}

/* ---- the search ---- */

static point *best_point(search *s) {
    point *best = NULL;
    for (int i = 0; i < s->count; i++)
        if (!s->points[i].failed && (!best || s->points[i].cost < best->cost)) best = &s->points[i];
    return best;
}

/* Walks along one parameter's choices, up or down, as long as that helps. */
static unseen_status walk(search *s, const point **at, const us_parameter *parameter, int direction,
                          unseen_error *error) {
    int choices[US_TUNABLE_CHOICES];
    us_choice choice = (*at)->choice;
    int count = us_choice_algorithm(s->shape->tunable, &choice)
                    ->choices(&s->tuner->device, s->shape->problem, choice.parameters,
                              parameter->offset, choices);
    int value = us_parameter_value(parameter, choice.parameters);
    for (int k = 0; k < count && !ended(s); k++) {
        int next = choices[direction > 0 ? k : count - 1 - k];
        if (direction > 0 ? next <= value : next >= value) continue;
        choice = (*at)->choice;
        *us_parameter_in(parameter, choice.parameters) = next;
        if (!is_valid(s, &choice)) continue;
        const point *reached;
        US_TRY(visit(s, &choice, &reached, error));
        if (!reached || !(reached->cost < better * (*at)->cost)) break;
        *at = reached;
    }
    return UNSEEN_OK;
}

/* Tries the default, and the points of every algorithm from which to search. */
static unseen_status begin_points(search *s, unseen_error *error) {
    const us_tunable *tunable = s->shape->tunable;
    const us_device_facts *device = &s->tuner->device;
    us_choice starts[US_TUNER_STARTS];
    const point *reached;
    point *first;
    US_TRY(begin(s, error));
    const us_choice usual = us_tunable_default(tunable, device, s->shape->problem);
    if (s->with_default) US_TRY(add_point(s, &usual, &first, error));
    const int count = us_tuner_starts(tunable, device, s->shape->problem, starts);
    for (int i = 0; i < count; i++)
        US_TRY(visit(s, &starts[i], &reached, error));
    return UNSEEN_OK;
}

/* From the best of these along one of its algorithm's parameters after the other until none helps.
 */
static unseen_status explore(search *s, unseen_error *error) {
    US_TRY(begin_points(s, error));
    const point *at = best_point(s);
    for (const point *before = NULL; at && at != before && !ended(s);) {
        before = at;
        const us_parameter *p = us_choice_algorithm(s->shape->tunable, &at->choice)->parameters;
        for (; p->name; p++) {
            const point *here = at;
            US_TRY(walk(s, &at, p, 1, error));
            if (at == here) US_TRY(walk(s, &at, p, -1, error));
        }
    }
    return UNSEEN_OK;
}

static bool is_default(const search *s, const point *p) {
    return s->with_default && p == &s->points[0];
}

/* The best point that was measured long enough, and beats the default by more than noise. */
static const point *winner(const search *s) {
    const point *best = NULL;
    for (int i = 0; i < s->count; i++) {
        const point *p = &s->points[i];
        if (p->failed || !p->confirmed || (s->with_default && !(p->cost < faster))) continue;
        if (!best || p->cost < best->cost) best = p;
    }
    if (!best && s->with_default && !s->points[0].failed) best = &s->points[0];
    return best;
}

/* Measures the best ones again and longer, as the best of many measurements is partly luck. */
static unseen_status decide(search *s, us_tuning_entry *entry, bool *found, unseen_error *error) {
    for (int i = 0; i < CONFIRMATIONS; i++) {
        point *best = best_point(s);
        if (!best || best->confirmed || is_default(s, best)) break;
        US_TRY(measure(s, best, timing_of(s->tuner).confirmation, error));
        best->confirmed = true;
    }
    const point *best = winner(s);
    *found = best != NULL;
    if (!best) return UNSEEN_OK;
    entry->choice = best->choice;
    entry->default_ms = best->times.default_seconds * 1e3;
    entry->best_ms = is_default(s, best) ? entry->default_ms : best->times.seconds * 1e3;
    return UNSEEN_OK;
}

/* ---- results ---- */

/* entry NULL: every candidate failed. */
static unseen_status add_result(tuner *t, const us_tuner_shape *shape, const us_tuning_entry *entry,
                                int candidates, int failed, unseen_error *error) {
    char label[US_TUNABLE_TEXT];
    shape->tunable->label(shape->problem, label);
    double default_ms = entry ? entry->default_ms : NAN, best_ms = entry ? entry->best_ms : NAN;
    cJSON *object = cJSON_CreateObject();
    bool complete = cJSON_AddStringToObject(object, "kernel", shape->tunable->name) &&
                    cJSON_AddStringToObject(object, "shape", label) &&
                    us_json_add_number(object, "default_ms", default_ms) &&
                    us_json_add_number(object, "best_ms", best_ms) &&
                    us_json_add_number(object, "speedup", default_ms / best_ms);
    if (entry)
        complete = complete && us_choice_print(shape->tunable, &entry->choice, object);
    else
        complete = complete && cJSON_AddNullToObject(object, "algorithm") &&
                   cJSON_AddNullToObject(object, "parameters");
    complete = complete && us_json_add_number(object, "candidates", candidates) &&
               us_json_add_number(object, "failed", failed);
    if (complete && cJSON_AddItemToArray(t->results, object)) return UNSEEN_OK;
    cJSON_Delete(object);
    return us_fail_memory(error, "results");
}

static void tell_result(tuner *t, const us_tuner_shape *shape, const us_tuning_entry *entry) {
    char label[US_TUNABLE_TEXT];
    shape->tunable->label(shape->problem, label);
    const unseen_events *events = t->options->events;
    if (!entry)
        us_event_message(events, UNSEEN_EVENT_WARNING, "%s %s: every candidate failed",
                         shape->tunable->name, label);
    else if (entry->best_ms < entry->default_ms)
        us_event_message(events, UNSEEN_EVENT_MESSAGE, "%s %s: %.3g ms, %.2f times as fast",
                         shape->tunable->name, label, entry->best_ms,
                         entry->default_ms / entry->best_ms);
    else
        us_event_message(events, UNSEEN_EVENT_MESSAGE, "%s %s: %.3g ms", shape->tunable->name,
                         label, entry->best_ms);
}

/* ---- all shapes ---- */

static int most_candidates(const tuner *t) {
    int most = t->options->candidates > 0 ? t->options->candidates : CANDIDATES;
    return most < MOST_CANDIDATES ? most : MOST_CANDIDATES;
}

static unseen_status tune_shape(tuner *t, const us_tuner_shape *shape, double seconds,
                                unseen_error *error) {
    search *s = calloc(1, sizeof *s);
    if (!s) return us_fail_memory(error, "a search");
    s->tuner = t;
    s->shape = shape;
    s->with_default = true;
    s->end = us_clock() + seconds;
    s->most = most_candidates(t);
    us_tuning_entry entry = {0};
    bool found = false;
    unseen_status status = explore(s, error);
    if (status == UNSEEN_OK) status = decide(s, &entry, &found, error);
    if (status == UNSEEN_OK && found)
        status = us_tuning_store(t->tuning, shape->tunable, shape->problem, &entry, error);
    if (status == UNSEEN_OK) {
        tell_result(t, shape, found ? &entry : NULL);
        status = add_result(t, shape, found ? &entry : NULL, s->count, s->failed, error);
    }
    free(s);
    return status;
}

/* Whether a shape is done already. */
static unseen_status is_done(const tuner *t, const us_tuner_shape *shape, us_tuning_entry *entry,
                             bool *done, unseen_error *error) {
    *done = false;
    if (t->options->force) return UNSEEN_OK;
    return us_tuning_find(t->tuning, shape->tunable, shape->problem, entry, done, error);
}

/* The first shape's programs are built as they are tried, those of the others meanwhile. */
static unseen_status start_builders(tuner *t, int left, unseen_error *error) {
    const int wanted = us_builders_wanted(&t->device, us_processor_count());
    if (left < 2 || wanted == 0) return UNSEEN_OK;
    us_tuner_shape *shapes = malloc((size_t)left * sizeof *shapes);
    us_tuning_entry entry;
    unseen_status status = shapes ? UNSEEN_OK : us_fail_memory(error, "shapes");
    for (int i = 0, count = 0; status == UNSEEN_OK && i < t->count; i++) {
        bool done;
        status = is_done(t, &t->shapes[i], &entry, &done, error);
        if (!done && count < left) shapes[count++] = t->shapes[i];
    }
    if (status == UNSEEN_OK)
        us_builders_start(t->options->selector, shapes + 1, left - 1, wanted, &t->builders);
    free(shapes);
    return status;
}

static unseen_status tune_all(tuner *t, unseen_error *error) {
    us_tuning_entry entry;
    bool done;
    int left = 0;
    for (int i = 0; i < t->count; i++) {
        US_TRY(is_done(t, &t->shapes[i], &entry, &done, error));
        left += !done;
    }
    US_TRY(start_builders(t, left, error));
    t->started = us_clock();
    t->seconds = t->options->seconds;
    if (!(t->seconds > 0) && us_device_is_gpu(&t->device)) t->seconds = gpu_shape_seconds * left;
    t->units = 0;
    t->total_units = (double)left * most_candidates(t);
    for (int i = 0; i < t->count; i++) {
        US_TRY(is_done(t, &t->shapes[i], &entry, &done, error));
        if (done) {
            US_TRY(add_result(t, &t->shapes[i], &entry, 0, 0, error));
            continue;
        }
        double spent = us_clock() - t->started, seconds = INFINITY;
        if (t->seconds > 0) seconds = fmax(t->seconds - spent, 0) / left;
        US_TRY(tune_shape(t, &t->shapes[i], seconds, error));
        left--;
        t->units = t->total_units - (double)left * most_candidates(t);
    }
    return UNSEEN_OK;
}

/* ---- what is to be tuned ---- */

static unseen_status add_shape(tuner *t, const us_worker_reply *reply, unseen_error *error) {
    us_tuner_shape *more = reallocarray(t->shapes, (size_t)t->count + 1, sizeof *more);
    if (!more) return us_fail_memory(error, "shapes");
    t->shapes = more;
    void *problem = malloc(reply->tunable->problem_size);
    if (!problem) return us_fail_memory(error, "shapes");
    memcpy(problem, reply->problem, reply->tunable->problem_size);
    t->shapes[t->count++] = (us_tuner_shape){reply->tunable, problem};
    return UNSEEN_OK;
}

static unseen_status collect(tuner *t, unseen_error *error) {
    us_worker_job job = {
        .selector = t->options->selector, .collect = t->options->collect, .user = t->options->user};
    us_worker_reply reply;
    t->started = us_clock();
    US_TRY(us_worker_start(&job, &t->worker, error));
    unseen_status status = receive(t, &reply, INFINITY, error);
    if (status == UNSEEN_FAILURE) us_error_context(error, "looking for what there is to tune");
    US_TRY(status);
    t->device = reply.facts;
    US_TRY(us_tuning_open(&t->device, &t->tuning, error));
    US_TRY(us_tuning_prepare(t->tuning, error));
    for (;;) {
        US_TRY(receive(t, &reply, INFINITY, error));
        if (!reply.tunable) break;
        US_TRY(add_shape(t, &reply, error));
    }
    us_worker_dismiss(&t->worker);
    return UNSEEN_OK;
}

static unseen_status describe(tuner *t, double seconds, cJSON **result, unseen_error *error) {
    cJSON *object = cJSON_CreateObject();
    bool complete = cJSON_AddStringToObject(object, "device", t->device.name) &&
                    cJSON_AddStringToObject(object, "file", t->tuning->path) &&
                    us_json_add_number(object, "seconds", seconds) &&
                    cJSON_AddItemToObject(object, "shapes", t->results);
    if (complete) {
        t->results = NULL;
        *result = object;
        return UNSEEN_OK;
    }
    cJSON_Delete(object);
    return us_fail_memory(error, "results");
}

unseen_status us_tuner_run(const us_tuner_options *options, cJSON **result, unseen_error *error) {
    *result = NULL;
    double started = us_clock();
    tuner t = {.options = options, .results = cJSON_CreateArray()};
    unseen_status status = t.results ? UNSEEN_OK : us_fail_memory(error, "results");
    if (status == UNSEEN_OK) status = collect(&t, error);
    if (status == UNSEEN_OK) status = tune_all(&t, error);
    us_worker_dismiss(&t.worker);
    us_builders_end(&t.builders);
    if (status == UNSEEN_OK) status = describe(&t, us_clock() - started, result, error);
    us_tuning_close(&t.tuning);
    for (int i = 0; i < t.count; i++)
        free(t.shapes[i].problem);
    free(t.shapes);
    cJSON_Delete(t.results);
    return status;
}
