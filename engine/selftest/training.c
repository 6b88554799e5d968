/* SPDX-License-Identifier: MIT */
/* Losses, spreads, optimizers and bounded steps against their references. */
#include <math.h>

#include "ops/bounded_step.h"
#include "selftest/reference.h"
#include "selftest/selftest.h"

/* ---- losses ---- */

/* The target is a constant; what is there is added to; the loss is told without its weight. */
enum { CONSTANT = 1, ADD = 2, PLAIN = 4 };

typedef struct loss_case {
    const char *name;
    us_loss_kind kind;
    us_activation activation;
    us_shape shape;
    int n, room;
    int flags;
    double scale; /* of y before its activation */
} loss_case;

#define SQUARED US_LOSS_MEAN_SQUARED_ERROR
#define ENTROPY US_LOSS_BINARY_CROSS_ENTROPY
#define LOGITS US_LOSS_BINARY_CROSS_ENTROPY_LOGITS

static const loss_case loss_cases[] = {
    {"mean squared error", SQUARED, {US_ACTIVATION_TANH, 0}, {3, 7, 5}, 17, 0, 0, 1},
    {"mean squared error", SQUARED, {US_ACTIVATION_NONE, 0}, {1, 1, 1}, 1, 0, CONSTANT, 1},
    {"mean squared error", SQUARED, {US_ACTIVATION_RELU, 0}, {5, 20, 31}, 33, 0, ADD | PLAIN, 1},
    {"cross entropy", ENTROPY, {US_ACTIVATION_SIGMOID, 0}, {1, 1, 1}, 17, 0, CONSTANT | ADD, 3},
    {"cross entropy", ENTROPY, {US_ACTIVATION_SIGMOID, 0}, {5, 7, 5}, 1, 60, 0, 1},
    {"cross entropy of logits",
     LOGITS,
     {US_ACTIVATION_NONE, 0},
     {3, 1, 1},
     17,
     0,
     CONSTANT | PLAIN,
     30},
    {"cross entropy of logits", LOGITS, {US_ACTIVATION_LEAKY_RELU, 0.2f}, {1, 7, 5}, 5, 0, ADD, 2},
};

enum { LOSS_CASES = sizeof loss_cases / sizeof *loss_cases, SLOT = 3, SLOTS = 5 };

typedef struct loss_test {
    us_test_values y, target, dy, losses;
    us_loss *loss;
} loss_test;

