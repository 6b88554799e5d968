/* SPDX-License-Identifier: MIT */
/* Twenty training steps of a config, from numbers that PyTorch was given too: losses, and every
 * tensor afterwards. What a step is, and why the config itself can only be compared loosely while
 * its smooth variant agrees closely: tools/pytorch/golden_steps.py. */
#include "golden.h"

#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "training/config.h"

/* Relative errors allowed. PyTorch's own float32 is off by up to 3e-4, 2e-3 and 3e-2 on the
 * configs, and by up to 2e-5 on the smooth ones. Rounding grows from step to step: gradients that
 * are off by 1e-7 of their largest element take PyTorch's float64 to a divergence 2e-3 off in the
 * twentieth step of the variational autoencoder, and by 1e-6 to one of 6e-3 and 9e-2 for the narrow
 * alocc's losses and tensors. The deeper residual is the more chaotic:
 * parameters that begin with another last digit of float32 move even PyTorch's float64 by up to
 * 9e-4, 9e-2 and 0.2. */
typedef struct tolerances {
    double early_loss, loss, norm, sample; /* early: of the first ten steps */
} tolerances;

enum { RUN = 48, MAX_OVERRIDES = 64 };

typedef struct subject {
    const golden_case *c;
    us_device *device;
    unseen_config *config;
    us_detector *detector;
    us_optimizer *optimizers[US_DETECTOR_MAX_NETWORKS];
    us_buffer *moment1[US_DETECTOR_MAX_NETWORKS], *moment2[US_DETECTOR_MAX_NETWORKS];
    us_buffer *losses;
    int64_t step; /* from 0 */
} subject;

/* ---- the config, and its smooth variant ---- */

__attribute__((format(printf, 3, 4))) static void add_override(char *overrides[], size_t *count,
                                                               const char *format, ...) {
    assert_true(*count < MAX_OVERRIDES);
    va_list arguments;
    va_start(arguments, format);
    assert_true(vasprintf(&overrides[*count], format, arguments) > 0);
    va_end(arguments);
    ++*count;
}

/* Overrides for a list of layers at a JSON Pointer, and for those nested in them. */
static void smooth_layers(const cJSON *layers, const char *pointer, char *overrides[],
                          size_t *count) {
    const cJSON *layer, *member;
    int index = 0;
    cJSON_ArrayForEach(layer, layers) {
        if (strstr(cJSON_GetStringValue(cJSON_GetObjectItem(layer, "layer")), "relu"))
            add_override(overrides, count, "%s/%d={\"layer\": \"tanh\"}", pointer, index);
        cJSON_ArrayForEach(member, layer) {
            char nested[256];
            snprintf(nested, sizeof nested, "%s/%d/%s", pointer, index, member->string);
            if (cJSON_IsObject(cJSON_GetArrayItem(member, 0)))
                smooth_layers(member, nested, overrides, count);
        }
        index++;
    }
}

/* Every relu and leaky_relu becomes a tanh, every optimizer's epsilon 1e-3. */
static size_t smooth(const char *path, char *overrides[]) {
    unseen_error error;
    us_json root;
    size_t count = 0;
    TEST_OK(us_json_load(path, &root, &error));
    us_json networks = us_json_member(&root, "networks");
    const cJSON *network;
    cJSON_ArrayForEach(network, networks.value) {
        char pointer[128];
        snprintf(pointer, sizeof pointer, "/networks/%s", network->string);
        smooth_layers(network, pointer, overrides, &count);
    }
    add_override(overrides, &count, "/training/optimizer/epsilon=0.001");
    us_json training = us_json_member(&root, "training");
    us_json optimizers = us_json_member(&training, "optimizers");
    cJSON_ArrayForEach(network, optimizers.value)
        add_override(overrides, &count, "/training/optimizers/%s/epsilon=0.001", network->string);
    cJSON_Delete(root.value);
    return count;
}

static void load_config(subject *s) {
    unseen_error error;
    char path[1024], *overrides[MAX_OVERRIDES];
    size_t count = 0;
    const char *name = golden_string(s->c, "config", NULL);
    snprintf(path, sizeof path, "%s/%s.json", GOLDEN_FOLDER, name); /* a narrow one of a large */
    if (access(path, F_OK) != 0) snprintf(path, sizeof path, "%s/%s.json", CONFIGS_FOLDER, name);
    if (strcmp(s->c->name, "smooth") == 0) count = smooth(path, overrides);
    TEST_OK(unseen_config_load(path, (const char *const *)overrides, count, &s->config, &error));
    for (size_t i = 0; i < count; i++)
        free(overrides[i]);
}

