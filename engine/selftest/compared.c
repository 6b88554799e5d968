/* SPDX-License-Identifier: MIT */
/* A layer whose output is compared with images: the loss with its gradient, and the score, whether
 * the layer compares while it has the output at hand or leaves it to them. */
#include <stdlib.h>

#include "selftest/reference.h"
#include "selftest/selftest.h"
#include "selftest/cases.h"

typedef struct compared_case {
    const us_layer_type *type;
    const char *keys;
    us_shape in;
    int n, room; /* images, and those that the batch has room for (0: no more) */
    us_activation activation;
    us_pixel_score_kind score;
} compared_case;

#define HALF "\"kernel\": 4, \"stride\": 2, \"padding\": 1"

static const compared_case cases[] = {
    {TRANSPOSED, "{\"channels\": 3, " HALF "}", {12, 4, 6}, 17, 0, TANH, US_PIXEL_SCORE_ROOT_SUM},
    {TRANSPOSED, "{\"channels\": 3, " HALF "}", {5, 9, 7}, 33, 128, SIGMOID, US_PIXEL_SCORE_SUM},
    {TRANSPOSED, "{\"channels\": 1, " HALF "}", {3, 7, 5}, 1, 0, NONE, US_PIXEL_SCORE_MEAN},
    {TRANSPOSED,
     "{\"channels\": 3, \"kernel\": 5, \"stride\": 2, \"padding\": 2, \"output_padding\": 1}",
     {5, 3, 4},
     17,
     0,
     LEAKY,
     US_PIXEL_SCORE_ROOT_SUM},
    {TRANSPOSED, "{\"channels\": 13, " HALF "}", {7, 4, 4}, 5, 0, RELU, US_PIXEL_SCORE_SUM},
    {TRANSPOSED, "{\"channels\": 3, " HALF "}", {5, 3, 2}, 17, 0, TANH, US_PIXEL_SCORE_MAXIMUM},
    {CONVOLUTION,
     "{\"channels\": 3, \"kernel\": 3, \"padding\": 1}",
     {5, 7, 20},
     17,
     40,
     TANH,
     US_PIXEL_SCORE_MEAN},
    {CONVOLUTION, "{\"channels\": 1, \"kernel\": 1}", {1, 1, 1}, 1, 0, NONE, US_PIXEL_SCORE_SUM},
    {DENSE, "{\"units\": 105}", {12, 1, 1}, 17, 0, TANH, US_PIXEL_SCORE_ROOT_SUM},
    {DENSE, "{\"units\": 2500}", {128, 1, 1}, 33, 128, SIGMOID, US_PIXEL_SCORE_MEAN},
    {DENSE, "{\"units\": 5, \"bias\": false}", {515, 1, 1}, 1, 0, NONE, US_PIXEL_SCORE_SUM},
};

enum { CASES = sizeof cases / sizeof *cases, SLOTS = 3, SLOT = 1 };

typedef struct compared_test {
    us_selftest *test;
    const compared_case *wanted;
    us_layer_plan plan;
    void *attributes, *layer;
    int count;
    us_test_values x, y, image, dy, losses, scores, tensors[US_LAYER_MAX_TENSORS];
    double *host_tensors[US_LAYER_MAX_TENSORS];
    us_buffer *device_tensors[US_LAYER_MAX_TENSORS];
    us_loss *loss;
    us_pixel_score *score;
} compared_test;

static unseen_status create_layer(compared_test *t, unseen_error *error) {
    const compared_case *wanted = t->wanted;
    us_device *device = t->test->device;
    us_tensor_spec specs[US_LAYER_MAX_TENSORS];
    US_TRY(us_test_attributes_read(wanted->type, wanted->keys, &t->attributes, error));
    t->plan = (us_layer_plan){
        .device = device,
        .attributes = t->attributes,
        .in = wanted->in,
        .batch = us_device_pad(&device->facts, wanted->room > wanted->n ? wanted->room : wanted->n),
        .activation = wanted->activation,
        .fusion.compared = true,
    };
    US_TRY(wanted->type->infer(t->attributes, wanted->in, &t->plan.out, error));
    t->count = wanted->type->tensors(t->attributes, t->plan.in, specs);
    for (int i = 0; i < t->count; i++) {
        US_TRY(us_test_tensor_create(t->test, &specs[i], &t->tensors[i], error));
        t->host_tensors[i] = t->tensors[i].host;
        t->device_tensors[i] = t->tensors[i].device;
    }
    return wanted->type->create(&t->plan, &t->layer, error);
}

