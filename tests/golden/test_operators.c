/* SPDX-License-Identifier: MIT */
/* Losses, optimizers, image batches, pixel scores and schedules against PyTorch, densities against
 * scikit-learn. */
#include "golden.h"

#include <string.h>

#include "ops/density.h"
#include "ops/image_batch.h"
#include "ops/loss.h"
#include "ops/optimizer.h"
#include "ops/pixel_score.h"
#include "training/schedule.h"

static int choice(const char *name, const char *const *names) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) return i;
    fail_msg("\"%s\" is not known here", name);
    return 0;
}

/* ---- losses ---- */

enum { LOSS_SLOT = 2, LOSS_SLOTS = 4 };

static void compare_loss(const golden_case *c, us_buffer *losses, float factor) {
    float *expected = golden_floats(c, "loss", 1), *value = golden_read(losses, LOSS_SLOTS);
    *expected *= factor;
    golden_compare(c, "loss", &value[LOSS_SLOT], expected, 1, GOLDEN_TOLERANCE);
    for (int i = 0; i < LOSS_SLOTS; i++)
        if (i != LOSS_SLOT) assert_true(value[i] == 0);
    free(expected);
    free(value);
}

static void compare_loss_gradient(const golden_case *c, us_buffer *dy, us_shape shape, int n,
                                  int batch, float factor) {
    size_t size = us_shape_size(shape) * (size_t)n;
    float *expected = golden_floats(c, "dy", size);
    float *value = golden_read_batch(dy, shape, n, batch, true);
    for (size_t i = 0; i < size; i++)
        expected[i] *= factor;
    golden_compare(c, "dy", value, expected, size, GOLDEN_TOLERANCE);
    free(expected);
    free(value);
}

/* Once as it is, and once more with half the weight on top of that. */
static void check_loss(const golden_case *c) {
    static const char *const kinds[] = {"mean_squared_error", "binary_cross_entropy",
                                        "binary_cross_entropy_logits", NULL};
    unseen_error error;
    us_device *device = c->golden->device;
    us_shape shape = golden_shape(c, "shape");
    int n = (int)golden_number(c, "batch"), batch = us_device_pad(&device->facts, n);
    size_t size = us_shape_size(shape) * (size_t)n;
    us_loss *loss;
    TEST_OK(us_loss_create(device, (us_loss_kind)choice(golden_string(c, "loss", NULL), kinds),
                           shape, batch, golden_activation(c, "activation"), &loss, &error));
    float *y = golden_floats(c, "y", size);
    us_loss_args args = {
        .y = golden_batch(device, y, shape, n, batch, 0.3f),
        .target_constant = (float)golden_number_or(c, "target_constant", 0),
        .dy = golden_batch(device, y, shape, n, batch, 5),
        .losses = golden_buffer(device, NULL, LOSS_SLOTS),
        .slot = LOSS_SLOT,
        .n = n,
        .weight = 1,
    };
    if (golden_has(c, "target")) {
        float *target = golden_floats(c, "target", size);
        args.target = golden_batch(device, target, shape, n, batch, 0.9f);
        free(target);
    }
    TEST_OK(us_loss_run(loss, &args, &error));
    compare_loss(c, args.losses, 1);
    compare_loss_gradient(c, args.dy, shape, n, batch, 1);

    args.weight = 0.5f;
    args.accumulate_loss = true;
    args.accumulate_gradient = 1;
    TEST_OK(us_loss_run(loss, &args, &error));
    compare_loss(c, args.losses, 1.5f);
    compare_loss_gradient(c, args.dy, shape, n, batch, 1.5f);

    us_buffer *dy = args.dy;
    args.dy = NULL;
    args.weight = 1;
    args.accumulate_loss = false;
    TEST_OK(us_loss_run(loss, &args, &error));
    compare_loss(c, args.losses, 1);

    us_buffer_destroy(args.y);
    us_buffer_destroy(args.target);
    us_buffer_destroy(dy);
    us_buffer_destroy(args.losses);
    us_loss_destroy(loss);
    free(y);
}

/* ---- optimizers ---- */

