/* SPDX-License-Identifier: MIT */
/* The search for the best parameters, on kernels that misbehave. */
#include "test_tuning.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tuning/tuner.h"
#include "tuning/tuner_builders.h"
#include "tuning/tuning.h"

/* ---- a kernel whose only parameter is how it behaves ---- */

typedef enum behaviour {
    PLAIN, /* right, after 20 ms */
    HANGS,
    CRASHES,
    REFUSES,
    WRONG_EVERYWHERE,
    WRONG_SOMEWHERE, /* where the reference is hardly ever looked at */
    NOT_A_NUMBER,
    WRITES_NOTHING,
    QUICK, /* right, after 5 ms */
    HARDLY_QUICKER,
    BEHAVIOURS,
} behaviour;

enum { FLOATS = 10000 };

typedef struct made_up {
    int number;               /* tells problems apart */
    behaviour default_choice; /* of the parameter */
    unsigned tried;           /* a bit for each behaviour */
} made_up;

typedef struct parameters {
    int behaviour;
} parameters;

typedef struct operation {
    behaviour is;
} operation;

static void key(const void *of, char text[US_TUNABLE_TEXT]) {
    snprintf(text, US_TUNABLE_TEXT, "number %d", ((const made_up *)of)->number);
}

static bool defaults(const us_device_facts *device, const void *of, void *values) {
    (void)device;
    ((parameters *)values)->behaviour = ((const made_up *)of)->default_choice;
    return true;
}

static bool valid(const us_device_facts *device, const void *of, const void *values) {
    int is = ((const parameters *)values)->behaviour;
    (void)device;
    return is >= 0 && is < BEHAVIOURS && ((const made_up *)of)->tried >> is & 1;
}

static bool start(const us_device_facts *device, const void *of, int index, void *values) {
    (void)device, (void)of;
    ((parameters *)values)->behaviour = index;
    return index < BEHAVIOURS;
}

static int choices(const us_device_facts *device, const void *of, const void *values, size_t offset,
                   int list[US_TUNABLE_CHOICES]) {
    (void)device, (void)of, (void)values, (void)offset;
    for (int i = 0; i < BEHAVIOURS; i++)
        list[i] = i;
    return BEHAVIOURS;
}

static void operands(const us_device_facts *device, const void *of,
                     us_operand list[US_TUNABLE_OPERANDS]) {
    (void)device, (void)of;
    list[0].floats = FLOATS;
    list[2] = (us_operand){FLOATS, true, 0};
}

static double expected(const void *of, const float *const *inputs, int output, size_t index) {
    (void)of;
    return output == 2 ? 2 * (double)inputs[0][index] : NAN;
}

static int told = -1; /* a pipe that hears of what is made, as "<NUMBER BEHAVIOUR>" */

static unseen_status create(us_device *device, const void *of, const us_choice *choice, void **made,
                            unseen_error *why) {
    const int is = ((const parameters *)(const void *)choice->parameters)->behaviour;
    (void)device;
    *made = NULL;
    if (told >= 0) dprintf(told, "<%d %d>", ((const made_up *)of)->number, is);
    if (told >= 0 && is == CRASHES) abort();
    if (is == REFUSES) return us_fail(why, UNSEEN_FAILURE, "does not build");
    operation *op = malloc(sizeof *op);
    if (!op) return us_fail_memory(why, "an operation");
    op->is = (behaviour)is;
    *made = op;
    return UNSEEN_OK;
}

/* Keeps a processor busy, as work on a busy CPU is timed by that. */
static void compute(double seconds) {
    struct timespec now, from;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((double)(now.tv_sec - from.tv_sec) + 1e-9 * (double)(now.tv_nsec - from.tv_nsec) <
             seconds);
}

static unseen_status run(void *made, us_buffer *const *on, unseen_error *why) {
    static float values[FLOATS];
    behaviour is = ((const operation *)made)->is;
    if (is == HANGS)
        for (;;)
            pause();
    if (is == CRASHES) abort();
    compute(is == QUICK ? 0.005 : is == HARDLY_QUICKER ? 0.0199 : 0.02);
    if (is == WRITES_NOTHING) return UNSEEN_OK;
    US_TRY(us_buffer_read(on[0], 0, values, sizeof values, why));
    for (size_t i = 0; i < FLOATS; i++)
        values[i] *= is == WRONG_EVERYWHERE ? 2.01f : 2;
    if (is == WRONG_SOMEWHERE) values[FLOATS / 2 + 1] += 0.5f;
    if (is == NOT_A_NUMBER) values[FLOATS - 1] = NAN;
    return us_buffer_write(on[2], 0, values, sizeof values, why);
}

