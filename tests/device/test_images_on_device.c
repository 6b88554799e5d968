/* SPDX-License-Identifier: MIT */
/* Uploads, and the places that images are in: in the host's memory, resident on the device, sent
 * with every batch. Devices that share the host's memory are made to look as if they did not. */
#include "run_files.h"

#include <math.h>

#include "device/profile.h"
#include "device/upload.h"
#include "training/model.h"
#include "training/trainer.h"

static const char config_text[] =
    "{\"name\": \"places\", \"input\": {\"channels\": 1, \"height\": 6, \"width\": 6},"
    " \"networks\": {\"encoder\": [{\"layer\": \"flatten\"}, {\"layer\": \"dense\", \"units\": 5},"
    " {\"layer\": \"relu\"}], \"decoder\": [{\"layer\": \"dense\", \"units\": 36},"
    " {\"layer\": \"reshape\", \"shape\": [1, 6, 6]}, {\"layer\": \"tanh\"}]},"
    " \"detector\": {\"type\": \"autoencoder\"},"
    " \"training\": {\"epochs\": 3, \"batch\": 8, \"held_out\": 0.25, \"flip\": true}}";

static int setup(void **state) {
    (void)state;
    if (run_files_setup() != 0) return -1;
    write_text("config.json", config_text);
    return 0;
}

/* ---- uploads ---- */

static unsigned char byte_of(size_t i, int round) {
    return (unsigned char)(i * 7919 % 1009 + (size_t)round);
}

/* More than all slots hold, in pieces that do not divide a slot, again and again. */
static void uploads_arrive(void **state) {
    (void)state;
    enum { SIZE = 4 * US_UPLOAD_BYTES + 12345, PIECE = 1000003 };
    us_device *device = test_device_open();
    unsigned char *out = malloc(SIZE), *in = malloc(SIZE);
    us_buffer *buffer, *copy;
    assert_true(out && in);
    TEST_OK(us_buffer_create_for_uploads(device, SIZE + 5, "test", &buffer, &error));
    TEST_OK(us_buffer_create(device, SIZE, "test", &copy, &error));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < SIZE; i++)
            out[i] = byte_of(i, round);
        us_upload upload;
        us_upload_begin(&upload, buffer, 5, false);
        for (size_t at = 0; at < SIZE; at += PIECE)
            TEST_OK(
                us_upload_add(&upload, out + at, SIZE - at < PIECE ? SIZE - at : PIECE, &error));
        TEST_OK(us_upload_end(&upload, &error));
        memset(out, 0, SIZE); /* it has been copied */
        /* The copy waits for the upload, and the next upload for the copy. */
        TEST_OK(us_buffer_copy(copy, 0, buffer, 5, SIZE, &error));
        if (round == 1) continue;
        TEST_OK(us_buffer_read(copy, 0, in, SIZE, &error));
        for (size_t i = 0; i < SIZE; i++)
            if (in[i] != byte_of(i, round)) fail_msg("round %d, byte %zu", round, i);
    }
    us_buffer_destroy(buffer);
    us_buffer_destroy(copy);
    free(out);
    free(in);
    assert_true(us_device_close(device));
}

/* Work that takes a while reads a buffer; what is sent meanwhile must not reach it. */
static void uploads_wait_for_readers(void **state) {
    (void)state;
    enum { SIZE = 1 << 20, COPIES = 40 };
    us_device *device = test_device_open();
    unsigned char *bytes = malloc(SIZE), *got = malloc(SIZE);
    us_buffer *buffer, *copies[COPIES];
    us_upload upload;
    assert_true(bytes && got);
    TEST_OK(us_buffer_create_for_uploads(device, SIZE, "test", &buffer, &error));
    for (int c = 0; c < COPIES; c++)
        TEST_OK(us_buffer_create(device, SIZE, "test", &copies[c], &error));
    for (int c = 0; c < COPIES; c++) {
        memset(bytes, c + 1, SIZE);
        us_upload_begin(&upload, buffer, 0, false);
        TEST_OK(us_upload_add(&upload, bytes, SIZE, &error));
        TEST_OK(us_upload_end(&upload, &error));
        for (int again = 0; again < 11; again++) /* more readers than are remembered */
            TEST_OK(us_buffer_copy(copies[c], 0, buffer, 0, SIZE, &error));
    }
    for (int c = 0; c < COPIES; c++) {
        TEST_OK(us_buffer_read(copies[c], 0, got, SIZE, &error));
        for (int i = 0; i < SIZE; i += 4099)
            assert_int_equal(got[i], c + 1);
        us_buffer_destroy(copies[c]);
    }
    us_buffer_destroy(buffer);
    free(bytes);
    free(got);
    assert_true(us_device_close(device));
}

