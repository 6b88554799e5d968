/* SPDX-License-Identifier: MIT */
/* What the tuner tries with the real kernels computes the right results, and what won is used. */
#include "test_tuning.h"

#include <math.h>
#include <string.h>

#include "device/profile.h"
#include "tuning/trial.h"
#include "tuning/tuning.h"
#include "ops/attributes.h"
#include "ops/clblast.h"
#include "ops/convolution/table.h"
#include "test_choices.h"

static int check_point(us_trial *trial, const us_choice *choice, int *tried) {
    us_trial_times times;
    const us_algorithm *by = us_choice_algorithm(trial->tunable, choice);
    if (!by->valid(&trial->device->facts, trial->problem, choice->parameters)) return 0;
    ++*tried;
    if (us_trial_run(trial, choice, 0, &times, &error) == UNSEEN_OK) return 0;
    fprintf(stderr, "%s by %s with", trial->tunable->name, by->name);
    for (const us_parameter *p = by->parameters; p->name; p++)
        fprintf(stderr, " %s %d", p->name, us_parameter_value(p, choice->parameters));
    fprintf(stderr, ": %s\n", error.message);
    return 1;
}

/* The ends of each parameter's choices beside the others of a choice. */
static int check_ends(us_trial *trial, const us_choice *from, int *tried) {
    const us_algorithm *by = us_choice_algorithm(trial->tunable, from);
    int list[US_TUNABLE_CHOICES], failed = 0;
    for (const us_parameter *p = by->parameters; p->name; p++) {
        int count =
            by->choices(&trial->device->facts, trial->problem, from->parameters, p->offset, list);
        for (int end = 0; count > 0 && end < 2; end++) {
            us_choice choice = *from;
            *us_parameter_in(p, choice.parameters) = list[end ? count - 1 : 0];
            failed += check_point(trial, &choice, tried);
        }
    }
    return failed;
}

/* Every start of every algorithm; and of each whose first one is valid the ends of its choices. */
static int check_candidates(us_device *device, const us_tunable *tunable, const void *problem) {
    us_trial trial;
    int failed = 0, tried = 0;
    if (us_trial_begin(device, tunable, problem, true, &trial, &error) != UNSEEN_OK) {
        fprintf(stderr, "%s: %s\n", tunable->name, error.message);
        return 1;
    }
    us_choice choice = us_tunable_default(tunable, &device->facts, problem);
    if (!us_choice_algorithm(tunable, &choice)->valid(&device->facts, problem, choice.parameters)) {
        fprintf(stderr, "%s: the default is not valid\n", tunable->name);
        failed++;
    }
    for (int a = 0; tunable->algorithms[a]; a++) {
        const us_algorithm *by = tunable->algorithms[a];
        for (int i = 0;; i++) {
            choice = (us_choice){.algorithm = a};
            if (!by->start(&device->facts, problem, i, choice.parameters)) break;
            failed += check_point(&trial, &choice, &tried);
            if (i == 0 && by->valid(&device->facts, problem, choice.parameters))
                failed += check_ends(&trial, &choice, &tried);
        }
    }
    us_trial_end(&trial);
    if (tried < 8) fprintf(stderr, "%s: only %d candidates\n", tunable->name, tried);
    return failed + (tried < 8);
}

/* Not a round number anywhere. */
static us_convolution_problem down_problem(const us_device_facts *device) {
    return (us_convolution_problem){.pass = US_CONVOLUTION_DOWN,
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
                                    .activation = {US_ACTIVATION_TANH, 0}};
}

static int gathers(us_device *device) {
    us_convolution_problem down = down_problem(&device->facts), up = down;
    up.pass = US_CONVOLUTION_UP;
    up.bias = false;
    up.activation.kind = US_ACTIVATION_NONE;
    up.input_activation = (us_activation){US_ACTIVATION_LEAKY_RELU, 0.25f};
    return check_candidates(device, &us_convolution_tunable, &down) +
           check_candidates(device, &us_convolution_tunable, &up);
}

