/* SPDX-License-Identifier: MIT */
/* BatchNorm between two layers of a kind: in training the one before may take the moments that it
 * needs, and the one after the sums of its gradients; for scoring it is folded into the weights of
 * the one before. */
#include "selftest/reference.h"
#include "selftest/selftest.h"
#include "selftest/cases.h"

typedef struct normalized_case {
    const us_layer_type *type;
    const char *keys, *normalization;
    us_shape in;
    int n, room; /* images, and those that the batch has room for (0: no more) */
    us_activation activation;
    double shift; /* of the layer's bias, if it has one */
} normalized_case;

static const normalized_case cases[] = {
    {CONVOLUTION,
     "{\"channels\": 12, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     "{}",
     {3, 16, 16},
     17,
     32,
     RELU,
     0},
    {CONVOLUTION,
     "{\"channels\": 13, \"kernel\": 4, \"stride\": 2, \"padding\": 1, \"bias\": false}",
     "{\"affine\": false}",
     {5, 14, 10},
     33,
     0,
     LEAKY,
     0},
    {CONVOLUTION,
     "{\"channels\": 12, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     "{}",
     {6, 8, 8},
     17,
     0,
     NONE,
     1000},
    {CONVOLUTION,
     "{\"channels\": 5, \"kernel\": 3, \"padding\": 1}",
     "{\"epsilon\": 0.1}",
     {3, 7, 5},
     17,
     0,
     TANH,
     0},
    {CONVOLUTION, "{\"channels\": 1, \"kernel\": 1}", "{}", {1, 1, 1}, 5, 40, RELU, 0},
    /* The third layer's kernel covers its input. */
    {CONVOLUTION, "{\"channels\": 1, \"kernel\": 4}", "{}", {3, 7, 7}, 5, 0, RELU, 0},
    {CONVOLUTION, "{\"channels\": 12, \"kernel\": 4}", "{}", {3, 7, 7}, 17, 0, LEAKY, 0},
    {TRANSPOSED,
     "{\"channels\": 12, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     "{}",
     {8, 8, 8},
     17,
     32,
     RELU,
     0},
    {TRANSPOSED,
     "{\"channels\": 7, \"kernel\": 3, \"stride\": 2, \"padding\": 1}",
     "{\"affine\": false}",
     {5, 6, 4},
     40,
     0,
     LEAKY,
     0},
    {TRANSPOSED,
     "{\"channels\": 6, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     "{}",
     {5, 5, 3},
     1,
     60,
     TANH,
     0},
};

enum { CASES = sizeof cases / sizeof *cases };

/* One of the three layers. */
typedef struct member {
    const us_layer_type *type;
    us_layer_plan plan;
    void *attributes, *layer;
    int count;
    us_test_values tensors[US_LAYER_MAX_TENSORS];
    us_tensor_spec specs[US_LAYER_MAX_TENSORS];
    double *host[US_LAYER_MAX_TENSORS];
    us_buffer *device[US_LAYER_MAX_TENSORS];
} member;

typedef struct normalized_test {
    us_selftest *test;
    const normalized_case *wanted;
    member first, second, third;
    us_test_values x, between, y;
    us_test_values dz, dy, dbetween; /* with respect to the third one's output, and so on */
    us_test_values gradients[US_LAYER_MAX_TENSORS]; /* of the second one */
    us_buffer *saved, *folded[2];
} normalized_test;

/* Beyond what is normal, so that a sum that takes padded lanes in goes visibly wrong. */
static const float PADDING = 77;

static unseen_status create_member(normalized_test *t, member *h, const us_layer_type *type,
                                   const char *keys, us_shape in, unseen_error *error) {
    const normalized_case *wanted = t->wanted;
    us_device *device = t->test->device;
    h->type = type;
    US_TRY(us_test_attributes_read(type, keys, &h->attributes, error));
    h->plan = (us_layer_plan){
        .device = device,
        .attributes = h->attributes,
        .in = in,
        .batch = us_device_pad(&device->facts, wanted->room > wanted->n ? wanted->room : wanted->n),
    };
    US_TRY(type->infer(h->attributes, in, &h->plan.out, error));
    h->count = type->tensors(h->attributes, in, h->specs);
    for (int i = 0; i < h->count; i++) {
        US_TRY(us_test_tensor_create(t->test, &h->specs[i], &h->tensors[i], error));
        h->host[i] = h->tensors[i].host;
        h->device[i] = h->tensors[i].device;
    }
    return UNSEEN_OK;
}

