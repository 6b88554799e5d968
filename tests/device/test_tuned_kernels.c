/* What the tuner tries with the real kernels computes the right results, and what won is used. */
#include "test_tuning.h"

#include <math.h>
#include <string.h>

#include "device/profile.h"
#include "device/trial.h"
#include "device/tuning.h"
#include "ops/attributes.h"
#include "ops/clblast.h"
#include "ops/dense.h"
#include "ops/gather.h"
#include "ops/weight_gradient.h"

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
        for (int end = 0; count > 0 && end < 2; end++) {
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
    other.batch *= 2;
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(candidates_of_gathers_agree, setup),
        cmocka_unit_test_setup(candidates_of_weight_gradients_agree, setup),
        cmocka_unit_test_setup(candidates_of_dense_products_agree, setup),
        cmocka_unit_test_setup(what_is_stored_is_used, setup),
        cmocka_unit_test_setup(clblast_is_used_where_it_won, setup),
        cmocka_unit_test_setup(clblast_is_not_used_where_it_is_missed, setup),
    };
    int code = begin_tests();
    if (code) return code;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return end_tests() || failed;
}
