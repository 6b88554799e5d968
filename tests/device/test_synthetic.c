/* SPDX-License-Identifier: MIT */
/* The normal images that synthetic anomalies are made of, as they come back from the device. */
#include "test_device.h"

#include <string.h>

#include "training/synthetic.h"

enum { COUNT = 71, HEIGHT = 7, WIDTH = 5, MOST_CHANNELS = 3 };

static unsigned char images[COUNT * HEIGHT * WIDTH * MOST_CHANNELS];

static us_dataset dataset_of(int channels) {
    us_dataset dataset = {.images = {.pixels = images,
                                     .pixel = US_PIXEL_UINT8,
                                     .count = COUNT,
                                     .height = HEIGHT,
                                     .width = WIDTH,
                                     .channels = channels,
                                     .path = (char *)"images of a test"},
                          .selected_count = COUNT,
                          .scale = {.range = US_RANGE_BYTE}};
    return dataset;
}

/* Which image of the dataset one of the base is: every value is as it was, and grey ones are
 * repeated where the base has more channels. -1: none. */
static int find(const us_synthetic_base *base, int64_t place, int channels) {
    const int own = base->shape.channels;
    const unsigned char *pixels = base->pixels + (size_t)place * HEIGHT * WIDTH * (size_t)own;
    for (int i = 0; i < COUNT; i++) {
        const unsigned char *image = images + (size_t)i * HEIGHT * WIDTH * (size_t)channels;
        bool same = true;
        for (int p = 0; p < HEIGHT * WIDTH; p++)
            for (int k = 0; k < own; k++)
                same = same && pixels[p * own + k] == image[p * channels + k % channels];
        if (same) return i;
    }
    return -1;
}

static void take(us_device *device, int channels, int own, const uint32_t *selection,
                 int64_t count) {
    unseen_error error;
    us_dataset dataset = dataset_of(channels);
    const us_scored_images normal = {.dataset = &dataset, .selection = selection, .count = count};
    us_synthetic_base base;
    TEST_OK(us_synthetic_take(device, (us_shape){own, HEIGHT, WIDTH}, &normal, 5, &base, &error));
    assert_int_equal(base.count, count);
    bool taken[COUNT] = {false};
    for (int64_t i = 0; i < count; i++) {
        const int at = find(&base, i, channels);
        assert_true(at >= 0 && !taken[at]);
        taken[at] = true;
    }
    for (int64_t i = 0; i < count; i++)
        assert_true(taken[selection ? selection[i] : i]);
    us_synthetic_release(&base);
    us_dataset_leave_device(&dataset);
    TEST_OK(us_device_finish(device, &error));
}

/* More than are on the device at a time, a single one, some of them, grey ones in colours. */
static void images_come_back_as_they_were(void **state) {
    static const uint32_t some[] = {70, 3, 0, 44, 9};
    for (size_t i = 0; i < sizeof images; i++)
        images[i] = (unsigned char)(i * 193 % 251 + i / 97);
    for (int channels = 1; channels <= MOST_CHANNELS; channels += 2) {
        take(*state, channels, channels, NULL, COUNT);
        take(*state, channels, channels, NULL, 1);
        take(*state, channels, channels, some, 5);
    }
    take(*state, 1, 3, NULL, COUNT);
}

/* Other shapes: as many values as the shape has, neither black alone nor noise. */
static void images_are_fitted(void **state) {
    unseen_error error;
    memset(images, 100, sizeof images);
    us_dataset dataset = dataset_of(1);
    const us_scored_images normal = {.dataset = &dataset, .count = COUNT};
    us_synthetic_base base;
    TEST_OK(us_synthetic_take(*state, (us_shape){3, 20, 9}, &normal, 5, &base, &error));
    for (size_t i = 0; i < (size_t)COUNT * 3 * 20 * 9; i++)
        assert_int_equal(base.pixels[i], 100);
    us_synthetic_release(&base);
    us_dataset_leave_device(&dataset);
    TEST_OK(us_device_finish(*state, &error));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_come_back_as_they_were),
        cmocka_unit_test(images_are_fitted),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
