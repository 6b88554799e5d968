/* SPDX-License-Identifier: MIT */
/* Every way of computing a dense layer gives the same results: the tunings that a tuner may choose,
 * ours and CLBlast's, against the reference on the host. The defaults are the self-test's. */
#include "test_device.h"
#include "test_operands.h"

#include <math.h>

#include "ops/attributes.h"
#include "ops/clblast.h"
#include "ops/dense/product.h"
#include "selftest/reference.h"
#include "test_choices.h"

enum { IMAGES = 61 };

/* A layer on the host and on the device. */
typedef struct layer {
    us_dense_attributes attributes;
    us_layer_plan plan;
    size_t in, out;
    double *x, *y, *dy, *dx, *weight, *bias, *weight_gradient, *bias_gradient;
    us_buffer *x_on, *y_on, *dy_on, *dx_on, *tensors[2], *gradients[2];
} layer;

/* Rows of `width` values on the host, `stride` on the device, with zeros between. NULL: all zeros.
 */
static us_buffer *upload(us_device *device, const double *values, size_t rows, size_t width,
                         size_t stride) {
    unseen_error error;
    us_buffer *made;
    float *padded = room(rows * stride, sizeof *padded);
    for (size_t i = 0; values && i < rows * width; i++)
        padded[i / width * stride + i % width] = (float)values[i];
    TEST_OK(us_buffer_create(device, rows * stride * sizeof *padded, "operand", &made, &error));
    TEST_OK(us_buffer_write(made, 0, padded, rows * stride * sizeof *padded, &error));
    free(padded);
    return made;
}

/* That a buffer holds `times` the values. */
static void expect(us_buffer *buffer, const double *values, double times, size_t rows, size_t width,
                   size_t stride, const char *what) {
    unseen_error error;
    float *got = room(rows * stride, sizeof *got);
    TEST_OK(us_buffer_read(buffer, 0, got, rows * stride * sizeof *got, &error));
    double scale = 0;
    for (size_t i = 0; i < rows * width; i++)
        scale = fmax(scale, fabs(times * values[i]));
    for (size_t i = 0; i < rows * width; i++) {
        const double have = got[i / width * stride + i % width], want = times * values[i];
        if (!(fabs(have - want) <= 1e-5 * scale))
            fail_msg("%s: %g instead of %g in row %zu, column %zu", what, have, want, i / width,
                     i % width);
    }
    free(got);
}

static void compute_reference(layer *l) {
    us_reference call = {
        .attributes = &l->attributes,
        .in = l->plan.in,
        .out = l->plan.out,
        .n = IMAGES,
        .activation = l->plan.activation,
        .input_activation = l->plan.input_activation,
        .x = l->x,
        .y = l->y,
        .dy = l->dy,
        .dx = l->dx,
        .tensors = (double *[]){l->weight, l->bias},
        .gradients = (double *[]){l->weight_gradient, l->bias_gradient},
    };
    const us_reference_layer *reference = us_reference_find(&us_dense_layer);
    reference->forward(&call);
    reference->backward(&call);
}

static layer open_layer(us_device *device, int in, int out, bool bias, us_activation activation,
                        us_activation input_activation) {
    layer l = {.attributes = {.units = out, .bias = bias}, .in = (size_t)in, .out = (size_t)out};
    l.plan = (us_layer_plan){.device = device,
                             .in = {in, 1, 1},
                             .out = {out, 1, 1},
                             .batch = us_device_pad(&device->facts, IMAGES),
                             .activation = activation,
                             .input_activation = input_activation};
    l.x = numbers(l.in * IMAGES, 1);
    l.dy = numbers(l.out * IMAGES, 2);
    l.weight = numbers(l.in * l.out, 3);
    l.bias = numbers(l.out, 4);
    l.y = room(l.out * IMAGES, sizeof *l.y);
    l.dx = room(l.in * IMAGES, sizeof *l.dx);
    l.weight_gradient = room(l.in * l.out, sizeof *l.weight_gradient);
    l.bias_gradient = room(l.out, sizeof *l.bias_gradient);
    compute_reference(&l);
    const size_t batch = (size_t)l.plan.batch;
    l.x_on = upload(device, l.x, l.in, IMAGES, batch);
    l.dy_on = upload(device, l.dy, l.out, IMAGES, batch);
    l.y_on = upload(device, NULL, l.out, IMAGES, batch);
    l.dx_on = upload(device, NULL, l.in, IMAGES, batch);
    l.tensors[0] = upload(device, l.weight, l.in, l.out, l.out);
    l.tensors[1] = upload(device, l.bias, 1, l.out, l.out);
    l.gradients[0] = upload(device, NULL, l.in, l.out, l.out);
    l.gradients[1] = upload(device, NULL, 1, l.out, l.out);
    return l;
}

