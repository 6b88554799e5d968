/* SPDX-License-Identifier: MIT */
/* The shipped configs: their parameter counts and shapes, and errors that say where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cjson/cJSON.h>

#include "unseen.h"

static cJSON *show(const char *name) {
    char path[512];
    unseen_error error = {0};
    unseen_config *config = NULL;
    char *json = NULL;
    snprintf(path, sizeof path, "%s/%s.json", CONFIGS, name);
    if (unseen_config_load(path, NULL, 0, &config, &error) != UNSEEN_OK)
        fail_msg("%s", error.message);
    if (unseen_show(config, &json, &error) != UNSEEN_OK) fail_msg("%s", error.message);
    cJSON *object = cJSON_Parse(json);
    assert_non_null(object);
    unseen_string_free(json);
    unseen_config_free(config);
    return object;
}

static double number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void test_parameter_counts(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int parameters;
    } configs[] = {{"simple", 3176419},        {"medium", 47355},        {"strong", 47595},
                   {"boss", 4364140},          {"boss_moved", 4364140},  {"boss_small", 320332},
                   {"alocc", 12931972},        {"vae", 65835},           {"mnist_vae", 474672},
                   {"wide", 5259011},          {"bottleneck", 37765401}, {"residual", 565571},
                   {"wide_residual", 1205492}, {"alocc_small", 813796},  {"deep_svdd", 1306976}};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        cJSON *object = show(configs[i].name);
        assert_int_equal((int)number(object, "parameters"), configs[i].parameters);
        cJSON_Delete(object);
    }
}

static void test_boss_parts(void **state) {
    (void)state;
    cJSON *object = show("boss");
    const cJSON *networks = cJSON_GetObjectItemCaseSensitive(object, "networks");
    const cJSON *classifier = cJSON_GetObjectItemCaseSensitive(networks, "classifier");
    const cJSON *encoder = cJSON_GetObjectItemCaseSensitive(networks, "encoder");
    const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(networks, "decoder");
    assert_int_equal((int)number(classifier, "parameters"), 4316545);
    assert_int_equal((int)(number(encoder, "parameters") + number(decoder, "parameters")), 47595);
    cJSON_Delete(object);
}

/* strong's shapes from the image to the code and back, as the plan has them. */
static void test_strong_shapes(void **state) {
    (void)state;
    static const int convolutions[][3] = {{12, 32, 32}, {24, 16, 16}, {48, 8, 8},
                                          {24, 16, 16}, {12, 32, 32}, {3, 64, 64}};
    cJSON *object = show("strong");
    size_t found = 0;
    const cJSON *layer;
    cJSON_ArrayForEach(layer, cJSON_GetObjectItemCaseSensitive(object, "layers")) {
        const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(layer, "layer"));
        if (strncmp(kind, "convolution", 11) != 0) continue;
        const cJSON *output = cJSON_GetObjectItemCaseSensitive(layer, "output");
        assert_true(found < 6);
        for (int axis = 0; axis < 3; axis++)
            assert_int_equal(cJSON_GetArrayItem(output, axis)->valueint, convolutions[found][axis]);
        found++;
    }
    assert_int_equal(found, 6);
    cJSON_Delete(object);
}

/* Each override makes strong.json wrong; the message must hold every word. */
static void test_errors_say_where(void **state) {
    (void)state;
    static const struct {
        const char *override, *words[3];
    } cases[] = {
        {"/training/batch=\"many\"", {"/training/batch", "integer", "many"}},
        {"/training/batch=0", {"/training/batch", "1", "65536"}},
        {"/training/epoch=3", {"/training/epoch", "did you mean", "epochs"}},
        {"/training/optimizer/type=adamm", {"/training/optimizer/type", "adam", NULL}},
        {"/training/optimizers/encodr={}", {"/training/optimizers/encodr", "encoder", NULL}},
        {"/training/schedule/warmup_epochs=51", {"/training/schedule/warmup_epochs", "50", NULL}},
        {"/networks/encoder/0/channels=0", {"/networks/encoder/0/channels", "1", NULL}},
        {"/networks/encoder/0/kernel=65", {"/networks/encoder/0/kernel", "64", NULL}},
        {"/networks/encoder/1/layer=batchnrm", {"/networks/encoder/1", "batchnorm", NULL}},
        {"/networks/decoder/6/channels=4", {"/networks/decoder", "4 x 64 x 64", "3 x 64 x 64"}},
        {"/networks/encoder/0/kernel=[4,4,4]", {"/networks/encoder/0/kernel", NULL, NULL}},
        {"/networks/extra=[]", {"/networks/extra", "unknown", NULL}},
        {"/input/height=2", {"/networks/encoder", "convolution", NULL}},
        {"/detector/type=bos", {"/detector/type", "boss", NULL}},
        {"/scoring/combine=mean", {"/scoring/combine", "sum", NULL}},
        {"/scoring/weights/reconstructoin=1", {"/scoring/weights", "reconstruction", NULL}},
        {"/data/train=7", {"/data/train", "string", NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unseen_error error = {0};
        unseen_config *config = NULL;
        const char *overrides[] = {cases[i].override};
        unseen_status status =
            unseen_config_load(CONFIGS "/strong.json", overrides, 1, &config, &error);
        if (status != UNSEEN_BAD_INPUT) fail_msg("%s: status %d", cases[i].override, status);
        assert_null(config);
        for (int w = 0; w < 3 && cases[i].words[w]; w++)
            if (!strstr(error.message, cases[i].words[w]))
                fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].override, error.message,
                         cases[i].words[w]);
    }
}

/* A resolved config is a config, and resolves to itself. */
static void check_resolved(const char *name) {
    unseen_error error = {0};
    unseen_config *config = NULL;
    char *first = NULL, *second = NULL, path[] = "/tmp/unseen_config_XXXXXX";
    assert_int_equal(unseen_config_load(name, NULL, 0, &config, &error), UNSEEN_OK);
    assert_int_equal(unseen_config_resolved(config, &first, &error), UNSEEN_OK);
    unseen_config_free(config);
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "w");
    fputs(first, file);
    fclose(file);
    if (unseen_config_load(path, NULL, 0, &config, &error) != UNSEEN_OK)
        fail_msg("%s", error.message);
    assert_int_equal(unseen_config_resolved(config, &second, &error), UNSEEN_OK);
    assert_string_equal(first, second);
    remove(path);
    unseen_config_free(config);
    unseen_string_free(first);
    unseen_string_free(second);
}

static void test_resolved_is_stable(void **state) {
    (void)state;
    check_resolved(CONFIGS "/boss.json");
    check_resolved(CONFIGS "/residual.json");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameter_counts),   cmocka_unit_test(test_boss_parts),
        cmocka_unit_test(test_strong_shapes),      cmocka_unit_test(test_errors_say_where),
        cmocka_unit_test(test_resolved_is_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
