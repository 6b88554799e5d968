/* SPDX-License-Identifier: MIT */
#include "selftest/selftest.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/random.h"

enum { SEED = 20, GROUP_STREAMS = 1 << 16 /* of random numbers, for each group */ };

unseen_status us_test_values_create(us_selftest *test, size_t rows, int n, int batch,
                                    us_test_values *values, unseen_error *error) {
    *values = (us_test_values){.rows = rows, .n = n, .batch = batch};
    values->host = calloc(rows * (size_t)n, sizeof *values->host);
    if (!values->host) return us_fail_memory(error, "the self-test");
    return us_buffer_create(test->device, rows * (size_t)batch * sizeof(float), "the self-test",
                            &values->device, error);
}

void us_test_values_destroy(us_test_values *values) {
    free(values->host);
    us_buffer_destroy(values->device);
    *values = (us_test_values){0};
}

void us_test_values_random(us_selftest *test, us_test_values *values, double scale, double shift) {
    const uint32_t stream = test->streams++;
    for (size_t i = 0; i < values->rows * (size_t)values->n; i++)
        values->host[i] =
            (double)(float)(scale * (double)us_random_normal(SEED, US_STREAM_TEST, stream, i) +
                            shift);
}

unseen_status us_test_values_upload(us_test_values *values, float padding, unseen_error *error) {
    const size_t batch = (size_t)values->batch, n = (size_t)values->n;
    values->padding = padding;
    float *floats = malloc(values->rows * batch * sizeof *floats);
    if (!floats) return us_fail_memory(error, "the self-test");
    for (size_t r = 0; r < values->rows; r++)
        for (size_t j = 0; j < batch; j++)
            floats[r * batch + j] = j < n ? (float)values->host[r * n + j] : padding;
    unseen_status status =
        us_buffer_write(values->device, 0, floats, values->rows * batch * sizeof *floats, error);
    free(floats);
    return status;
}

static unseen_status add_result(us_selftest *test, const char *operator_name, const char *what,
                                us_shape shape, int n, double wrong, double limit,
                                unseen_error *error) {
    if (!isfinite(wrong)) wrong = DBL_MAX;
    const bool passed = wrong <= limit;
    test->cases++;
    test->failed += !passed;
    if (wrong > test->worst) test->worst = wrong;
    char text[96];
    snprintf(text, sizeof text, "%d x %d x %d, batch %d", shape.channels, shape.height, shape.width,
             n);
    cJSON *result = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(result, "operator", operator_name) &&
                 cJSON_AddStringToObject(result, "what", what) &&
                 cJSON_AddStringToObject(result, "shape", text) &&
                 cJSON_AddNumberToObject(result, "error", wrong) &&
                 cJSON_AddNumberToObject(result, "limit", limit) &&
                 cJSON_AddBoolToObject(result, "passed", passed);
    if (whole && cJSON_AddItemToArray(test->results, result)) return UNSEEN_OK;
    cJSON_Delete(result);
    return us_fail_memory(error, "the self-test's results");
}

unseen_status us_test_values_compare(us_selftest *test, const us_test_values *values,
                                     const char *operator_name, const char *what, us_shape shape,
                                     double limit, double floor, bool zero_padding,
                                     unseen_error *error) {
    const size_t batch = (size_t)values->batch, n = (size_t)values->n;
    const size_t occupied = (size_t)us_device_occupied(&test->device->facts, values->batch);
    const size_t bytes = values->rows * batch * sizeof(float);
    float *floats = malloc(bytes);
    if (!floats) return us_fail_memory(error, "the self-test");
    unseen_status status = us_buffer_read(values->device, 0, floats, bytes, error);
    double largest = floor, difference = 0;
    for (size_t r = 0; status == UNSEEN_OK && r < values->rows; r++)
        for (size_t j = 0; j < batch; j++) {
            const double got = (double)floats[r * batch + j];
            if (j >= n) {
                bool may_stay = j >= occupied && got == (double)values->padding;
                if (zero_padding && got != 0 && !may_stay) difference = INFINITY;
                continue;
            }
            const double expected = values->host[r * n + j];
            largest = fmax(largest, fabs(expected));
            /* Written so that a NaN counts. */
            if (!(fabs(got - expected) <= difference))
                difference = isnan(got) ? INFINITY : fabs(got - expected);
        }
    free(floats);
    if (status != UNSEEN_OK) return status;
    return add_result(test, operator_name, what, shape, values->n,
                      difference > 0 ? difference / largest : 0, limit, error);
}

/* Tells of progress before a case; sets test->stop when the caller asks to stop. */
static void send_progress(us_selftest *test) {
    const unseen_event event = {
        .kind = UNSEEN_EVENT_PROGRESS,
        .text = "self-test",
        .done = test->done++,
        .total = test->total,
        .loss = NAN,
        .held_out_loss = NAN,
        .seconds_left = -1,
    };
    test->stop = us_event_send(test->events, &event) || test->stop;
}