static const us_algorithm algorithm = {
    .name = "only",
    .sources = {"sum_splits"},
    .parameters = {US_PARAMETER(parameters, behaviour)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
};
static const us_algorithm *const algorithms[] = {&algorithm, NULL};

static const us_tunable misbehaving = {
    .name = "misbehaving",
    .algorithms = algorithms,
    .problem_size = sizeof(made_up),
    .key = key,
    .label = key,
    .operands = operands,
    .expected = expected,
    .create = create,
    .run = run,
    .destroy = free,
};

/* ---- searching it ---- */

enum { ALL = (1u << BEHAVIOURS) - 1 };

typedef struct wanted {
    made_up specs[3];
    int count;
} wanted;

static unseen_status collect(us_device *device, void *user, unseen_error *why) {
    wanted *w = user;
    us_choice choice;
    for (int i = 0; i < 2 * w->count; i++) { /* everything twice, as layers may be alike */
        made_up of = w->specs[i % w->count];
        of.number = i % w->count;
        US_TRY(us_tuning_choose(device->tuning, &device->facts, &misbehaving, &of, &choice, why));
    }
    return UNSEEN_OK;
}

static us_tuner_options options_for(wanted *w) {
    return (us_tuner_options){
        .selector = selector(), .collect = collect, .user = w, .candidate_seconds = 2};
}

static const cJSON *shape_of(const cJSON *result, int index) {
    const cJSON *shapes = cJSON_GetObjectItemCaseSensitive(result, "shapes");
    assert_int_equal(cJSON_GetArraySize(shapes) > index, true);
    return cJSON_GetArrayItem(shapes, index);
}

static double number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static int behaviour_of(const cJSON *shape) {
    return (int)number(cJSON_GetObjectItemCaseSensitive(shape, "parameters"), "behaviour");
}

static void what_misbehaves_costs_itself_alone(void **state) {
    wanted w = {.specs = {{.default_choice = PLAIN, .tried = ALL}}, .count = 1};
    us_tuner_options options = options_for(&w);
    cJSON *result;
    (void)state;
    double started = us_clock();
    TEST_OK(us_tuner_run(&options, &result, &error));
    assert_true(us_clock() - started < 60);
    const cJSON *shape = shape_of(result, 0);
    assert_int_equal(behaviour_of(shape), QUICK);
    assert_true(number(shape, "candidates") == BEHAVIOURS);
    assert_true(number(shape, "failed") == 7);
    assert_true(number(shape, "speedup") > 1.5);
    assert_true(number(shape, "best_ms") > 0);
    assert_true(number(shape, "default_ms") > number(shape, "best_ms"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(result, "shapes")), 1);
    cJSON_Delete(result);
}

static void the_default_stays_where_nothing_beats_it(void **state) {
    wanted w = {.specs = {{.default_choice = PLAIN, .tried = 1u << PLAIN | 1u << HARDLY_QUICKER}},
                .count = 1};
    us_tuner_options options = options_for(&w);
    cJSON *result;
    (void)state;
    TEST_OK(us_tuner_run(&options, &result, &error));
    const cJSON *shape = shape_of(result, 0);
    assert_int_equal(behaviour_of(shape), PLAIN);
    assert_true(number(shape, "speedup") == 1);
    assert_true(number(shape, "candidates") == 2);
    cJSON_Delete(result);
}

static void a_default_that_fails_is_done_without(void **state) {
    static const behaviour broken[] = {CRASHES, WRONG_EVERYWHERE, HANGS};
    (void)state;
    wanted w = {.count = 3};
    for (int i = 0; i < 3; i++)
        w.specs[i] = (made_up){.default_choice = broken[i],
                               .tried = 1u << PLAIN | 1u << QUICK | 1u << NOT_A_NUMBER};
    us_tuner_options options = options_for(&w);
    cJSON *result;
    TEST_OK(us_tuner_run(&options, &result, &error));
    for (int i = 0; i < 3; i++) {
        const cJSON *shape = shape_of(result, i);
        assert_int_equal(behaviour_of(shape), QUICK);
        assert_true(isnan(number(shape, "default_ms")) && isnan(number(shape, "speedup")));
        assert_true(number(shape, "best_ms") > 0);
        assert_true(number(shape, "failed") == 1);
    }
    cJSON_Delete(result);
}

static int nothing_is_stored(us_device *device) {
    const made_up of = {0};
    us_tuning_entry entry;
    bool found;
    if (us_tuning_open(&device->facts, &device->tuning, &error) != UNSEEN_OK) return 1;
    return us_tuning_find(device->tuning, &misbehaving, &of, &entry, &found, &error) != UNSEEN_OK ||
           found;
}

static void where_all_fail_nothing_is_stored(void **state) {
    wanted w = {.specs = {{.default_choice = CRASHES, .tried = 1u << REFUSES | 1u << CRASHES}},
                .count = 1};
    us_tuner_options options = options_for(&w);
    cJSON *result;
    (void)state;
    TEST_OK(us_tuner_run(&options, &result, &error));
    const cJSON *shape = shape_of(result, 0);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(shape, "parameters")));
    assert_true(number(shape, "candidates") == 2 && number(shape, "failed") == 2);
    cJSON_Delete(result);
    assert_int_equal(in_child(nothing_is_stored), 0);
}

