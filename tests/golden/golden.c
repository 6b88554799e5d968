/* SPDX-License-Identifier: MIT */
#include "golden.h"

#include <math.h>
#include <string.h>

static void stop_unless(unseen_status status, const unseen_error *error) {
    if (status == UNSEEN_OK) return;
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

void golden_open(golden *g, const char *name, bool device) {
    unseen_error error = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.safetensors", GOLDEN_FOLDER, name);
    memset(g, 0, sizeof *g);
    stop_unless(us_safetensors_open(path, &g->file, &error), &error);
    const char *cases = us_safetensors_metadata(&g->file, "cases");
    g->cases = cases ? cJSON_Parse(cases) : NULL;
    if (cJSON_GetArraySize(g->cases) < 1) {
        fprintf(stderr, "%s: no cases\n", path);
        exit(1);
    }
    if (device) g->device = test_device_open();
}

void golden_close(golden *g) {
    us_device_close(g->device);
    cJSON_Delete(g->cases);
    us_safetensors_close(&g->file);
}

int golden_run(const golden *g, const char *group, CMUnitTestFunction test) {
    size_t count = (size_t)cJSON_GetArraySize(g->cases);
    golden_case *cases = calloc(count, sizeof *cases);
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    if (!cases || !tests) exit(1);
    for (size_t i = 0; i < count; i++) {
        cJSON *attributes = cJSON_GetArrayItem(g->cases, (int)i);
        const char *name =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(attributes, "name"));
        cases[i] = (golden_case){.golden = g, .attributes = attributes, .name = name};
        tests[i] = (struct CMUnitTest){.name = name, .test_func = test, .initial_state = &cases[i]};
    }
    int result = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    free(tests);
    free(cases);
    return result;
}

/* ---- attributes ---- */

static const cJSON *member(const golden_case *c, const char *key) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(c->attributes, key);
    return cJSON_IsNull(value) ? NULL : value;
}

const char *golden_string(const golden_case *c, const char *key, const char *fallback) {
    const cJSON *value = member(c, key);
    if (!value && fallback) return fallback;
    if (!cJSON_IsString(value)) fail_msg("the case has no string \"%s\"", key);
    return cJSON_GetStringValue(value);
}

double golden_number_or(const golden_case *c, const char *key, double fallback) {
    const cJSON *value = member(c, key);
    return cJSON_IsNumber(value) ? cJSON_GetNumberValue(value) : fallback;
}

double golden_number(const golden_case *c, const char *key) {
    double value = golden_number_or(c, key, NAN);
    if (isnan(value)) fail_msg("the case has no number \"%s\"", key);
    return value;
}

bool golden_flag(const golden_case *c, const char *key, bool fallback) {
    const cJSON *value = member(c, key);
    return value ? cJSON_IsTrue(value) : fallback;
}

us_shape golden_shape(const golden_case *c, const char *key) {
    const cJSON *value = member(c, key);
    int sizes[3] = {1, 1, 1}, rank = cJSON_GetArraySize(value);
    if (rank != 1 && rank != 3) fail_msg("the case has no shape \"%s\"", key);
    for (int i = 0; i < rank; i++)
        sizes[i] = (int)cJSON_GetNumberValue(cJSON_GetArrayItem(value, i));
    return (us_shape){sizes[0], sizes[1], sizes[2]};
}

us_activation golden_activation(const golden_case *c, const char *key) {
    static const struct {
        const char *name;
        us_activation activation;
    } known[] = {
        {"relu", {.kind = US_ACTIVATION_RELU}},
        {"leaky_relu", {.kind = US_ACTIVATION_LEAKY_RELU, .slope = 0.2f}},
        {"tanh", {.kind = US_ACTIVATION_TANH}},
        {"sigmoid", {.kind = US_ACTIVATION_SIGMOID}},
    };
    const char *name = golden_string(c, key, "");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].activation;
    if (*name) fail_msg("unknown activation \"%s\"", name);
    return (us_activation){.kind = US_ACTIVATION_NONE};
}