static unseen_status create_values(normalized_test *t, unseen_error *error) {
    const us_layer_plan *first = &t->first.plan, *second = &t->second.plan;
    const int n = t->wanted->n, batch = first->batch;
    us_device *device = t->test->device;
    const size_t channels = (size_t)first->out.channels;
    US_TRY(us_test_values_create(t->test, us_shape_size(first->in), n, batch, &t->x, error));
    US_TRY(us_test_values_create(t->test, us_shape_size(first->out), n, batch, &t->between, error));
    US_TRY(us_test_values_create(t->test, us_shape_size(second->out), n, batch, &t->y, error));
    US_TRY(
        us_test_values_create(t->test, us_shape_size(t->third.plan.out), n, batch, &t->dz, error));
    US_TRY(us_test_values_create(t->test, us_shape_size(second->out), n, batch, &t->dy, error));
    US_TRY(
        us_test_values_create(t->test, us_shape_size(first->out), n, batch, &t->dbetween, error));
    for (int i = 0; i < t->second.count; i++)
        US_TRY(us_test_values_create(t->test, channels, 1, 1, &t->gradients[i], error));
    US_TRY(us_buffer_create(
        device,
        us_batchnorm_layer.saved_floats(t->second.attributes, second->in, batch) * sizeof(float),
        "the self-test", &t->saved, error));
    US_TRY(us_buffer_create(device, t->first.tensors[0].rows * sizeof(float), "the self-test",
                            &t->folded[0], error));
    US_TRY(
        us_buffer_create(device, channels * sizeof(float), "the self-test", &t->folded[1], error));
    us_test_values_random(t->test, &t->x, 1, 0.3);
    us_test_values_random(t->test, &t->dz, 1, 0.1);
    US_TRY(us_test_values_upload(&t->x, PADDING, error));
    return us_test_values_upload(&t->dz, 0, error);
}

static unseen_status create(normalized_test *t, unseen_error *error) {
    const normalized_case *wanted = t->wanted;
    member *first = &t->first, *second = &t->second, *third = &t->third;
    US_TRY(create_member(t, first, wanted->type, wanted->keys, wanted->in, error));
    US_TRY(create_member(t, second, &us_batchnorm_layer, wanted->normalization, first->plan.out,
                         error));
    first->plan.fusion.is_normalized = true;
    first->plan.fusion.normalized_activation = wanted->activation;
    second->plan.activation = wanted->activation;
    US_TRY(create_member(t, third, wanted->type, wanted->keys, second->plan.out, error));
    third->plan.input_activation = wanted->activation;
    third->plan.fusion.input_is_normalized = true;
    if (first->count > 1) {
        us_test_values_random(t->test, &first->tensors[1], 0.3, wanted->shift);
        US_TRY(us_test_values_upload(&first->tensors[1], 0, error));
    }
    US_TRY(create_values(t, error));
    US_TRY(first->type->create(&first->plan, &first->layer, error));
    US_TRY(second->type->create(&second->plan, &second->layer, error));
    return third->type->create(&third->plan, &third->layer, error);
}

static void compute_expected(normalized_test *t, bool training) {
    us_reference first = {.attributes = t->first.attributes,
                          .in = t->first.plan.in,
                          .out = t->first.plan.out,
                          .n = t->wanted->n,
                          .x = t->x.host,
                          .y = t->between.host,
                          .tensors = t->first.host};
    us_reference second = {.attributes = t->second.attributes,
                           .in = t->second.plan.in,
                           .out = t->second.plan.out,
                           .n = t->wanted->n,
                           .activation = t->wanted->activation,
                           .training = training,
                           .x = t->between.host,
                           .y = t->y.host,
                           .tensors = t->second.host};
    us_reference_find(t->first.type)->forward(&first);
    us_reference_find(t->second.type)->forward(&second);
}

/* Gradients are zero in padded lanes. */
static unseen_status compare(normalized_test *t, const us_test_values *values, const char *what,
                             bool is_gradient, unseen_error *error) {
    /* A mean of many deviations leaves fewer digits to the deviations themselves. */
    const double limit = t->wanted->shift > 100 ? 2e-3 : 5e-5;
    return us_test_values_compare(t->test, values, t->wanted->type->name, what, t->wanted->in,
                                  limit, 1e-3, is_gradient, error);
}

static unseen_status check_training(normalized_test *t, unseen_error *error) {
    us_parts moments = {0};
    const us_layer_forward first = {.x = t->x.device,
                                    .y = t->between.device,
                                    .tensors = t->first.device,
                                    .n = t->wanted->n,
                                    .training = US_TRAINING_MOVES,
                                    .fusion.moments = &moments};
    US_TRY(t->first.type->forward(t->first.layer, &first, error));
    const us_layer_forward second = {.x = t->between.device,
                                     .y = t->y.device,
                                     .tensors = t->second.device,
                                     .saved = t->saved,
                                     .n = t->wanted->n,
                                     .training = US_TRAINING_MOVES,
                                     .fusion.x_moments = moments};
    US_TRY(t->second.type->forward(t->second.layer, &second, error));
    compute_expected(t, true);
    US_TRY(compare(t, &t->y, "normalised", false, error));
    for (int i = 0; i < t->second.count; i++)
        if (!t->second.specs[i].trainable)
            US_TRY(compare(t, &t->second.tensors[i], t->second.specs[i].name, false, error));
    return UNSEEN_OK;
}