/* ---- a step ---- */

/* Pixel p (over height, width, channel) of image j: floor(256 u), u of index p / 48. */
static us_buffer *make_images(const subject *s, uint64_t seed, int n) {
    us_shape shape = s->config->input;
    size_t size = us_shape_size(shape), plane = (size_t)shape.height * (size_t)shape.width;
    float *values = malloc(size * (size_t)n * sizeof *values);
    assert_non_null(values);
    for (int j = 0; j < n; j++)
        for (size_t p = 0; p < size; p++) {
            float u = us_random_uniform(seed, US_STREAM_TEST, (uint32_t)(s->step * n + j), p / RUN);
            size_t channel = p % (size_t)shape.channels, pixel = p / (size_t)shape.channels;
            values[(size_t)j * size + channel * plane + pixel] =
                (float)(2 * (double)(int)(256 * u) / 255 - 1);
        }
    us_buffer *x = golden_batch(s->device, values, shape, n, s->detector->padded, 0);
    free(values);
    return x;
}

static unseen_status update(void *user, int network, const us_loss_rest *loss,
                            unseen_error *error) {
    subject *s = user;
    const us_optimizer_settings *settings = &s->config->training.optimizers[network];
    us_optimizer_args args = {
        .parameters = us_network_parameters(s->detector->networks[network]),
        .gradients = us_network_gradients(s->detector->networks[network]),
        .parts = us_network_gradient_parts(s->detector->networks[network]),
        .moment1 = s->moment1[network],
        .moment2 = s->moment2[network],
        .step = s->step + 1,
        .learning_rate = settings->learning_rate,
        .beta1 = settings->betas[0],
        .beta2 = settings->betas[1],
        .epsilon = settings->epsilon,
        .weight_decay = settings->weight_decay,
    };
    if (loss) args.loss = *loss;
    return us_optimizer_run(s->optimizers[network], &args, error);
}

static void set_up(subject *s, const golden_case *c) {
    unseen_error error;
    memset(s, 0, sizeof *s);
    s->c = c;
    s->device = c->golden->device;
    load_config(s);
    const us_detector_spec *spec = &s->config->detector;
    TEST_OK(us_detector_create(s->device, spec, (int)golden_number(c, "batch"), true, NULL,
                               &s->detector, &error));
    TEST_OK(us_detector_initialize(s->detector, (uint64_t)golden_number(c, "seed"), &error));
    for (int i = 0; i < spec->network_count; i++) {
        size_t floats = us_network_floats(s->detector->networks[i]);
        assert_int_equal(s->config->training.optimizers[i].type, US_OPTIMIZER_ADAM);
        TEST_OK(us_optimizer_create(s->device, NULL, US_OPTIMIZER_ADAM, floats, &s->optimizers[i],
                                    &error));
        s->moment1[i] = golden_buffer(s->device, NULL, floats);
        s->moment2[i] = golden_buffer(s->device, NULL, floats);
    }
    s->losses = golden_buffer(s->device, NULL, US_DETECTOR_MAX_LOSSES);
}

static void tear_down(subject *s) {
    for (int i = 0; i < US_DETECTOR_MAX_NETWORKS; i++) {
        us_optimizer_destroy(s->optimizers[i]);
        us_buffer_destroy(s->moment1[i]);
        us_buffer_destroy(s->moment2[i]);
    }
    us_buffer_destroy(s->losses);
    us_detector_destroy(s->detector);
    unseen_config_free(s->config);
}

/* ---- comparing ---- */