static void check_optimizer(const golden_case *c) {
    static const char *const kinds[] = {"adam", "adamw", "sgd", NULL};
    unseen_error error;
    us_device *device = c->golden->device;
    us_optimizer_kind kind = (us_optimizer_kind)choice(golden_string(c, "optimizer", NULL), kinds);
    size_t floats = (size_t)golden_number(c, "floats");
    size_t steps = golden_tensor(c, "after")->bytes / sizeof(float) / floats;
    const cJSON *betas = cJSON_GetObjectItemCaseSensitive(c->attributes, "betas");
    float *parameters = golden_floats(c, "parameters", floats);
    float *gradients = golden_floats(c, "gradients", steps * floats);
    float *after = golden_floats(c, "after", steps * floats);
    us_optimizer *optimizer;
    TEST_OK(us_optimizer_create(device, NULL, kind, floats, &optimizer, &error));
    us_optimizer_args args = {
        .parameters = golden_buffer(device, parameters, floats),
        .gradients = golden_buffer(device, NULL, floats),
        .moment1 = golden_buffer(device, NULL, floats),
        .moment2 = kind == US_OPTIMIZER_SGD ? NULL : golden_buffer(device, NULL, floats),
        .learning_rate = golden_number(c, "learning_rate"),
        .beta1 = cJSON_GetNumberValue(cJSON_GetArrayItem(betas, 0)),
        .beta2 = cJSON_GetNumberValue(cJSON_GetArrayItem(betas, 1)),
        .epsilon = golden_number(c, "epsilon"),
        .momentum = golden_number(c, "momentum"),
        .nesterov = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(c->attributes, "nesterov")),
        .weight_decay = golden_number(c, "weight_decay"),
        .clip_norm = golden_number(c, "clip_norm"),
    };
    for (size_t step = 0; step < steps; step++) {
        const float *before = step ? &after[(step - 1) * floats] : parameters;
        TEST_OK(us_buffer_write(args.gradients, 0, &gradients[step * floats],
                                floats * sizeof(float), &error));
        args.step = (int64_t)step + 1;
        TEST_OK(us_optimizer_run(optimizer, &args, &error));
        float *value = golden_read(args.parameters, floats);
        golden_compare(c, "parameters", value, &after[step * floats], floats, GOLDEN_TOLERANCE);
        /* The change is small beside the parameter, so it is compared as well. */
        float *change = malloc(floats * sizeof *change);
        assert_non_null(change);
        for (size_t i = 0; i < floats; i++) {
            change[i] = after[step * floats + i] - before[i];
            value[i] -= before[i];
        }
        golden_compare(c, "change", value, change, floats, 1e-3);
        free(change);
        free(value);
    }
    us_buffer_destroy(args.parameters);
    us_buffer_destroy(args.gradients);
    us_buffer_destroy(args.moment1);
    us_buffer_destroy(args.moment2);
    us_optimizer_destroy(optimizer);
    free(parameters);
    free(gradients);
    free(after);
}

/* ---- image batches ---- */

static void check_image_batch(const golden_case *c) {
    unseen_error error;
    us_device *device = c->golden->device;
    us_shape shape = golden_shape(c, "shape");
    const us_safetensors_tensor *images = golden_tensor(c, "images");
    int n = (int)golden_number(c, "batch"), batch = us_device_pad(&device->facts, n);
    size_t size = us_shape_size(shape) * (size_t)n;
    unsigned char *pixels = malloc(images->bytes);
    assert_non_null(pixels);
    memcpy(pixels, images->data, images->bytes);
    us_image_source source = {
        .pixels = pixels,
        .count = n,
        .height = (int)images->dims[1],
        .width = (int)images->dims[2],
        .channels = (int)images->dims[3],
        .black = 0,
        .white = 255,
    };
    us_image_store *store;
    us_image_loader *loader;
    TEST_OK(us_image_store_create(device, &source, &store, &error));
    TEST_OK(us_image_loader_create(store, NULL, n, shape, batch, &loader, &error));
    float *expected = golden_floats(c, "out", size);
    us_image_batch_args args = {
        .out = golden_batch(device, expected, shape, n, batch, 5), .n = n, .seed = 1};
    TEST_OK(us_buffer_zero(args.out, &error));
    TEST_OK(us_image_batch_load(loader, &args, &error));
    float *value = golden_read_batch(args.out, shape, n, batch, true);
    golden_compare(c, "out", value, expected, size, GOLDEN_TOLERANCE);
    free(value);
    free(expected);
    us_buffer_destroy(args.out);
    us_image_loader_destroy(loader);
    us_image_store_destroy(store);
    free(pixels);
}

/* ---- pixel scores ---- */