static void close_layer(layer *l) {
    double *host[] = {
        l->x, l->y, l->dy, l->dx, l->weight, l->bias, l->weight_gradient, l->bias_gradient};
    us_buffer *on[] = {l->x_on,       l->y_on,       l->dy_on,        l->dx_on,
                       l->tensors[0], l->tensors[1], l->gradients[0], l->gradients[1]};
    for (int i = 0; i < 8; i++) {
        free(host[i]);
        us_buffer_destroy(on[i]);
    }
}

/* Forward, then backward twice, the second time on top of the first. */
static void check_layer(layer *l, const us_choice *choices, const char *what) {
    unseen_error error;
    void *made;
    const size_t batch = (size_t)l->plan.batch;
    l->plan.attributes = &l->attributes;
    TEST_OK(us_dense_create(&l->plan, choices, &made, &error));
    us_layer_forward forward = {.x = l->x_on, .y = l->y_on, .tensors = l->tensors, .n = IMAGES};
    TEST_OK(us_dense_layer.forward(made, &forward, &error));
    expect(l->y_on, l->y, 1, l->out, IMAGES, batch, what);
    us_layer_backward backward = {.x = l->x_on,
                                  .y = l->y_on,
                                  .dy = l->dy_on,
                                  .dx = l->dx_on,
                                  .tensors = l->tensors,
                                  .gradients = l->gradients,
                                  .n = IMAGES};
    for (int times = 1; times <= 2; times++) {
        backward.accumulate = times > 1;
        TEST_OK(us_dense_layer.backward(made, &backward, &error));
        expect(l->dx_on, l->dx, 1, l->in, IMAGES, batch, what);
        expect(l->gradients[0], l->weight_gradient, times, l->in, l->out, l->out, what);
        if (l->attributes.bias)
            expect(l->gradients[1], l->bias_gradient, times, 1, l->out, l->out, what);
    }
    us_dense_layer.destroy(made);
}

/* The default of an algorithm for a product of the layer. */
static us_choice default_choice(const layer *l, us_product_form form, const char *algorithm) {
    const us_product_problem problem = {
        .form = form, .in = (int)l->in, .out = (int)l->out, .batch = l->plan.batch};
    us_choice choice = {.algorithm = algorithm_named(&us_product_tunable, algorithm)};
    us_product_algorithms[choice.algorithm]->defaults(&l->plan.device->facts, &problem,
                                                      choice.parameters);
    return choice;
}

/* ---- ours ---- */

/* rows, vectors, slice (0: all), columns, chunks, tiles, block in vectors */
static const struct {
    int rows, vectors, slice, columns, chunks, tiles, block;
} own[] = {
    {1, 1, 0, 1, 1, 1, 1},    {6, 2, 0, 3, 1, 2, 2},       {12, 1, 40, 1, 2, 1, 2},
    {4, 2, 17, 2, 100, 3, 1}, {7, 1, 0, 100, 1, 100, 100}, {3, 2, 33, 1, 3, 2, 4},
};

