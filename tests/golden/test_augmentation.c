/* SPDX-License-Identifier: MIT */
/* Augmentation against PyTorch, by the same random numbers. */
#include "golden.h"

#include "ops/augmentation.h"

static us_augmentation_settings read_settings(const golden_case *c) {
    us_augmentation_settings settings;
    unseen_error error;
    us_json options = {.value = cJSON_GetObjectItem(c->attributes, "options"), .file = c->name};
    TEST_OK(us_json_read(&options, us_augmentation_keys, &settings, &error));
    return settings;
}

static void matches_pytorch(void **state) {
    const golden_case *c = *state;
    unseen_error error;
    us_device *device = c->golden->device;
    const us_augmentation_settings settings = read_settings(c);
    const us_shape shape = golden_shape(c, "shape");
    const int n = (int)golden_number(c, "batch"), batch = us_device_pad(&device->facts, n);
    const size_t size = us_shape_size(shape) * (size_t)n;
    us_augmentation *augmentation;
    TEST_OK(us_augmentation_create(device, &settings, 1, shape, batch, &augmentation, &error));
    float *x = golden_floats(c, "x", size), *expected = golden_floats(c, "out", size);
    const us_augmentation_args args = {
        .x = golden_batch(device, x, shape, n, batch, 0.3f),
        .out = golden_batch(device, x, shape, n, batch, 5),
        .n = n,
        .seed = (uint64_t)golden_number(c, "seed"),
        .substream = (uint32_t)golden_number(c, "substream"),
        .purpose = (us_augmentation_purpose)golden_number(c, "purpose"),
    };
    TEST_OK(us_augmentation_run(augmentation, &args, &error));
    float *value = golden_read_batch(args.out, shape, n, batch, true);
    golden_compare(c, "out", value, expected, size, GOLDEN_TOLERANCE);
    us_augmentation_destroy(augmentation);
    us_buffer_destroy(args.x);
    us_buffer_destroy(args.out);
    free(x);
    free(expected);
    free(value);
}

int main(void) {
    golden g;
    golden_open(&g, "augmentation", true);
    int failed = golden_run(&g, "augmentation", matches_pytorch);
    golden_close(&g);
    return failed;
}