static void compute_expected_gradients(normalized_test *t) {
    double *gradients[US_LAYER_MAX_TENSORS] = {0};
    for (int i = 0; i < t->second.count; i++)
        if (t->second.specs[i].trainable) gradients[i] = t->gradients[i].host;
    us_reference third = {.attributes = t->third.attributes,
                          .in = t->third.plan.in,
                          .out = t->third.plan.out,
                          .n = t->wanted->n,
                          .input_activation = t->wanted->activation,
                          .x = t->y.host,
                          .tensors = t->third.host,
                          .dy = t->dz.host,
                          .dx = t->dy.host};
    us_reference second = {.attributes = t->second.attributes,
                           .in = t->second.plan.in,
                           .out = t->second.plan.out,
                           .n = t->wanted->n,
                           .training = true,
                           .x = t->between.host,
                           .tensors = t->second.host,
                           .dy = t->dy.host,
                           .dx = t->dbetween.host,
                           .gradients = gradients};
    us_reference_find(t->third.type)->backward(&third);
    us_reference_find(t->second.type)->backward(&second);
}

/* After a forward pass in training. */
static unseen_status check_backward(normalized_test *t, unseen_error *error) {
    us_parts sums = {0};
    us_buffer *gradients[US_LAYER_MAX_TENSORS] = {0};
    for (int i = 0; i < t->second.count; i++)
        if (t->second.specs[i].trainable) gradients[i] = t->gradients[i].device;
    const us_layer_backward third = {.x = t->y.device,
                                     .dy = t->dz.device,
                                     .dx = t->dy.device,
                                     .tensors = t->third.device,
                                     .n = t->wanted->n,
                                     .fusion.normalized = t->between.device,
                                     .fusion.statistics = t->saved,
                                     .fusion.dx_sums = &sums};
    US_TRY(t->third.type->backward(t->third.layer, &third, error));
    const us_layer_backward second = {.x = t->between.device,
                                      .y = t->y.device,
                                      .dy = t->dy.device,
                                      .dx = t->dbetween.device,
                                      .tensors = t->second.device,
                                      .gradients = gradients,
                                      .saved = t->saved,
                                      .n = t->wanted->n,
                                      .fusion.dy_sums = sums};
    US_TRY(t->second.type->backward(t->second.layer, &second, error));
    compute_expected_gradients(t);
    US_TRY(compare(t, &t->dy, "gradient after the normalisation", true, error));
    US_TRY(compare(t, &t->dbetween, "gradient before the normalisation", true, error));
    for (int i = 0; i < t->second.count; i++)
        if (gradients[i])
            US_TRY(compare(t, &t->gradients[i], "gradient of the normalisation", false, error));
    return UNSEEN_OK;
}

static unseen_status check_scoring(normalized_test *t, unseen_error *error) {
    const us_layer_fold fold = {
        .tensors = t->second.device,
        .weight = t->first.device[0],
        .bias = t->first.count > 1 ? t->first.device[1] : NULL,
        .to_weight = t->folded[0],
        .to_bias = t->folded[1],
        .rows = t->first.tensors[0].rows / (size_t)t->first.plan.out.channels,
    };
    US_TRY(t->second.type->fold(t->second.layer, &fold, error));
    const us_layer_forward args = {.x = t->x.device,
                                   .y = t->y.device,
                                   .tensors = t->folded,
                                   .n = t->wanted->n,
                                   .fusion.folded = true};
    US_TRY(t->first.type->forward(t->first.layer, &args, error));
    compute_expected(t, false);
    return compare(t, &t->y, "normalised, scoring", false, error);
}

static void destroy(normalized_test *t) {
    member *const members[] = {&t->first, &t->second, &t->third};
    for (size_t m = 0; m < sizeof members / sizeof *members; m++) {
        member *h = members[m];
        if (h->layer) h->type->destroy(h->layer);
        for (int i = 0; i < US_LAYER_MAX_TENSORS; i++)
            us_test_values_destroy(&h->tensors[i]);
        if (h->type) us_test_attributes_release(h->type, h->attributes);
    }
    us_test_values *const values[] = {&t->x, &t->between, &t->y, &t->dz, &t->dy, &t->dbetween};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        us_test_values_destroy(values[i]);
    for (int i = 0; i < US_LAYER_MAX_TENSORS; i++)
        us_test_values_destroy(&t->gradients[i]);
    us_buffer_destroy(t->saved);
    us_buffer_destroy(t->folded[0]);
    us_buffer_destroy(t->folded[1]);
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    const normalized_case *wanted = &cases[number];
    normalized_test t = {.test = test, .wanted = wanted};
    unseen_status status = create(&t, error);
    if (status == UNSEEN_OK) status = check_scoring(&t, error);
    if (status == UNSEEN_OK) status = check_training(&t, error);
    if (status == UNSEEN_OK) status = check_backward(&t, error);
    destroy(&t);
    if (status != UNSEEN_OK)
        us_error_context(error, "%s %s and batchnorm on %d x %d x %d", wanted->type->name,
                         wanted->keys, wanted->in.channels, wanted->in.height, wanted->in.width);
    return status;
}

const us_selftest_group us_selftest_normalized = {"normalisation between layers", CASES, run_case};