/* ---- tensors ---- */

static const us_safetensors_tensor *find(const golden_case *c, const char *name) {
    char full[512];
    snprintf(full, sizeof full, "%s/%s", c->name, name);
    return us_safetensors_find(&c->golden->file, full);
}

bool golden_has(const golden_case *c, const char *name) {
    return find(c, name) != NULL;
}

const us_safetensors_tensor *golden_tensor(const golden_case *c, const char *name) {
    const us_safetensors_tensor *tensor = find(c, name);
    if (!tensor) fail_msg("the golden file has no tensor %s/%s", c->name, name);
    return tensor;
}

float *golden_floats(const golden_case *c, const char *name, size_t expected) {
    const us_safetensors_tensor *tensor = golden_tensor(c, name);
    if (strcmp(tensor->dtype, "F32") != 0) fail_msg("%s is not float32", name);
    if (expected && tensor->bytes != expected * sizeof(float))
        fail_msg("%s has %zu elements, not %zu", name, tensor->bytes / sizeof(float), expected);
    float *values = malloc(tensor->bytes);
    assert_non_null(values);
    memcpy(values, tensor->data, tensor->bytes); /* the file's bytes may lie anywhere */
    return values;
}

double golden_error(const float *value, const float *expected, size_t count) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(value[i])) return INFINITY;
        double d = (double)value[i] - (double)expected[i];
        difference += d * d;
        norm += (double)expected[i] * (double)expected[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

void golden_compare(const golden_case *c, const char *what, const float *value,
                    const float *expected, size_t count, double tolerance) {
    double error = golden_error(value, expected, count);
    if (error <= tolerance) return;
    size_t worst = 0;
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(value[i] - expected[i]) <= fabsf(value[worst] - expected[worst]))) worst = i;
    fail_msg("%s of %s: relative error %.3g, at most %.3g allowed; element %zu of %zu is %.9g, "
             "PyTorch's %.9g",
             what, c->name, error, tolerance, worst, count, (double)value[worst],
             (double)expected[worst]);
}

/* ---- batches ---- */

us_buffer *golden_buffer(us_device *device, const float *values, size_t count) {
    unseen_error error;
    us_buffer *buffer = NULL;
    TEST_OK(us_buffer_create(device, count * sizeof *values, "a golden tensor", &buffer, &error));
    if (values) TEST_OK(us_buffer_write(buffer, 0, values, count * sizeof *values, &error));
    return buffer;
}

float *golden_read(us_buffer *buffer, size_t count) {
    unseen_error error;
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    TEST_OK(us_buffer_read(buffer, 0, values, count * sizeof *values, &error));
    return values;
}

us_buffer *golden_batch(us_device *device, const float *values, us_shape shape, int n, int batch,
                        float padding) {
    size_t size = us_shape_size(shape), lanes = (size_t)batch;
    float *ordered = malloc(size * lanes * sizeof *ordered);
    assert_non_null(ordered);
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < lanes; j++)
            ordered[i * lanes + j] = j < (size_t)n ? values[j * size + i] : padding;
    us_buffer *buffer = golden_buffer(device, ordered, size * lanes);
    free(ordered);
    return buffer;
}

float *golden_read_batch(us_buffer *buffer, us_shape shape, int n, int batch, bool zero_padding) {
    size_t size = us_shape_size(shape), lanes = (size_t)batch;
    float *ordered = golden_read(buffer, size * lanes);
    float *values = malloc(size * (size_t)n * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < lanes; j++) {
            float v = ordered[i * lanes + j];
            if (j < (size_t)n)
                values[j * size + i] = v;
            else if (!isfinite(v) || (zero_padding && v != 0))
                fail_msg("feature %zu of padded lane %zu holds %g", i, j, (double)v);
        }
    free(ordered);
    return values;
}