/* Builders make what a search tries first, of every shape, run nothing, and one that crashes takes
 * no other with it. */
static void builders_make_what_is_tried(void **state) {
    (void)state;
    made_up specs[] = {{0, PLAIN, 1u << PLAIN | 1u << HANGS | 1u << QUICK},
                       {1, QUICK, 1u << QUICK | 1u << CRASHES | 1u << REFUSES},
                       {2, PLAIN, 1u << PLAIN},
                       {3, QUICK, 1u << QUICK}};
    us_tuner_shape shapes[4];
    us_builders builders;
    int ends[2];
    char heard[400] = "";
    for (int i = 0; i < 4; i++)
        shapes[i] = (us_tuner_shape){&misbehaving, &specs[i]};
    assert_int_equal(pipe(ends), 0);
    told = ends[1];
    us_builders_start(selector(), shapes, 4, 2, &builders);
    told = -1;
    close(ends[1]);
    assert_int_equal(builders.count, 2);
    for (size_t used = 0;;) { /* until both have ended */
        const ssize_t got = read(ends[0], heard + used, sizeof heard - 1 - used);
        if (got <= 0) break;
        heard[used += (size_t)got] = '\0';
    }
    close(ends[0]);
    /* Of the first one: the default and all that is valid, and the third shape. */
    static const char *const made[] = {"<0 0>", "<0 1>", "<0 8>", "<2 0>", "<1 8>", "<1 2>"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (!strstr(heard, made[i])) fail_msg("%s is missing: %s", made[i], heard);
    assert_null(strstr(heard, "<3 8>")); /* of the one that crashed */
    us_builders_end(&builders);
    assert_int_equal(builders.count, 0);
}

static void builders_are_for_gpus(void **state) {
    (void)state;
    us_device_facts gpu = {.execution = US_EXECUTION_LANES, .memory_bytes = (uint64_t)80 << 30};
    assert_int_equal(us_builders_wanted(&gpu, 16), 4);
    assert_int_equal(us_builders_wanted(&gpu, 4), 2);
    assert_int_equal(us_builders_wanted(&gpu, 1), 0);
    gpu.memory_bytes = (uint64_t)12 << 30;
    assert_int_equal(us_builders_wanted(&gpu, 16), 1);
    gpu.is_cpu = true;
    assert_int_equal(us_builders_wanted(&gpu, 16), 0);
}

static unseen_status crash(us_device *device, void *user, unseen_error *why) {
    (void)device;
    (void)user;
    (void)why;
    abort();
}

static unseen_status refuse(us_device *device, void *user, unseen_error *why) {
    (void)device;
    (void)user;
    return us_fail(why, UNSEEN_OUT_OF_DEVICE_MEMORY, "too large a batch");
}

static void what_cannot_be_collected_is_an_error(void **state) {
    us_tuner_options options = {.selector = selector(), .collect = crash};
    cJSON *result;
    (void)state;
    assert_int_equal(us_tuner_run(&options, &result, &error), UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "signal 6"));
    options.collect = refuse;
    assert_int_equal(us_tuner_run(&options, &result, &error), UNSEEN_OUT_OF_DEVICE_MEMORY);
    assert_string_equal(error.message, "too large a batch");
    options.selector = "no such device";
    assert_int_equal(us_tuner_run(&options, &result, &error), UNSEEN_NO_DEVICE);
}

