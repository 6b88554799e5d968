/* SPDX-License-Identifier: MIT */
/* boss's warm-up, told apart by what a classifier has learned after one step of its own. */
#include "run_files.h"

#include <math.h>

#include "network/safetensors.h"

/* One step an epoch: the first warms up, the second is the classifier's first. */
static const char config_text[] =
    "{\"name\": \"small\", \"input\": {\"channels\": 1, \"height\": 6, \"width\": 6},"
    " \"networks\": {\"encoder\": [{\"layer\": \"flatten\"}, {\"layer\": \"dense\", \"units\": 5},"
    " {\"layer\": \"relu\"}], \"decoder\": [{\"layer\": \"dense\", \"units\": 36},"
    " {\"layer\": \"reshape\", \"shape\": [1, 6, 6]}, {\"layer\": \"tanh\"}],"
    " \"classifier\": [{\"layer\": \"flatten\"}, {\"layer\": \"dense\", \"units\": 1}]},"
    " \"detector\": {\"type\": \"boss\", \"warmup_epochs\": 1},"
    " \"training\": {\"epochs\": 2, \"batch\": 32,"
    " \"optimizers\": {\"classifier\": {\"type\": \"adam\", \"learning_rate\": 0.001}}}}";

static int setup(void **state) {
    (void)state;
    if (run_files_setup() != 0) return -1;
    write_text("config.json", config_text);
    return 0;
}

/* Forgets the runs. */
static int clear(void **state) {
    (void)state;
    const char *const folders[] = {"moved", "still", "cold", "patient"};
    for (int i = 0; i < 4; i++)
        if (us_file_exists(in_root(folders[i])))
            nftw(in_root(folders[i]), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* overrides: NULL-terminated. */
static void train(const char *out, const char *const *overrides) {
    const char *all[8];
    char images[800];
    size_t count = 0;
    snprintf(images, sizeof images, "/data/train=%s", in_root("train.idx"));
    all[count++] = images;
    while (*overrides)
        all[count++] = *overrides++;
    unseen_config *config;
    char *json;
    TEST_OK(unseen_config_load(in_root("config.json"), all, count, &config, &error));
    unseen_run_options options = {
        .device = getenv("UNSEEN_DEVICE"), .out = in_root(out), .train_only = true};
    TEST_OK(unseen_run(config, &options, NULL, &json, &error));
    unseen_string_free(json);
    unseen_config_free(config);
}

#define TRAIN(out, ...) train(out, (const char *const[]){__VA_ARGS__, NULL})

/* The largest difference of a tensor between two runs. */
static float largest_difference(const char *one, const char *other, const char *name) {
    const char *folders[] = {one, other};
    us_safetensors files[2];
    const us_safetensors_tensor *tensors[2];
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/model.safetensors", folders[i]);
        TEST_OK(us_safetensors_open(in_root(path), &files[i], &error));
        tensors[i] = us_safetensors_find(&files[i], name);
        assert_non_null(tensors[i]);
    }
    float largest = 0;
    for (size_t i = 0; i < tensors[0]->bytes; i += sizeof(float)) {
        float a, b;
        memcpy(&a, (const char *)tensors[0]->data + i, sizeof a);
        memcpy(&b, (const char *)tensors[1]->data + i, sizeof b);
        largest = fmaxf(largest, fabsf(a - b));
    }
    for (int i = 0; i < 2; i++)
        us_safetensors_close(&files[i]);
    return largest;
}

#define STILL "/training/optimizers/classifier/learning_rate=1e-30"

/* Adam's first step has the length of the learning rate, once it is corrected for its moments
 * having begun at zero: by the classifier's steps, not by those of the training. */
static void first_update_is_the_optimizers_first(void **state) {
    (void)state;
    TRAIN("moved", "/name=moved");
    TRAIN("still", STILL);
    float moved = largest_difference("moved", "still", "classifier.1.weight");
    if (!(fabsf(moved - 0.001f) < 1e-5f)) fail_msg("moved by %g", (double)moved);
    assert_true(largest_difference("moved", "still", "encoder.1.weight") == 0);
}

/* Without a warm-up the autoencoder learns the same, and the classifier one step more. */
static void warm_up_leaves_the_classifier_alone(void **state) {
    (void)state;
    TRAIN("moved", "/name=moved");
    TRAIN("cold", "/detector/warmup_epochs=0");
    assert_true(largest_difference("moved", "cold", "encoder.1.weight") == 0);
    assert_true(largest_difference("moved", "cold", "classifier.1.weight") > 0.0005f);
}

/* The autoencoder does not improve, but the classifier is yet to be trained. */
static void stopping_waits_for_the_warm_up(void **state) {
    (void)state;
    const char *const slow = "/training/optimizer/learning_rate=1e-30";
    const char *const warm = "/detector/warmup_epochs=3", *const patience =
                                                              "/training/stopping/patience=1";
    TRAIN("patient", slow, warm, patience, "/training/epochs=9");
    TRAIN("still", slow, warm, "/training/epochs=4", STILL);
    float moved = largest_difference("patient", "still", "classifier.1.weight");
    if (!(moved > 0.0005f && moved < 0.0025f))
        fail_msg("moved by %g", (double)moved); /* two steps */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(first_update_is_the_optimizers_first, clear),
        cmocka_unit_test_teardown(warm_up_leaves_the_classifier_alone, clear),
        cmocka_unit_test_teardown(stopping_waits_for_the_warm_up, clear),
    };
    return cmocka_run_group_tests(tests, setup, run_files_teardown);
}