/* ---- places ---- */

/* What a training leaves: weights, and scores of the test images in two passes. */
typedef struct outcome {
    us_image_place place;
    char model[64];
    float loss;
    double scores[IMAGES], again[IMAGES];
    int64_t sent[2]; /* of the test images, after each pass; -1: they are not resident */
} outcome;

static void score(us_detector *detector, us_dataset *test, double *scores, int64_t *sent) {
    double *columns[US_DETECTOR_MAX_COLUMNS];
    const us_scored_images of = {.dataset = test, .count = test->images.count, .what = "scoring"};
    TEST_OK(us_columns_take(detector, &of, columns, &error));
    memcpy(scores, columns[0], (size_t)of.count * sizeof *scores);
    us_columns_release(columns);
    *sent = test->store->place == US_IMAGES_RESIDENT ? test->store->sent : -1;
}

static void train(us_device *device, const unseen_config *config, outcome *result) {
    us_dataset training, test;
    us_detector *detector;
    us_trainer *trainer;
    const us_dataset_source of = {.path = config->data.test};
    TEST_OK(us_dataset_open_training(config, NULL, &training, &error));
    TEST_OK(us_dataset_open(config, &of, NULL, &test, &error));
    TEST_OK(us_detector_create(device, &config->detector, 8, true, NULL, &detector, &error));
    const us_trainer_options options = {
        .config = config, .detector = detector, .dataset = &training};
    TEST_OK(us_trainer_create(&options, &trainer, &error));
    TEST_OK(us_trainer_run(trainer, &error));
    result->place = training.store->place;
    result->loss = (float)us_trainer_progress(trainer)->held_out_loss;
    us_model model = {.config = config, .detector = detector};
    TEST_OK(us_model_calibrate(&model, &training, 1, NULL, &error));
    TEST_OK(us_model_save(&model, in_root(result->model), &error));
    score(detector, &test, result->scores, &result->sent[0]);
    score(detector, &test, result->again, &result->sent[1]);
    us_trainer_destroy(trainer);
    us_detector_destroy(detector);
    us_dataset_leave_device(&training);
    us_dataset_leave_device(&test);
    TEST_OK(us_device_finish(device, &error));
    us_dataset_close(&training);
    us_dataset_close(&test);
}

static unseen_config *load(void) {
    char train_images[800], test_images[800];
    snprintf(train_images, sizeof train_images, "/data/train=%s", in_root("train.idx"));
    snprintf(test_images, sizeof test_images, "/data/test=%s", in_root("test.idx"));
    const char *overrides[] = {train_images, test_images};
    unseen_config *config;
    TEST_OK(unseen_config_load(in_root("config.json"), overrides, 2, &config, &error));
    return config;
}

/* As it is, as if it did not share the host's memory, and as if, besides, seven eighths of its own
 * were taken. */
static us_device *open_for(us_image_place place) {
    us_device *device = test_device_open();
    /* A CPU that runs kernels the way of GPUs is one everywhere, so that all compute alike. */
    if (place != US_IMAGES_IN_PLACE || device->facts.execution == US_EXECUTION_LANES)
        device->facts.is_cpu = false;
    if (place == US_IMAGES_STREAMED)
        device->allocated_bytes += device->facts.memory_bytes / 8 * 7 + 7;
    return device;
}

