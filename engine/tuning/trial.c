/* SPDX-License-Identifier: MIT */
#include "tuning/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/random.h"

enum { SAMPLES = 48, LEAST_ROUNDS = 5, MOST_ROUNDS = 101, SEED = 22 };

/* ---- operands ---- */

/* Whether kernels work on an element. */
static bool is_occupied(const us_trial *trial, int operand, size_t index) {
    int batch = trial->operands[operand].batch;
    return !batch ||
           index % (size_t)batch < (size_t)us_device_occupied(&trial->device->facts, batch);
}

static void fill(const us_trial *trial, int operand, float *values) {
    size_t count = trial->operands[operand].floats;
    for (size_t i = 0; i < count; i += 4) {
        uint32_t words[4];
        us_random_words(SEED, US_STREAM_TEST, (uint32_t)operand, i, words);
        for (size_t j = 0; j < 4 && i + j < count; j++)
            values[i + j] =
                is_occupied(trial, operand, i + j) ? (float)(words[j] >> 8) / 8388608.0f - 1.0f : 0;
    }
}

static unseen_status create_operand(us_trial *trial, int i, unseen_error *error) {
    size_t floats = trial->operands[i].floats, bytes = floats * sizeof(float);
    if (!floats) return UNSEEN_OK;
    US_TRY(us_buffer_create(trial->device, bytes, "a trial", &trial->buffers[i], error));
    if (trial->operands[i].output) return UNSEEN_OK;
    trial->host[i] = malloc(bytes);
    if (!trial->host[i]) return us_fail_memory(error, "a trial");
    fill(trial, i, trial->host[i]);
    return us_buffer_write(trial->buffers[i], 0, trial->host[i], bytes, error);
}

/* ---- results ---- */

static double tolerance_of(const us_trial *trial) {
    const double of_floats = 1e-4;
    return trial->tunable->tolerance ? trial->tunable->tolerance(trial->problem) : of_floats;
}

static unseen_status read_output(us_trial *trial, int i, float **values, unseen_error *error) {
    size_t bytes = trial->operands[i].floats * sizeof(float);
    *values = malloc(bytes);
    if (!*values) return us_fail_memory(error, "a trial");
    unseen_status status = us_buffer_read(trial->buffers[i], 0, *values, bytes, error);
    if (status == UNSEEN_OK) return status;
    free(*values);
    *values = NULL;
    return status;
}

static unseen_status fail_value(int output, size_t index, double got, double expected,
                                unseen_error *error) {
    return us_fail(error, UNSEEN_SELFTEST_FAILED, "element %zu of operand %d is %g instead of %g",
                   index, output, got, expected);
}

/* The i-th place that is looked at: the first, the last, and others in between. */
static size_t sample(int i, size_t count) {
    uint32_t words[4];
    if (i == 0) return 0;
    if (i == 1) return count - 1;
    us_random_words(SEED, US_STREAM_TEST, US_TUNABLE_OPERANDS, (uint64_t)i, words);
    return ((uint64_t)words[0] << 32 | words[1]) % count;
}

/* Against the reference on the host, which is too slow to compute all of it. */
static unseen_status check_samples(const us_trial *trial, int output, const float *values,
                                   unseen_error *error) {
    double expected[SAMPLES], largest = 0;
    size_t count = trial->operands[output].floats;
    for (int i = 0; i < SAMPLES; i++) {
        size_t index = sample(i, count);
        expected[i] = 0;
        if (is_occupied(trial, output, index))
            expected[i] = trial->tunable->expected(
                trial->problem, (const float *const *)trial->host, output, index);
        largest = fmax(largest, fabs(expected[i]));
    }
    const double limit = tolerance_of(trial) * largest;
    for (int i = 0; i < SAMPLES; i++) {
        double got = (double)values[sample(i, count)];
        /* Written so that a NaN fails. */
        if (!(fabs(got - expected[i]) <= limit))
            return fail_value(output, sample(i, count), got, expected[i], error);
    }
    return UNSEEN_OK;
}