static unseen_status create_loss(us_selftest *test, const loss_case *wanted, loss_test *t,
                                 unseen_error *error) {
    us_device *device = test->device;
    const size_t rows = us_shape_size(wanted->shape);
    const int batch =
        us_device_pad(&device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    us_test_values *const all[] = {&t->y, &t->target, &t->dy};
    for (int i = 0; i < 3; i++) {
        US_TRY(us_test_values_create(test, rows, wanted->n, batch, all[i], error));
        us_test_values_random(test, all[i], i == 0 ? wanted->scale : 1, 0);
    }
    for (size_t i = 0; i < rows * (size_t)wanted->n; i++) {
        t->y.host[i] = (double)(float)us_activate(wanted->activation, t->y.host[i]);
        if (wanted->kind != SQUARED) t->target.host[i] = t->target.host[i] > 0;
    }
    US_TRY(us_test_values_upload(&t->y, 0.25f, error));
    US_TRY(us_test_values_upload(&t->target, 0.75f, error));
    US_TRY(us_test_values_upload(&t->dy, 0, error));
    US_TRY(us_test_values_create(test, SLOTS, 1, 1, &t->losses, error));
    us_test_values_random(test, &t->losses, 1, 0);
    US_TRY(us_test_values_upload(&t->losses, 0, error));
    return us_loss_create(device, wanted->kind, wanted->shape, batch, wanted->activation, &t->loss,
                          error);
}

static unseen_status check_loss(us_selftest *test, const loss_case *wanted, loss_test *t,
                                unseen_error *error) {
    const float weight = 0.7f, constant = 0.9f, kept = wanted->flags & ADD ? 0.375f : 0;
    const us_loss_args args = {
        .y = t->y.device,
        .target = wanted->flags & CONSTANT ? NULL : t->target.device,
        .target_constant = constant,
        .dy = t->dy.device,
        .losses = t->losses.device,
        .slot = SLOT,
        .n = wanted->n,
        .weight = weight,
        .plain_loss = wanted->flags & PLAIN,
        .accumulate_loss = wanted->flags & ADD,
        .accumulate_gradient = kept,
    };
    US_TRY(us_loss_run(t->loss, &args, error));
    const size_t count = t->y.rows * (size_t)wanted->n;
    us_test_values gradient;
    unseen_status status =
        us_test_values_create(test, t->y.rows, wanted->n, t->y.batch, &gradient, error);
    if (status == UNSEEN_OK) {
        const double loss = us_reference_loss(wanted->kind, wanted->activation, count, t->y.host,
                                              wanted->flags & CONSTANT ? NULL : t->target.host,
                                              (double)constant, gradient.host);
        t->losses.host[SLOT] = (wanted->flags & ADD ? t->losses.host[SLOT] : 0) +
                               (wanted->flags & PLAIN ? 1 : (double)weight) * loss;
        for (size_t i = 0; i < count; i++)
            t->dy.host[i] = (double)kept * t->dy.host[i] + (double)weight * gradient.host[i];
    }
    us_test_values_destroy(&gradient);
    US_TRY(status);
    US_TRY(us_test_values_compare(test, &t->losses, wanted->name, "loss", wanted->shape, 1e-5, 1e-3,
                                  false, error));
    return us_test_values_compare(test, &t->dy, wanted->name, "gradient", wanted->shape, 1e-5, 1e-9,
                                  true, error);
}

static unseen_status run_loss(us_selftest *test, int number, unseen_error *error) {
    const loss_case *wanted = &loss_cases[number];
    loss_test t = {0};
    unseen_status status = create_loss(test, wanted, &t, error);
    if (status == UNSEEN_OK) status = check_loss(test, wanted, &t, error);
    us_test_values *const all[] = {&t.y, &t.target, &t.dy, &t.losses};
    for (int i = 0; i < 4; i++)
        us_test_values_destroy(all[i]);
    us_loss_destroy(t.loss);
    return status;
}

/* ---- spreads ---- */

typedef struct spread_case {
    int n, room;
    double scale, shift; /* of the values */
    double before;       /* what the slot holds, and keeps if it is more */
} spread_case;

static const spread_case spread_cases[] = {
    {17, 0, 1, 0, -1},    {33, 128, 1e-4, 20, -1}, {300, 0, 5, -3, 100},
    {5, 0, 0, 1000.1, 0}, {1, 0, 1, 7, -1},
};

enum { SPREAD_CASES = sizeof spread_cases / sizeof *spread_cases };

static unseen_status check_spread(us_selftest *test, const spread_case *wanted,
                                  us_test_values values[2], us_loss **loss, unseen_error *error) {
    const int room = wanted->room > wanted->n ? wanted->room : wanted->n;
    const int batch = us_device_pad(&test->device->facts, room);
    const us_shape shape = {1, 1, 1};
    US_TRY(us_test_values_create(test, 1, wanted->n, batch, &values[0], error));
    US_TRY(us_test_values_create(test, SLOTS, 1, 1, &values[1], error));
    us_test_values_random(test, &values[0], wanted->scale, wanted->shift);
    values[1].host[SLOT] = wanted->before;
    US_TRY(us_test_values_upload(&values[0], 1e3f, error));
    US_TRY(us_test_values_upload(&values[1], 0, error));
    US_TRY(us_loss_create(test->device, US_LOSS_BINARY_CROSS_ENTROPY_LOGITS, shape, batch,
                          (us_activation){US_ACTIVATION_NONE, 0}, loss, error));
    const us_loss_args args = {.y = values[0].device,
                               .spreads = values[1].device,
                               .spread_slot = SLOT,
                               .n = wanted->n,
                               .weight = 1};
    US_TRY(us_loss_run(*loss, &args, error));
    /* The device's zero is exact; the reference's need not be. */
    const double deviation =
        wanted->scale > 0 ? us_reference_spread((size_t)wanted->n, values[0].host) : 0;
    values[1].host[SLOT] = fmax(deviation, wanted->before);
    return us_test_values_compare(test, &values[1], "spread", "deviation", shape, 1e-5, 1e-30,
                                  false, error);
}

static unseen_status run_spread(us_selftest *test, int number, unseen_error *error) {
    const spread_case *wanted = &spread_cases[number];
    us_test_values values[2] = {{0}};
    us_loss *loss = NULL;
    unseen_status status = check_spread(test, wanted, values, &loss, error);
    us_loss_destroy(loss);
    us_test_values_destroy(&values[0]);
    us_test_values_destroy(&values[1]);
    return status;
}

/* ---- optimizers ---- */

typedef struct optimizer_case {
    const char *name;
    us_optimizer_kind kind;
    int floats;
    us_optimizer_args numbers;
} optimizer_case;

#define ADAM_NUMBERS .learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8

static const optimizer_case optimizer_cases[] = {
    {"adam", US_OPTIMIZER_ADAM, 1, {ADAM_NUMBERS}},
    {"adam", US_OPTIMIZER_ADAM, 20011, {ADAM_NUMBERS, .weight_decay = 0.1}},
    {"adam, clipped", US_OPTIMIZER_ADAM, 4099, {ADAM_NUMBERS, .clip_norm = 0.5}},
    {"adamw", US_OPTIMIZER_ADAMW, 131, {ADAM_NUMBERS, .weight_decay = 0.1}},
    {"sgd", US_OPTIMIZER_SGD, 131, {.learning_rate = 0.1}},
    {"sgd, clipped",
     US_OPTIMIZER_SGD,
     65,
     {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01, .clip_norm = 1e6}},
    {"sgd, Nesterov",
     US_OPTIMIZER_SGD,
     1043,
     {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}},
};

enum { OPTIMIZER_CASES = sizeof optimizer_cases / sizeof *optimizer_cases, STEPS = 3 };

typedef struct optimizer_test {
    us_test_values parameters, gradients, moment1, moment2;
    us_optimizer *optimizer;
} optimizer_test;

static unseen_status check_optimizer(us_selftest *test, const optimizer_case *wanted,
                                     optimizer_test *t, unseen_error *error) {
    const size_t count = (size_t)wanted->floats;
    const bool pair = wanted->kind != US_OPTIMIZER_SGD;
    us_test_values *const all[] = {&t->parameters, &t->gradients, &t->moment1, &t->moment2};
    for (int i = 0; i < 4; i++) {
        US_TRY(us_test_values_create(test, count, 1, 1, all[i], error));
        if (i < 2) us_test_values_random(test, all[i], 1, 0);
        US_TRY(us_test_values_upload(all[i], 0, error));
    }
    US_TRY(us_optimizer_create(test->device, NULL, wanted->kind, count, &t->optimizer, error));
    us_optimizer_args args = wanted->numbers;
    args.parameters = t->parameters.device;
    args.gradients = t->gradients.device;
    args.moment1 = t->moment1.device;
    args.moment2 = pair ? t->moment2.device : NULL;
    for (args.step = 1; args.step <= STEPS; args.step++) {
        US_TRY(us_optimizer_run(t->optimizer, &args, error));
        us_reference_optimizer(wanted->kind, &args, count, t->parameters.host, t->gradients.host,
                               t->moment1.host, t->moment2.host);
    }
    const us_shape shape = {wanted->floats, 1, 1};
    US_TRY(us_test_values_compare(test, &t->parameters, wanted->name, "parameters", shape, 1e-6, 0,
                                  false, error));
    US_TRY(us_test_values_compare(test, &t->moment1, wanted->name, "first moment", shape, 1e-5, 0,
                                  false, error));
    return us_test_values_compare(test, &t->moment2, wanted->name, "second moment", shape, 1e-5,
                                  1e-30, false, error);
}

static unseen_status run_optimizer(us_selftest *test, int number, unseen_error *error) {
    const optimizer_case *wanted = &optimizer_cases[number];
    optimizer_test t = {0};
    unseen_status status = check_optimizer(test, wanted, &t, error);
    us_test_values *const all[] = {&t.parameters, &t.gradients, &t.moment1, &t.moment2};
    for (int i = 0; i < 4; i++)
        us_test_values_destroy(all[i]);
    us_optimizer_destroy(t.optimizer);
    return status;
}

/* ---- bounded steps ---- */

typedef struct step_case {
    const char *what;
    us_shape shape;
    int n, room;
    float scale, low, high;
} step_case;

static const step_case step_cases[] = {
    {"within limits", {3, 7, 5}, 17, 0, -0.4f, -1, 1},
    {"within limits", {1, 1, 1}, 1, 128, 0.7f, -0.5f, 0.25f},
    {"without limits", {5, 33, 31}, 33, 0, 1, -INFINITY, INFINITY},
};

enum { STEP_CASES = sizeof step_cases / sizeof *step_cases };

static unseen_status run_step(us_selftest *test, int number, unseen_error *error) {
    const step_case *wanted = &step_cases[number];
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    us_test_values tensors[2] = {{0}}, *y = &tensors[0], *d = &tensors[1];
    us_bounded_step *step = NULL;
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < 2; i++) {
        US_CHECK(us_test_values_create(test, us_shape_size(wanted->shape), wanted->n, batch,
                                       &tensors[i], error));
        us_test_values_random(test, &tensors[i], 1, 0);
        US_CHECK(us_test_values_upload(&tensors[i], 0, error));
    }
    US_CHECK(us_bounded_step_create(test->device, wanted->shape, batch, &step, error));
    US_CHECK(us_bounded_step_run(step, y->device, d->device, wanted->scale, wanted->low,
                                 wanted->high, error));
    for (size_t i = 0; i < y->rows * (size_t)wanted->n; i++) {
        const double stepped = y->host[i] + (double)wanted->scale * d->host[i];
        y->host[i] = fmin(fmax(stepped, (double)wanted->low), (double)wanted->high);
    }
    US_CHECK(us_test_values_compare(test, y, "bounded step", wanted->what, wanted->shape, 1e-6,
                                    1e-3, true, error));
done:
    us_bounded_step_destroy(step);
    us_test_values_destroy(&tensors[0]);
    us_test_values_destroy(&tensors[1]);
    return status;
}

const us_selftest_group us_selftest_losses = {"loss", LOSS_CASES, run_loss};
const us_selftest_group us_selftest_spreads = {"spread", SPREAD_CASES, run_spread};
const us_selftest_group us_selftest_optimizers = {"optimizer", OPTIMIZER_CASES, run_optimizer};
const us_selftest_group us_selftest_bounded_steps = {"bounded step", STEP_CASES, run_step};