/* All steps loosely, the first ten less so; the first two, before rounding could grow, closely. */
static void train_and_compare_losses(subject *s, const tolerances *allowed) {
    unseen_error error;
    const us_detector_type *type = s->config->detector.type;
    uint64_t seed = (uint64_t)golden_number(s->c, "seed");
    size_t steps = (size_t)golden_number(s->c, "steps");
    int n = (int)golden_number(s->c, "batch"), count = us_detector_loss_count(type);
    float *values = calloc((size_t)count * steps, sizeof *values);
    assert_non_null(values);
    for (s->step = 0; s->step < (int64_t)steps; s->step++) {
        us_buffer *x = make_images(s, seed, n);
        us_detector_step step = {.x = x,
                                 .n = n,
                                 .step = s->step,
                                 .seed = seed,
                                 .losses = s->losses,
                                 .update = update,
                                 .user = s};
        TEST_OK(type->train(s->detector, &step, &error));
        float *losses = golden_read(s->losses, (size_t)count);
        for (int i = 0; i < count; i++)
            values[(size_t)i * steps + (size_t)s->step] = losses[i];
        free(losses);
        us_buffer_destroy(x);
    }
    for (int i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "losses/%s", type->losses[i].name);
        float *expected = golden_floats(s->c, name, steps), *value = &values[(size_t)i * steps];
        golden_compare(s->c, name, value, expected, 2, GOLDEN_TOLERANCE);
        golden_compare(s->c, name, value, expected, 10, allowed->early_loss);
        golden_compare(s->c, name, value, expected, steps, allowed->loss);
        free(expected);
    }
    free(values);
}

/* The detector's tensors, by way of a file. */
static void save_and_open(const subject *s, us_safetensors *file) {
    unseen_error error;
    us_safetensors_builder builder;
    char path[] = "/tmp/unseen-golden-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    TEST_OK(us_safetensors_begin(&builder, &error));
    TEST_OK(us_detector_save(s->detector, &builder, &error));
    TEST_OK(us_safetensors_write(&builder, path, &error));
    us_safetensors_end(&builder);
    TEST_OK(us_safetensors_open(path, file, &error));
    unlink(path); /* it stays mapped */
}

static void compare_tensor(const subject *s, const us_safetensors *file, const char *name,
                           size_t stride, const tolerances *allowed) {
    char golden_name[160];
    const us_safetensors_tensor *tensor = us_safetensors_find(file, name);
    if (!tensor) fail_msg("the engine has no tensor %s", name);
    size_t size = tensor->bytes / sizeof(float), samples = (size + stride - 1) / stride;
    float *sample = malloc(samples * sizeof *sample), norm;
    assert_non_null(sample);
    double sum = 0;
    for (size_t i = 0; i < size; i++) {
        float value;
        memcpy(&value, (const char *)tensor->data + i * sizeof value, sizeof value);
        sum += (double)value * (double)value;
        if (i % stride == 0) sample[i / stride] = value;
    }
    norm = (float)__builtin_sqrt(sum);
    snprintf(golden_name, sizeof golden_name, "%s/norm", name);
    float *expected = golden_floats(s->c, golden_name, 1);
    golden_compare(s->c, golden_name, &norm, expected, 1, allowed->norm);
    free(expected);
    snprintf(golden_name, sizeof golden_name, "%s/sample", name);
    expected = golden_floats(s->c, golden_name, samples);
    golden_compare(s->c, golden_name, sample, expected, samples, allowed->sample);
    free(expected);
    free(sample);
}

static void agrees_with_pytorch(void **state) {
    static const tolerances close_by = {1e-4, 1e-4, 1e-4, 1e-4}, loose = {1e-3, 1e-2, 2e-2, 0.15},
                            deep = {1e-3, 1e-2, 0.2, 0.5};
    const golden_case *c = *state;
    const char *config = golden_string(c, "config", "");
    bool most_chaotic = strcmp(config, "residual") == 0 || strcmp(config, "alocc") == 0;
    const tolerances *allowed = strcmp(c->name, "smooth") == 0 ? &close_by
                                : most_chaotic                 ? &deep
                                                               : &loose;
    subject s;
    us_safetensors file;
    set_up(&s, c);
    train_and_compare_losses(&s, allowed);
    save_and_open(&s, &file);
    const cJSON *stride, *strides = cJSON_GetObjectItemCaseSensitive(c->attributes, "strides");
    assert_int_equal(cJSON_GetArraySize(strides), file.count);
    cJSON_ArrayForEach(stride, strides)
        compare_tensor(&s, &file, stride->string, (size_t)cJSON_GetNumberValue(stride), allowed);
    us_safetensors_close(&file);
    tear_down(&s);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: test_steps NAME, of steps_NAME.safetensors\n");
        return 2;
    }
    char name[64];
    snprintf(name, sizeof name, "steps_%s", argv[1]);
    golden g;
    golden_open(&g, name, true);
    int result = golden_run(&g, name, agrees_with_pytorch);
    golden_close(&g);
    return result;
}
