/* The search for the best parameters, on kernels that misbehave and on the real ones. This process
 * never opens a device itself, as the search may not be forked from one that did. */
#include "test_device.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/profile.h"
#include "device/trial.h"
#include "device/tuner.h"
#include "device/tuning.h"
#include "ops/attributes.h"
#include "ops/clblast.h"
#include "ops/dense.h"
#include "ops/gather.h"
#include "ops/weight_gradient.h"

static char folder[] = "/tmp/unseen-tuner-XXXXXX";
static unseen_error error;

static const char *selector(void) {
    const char *named = getenv("UNSEEN_DEVICE");
    return named && *named ? named : NULL;
}

/* Runs a function on an open device in a process of its own and returns what it returns: an exit
 * code, so that a failure is told on standard error. */
static int in_child(int (*function)(us_device *device)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        us_device *device;
        unseen_status status = us_device_open(selector(), &device, &error);
        if (status != UNSEEN_OK) {
            fprintf(stderr, "%s\n", error.message);
            _exit(status == UNSEEN_NO_DEVICE ? 77 : 1);
        }
        int code = function(device);
        us_device_close(device);
        _exit(code);
    }
    int state = 0;
    assert_int_equal(waitpid(child, &state, 0), child);
    assert_true(WIFEXITED(state));
    return WEXITSTATUS(state);
}

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
    us_device *device;
    int number;               /* tells specs apart */
    behaviour default_choice; /* of the parameter */
    unsigned tried;           /* a bit for each behaviour */
} made_up;

typedef struct operation {
    behaviour is;
} operation;

static void key(const void *of, char text[US_TUNABLE_TEXT]) {
    snprintf(text, US_TUNABLE_TEXT, "number %d", ((const made_up *)of)->number);
}

static void defaults(const void *of, int *values) {
    values[0] = ((const made_up *)of)->default_choice;
}

static bool valid(const void *of, const int *values) {
    return values[0] >= 0 && values[0] < BEHAVIOURS &&
           ((const made_up *)of)->tried >> values[0] & 1;
}

static bool start(const void *of, int index, int *values) {
    (void)of;
    values[0] = index;
    return index < BEHAVIOURS;
}

static int choices(const void *of, const int *values, int parameter, int list[US_TUNABLE_CHOICES]) {
    (void)of;
    (void)values;
    (void)parameter;
    for (int i = 0; i < BEHAVIOURS; i++)
        list[i] = i;
    return BEHAVIOURS;
}

static void operands(const void *of, us_operand list[US_TUNABLE_OPERANDS]) {
    (void)of;
    list[0].floats = FLOATS;
    list[2] = (us_operand){FLOATS, true};
}

static double expected(const void *of, const float *const *inputs, int output, size_t index) {
    (void)of;
    return output == 2 ? 2 * (double)inputs[0][index] : NAN;
}