static unseen_status create(compared_test *t, unseen_error *error) {
    US_TRY(create_layer(t, error));
    us_selftest *test = t->test;
    const int n = t->wanted->n, batch = t->plan.batch;
    const size_t in = us_shape_size(t->plan.in), out = us_shape_size(t->plan.out);
    US_TRY(us_test_values_create(test, in, n, batch, &t->x, error));
    US_TRY(us_test_values_create(test, out, n, batch, &t->y, error));
    US_TRY(us_test_values_create(test, out, n, batch, &t->image, error));
    US_TRY(us_test_values_create(test, out, n, batch, &t->dy, error));
    US_TRY(us_test_values_create(test, 1, n, batch, &t->scores, error));
    US_TRY(us_test_values_create(test, SLOTS, 1, 1, &t->losses, error));
    us_test_values_random(test, &t->x, 1, 0);
    us_test_values_random(test, &t->image, 1, 0);
    /* Padded lanes that a sum would show. */
    US_TRY(us_test_values_upload(&t->x, 77, error));
    US_TRY(us_test_values_upload(&t->image, 7, error));
    US_TRY(us_test_values_upload(&t->dy, 0, error));
    US_TRY(us_test_values_upload(&t->losses, 0, error));
    US_TRY(us_loss_create(test->device, US_LOSS_MEAN_SQUARED_ERROR, t->plan.out, batch,
                          t->wanted->activation, &t->loss, error));
    return us_pixel_score_create(test->device, t->wanted->score, 0, t->plan.out, batch, &t->score,
                                 error);
}

static unseen_status run(compared_test *t, us_target *target, us_training training,
                         unseen_error *error) {
    const us_layer_forward args = {
        .x = t->x.device,
        .y = t->y.device,
        .tensors = t->device_tensors,
        .n = t->wanted->n,
        .training = training,
        .fusion.target = target,
    };
    return t->wanted->type->forward(t->layer, &args, error);
}

static unseen_status compare(compared_test *t, const us_test_values *values, const char *what,
                             bool zero_padding, unseen_error *error) {
    return us_test_values_compare(t->test, values, t->wanted->type->name, what, t->plan.in, 2e-5,
                                  1e-3, zero_padding, error);
}

/* On the host, y. */
static unseen_status check_output(compared_test *t, unseen_error *error) {
    const us_reference call = {
        .attributes = t->attributes,
        .in = t->plan.in,
        .out = t->plan.out,
        .n = t->wanted->n,
        .activation = t->wanted->activation,
        .x = t->x.host,
        .y = t->y.host,
        .tensors = t->host_tensors,
    };
    us_reference_find(t->wanted->type)->forward(&call);
    us_target none = {0};
    US_TRY(run(t, &none, US_TRAINING_NONE, error));
    return compare(t, &t->y, "not compared", false, error);
}

static unseen_status check_loss(compared_test *t, unseen_error *error) {
    const double weight = 0.75;
    us_loss_args loss = {
        .y = t->y.device,
        .target = t->image.device,
        .dy = t->dy.device,
        .losses = t->losses.device,
        .slot = SLOT,
        .n = t->wanted->n,
        .weight = (float)weight,
    };
    us_target target = us_loss_target(t->loss, &loss);
    US_TRY(run(t, &target, US_TRAINING_MOVES, error));
    loss.errors = target.errors;
    US_TRY(us_loss_run(t->loss, &loss, error));
    const size_t count = t->y.rows * (size_t)t->wanted->n;
    t->losses.host[SLOT] =
        weight * us_reference_loss(US_LOSS_MEAN_SQUARED_ERROR, t->wanted->activation, count,
                                   t->y.host, t->image.host, 0, t->dy.host);
    for (size_t i = 0; i < count; i++)
        t->dy.host[i] *= weight;
    US_TRY(compare(t, &t->losses, "compared, loss", false, error));
    return us_test_values_compare(t->test, &t->dy, t->wanted->type->name, "compared, gradient",
                                  t->plan.in, 2e-5, 1e-9, true, error);
}

static unseen_status check_score(compared_test *t, unseen_error *error) {
    us_target target = us_pixel_score_target(t->score, t->image.device);
    US_TRY(run(t, &target, US_TRAINING_NONE, error));
    US_TRY(us_pixel_score_run(t->score, t->image.device, t->y.device, &target.errors,
                              t->scores.device, error));
    const us_shape shape = t->plan.out;
    double *errors = calloc((size_t)shape.height * (size_t)shape.width, sizeof *errors);
    if (!errors) return us_fail_memory(error, "the self-test");
    us_reference_pixel_score(t->wanted->score, 0, shape, t->wanted->n, t->image.host, t->y.host,
                             t->scores.host, errors);
    free(errors);
    return compare(t, &t->scores, "compared, score", false, error);
}

static void destroy(compared_test *t) {
    if (t->layer) t->wanted->type->destroy(t->layer);
    us_test_values *const values[] = {&t->x, &t->y, &t->image, &t->dy, &t->losses, &t->scores};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        us_test_values_destroy(values[i]);
    for (int i = 0; i < US_LAYER_MAX_TENSORS; i++)
        us_test_values_destroy(&t->tensors[i]);
    us_loss_destroy(t->loss);
    us_pixel_score_destroy(t->score);
    us_test_attributes_release(t->wanted->type, t->attributes);
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    const compared_case *wanted = &cases[number];
    compared_test t = {.test = test, .wanted = wanted};
    unseen_status status = create(&t, error);
    if (status == UNSEEN_OK) status = check_output(&t, error);
    if (status == UNSEEN_OK) status = check_loss(&t, error);
    if (status == UNSEEN_OK) status = check_score(&t, error);
    destroy(&t);
    if (status != UNSEEN_OK)
        us_error_context(error, "%s %s on %d x %d x %d, compared", wanted->type->name, wanted->keys,
                         wanted->in.channels, wanted->in.height, wanted->in.width);
    return status;
}

const us_selftest_group us_selftest_compared = {"layer compared with images", CASES, run_case};