static void our_tunings_agree(void **state) {
    us_device *device = *state;
    layer l = open_layer(device, 131, 37, true, (us_activation){US_ACTIVATION_LEAKY_RELU, 0.25f},
                         (us_activation){US_ACTIVATION_RELU, 0});
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        us_choice choices[US_PRODUCT_FORMS];
        const bool vectors = device->facts.execution == US_EXECUTION_VECTOR;
        for (int form = 0; form < US_PRODUCT_FORMS; form++) {
            us_choice *c = &choices[form];
            *c = default_choice(&l, form, vectors ? "blocks" : "lanes");
            const struct {
                const char *name;
                int value;
            } all[] = {{"tile_rows", own[i].rows},
                       {"tile_vectors", own[i].vectors},
                       {"item_columns", own[i].columns},
                       {"item_chunks", own[i].chunks},
                       {"chunk_tiles", own[i].tiles},
                       {"block", own[i].block * device->facts.vector_width}};
            for (size_t p = 0; p < (vectors ? sizeof all / sizeof *all : 1); p++)
                set_parameter(&us_product_tunable, c, all[p].name, all[p].value);
            int slice = parameter_named(&us_product_tunable, c, "slice");
            if (form != US_PRODUCT_WEIGHT && own[i].slice && own[i].slice < slice)
                set_parameter(&us_product_tunable, c, "slice", own[i].slice);
        }
        char what[32];
        snprintf(what, sizeof what, "tuning %zu", i);
        check_layer(&l, choices, what);
    }
    close_layer(&l);
}

/* ---- CLBlast ---- */

static const us_activation none = {US_ACTIVATION_NONE, 0}, relu = {US_ACTIVATION_RELU, 0},
                           leaky = {US_ACTIVATION_LEAKY_RELU, 0.25f},
                           hyperbolic = {US_ACTIVATION_TANH, 0};

static const struct {
    int in, out;
    bool bias;
    const us_activation *activation, *input_activation;
} layers[] = {
    {131, 37, true, &leaky, &relu},
    {3, 12, true, &none, &none},
    {70, 1, false, &hyperbolic, &none},
    {97, 201, false, &none, &leaky},
    {256, 129, true, &hyperbolic, &hyperbolic},
};

static void check_clblast(us_device *device, const char *which) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        layer l = open_layer(device, layers[i].in, layers[i].out, layers[i].bias,
                             *layers[i].activation, *layers[i].input_activation);
        us_choice choices[US_PRODUCT_FORMS];
        for (int form = 0; form < US_PRODUCT_FORMS; form++)
            choices[form] = default_choice(&l, form, "clblast");
        char what[64];
        snprintf(what, sizeof what, "layer %zu by CLBlast with %s", i, which);
        check_layer(&l, choices, what);
        close_layer(&l);
    }
}

static void clblast_agrees(void **state) {
    if (!us_clblast_available()) skip();
    check_clblast(*state, "its own parameters");
}

/* Parameters that differ from those that CLBlast has for devices it does not know. */
static void clblast_takes_parameters(void **state) {
    unseen_error error;
    us_clblast_parameters parameters = {.mwg = 16,
                                        .nwg = 32,
                                        .kwg = 8,
                                        .mdimc = 4,
                                        .ndimc = 8,
                                        .mdima = 4,
                                        .ndimb = 8,
                                        .kwi = 2,
                                        .vwm = 2,
                                        .vwn = 1};
    if (!us_clblast_available()) skip();
    TEST_OK(us_clblast_override(*state, &parameters, &error));
    check_clblast(*state, "given parameters");
}

static void clblast_is_missed(void **state) {
    unseen_error error;
    void *made;
    if (us_clblast_available()) skip();
    us_clblast_parameters parameters = {.mwg = 8};
    assert_int_equal(us_clblast_override(*state, &parameters, &error), UNSEEN_BAD_INPUT);
    layer l = open_layer(*state, 5, 3, true, none, none);
    us_choice choices[US_PRODUCT_FORMS];
    for (int form = 0; form < US_PRODUCT_FORMS; form++) {
        const us_product_problem problem = {.form = form, .in = 5, .out = 3, .batch = l.plan.batch};
        choices[form] = us_tunable_default(&us_product_tunable, *state, &problem);
        assert_int_not_equal(choices[form].algorithm,
                             algorithm_named(&us_product_tunable, "clblast"));
        choices[form] = default_choice(&l, form, "clblast");
    }
    l.plan.attributes = &l.attributes;
    assert_int_equal(us_dense_create(&l.plan, choices, &made, &error), UNSEEN_BAD_INPUT);
    close_layer(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_tunings_agree),
        cmocka_unit_test(clblast_agrees),
        cmocka_unit_test(clblast_takes_parameters),
        cmocka_unit_test(clblast_is_missed),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
