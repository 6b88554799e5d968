/* SPDX-License-Identifier: MIT */
/* A device that stops answering: from some call on, whatever waits for it fails. The driver may
 * still write into what it was given, and read from it, so nothing of that may be freed. This
 * program is linked with those calls wrapped, and with free and munmap, which look at what they are
 * given. */
#include "run_files.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

static const char config_text[] =
    "{\"name\": \"lost\", \"input\": {\"channels\": 1, \"height\": 6, \"width\": 6},"
    " \"networks\": {\"encoder\": [{\"layer\": \"flatten\"}, {\"layer\": \"dense\", \"units\": 5},"
    " {\"layer\": \"relu\"}], \"decoder\": [{\"layer\": \"dense\", \"units\": 36},"
    " {\"layer\": \"reshape\", \"shape\": [1, 6, 6]}, {\"layer\": \"tanh\"}]},"
    " \"detector\": {\"type\": \"autoencoder\"},"
    " \"training\": {\"epochs\": 1, \"batch\": 8, \"held_out\": 0.25}}";

/* ---- the driver ---- */

static int calls, fails_from; /* of those that wait, from 1; 0: never */
static bool only_markers;     /* fail, and finishing works */

/* What the driver was given: it is in use until all work is known to have ended. */
static struct range {
    const char *bytes;
    size_t size;
} ranges[4096];
static int range_count, violations;
static bool looking;

static void give(const void *bytes, size_t size) {
    if (looking && range_count < 4096) ranges[range_count++] = (struct range){bytes, size};
}

static void look(const void *bytes, size_t size) {
    const char *start = bytes;
    for (int i = 0; looking && i < range_count; i++)
        if (start < ranges[i].bytes + ranges[i].size && ranges[i].bytes < start + size) {
            violations++;
            return;
        }
}

static bool fails(bool marker) {
    if (!fails_from || (only_markers && !marker)) return false;
    return ++calls >= fails_from;
}

cl_int __real_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint count,
                                          const cl_event *events, cl_event *event);
cl_int __wrap_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint count,
                                          const cl_event *events, cl_event *event);
cl_int __real_clFinish(cl_command_queue queue);
cl_int __wrap_clFinish(cl_command_queue queue);
cl_int __real_clWaitForEvents(cl_uint count, const cl_event *events);
cl_int __wrap_clWaitForEvents(cl_uint count, const cl_event *events);
cl_int __real_clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                  size_t offset, size_t size, void *bytes, cl_uint count,
                                  const cl_event *events, cl_event *event);
cl_int __wrap_clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                  size_t offset, size_t size, void *bytes, cl_uint count,
                                  const cl_event *events, cl_event *event);
cl_mem __real_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                             cl_int *code);
cl_mem __wrap_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                             cl_int *code);
void __real_free(void *bytes);
void __wrap_free(void *bytes);
int __real_munmap(void *bytes, size_t size);
int __wrap_munmap(void *bytes, size_t size);

cl_int __wrap_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint count,
                                          const cl_event *events, cl_event *event) {
    if (fails(true)) return CL_OUT_OF_RESOURCES;
    return __real_clEnqueueMarkerWithWaitList(queue, count, events, event);
}

cl_int __wrap_clFinish(cl_command_queue queue) {
    if (fails(false)) return CL_OUT_OF_RESOURCES;
    cl_int code = __real_clFinish(queue);
    if (code == CL_SUCCESS) range_count = 0;
    return code;
}

cl_int __wrap_clWaitForEvents(cl_uint count, const cl_event *events) {
    return fails(false) ? CL_OUT_OF_RESOURCES : __real_clWaitForEvents(count, events);
}

cl_int __wrap_clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                  size_t offset, size_t size, void *bytes, cl_uint count,
                                  const cl_event *events, cl_event *event) {
    if (!blocking) give(bytes, size);
    return __real_clEnqueueReadBuffer(queue, memory, blocking, offset, size, bytes, count, events,
                                      event);
}

/* Buffers over pages of our own are freed when the driver says so. */
cl_mem __wrap_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                             cl_int *code) {
    if (flags & CL_MEM_USE_HOST_PTR && flags & CL_MEM_READ_ONLY) give(host, size);
    return __real_clCreateBuffer(context, flags, size, host, code);
}

void __wrap_free(void *bytes) {
    if (bytes) look(bytes, malloc_usable_size(bytes));
    __real_free(bytes);
}

int __wrap_munmap(void *bytes, size_t size) {
    look(bytes, size);
    return __real_munmap(bytes, size);
}

/* ---- jobs ---- */

static int setup(void **state) {
    (void)state;
    if (run_files_setup() != 0) return -1;
    write_text("config.json", config_text);
    return 0;
}

static unseen_config *load(void) {
    char train[800], test[800];
    snprintf(train, sizeof train, "/data/train=%s", in_root("train.idx"));
    snprintf(test, sizeof test, "/data/test=%s", in_root("test.idx"));
    const char *overrides[] = {train, test};
    unseen_config *config;
    TEST_OK(unseen_config_load(in_root("config.json"), overrides, 2, &config, &error));
    return config;
}

static unseen_status run(const char *out, const char *profile) {
    unseen_config *config = load();
    unseen_run_options options = {
        .device = getenv("UNSEEN_DEVICE"), .out = in_root(out), .profile = profile};
    char *json;
    error = (unseen_error){0};
    unseen_status status = unseen_run(config, &options, NULL, &json, &error);
    unseen_string_free(json);
    unseen_config_free(config);
    return status;
}

static unseen_status run_profiled(const char *out) {
    return run(out, in_root("trace.json"));
}

static unseen_status run_plain(const char *out) {
    return run(out, NULL);
}

static unseen_status score(const char *out) {
    (void)out;
    unseen_score_options options = {.device = getenv("UNSEEN_DEVICE"),
                                    .data = in_root("test.idx"),
                                    .out = in_root("scores.csv")};
    char *json;
    error = (unseen_error){0};
    unseen_status status = unseen_score(in_root("whole"), &options, NULL, &json, &error);
    unseen_string_free(json);
    return status;
}

/* Fails from every call on, until there are no more such calls in the whole job. */
static void lose_device(unseen_status (*job)(const char *out), const char *name) {
    for (int markers = 0; markers < 2; markers++) {
        int lost = 0;
        for (int from = 1;; from += from < 8 ? 1 : 3) {
            char out[64];
            snprintf(out, sizeof out, "%s-%d-%d", name, markers, from);
            only_markers = markers;
            fails_from = from;
            calls = range_count = violations = 0;
            looking = true;
            unseen_status status = job(out);
            looking = false;
            fails_from = 0;
            if (violations)
                fail_msg("%s: waiting fails from call %d on: memory in use was freed %d times (%s)",
                         name, from, violations, error.message);
            if (calls < from) break;
            lost += status != UNSEEN_OK;
            assert_true(status == UNSEEN_OK || *error.message);
        }
        if (lost <= 3) fail_msg("%s: lost %d times (%s)", name, lost, error.message);
    }
}

/* ---- tests ---- */

static void run_loses_its_device(void **state) {
    (void)state;
    TEST_OK(run_plain("whole"));
    lose_device(run_plain, "run");
}

static void profiled_run_loses_its_device(void **state) {
    (void)state;
    lose_device(run_profiled, "profiled");
}

static void score_loses_its_device(void **state) {
    (void)state;
    lose_device(score, "score");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_loses_its_device),
        cmocka_unit_test(profiled_run_loses_its_device),
        cmocka_unit_test(score_loses_its_device),
    };
    return cmocka_run_group_tests(tests, setup, run_files_teardown);
}