/* Against the default, all of it. */
static unseen_status check_all(const us_trial *trial, int output, const float *values,
                               unseen_error *error) {
    const float *expected = trial->standard[output];
    size_t count = trial->operands[output].floats;
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    const double limit = tolerance_of(trial) * largest;
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)values[i] - (double)expected[i]) <= limit))
            return fail_value(output, i, (double)values[i], (double)expected[i], error);
    return UNSEEN_OK;
}

/* NaN, so that what is not written is noticed. */
static unseen_status spoil_output(us_trial *trial, int i, unseen_error *error) {
    size_t floats = trial->operands[i].floats;
    float *values = malloc(floats * sizeof *values);
    if (!values) return us_fail_memory(error, "a trial");
    for (size_t j = 0; j < floats; j++)
        values[j] = is_occupied(trial, i, j) ? NAN : 0;
    unseen_status status =
        us_buffer_write(trial->buffers[i], 0, values, floats * sizeof *values, error);
    free(values);
    return status;
}

/* Runs the operation once and looks at what it wrote; the default's output is kept. */
static unseen_status check(us_trial *trial, void *operation, bool is_default, unseen_error *error) {
    for (int i = 0; i < US_TUNABLE_OPERANDS; i++)
        if (trial->operands[i].floats && trial->operands[i].output)
            US_TRY(spoil_output(trial, i, error));
    US_TRY(trial->tunable->run(operation, trial->buffers, error));
    US_TRY(us_device_finish(trial->device, error));
    for (int i = 0; i < US_TUNABLE_OPERANDS; i++) {
        float *values;
        if (!trial->operands[i].floats || !trial->operands[i].output) continue;
        US_TRY(read_output(trial, i, &values, error));
        unseen_status status = check_samples(trial, i, values, error);
        if (status == UNSEEN_OK && trial->standard[i]) status = check_all(trial, i, values, error);
        if (status == UNSEEN_OK && is_default)
            trial->standard[i] = values;
        else
            free(values);
        US_TRY(status);
    }
    return UNSEEN_OK;
}

/* ---- time ---- */

/* What a launch took: by the clock, and, on CPUs, of the processors. */
typedef struct taken {
    double wall, processor;
} taken;

/* Processor time of this process, spread over the device's compute units. */
static double processor_clock(const us_device_facts *device) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return ((double)now.tv_sec + 1e-9 * (double)now.tv_nsec) / device->compute_units;
}

static unseen_status launch(us_trial *trial, void *operation, taken *took, unseen_error *error) {
    double wall = us_clock(), processor = processor_clock(&trial->device->facts);
    US_TRY(trial->tunable->run(operation, trial->buffers, error));
    US_TRY(us_device_finish(trial->device, error));
    *took = (taken){us_clock() - wall, processor_clock(&trial->device->facts) - processor};
    return UNSEEN_OK;
}

typedef struct rounds {
    int count;
    taken own[MOST_ROUNDS], other[MOST_ROUNDS]; /* other: of the default, right before */
} rounds;

static double median_of(const taken *took, int count, bool processor) {
    double values[MOST_ROUNDS];
    for (int i = 0; i < count; i++)
        values[i] = processor ? took[i].processor : took[i].wall;
    return us_median(values, count);
}

/* *scatter: how far apart the ratios of neighbouring launches are. */
static us_trial_times by_clock(const rounds *r, bool with_default, double *scatter) {
    us_trial_times times = {NAN, median_of(r->own, r->count, false), NAN};
    double ratios[MOST_ROUNDS];
    *scatter = NAN;
    if (!with_default) return times;
    for (int i = 0; i < r->count; i++)
        ratios[i] = r->own[i].wall / r->other[i].wall;
    times.ratio = us_median(ratios, r->count);
    times.default_seconds = median_of(r->other, r->count, false);
    *scatter = (ratios[r->count * 3 / 4] - ratios[r->count / 4]) / times.ratio;
    return times;
}