static unseen_status create(const void *of, const int *values, void **made, unseen_error *why) {
    (void)of;
    *made = NULL;
    if (values[0] == REFUSES) return us_fail(why, UNSEEN_FAILURE, "does not build");
    operation *op = malloc(sizeof *op);
    if (!op) return us_fail_memory(why, "an operation");
    op->is = (behaviour)values[0];
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

static const us_tunable misbehaving = {
    .name = "misbehaving",
    .sources = {"sum_splits"},
    .parameters = {"behaviour"},
    .spec_size = sizeof(made_up),
    .key = key,
    .label = key,
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
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
    int values[US_TUNABLE_PARAMETERS];
    for (int i = 0; i < 2 * w->count; i++) { /* everything twice, as layers may be alike */
        made_up of = w->specs[i % w->count];
        of.device = device;
        of.number = i % w->count;
        US_TRY(us_tuning_choose(&misbehaving, &of, values, why));
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

/* An empty cache folder for each test. */
static int setup(void **state) {
    static char cache[300];
    static int next;
    (void)state;
    snprintf(cache, sizeof cache, "%s/%d", folder, next++);
    return setenv("UNSEEN_CACHE_DIR", cache, 1);
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
    made_up of = {.device = device};
    us_tuning_entry entry;
    bool found;
    if (us_tuning_open(device, &error) != UNSEEN_OK) return 1;
    return us_tuning_find(&misbehaving, &of, &entry, &found, &error) != UNSEEN_OK || found;
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

/* ---- the real kernels ---- */

static int check_point(us_trial *trial, const int *values, int *tried) {
    us_trial_times times;
    if (!trial->tunable->valid(trial->spec, values)) return 0;
    ++*tried;
    if (us_trial_run(trial, values, 0, &times, &error) == UNSEEN_OK) return 0;
    fprintf(stderr, "%s with", trial->tunable->name);
    for (int i = 0; trial->tunable->parameters[i]; i++)
        fprintf(stderr, " %s %d", trial->tunable->parameters[i], values[i]);
    fprintf(stderr, ": %s\n", error.message);
    return 1;
}

/* Every start, and the ends of each parameter's choices beside the default's others. */
static int check_candidates(us_device *device, const us_tunable *tunable, const void *of) {
    us_trial trial;
    int values[US_TUNABLE_PARAMETERS] = {0}, list[US_TUNABLE_CHOICES], failed = 0, tried = 0;
    if (us_trial_begin(device, tunable, of, true, &trial, &error) != UNSEEN_OK) {
        fprintf(stderr, "%s: %s\n", tunable->name, error.message);
        return 1;
    }
    tunable->defaults(of, values);
    if (!tunable->valid(of, values)) {
        fprintf(stderr, "%s: the default is not valid\n", tunable->name);
        failed++;
    }
    for (int i = 0; tunable->start(of, i, values); i++)
        failed += check_point(&trial, values, &tried);
    for (int parameter = 0; tunable->parameters[parameter]; parameter++) {
        tunable->defaults(of, values);
        int count = tunable->choices(of, values, parameter, list);
        for (int end = 0; end < 2; end++) {
            values[parameter] = list[end ? count - 1 : 0];
            failed += check_point(&trial, values, &tried);
        }
    }
    us_trial_end(&trial);
    if (tried < 8) fprintf(stderr, "%s: only %d candidates\n", tunable->name, tried);
    return failed + (tried < 8);
}

/* Not a round number anywhere. */
static us_gather_spec down_spec(us_device *device) {
    return (us_gather_spec){.device = device,
                            .in = {7, 9, 8},
                            .out = {13, 5, 3},
                            .batch = us_device_pad(device, 37),
                            .kernel = {5, 4},
                            .stride = {2, 3},
                            .padding = {2, 1},
                            .in_stride = 5 * 4 * 13,
                            .tap_stride = 13,
                            .out_stride = 1,
                            .bias = true,
                            .activation = {US_ACTIVATION_TANH, 0}};
}

static int gathers(us_device *device) {
    us_gather_spec down = down_spec(device), up = down;
    up.up = true;
    up.in = down.out;
    up.out = down.in;
    up.in_stride = 1;
    up.out_stride = 5 * 4 * 13;
    up.bias = false;
    up.activation.kind = US_ACTIVATION_NONE;
    up.input_activation = (us_activation){US_ACTIVATION_LEAKY_RELU, 0.25f};
    return check_candidates(device, &us_gather_tunable, &down) +
           check_candidates(device, &us_gather_tunable, &up);
}

static int weight_gradients(us_device *device) {
    us_weight_gradient_spec spec = {
        .device = device,
        .large = {7, 9, 8},
        .small = {13, 5, 3},
        .batch = us_device_pad(device, 37),
        .kernel = {5, 4},
        .stride = {2, 3},
        .padding = {2, 1},
        .large_stride = 5 * 4 * 13,
        .tap_stride = 13,
        .small_stride = 1,
        .bias = true,
    };
    int failed = check_candidates(device, &us_weight_gradient_tunable, &spec);
    spec.large_stride = 1;
    spec.tap_stride = 7;
    spec.small_stride = 5 * 4 * 7;
    spec.bias_of_large = true;
    return failed + check_candidates(device, &us_weight_gradient_tunable, &spec);
}

/* A dense layer asks for its three products itself. */
static int dense_products(us_device *device) {
    us_dense_attributes attributes = {.units = 37, .bias = true};
    us_layer_plan plan = {
        .device = device,
        .attributes = &attributes,
        .in = {70, 1, 1},
        .out = {37, 1, 1},
        .batch = us_device_pad(device, 65),
        .activation = {US_ACTIVATION_SIGMOID, 0},
        .input_activation = {US_ACTIVATION_RELU, 0},
    };
    void *layer;
    if (us_tuning_open(device, &error) != UNSEEN_OK ||
        us_dense_layer.create(&plan, &layer, &error) != UNSEEN_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    us_dense_layer.destroy(layer);
    int failed = 0, products = 0;
    const us_tuning_choice *choice = device->tuning->choices;
    for (; choice; choice = choice->next, products++)
        failed += check_candidates(device, choice->tunable, choice->spec);
    return failed + (products != 3);
}

static void candidates_of_gathers_agree(void **state) {
    (void)state;
    assert_int_equal(in_child(gathers), 0);
}

static void candidates_of_weight_gradients_agree(void **state) {
    (void)state;
    assert_int_equal(in_child(weight_gradients), 0);
}

static void candidates_of_dense_products_agree(void **state) {
    (void)state;
    assert_int_equal(in_child(dense_products), 0);
}

/* A winner of the file is what a gather is created with; others keep their default. */
static int uses_the_winner(us_device *device) {
    us_gather_spec spec = down_spec(device), other = spec;
    us_tuning_entry entry = {.values = {3, 1, 0, 2, 0}, .default_ms = 2, .best_ms = 1};
    us_gather *gather;
    other.bias = false;
    if (us_tuning_open(device, &error) != UNSEEN_OK ||
        us_tuning_store(&us_gather_tunable, &spec, &entry, &error) != UNSEEN_OK ||
        us_tuning_open(device, &error) != UNSEEN_OK ||
        us_gather_create(&spec, NULL, &gather, &error) != UNSEEN_OK)
        return 1;
    us_gather_destroy(gather);
    if (us_gather_create(&other, NULL, &gather, &error) != UNSEEN_OK) return 1;
    us_gather_destroy(gather);
    const us_tuning_choice *first = device->tuning->choices, *second = first ? first->next : NULL;
    us_gather_tiles usual = us_gather_default(&other);
    if (!second || second->next) return 2;
    if (memcmp(first->values, entry.values, 4 * sizeof(int)) != 0) return 3;
    return second->values[0] == usual.channels && second->values[1] == usual.vectors ? 0 : 4;
}

static void what_is_stored_is_used(void **state) {
    (void)state;
    assert_int_equal(in_child(uses_the_winner), 0);
}

/* Whether a launch of our kernel for products is among the profile's. */
static bool has_own_product(const us_profile *profile) {
    for (size_t i = 0; i < profile->count; i++)
        if (strcmp(profile->launches[i].name, "product") == 0) return true;
    return false;
}

enum { IN = 70, OUT = 37, IMAGES = 65 };

/* Forward of a layer as it is created by anyone, beside a sum on the host; *own: by our kernel. */
static int run_forward(us_device *device, bool *own) {
    us_dense_attributes attributes = {.units = OUT, .bias = true};
    const us_layer_plan plan = {.device = device,
                                .attributes = &attributes,
                                .in = {IN, 1, 1},
                                .out = {OUT, 1, 1},
                                .batch = us_device_pad(device, IMAGES)};
    const size_t batch = (size_t)plan.batch, counts[] = {IN * OUT, OUT, IN * batch, OUT * batch};
    float *host[4];
    us_buffer *on[4];
    us_profile *profile;
    void *made;
    for (int i = 0; i < 4; i++) {
        host[i] = calloc(counts[i], sizeof(float));
        for (size_t j = 0; i < 3 && j < counts[i]; j++)
            host[i][j] = (float)((j * 2654435761u + (unsigned)i) % 1000) / 500 - 1;
        if (us_buffer_create(device, counts[i] * sizeof(float), "operand", &on[i], &error) ||
            us_buffer_write(on[i], 0, host[i], counts[i] * sizeof(float), &error))
            return 10;
    }
    us_layer_forward args = {.x = on[2], .y = on[3], .tensors = on, .n = IMAGES};
    if (us_dense_layer.create(&plan, &made, &error) || us_profile_begin(device, &error) ||
        us_dense_layer.forward(made, &args, &error) || us_profile_take(device, &profile, &error) ||
        us_buffer_read(on[3], 0, host[3], counts[3] * sizeof(float), &error))
        return 11;
    *own = has_own_product(profile);
    int wrong = 0;
    for (size_t o = 0; o < OUT; o++)
        for (size_t n = 0; n < batch; n++) {
            double sum = (double)host[1][o];
            for (size_t i = 0; i < IN; i++)
                sum += (double)host[0][i * OUT + o] * (double)host[2][i * batch + n];
            wrong += !(fabs(sum - (double)host[3][o * batch + n]) <= 1e-4);
        }
    us_profile_release(profile);
    us_dense_layer.destroy(made);
    for (int i = 0; i < 4; i++) {
        free(host[i]);
        us_buffer_destroy(on[i]);
    }
    return wrong ? 12 : 0;
}

/* Winners of one product, ours and CLBlast's, take turns in the file, and in the layer. */
static int uses_clblast(us_device *device) {
    const us_product_spec spec = {.device = device,
                                  .form = US_PRODUCT_FORWARD,
                                  .in = IN,
                                  .out = OUT,
                                  .batch = us_device_pad(device, IMAGES),
                                  .bias = true};
    for (int turn = 0; turn < 4; turn++) {
        const us_product_implementation winner = turn % 2 ? US_PRODUCT_CLBLAST : US_PRODUCT_OWN;
        us_tuning_entry entry = {.default_ms = 2, .best_ms = 1};
        us_product_tuning chosen;
        bool own;
        int start = 0;
        do {
            if (!us_dense_tunable.start(&spec, start++, entry.values)) return 1;
        } while (entry.values[0] != (int)winner);
        if (us_tuning_open(device, &error) ||
            us_tuning_store(&us_dense_tunable, &spec, &entry, &error) ||
            us_tuning_open(device, &error) || us_product_choose(&spec, &chosen, &error))
            return 2;
        if (chosen.implementation != winner) return 3;
        int failed = run_forward(device, &own);
        if (failed) fprintf(stderr, "%s\n", error.message);
        if (failed) return failed;
        if (own != (winner == US_PRODUCT_OWN)) return 4;
    }
    return 0;
}

static void clblast_is_used_where_it_won(void **state) {
    (void)state;
    if (!us_clblast_available()) skip();
    assert_int_equal(in_child(uses_clblast), 0);
}

/* Without CLBlast a winner of a program that has it counts for nothing. */
static int misses_clblast(us_device *device) {
    const us_product_spec spec = {
        .device = device, .in = IN, .out = OUT, .batch = us_device_pad(device, IMAGES)};
    const us_tuning_entry entry = {.values = {US_PRODUCT_CLBLAST, 1, 1, 1, 1, 1, 1, 1}};
    us_product_tuning chosen;
    if (us_tuning_open(device, &error) ||
        us_tuning_store(&us_dense_tunable, &spec, &entry, &error) ||
        us_tuning_open(device, &error) || us_product_choose(&spec, &chosen, &error))
        return 2;
    return chosen.implementation == US_PRODUCT_OWN ? 0 : 3;
}

static void clblast_is_not_used_where_it_is_missed(void **state) {
    (void)state;
    if (us_clblast_available()) skip();
    assert_int_equal(in_child(misses_clblast), 0);
}

static int nothing(us_device *device) {
    (void)device;
    return 0;
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    setenv("UNSEEN_CACHE_DIR", folder, 1);
    if (in_child(nothing) == 77) {
        puts("skipped: the device is not there");
        rmdir(folder);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_misbehaves_costs_itself_alone, setup),
        cmocka_unit_test_setup(the_default_stays_where_nothing_beats_it, setup),
        cmocka_unit_test_setup(a_default_that_fails_is_done_without, setup),
        cmocka_unit_test_setup(where_all_fail_nothing_is_stored, setup),
        cmocka_unit_test_setup(what_cannot_be_collected_is_an_error, setup),
        cmocka_unit_test_setup(interrupted_and_continued, setup),
        cmocka_unit_test_setup(interrupted_while_a_candidate_hangs, setup),
        cmocka_unit_test_setup(the_time_is_shared, setup),
        cmocka_unit_test_setup(candidates_of_gathers_agree, setup),
        cmocka_unit_test_setup(candidates_of_weight_gradients_agree, setup),
        cmocka_unit_test_setup(candidates_of_dense_products_agree, setup),
        cmocka_unit_test_setup(what_is_stored_is_used, setup),
        cmocka_unit_test_setup(clblast_is_used_where_it_won, setup),
        cmocka_unit_test_setup(clblast_is_not_used_where_it_is_missed, setup),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0 || failed;
}