static void check_pixel_score(const golden_case *c) {
    static const char *const kinds[] = {"root_sum", "mean", "maximum", "top_k", NULL};
    unseen_error error;
    us_device *device = c->golden->device;
    us_shape shape = golden_shape(c, "shape");
    int n = (int)golden_number(c, "batch"), batch = us_device_pad(&device->facts, n);
    size_t size = us_shape_size(shape) * (size_t)n;
    us_pixel_score *score;
    TEST_OK(us_pixel_score_create(
        device, (us_pixel_score_kind)choice(golden_string(c, "score", NULL), kinds),
        (int)golden_number_or(c, "top_k", 1), shape, batch, &score, &error));
    float *x = golden_floats(c, "x", size), *y = golden_floats(c, "y", size);
    us_buffer *x_batch = golden_batch(device, x, shape, n, batch, 0.5f);
    us_buffer *y_batch = golden_batch(device, y, shape, n, batch, 0.25f);
    us_buffer *scores = golden_buffer(device, NULL, (size_t)batch);
    TEST_OK(us_pixel_score_run(score, x_batch, y_batch, NULL, scores, &error));
    float *expected = golden_floats(c, "scores", (size_t)n);
    float *value = golden_read(scores, (size_t)batch);
    golden_compare(c, "scores", value, expected, (size_t)n, GOLDEN_TOLERANCE);
    free(expected);
    free(value);
    free(x);
    free(y);
    us_buffer_destroy(x_batch);
    us_buffer_destroy(y_batch);
    us_buffer_destroy(scores);
    us_pixel_score_destroy(score);
}

/* ---- densities ---- */

static void check_density(const golden_case *c) {
    static const char *const kinds[] = {"gaussian", "neighbours", "kernel_density", NULL};
    unseen_error error;
    us_device *device = c->golden->device;
    const us_shape shape = golden_shape(c, "shape"), cells = {1, shape.height, shape.width};
    const int n = (int)golden_number(c, "batch"), batch = us_device_pad(&device->facts, n);
    const size_t size = us_shape_size(shape) * (size_t)n, count = us_shape_size(cells) * (size_t)n;
    const us_density_settings settings = {
        .kind = choice(golden_string(c, "density", NULL), kinds),
        .shrinkage = -1,
        .components = 512,
        .neighbours = (int)golden_number_or(c, "neighbours", 1),
        .points = 1024,
        .bandwidth = golden_number_or(c, "bandwidth", 0),
    };
    float *learned = golden_floats(c, "learned", size), *asked = golden_floats(c, "asked", size);
    float *expected = golden_floats(c, "distances", count);
    us_buffer *x = golden_batch(device, learned, shape, n, batch, 0.7f);
    us_buffer *y = golden_batch(device, asked, shape, n, batch, 0.7f);
    us_buffer *distances = golden_buffer(device, NULL, us_shape_size(cells) * (size_t)batch);
    us_density *density;
    TEST_OK(us_density_create(device, shape, batch, &settings, &density, &error));
    TEST_OK(us_density_begin(density, n, 3, &error));
    TEST_OK(us_density_learn(density, x, n, &error));
    TEST_OK(us_density_finish(density, &error));
    TEST_OK(us_density_score(density, y, distances, n, &error));
    float *value = golden_read_batch(distances, cells, n, batch, false);
    golden_compare(c, "distances", value, expected, count, GOLDEN_TOLERANCE);
    us_density_destroy(density);
    us_buffer_destroy(x);
    us_buffer_destroy(y);
    us_buffer_destroy(distances);
    free(value);
    free(expected);
    free(learned);
    free(asked);
}

/* ---- schedules ---- */

static void check_schedule(const golden_case *c) {
    static const char *const kinds[] = {"constant", "step", "cosine", NULL};
    us_schedule schedule = {
        .type = choice(golden_string(c, "schedule", NULL), kinds),
        .warmup_epochs = golden_number(c, "warmup_epochs"),
        .step_epochs = (int)golden_number_or(c, "step_epochs", 1),
        .factor = golden_number_or(c, "factor", 1),
        .minimum = golden_number_or(c, "minimum", 0),
    };
    int64_t steps = (int64_t)golden_number(c, "steps");
    float *expected = golden_floats(c, "learning_rates", (size_t)steps);
    for (int64_t step = 0; step < steps; step++) {
        float rate = (float)(golden_number(c, "learning_rate") *
                             us_schedule_factor(&schedule, step, steps,
                                                (int64_t)golden_number(c, "steps_per_epoch")));
        golden_compare(c, "learning rate", &rate, &expected[step], 1, 1e-5);
    }
    free(expected);
}

static void agrees_with_pytorch(void **state) {
    static const struct {
        const char *operator;
        void (*check)(const golden_case *c);
    } checks[] = {
        {"loss", check_loss},
        {"optimizer", check_optimizer},
        {"image_batch", check_image_batch},
        {"pixel_score", check_pixel_score},
        {"density", check_density},
        {"schedule", check_schedule},
    };
    const golden_case *c = *state;
    const char *operator= golden_string(c, "operator", NULL);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (strcmp(checks[i].operator, operator) == 0) {
            checks[i].check(c);
            return;
        }
    fail_msg("unknown operator \"%s\"", operator);
}

int main(void) {
    golden g;
    golden_open(&g, "operators", true);
    int result = golden_run(&g, "operators", agrees_with_pytorch);
    golden_close(&g);
    return result;
}