/* Kernels of the same size both ways, which Winograd's filtering can compute. */
static int square(us_device *device) {
    us_convolution_problem problem = down_problem(&device->facts);
    problem.kernel[0] = problem.kernel[1] = 4;
    problem.stride[0] = problem.stride[1] = 2;
    problem.padding[0] = problem.padding[1] = 1;
    problem.small = (us_shape){13, 4, 4};
    problem.large_stride = 4 * 4 * 13;
    int failed = check_candidates(device, &us_convolution_tunable, &problem);
    problem.pass = US_CONVOLUTION_WEIGHTS;
    return failed + check_candidates(device, &us_convolution_tunable, &problem);
}

static int weight_gradients(us_device *device) {
    us_convolution_problem problem = down_problem(&device->facts);
    problem.pass = US_CONVOLUTION_WEIGHTS;
    int failed = check_candidates(device, &us_convolution_tunable, &problem);
    problem.large_stride = 1;
    problem.tap_stride = 7;
    problem.small_stride = 5 * 4 * 7;
    problem.bias_of_large = true;
    return failed + check_candidates(device, &us_convolution_tunable, &problem);
}

/* A dense layer asks for its three products itself. */
static int dense_products(us_device *device) {
    us_dense_attributes attributes = {.units = 37, .bias = true};
    us_layer_plan plan = {
        .device = device,
        .attributes = &attributes,
        .in = {70, 1, 1},
        .out = {37, 1, 1},
        .batch = us_device_pad(&device->facts, 65),
        .activation = {US_ACTIVATION_SIGMOID, 0},
        .input_activation = {US_ACTIVATION_RELU, 0},
        .training = true,
    };
    void *layer;
    if (us_tuning_open(&device->facts, &device->tuning, &error) != UNSEEN_OK ||
        us_dense_layer.create(&plan, &layer, &error) != UNSEEN_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    us_dense_layer.destroy(layer);
    int failed = 0, products = 0;
    for (const us_tuning_made *made = device->tuning->made; made; made = made->next, products++)
        failed += check_candidates(device, made->tunable, made->problem);
    us_tuning_close(&device->tuning);
    return failed + (products != 3);
}

static void candidates_of_gathers_agree(void **state) {
    (void)state;
    assert_int_equal(in_child(gathers), 0);
}

static void candidates_of_square_kernels_agree(void **state) {
    (void)state;
    assert_int_equal(in_child(square), 0);
}

static void candidates_of_weight_gradients_agree(void **state) {
    (void)state;
    assert_int_equal(in_child(weight_gradients), 0);
}

static void candidates_of_dense_products_agree(void **state) {
    (void)state;
    assert_int_equal(in_child(dense_products), 0);
}

/* A winner of the file is what a problem gets; others keep their default. */
static int uses_the_winner(us_device *device) {
    const us_convolution_problem problem = down_problem(&device->facts);
    us_convolution_problem other = problem;
    us_choice winner = {.algorithm = algorithm_named(&us_convolution_tunable, "direct"),
                        .parameters = {3, 1, 2}};
    us_tuning_entry entry = {winner, 2, 1};
    us_choice first, second, usual;
    other.batch *= 2;
    if (us_tuning_open(&device->facts, &device->tuning, &error) ||
        us_tuning_store(device->tuning, &us_convolution_tunable, &problem, &entry, &error) ||
        us_tuning_open(&device->facts, &device->tuning, &error) ||
        us_tuning_choose(device->tuning, &device->facts, &us_convolution_tunable, &problem, &first,
                         &error) ||
        us_tuning_choose(device->tuning, &device->facts, &us_convolution_tunable, &other, &second,
                         &error))
        return 1;
    us_tuning_close(&device->tuning);
    usual = us_tunable_default(&us_convolution_tunable, &device->facts, &other);
    if (memcmp(&first, &winner, sizeof winner) != 0) return 3;
    return memcmp(&second, &usual, sizeof usual) == 0 ? 0 : 4;
}

static void what_is_stored_is_used(void **state) {
    (void)state;
    assert_int_equal(in_child(uses_the_winner), 0);
}

/* Whether no launch of the profile is CLBlast's. */
static bool has_own_product(const us_profile *profile) {
    for (size_t i = 0; i < profile->count; i++)
        if (strcmp(profile->launches[i].name, "clblast") == 0) return false;
    return true;
}

enum { IN = 70, OUT = 37, IMAGES = 65 };

/* Forward of a layer as it is created by anyone, beside a sum on the host; *own: by our kernels. */
static int run_forward(us_device *device, bool *own) {
    us_dense_attributes attributes = {.units = OUT, .bias = true};
    const us_layer_plan plan = {.device = device,
                                .attributes = &attributes,
                                .in = {IN, 1, 1},
                                .out = {OUT, 1, 1},
                                .batch = us_device_pad(&device->facts, IMAGES)};
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

/* A dense layer's forward pass, as it asks for it. */
static us_convolution_problem product_problem(const us_device_facts *device) {
    return (us_convolution_problem){.pass = US_CONVOLUTION_DOWN,
                                    .large = {IN, 1, 1},
                                    .small = {OUT, 1, 1},
                                    .batch = us_device_pad(device, IMAGES),
                                    .kernel = {1, 1},
                                    .stride = {1, 1},
                                    .large_stride = OUT,
                                    .tap_stride = OUT,
                                    .small_stride = 1,
                                    .bias = true};
}

/* Winners of one product, ours and CLBlast's, alternate in the file, and in the layer. */
static int uses_clblast(us_device *device) {
    const us_tunable *tunable = &us_convolution_tunable;
    const us_convolution_problem problem = product_problem(&device->facts);
    for (int turn = 0; turn < 4; turn++) {
        us_tuning_entry entry = {{.algorithm = algorithm_named(tunable, "clblast")}, 2, 1};
        us_choice chosen;
        bool own;
        if (turn % 2 == 0) entry.choice = us_tunable_default(tunable, &device->facts, &problem);
        if (us_tuning_open(&device->facts, &device->tuning, &error) ||
            us_tuning_store(device->tuning, tunable, &problem, &entry, &error) ||
            us_tuning_open(&device->facts, &device->tuning, &error) ||
            us_tuning_choose(device->tuning, &device->facts, tunable, &problem, &chosen, &error))
            return 2;
        if (memcmp(&chosen, &entry.choice, sizeof chosen) != 0) return 3;
        int failed = run_forward(device, &own);
        if (failed) fprintf(stderr, "%s\n", error.message);
        if (failed) return failed;
        us_tuning_close(&device->tuning);
        if (own != (turn % 2 == 0)) return 4;
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
    const us_tunable *tunable = &us_convolution_tunable;
    const us_convolution_problem problem = product_problem(&device->facts);
    const int clblast = algorithm_named(tunable, "clblast");
    const us_tuning_entry entry = {.choice = {.algorithm = clblast}};
    us_choice chosen;
    if (us_tuning_open(&device->facts, &device->tuning, &error) ||
        us_tuning_store(device->tuning, tunable, &problem, &entry, &error) ||
        us_tuning_open(&device->facts, &device->tuning, &error) ||
        us_tuning_choose(device->tuning, &device->facts, tunable, &problem, &chosen, &error))
        return 2;
    us_tuning_close(&device->tuning);
    return chosen.algorithm != clblast ? 0 : 3;
}

static void clblast_is_not_used_where_it_is_missed(void **state) {
    (void)state;
    if (us_clblast_available()) skip();
    assert_int_equal(in_child(misses_clblast), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(candidates_of_gathers_agree, setup),
        cmocka_unit_test_setup(candidates_of_square_kernels_agree, setup),
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