/* A row for each group of cases, in the order in which they run. The name is that of the part. */
#define GROUP_ROWS(ROW)                                                                            \
    ROW(layers)                                                                                    \
    ROW(precisions)                                                                                \
    ROW(normalized)                                                                                \
    ROW(compared)                                                                                  \
    ROW(residual)                                                                                  \
    ROW(losses)                                                                                    \
    ROW(spreads)                                                                                   \
    ROW(optimizers)                                                                                \
    ROW(bounded_steps)                                                                             \
    ROW(images)                                                                                    \
    ROW(pixel_scores)                                                                              \
    ROW(pixel_gradients)                                                                           \
    ROW(score_slopes)                                                                              \
    ROW(anomaly_maps)                                                                              \
    ROW(anomaly_grids)                                                                             \
    ROW(random_codes)                                                                              \
    ROW(gaussian_codes)                                                                            \
    ROW(hyperspheres)                                                                              \
    ROW(densities)                                                                                 \
    ROW(density_tops)                                                                              \
    ROW(patches)                                                                                   \
    ROW(corruptions)                                                                               \
    ROW(matches)                                                                                   \
    ROW(augmentations)                                                                             \
    ROW(contrastive_losses)                                                                        \
    ROW(contrastive_scores)                                                                        \
    ROW(turned_views)                                                                              \
    ROW(transformations)                                                                           \
    ROW(entropies)                                                                                 \
    ROW(lanes)                                                                                     \
    ROW(defects)                                                                                   \
    ROW(position_losses)                                                                           \
    ROW(position_scores)                                                                           \
    ROW(usual)

#define DECLARATION(name) extern const us_selftest_group us_selftest_##name;
#define ENTRY(name) &us_selftest_##name,
#define NAME(name) #name,
#define LISTED(name) ", " #name

GROUP_ROWS(DECLARATION)

static const us_selftest_group *const groups[] = {GROUP_ROWS(ENTRY)};
static const char *const part_names[] = {GROUP_ROWS(NAME)};
static const char all_parts[] = GROUP_ROWS(LISTED);

enum { GROUPS = sizeof groups / sizeof *groups };

static unseen_status run_group(us_selftest *test, const us_selftest_group *group,
                               unseen_error *error) {
    for (int i = 0; i < group->cases && !test->stop; i++) {
        send_progress(test);
        unseen_status status = test->stop ? UNSEEN_OK : group->run(test, i, error);
        if (status == UNSEEN_OK) continue;
        us_error_context(error, "%s, case %d", group->name, i);
        return status;
    }
    return UNSEEN_OK;
}

/* The groups of the parts named; all of them where none is. */
static unseen_status choose(const char *const *parts, size_t count, bool wanted[GROUPS],
                            unseen_error *error) {
    for (int i = 0; i < GROUPS; i++)
        wanted[i] = count == 0;
    for (size_t p = 0; p < count; p++) {
        int i = 0;
        while (i < GROUPS && strcmp(part_names[i], parts[p]) != 0)
            i++;
        if (i == GROUPS)
            return us_fail(error, UNSEEN_BAD_INPUT, "the self-test has no part '%s': there are %s",
                           parts[p], all_parts + strlen(", "));
        wanted[i] = true;
    }
    return UNSEEN_OK;
}

static unseen_status run(us_selftest *test, const bool wanted[GROUPS], unseen_error *error) {
    for (int i = 0; i < GROUPS; i++)
        test->total += wanted[i] ? groups[i]->cases : 0;
    for (int i = 0; i < GROUPS; i++) {
        if (!wanted[i]) continue;
        test->streams = (uint32_t)i * GROUP_STREAMS;
        US_TRY(run_group(test, groups[i], error));
    }
    send_progress(test);
    return UNSEEN_OK;
}

/* Takes the results. */
static unseen_status write_json(us_selftest *test, char **json, unseen_error *error) {
    cJSON *root = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(root, "device", test->device->facts.name) &&
                 cJSON_AddNumberToObject(root, "cases", test->cases) &&
                 cJSON_AddNumberToObject(root, "failed", test->failed) &&
                 cJSON_AddNumberToObject(root, "worst_error", test->worst) &&
                 cJSON_AddItemToObject(root, "results", test->results);
    if (whole) {
        test->results = NULL;
        *json = us_json_print(root);
    }
    cJSON_Delete(root);
    return *json ? UNSEEN_OK : us_fail_memory(error, "the self-test's results");
}

unseen_status unseen_selftest(const char *selector, const char *const *parts, size_t count,
                              const unseen_events *events, char **json, unseen_error *error) {
    bool wanted[GROUPS];
    *json = NULL;
    US_TRY(choose(parts, count, wanted, error));
    us_selftest test = {.events = events};
    US_TRY(us_device_open(selector, &test.device, error));
    us_device_tell(test.device, events);
    unseen_status status;
    test.results = cJSON_CreateArray();
    if (test.results)
        status = run(&test, wanted, error);
    else
        status = us_fail_memory(error, "the self-test's results");
    if (status == UNSEEN_OK) status = write_json(&test, json, error);
    if (status == UNSEEN_OK && test.failed)
        status = us_fail(error, UNSEEN_SELFTEST_FAILED,
                         "%s: %d of %d results differ from the reference: do not trust it",
                         test.device->facts.name, test.failed, test.cases);
    else if (status == UNSEEN_OK && test.stop)
        status = us_fail(error, UNSEEN_INTERRUPTED, "stopped after %lld of %lld cases",
                         (long long)test.done - 1, (long long)test.total);
    cJSON_Delete(test.results);
    us_device_close(test.device);
    return status;
}