/* The same weights, losses and scores to the last bit, and nothing is sent twice. */
static void places_give_the_same_bits(void **state) {
    (void)state;
    unseen_config *config = load();
    outcome results[US_IMAGES_STREAMED + 1] = {0};
    for (us_image_place place = US_IMAGES_IN_PLACE; place <= US_IMAGES_STREAMED; place++) {
        us_device *device = open_for(place);
        outcome *result = &results[place];
        us_image_place expected = place;
        if (place == US_IMAGES_IN_PLACE && !us_device_shares_memory(&device->facts))
            expected = US_IMAGES_RESIDENT;
        snprintf(result->model, sizeof result->model, "model-%d", (int)place);
        train(device, config, result);
        assert_int_equal(result->place, expected);
        for (int pass = 0; pass < 2; pass++)
            assert_int_equal(result->sent[pass], expected == US_IMAGES_RESIDENT ? IMAGES : -1);
        assert_memory_equal(result->scores, result->again, sizeof result->scores);
        assert_same_file(in_root(result->model), in_root(results[0].model));
        assert_memory_equal(&result->loss, &results[0].loss, sizeof result->loss);
        assert_memory_equal(result->scores, results[0].scores, sizeof result->scores);
        assert_true(us_device_close(device));
    }
    unseen_config_free(config);
}

/* While a device is profiled its queue is another one, which has to wait for uploads all the same.
 */
static void profiled_batches_wait_for_uploads(void **state) {
    (void)state;
    enum { COUNT = 3000, BATCH = 100 };
    us_device *device = open_for(US_IMAGES_STREAMED);
    const us_shape shape = {1, 8, 8};
    const int batch = us_device_pad(&device->facts, BATCH);
    const size_t floats = us_shape_size(shape) * (size_t)batch;
    unsigned char *pixels = malloc(COUNT * 64);
    float *got = malloc(floats * sizeof *got);
    assert_true(pixels && got);
    for (size_t i = 0; i < COUNT * 64; i++)
        pixels[i] = (unsigned char)(i / 64 % 251);
    const us_image_source source = {
        .pixels = pixels, .count = COUNT, .height = 8, .width = 8, .channels = 1, .white = 255};
    us_image_store *store;
    us_image_loader *loader;
    us_buffer *out;
    us_profile *profile;
    TEST_OK(us_image_store_create(device, &source, &store, &error));
    TEST_OK(us_image_loader_create(store, NULL, COUNT, shape, batch, &loader, &error));
    TEST_OK(us_buffer_create(device, floats * sizeof(float), "test", &out, &error));
    for (int first = 0; first < COUNT; first += BATCH) {
        const bool profiled = first / BATCH % 3 == 1;
        const us_image_batch_args args = {.out = out, .first = first, .n = BATCH};
        if (profiled) TEST_OK(us_profile_begin(device, &error));
        TEST_OK(us_image_batch_load(loader, &args, &error));
        if (profiled) {
            TEST_OK(us_profile_take(device, &profile, &error));
            assert_true(profile->count >= 1);
            us_profile_release(profile);
        }
        TEST_OK(us_buffer_read(out, 0, got, floats * sizeof *got, &error));
        for (int n = 0; n < BATCH; n++) {
            const double value = (first + n) % 251 * 2 / 255.0 - 1;
            for (int p = 0; p < 64; p++)
                if (!(fabs(got[p * batch + n] - value) < 1e-5))
                    fail_msg("image %d, pixel %d: %g, not %g", first + n, p,
                             (double)got[p * batch + n], value);
        }
    }
    us_image_loader_destroy(loader);
    us_image_store_destroy(store);
    us_buffer_destroy(out);
    free(pixels);
    free(got);
    us_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uploads_arrive),
        cmocka_unit_test(uploads_wait_for_readers),
        cmocka_unit_test(places_give_the_same_bits),
        cmocka_unit_test(profiled_batches_wait_for_uploads),
    };
    return cmocka_run_group_tests(tests, setup, run_files_teardown);
}