/* ---- interruption ---- */

typedef struct listener {
    int messages, stop_after; /* messages; one comes with each winner */
    bool estimated;           /* the time left */
    int64_t done, total;
} listener;

static int listen(const unseen_event *event, void *user) {
    listener *l = user;
    if (event->kind == UNSEEN_EVENT_MESSAGE) l->messages++;
    if (event->kind == UNSEEN_EVENT_PROGRESS) {
        l->estimated |= event->seconds_left > 0;
        l->done = event->done;
        l->total = event->total;
    }
    return l->messages >= l->stop_after;
}

static void interrupted_and_continued(void **state) {
    wanted w = {.count = 3};
    listener l = {.stop_after = 1};
    unseen_events events = {listen, &l};
    us_tuner_options options = options_for(&w);
    cJSON *result;
    (void)state;
    for (int i = 0; i < 3; i++)
        w.specs[i] = (made_up){.default_choice = PLAIN, .tried = 1u << PLAIN | 1u << QUICK};
    options.events = &events;
    assert_int_equal(us_tuner_run(&options, &result, &error), UNSEEN_INTERRUPTED);
    assert_null(result);
    assert_int_equal(l.messages, 1);
    assert_true(l.estimated && l.done <= l.total);

    l = (listener){.stop_after = 100};
    TEST_OK(us_tuner_run(&options, &result, &error));
    assert_int_equal(l.messages, 2);
    assert_true(number(shape_of(result, 0), "candidates") == 0);
    assert_int_equal(behaviour_of(shape_of(result, 0)), QUICK);
    assert_true(number(shape_of(result, 1), "candidates") == 2);
    assert_true(number(shape_of(result, 2), "candidates") == 2);
    cJSON_Delete(result);

    options.force = true;
    l = (listener){.stop_after = 100};
    TEST_OK(us_tuner_run(&options, &result, &error));
    assert_int_equal(l.messages, 3);
    cJSON_Delete(result);
}

static void interrupted_while_a_candidate_hangs(void **state) {
    wanted w = {.specs = {{.default_choice = HANGS, .tried = ALL}}, .count = 1};
    listener l = {.stop_after = 0};
    unseen_events events = {listen, &l};
    us_tuner_options options = options_for(&w);
    cJSON *result;
    (void)state;
    options.events = &events;
    options.candidate_seconds = 1000;
    double started = us_clock();
    assert_int_equal(us_tuner_run(&options, &result, &error), UNSEEN_INTERRUPTED);
    assert_true(us_clock() - started < 30);
}

static void the_time_is_shared(void **state) {
    wanted w = {.count = 3};
    us_tuner_options options = options_for(&w);
    cJSON *result;
    (void)state;
    for (int i = 0; i < 3; i++)
        w.specs[i] = (made_up){.default_choice = PLAIN, .tried = ALL};
    options.seconds = 1e-3; /* the default alone */
    TEST_OK(us_tuner_run(&options, &result, &error));
    for (int i = 0; i < 3; i++) {
        assert_true(number(shape_of(result, i), "candidates") == 1);
        assert_int_equal(behaviour_of(shape_of(result, i)), PLAIN);
    }
    cJSON_Delete(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_misbehaves_costs_itself_alone, setup),
        cmocka_unit_test_setup(the_default_stays_where_nothing_beats_it, setup),
        cmocka_unit_test_setup(a_default_that_fails_is_done_without, setup),
        cmocka_unit_test_setup(where_all_fail_nothing_is_stored, setup),
        cmocka_unit_test_setup(what_cannot_be_collected_is_an_error, setup),
        cmocka_unit_test_setup(interrupted_and_continued, setup),
        cmocka_unit_test_setup(interrupted_while_a_candidate_hangs, setup),
        cmocka_unit_test_setup(the_time_is_shared, setup),
        cmocka_unit_test(builders_make_what_is_tried),
        cmocka_unit_test(builders_are_for_gpus),
    };
    int code = begin_tests();
    if (code) return code;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return end_tests() || failed;
}