static us_trial_times by_processor(const rounds *r, bool with_default) {
    us_trial_times times = {NAN, median_of(r->own, r->count, true), NAN};
    if (!with_default) return times;
    times.default_seconds = median_of(r->other, r->count, true);
    times.ratio = times.seconds / times.default_seconds;
    return times;
}

/* On a CPU that other programs keep busy, times by the clock say little, and those of its
 * processors are as exact as ever. But these do not tell of compute units that have nothing to do,
 * which by the clock is plain even then. */
static us_trial_times judge(const us_trial *trial, const rounds *r) {
    static const double quiet = 0.05, idle_units = 1.8;
    bool with_default = trial->default_operation != NULL;
    double scatter;
    us_trial_times wall = by_clock(r, with_default, &scatter);
    if (!trial->device->facts.is_cpu || scatter < quiet) return wall;
    us_trial_times processor = by_processor(r, with_default);
    return wall.ratio > idle_units * processor.ratio ? wall : processor;
}

/* After two launches, which by the clock of a busy CPU say nothing. */
static bool is_far_slower(const us_trial *trial, const rounds *r) {
    static const double far = 1.5;
    if (!trial->default_operation) return false;
    for (int i = 0; i < r->count; i++) {
        double ratio = trial->device->facts.is_cpu ? r->own[i].processor / r->other[i].processor
                                                   : r->own[i].wall / r->other[i].wall;
        if (!(ratio > far)) return false;
    }
    return true;
}

/* Each launch is beside one of the default, so that a machine that slows down slows both. */
static unseen_status measure(us_trial *trial, void *operation, double during, us_trial_times *times,
                             unseen_error *error) {
    rounds r = {0};
    double end = us_clock() + during;
    while (r.count < MOST_ROUNDS && (r.count < LEAST_ROUNDS || us_clock() < end)) {
        if (trial->default_operation)
            US_TRY(launch(trial, trial->default_operation, &r.other[r.count], error));
        US_TRY(launch(trial, operation, &r.own[r.count], error));
        r.count++;
        if (r.count == 2 && is_far_slower(trial, &r)) break;
    }
    *times = judge(trial, &r);
    return UNSEEN_OK;
}

/* ---- the trial ---- */

static unseen_status begin_default(us_trial *trial, unseen_error *error) {
    const us_choice choice =
        us_tunable_default(trial->tunable, &trial->device->facts, trial->problem);
    US_TRY(trial->tunable->create(trial->device, trial->problem, &choice, &trial->default_operation,
                                  error));
    return check(trial, trial->default_operation, true, error);
}

unseen_status us_trial_begin(us_device *device, const us_tunable *tunable, const void *problem,
                             bool with_default, us_trial *trial, unseen_error *error) {
    *trial = (us_trial){.device = device, .tunable = tunable, .problem = problem};
    tunable->operands(&device->facts, problem, trial->operands);
    unseen_status status = UNSEEN_OK;
    for (int i = 0; status == UNSEEN_OK && i < US_TUNABLE_OPERANDS; i++)
        status = create_operand(trial, i, error);
    if (status == UNSEEN_OK && with_default) status = begin_default(trial, error);
    if (status != UNSEEN_OK) us_trial_end(trial);
    return status;
}

void us_trial_end(us_trial *trial) {
    if (!trial->tunable) return;
    us_device_finish(trial->device, NULL);
    trial->tunable->destroy(trial->default_operation);
    for (int i = 0; i < US_TUNABLE_OPERANDS; i++) {
        free(trial->host[i]);
        free(trial->standard[i]);
        us_buffer_destroy(trial->buffers[i]);
    }
    *trial = (us_trial){0};
}

unseen_status us_trial_run(us_trial *trial, const us_choice *choice, double seconds,
                           us_trial_times *times, unseen_error *error) {
    void *operation = NULL;
    unseen_status status =
        trial->tunable->create(trial->device, trial->problem, choice, &operation, error);
    if (status == UNSEEN_OK) status = check(trial, operation, false, error);
    if (status == UNSEEN_OK) status = measure(trial, operation, seconds, times, error);
    us_device_finish(trial->device, NULL);
    trial->tunable->destroy(operation);
    return status;
}
