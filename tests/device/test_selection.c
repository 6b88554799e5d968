/* SPDX-License-Identifier: MIT */
/* Choosing among devices: on made-up ones, and on those of this machine. */
#include "test_device.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/advice.h"
#include "device/selection.h"

/* ---- made-up devices ---- */

static us_candidate make(const char *index, const char *name, const char *platform,
                         cl_device_type type, uint64_t gigabytes) {
    us_candidate candidate = {.type = type, .usable = true};
    snprintf(candidate.facts.index, sizeof candidate.facts.index, "%s", index);
    snprintf(candidate.facts.name, sizeof candidate.facts.name, "%s", name);
    snprintf(candidate.facts.platform_name, sizeof candidate.facts.platform_name, "%s", platform);
    candidate.facts.memory_bytes = gigabytes << 30;
    candidate.facts.vector_width = 1;
    candidate.facts.compute_units = 8;
    return candidate;
}

static us_candidate machine[6];

static us_selection make_machine(void) {
    us_candidate pocl = make("0:0", "EPYC", "Portable Computing Language", CL_DEVICE_TYPE_CPU, 512);
    pocl.facts.vector_width = 16;
    pocl.shared_memory = true;
    us_candidate integrated = make("1:0", "UHD 770", "Intel OpenCL", CL_DEVICE_TYPE_GPU, 400);
    integrated.shared_memory = true;
    us_candidate small = make("2:0", "Radeon Pro", "AMD APP", CL_DEVICE_TYPE_GPU, 8);
    us_candidate large = make("2:1", "Radeon RX", "AMD APP", CL_DEVICE_TYPE_GPU, 16);
    us_candidate mesa = make("3:0", "Radeon RX", "rusticl", CL_DEVICE_TYPE_GPU, 24);
    mesa.layered = true;
    us_candidate llvmpipe = make("3:1", "llvmpipe", "rusticl", CL_DEVICE_TYPE_CPU, 512);
    llvmpipe.layered = true;
    us_candidate all[] = {pocl, integrated, small, large, mesa, llvmpipe};
    memcpy(machine, all, sizeof machine);
    return (us_selection){.candidates = machine, .count = 6, .platforms = 4};
}

static const char *picked(us_selection *selection, const char *selector) {
    us_selection_pick(selection, selector);
    assert_true(strlen(selection->why) > 0);
    return selection->picked ? selection->picked->facts.index : "none";
}

static void the_best_is_picked_by_default(void **state) {
    (void)state;
    us_selection selection = make_machine();
    assert_string_equal(picked(&selection, NULL), "2:1");
    assert_string_equal(picked(&selection, ""), "2:1");
    machine[3].usable = false;
    assert_string_equal(picked(&selection, NULL), "2:0");
    machine[2].usable = false; /* Mesa's driver of a card of its own comes before integrated ones */
    assert_string_equal(picked(&selection, NULL), "3:0");
    machine[4].usable = false;
    assert_string_equal(picked(&selection, NULL), "1:0");
    machine[1].usable = false;
    assert_string_equal(picked(&selection, NULL), "0:0");
    machine[0].usable = false;
    assert_string_equal(picked(&selection, NULL), "3:1");
    machine[5].usable = false;
    snprintf(machine[0].why_not, sizeof machine[0].why_not, "it is asleep");
    assert_string_equal(picked(&selection, NULL), "none");
    assert_non_null(strstr(selection.why, "it is asleep"));
}

static void accelerators_come_between(void **state) {
    (void)state;
    us_selection selection = make_machine();
    machine[5].type = CL_DEVICE_TYPE_ACCELERATOR;
    assert_string_equal(picked(&selection, NULL), "2:1");
    for (int i = 1; i < 5; i++)
        machine[i].usable = false;
    assert_string_equal(picked(&selection, NULL), "3:1");
}

static void selectors_pick(void **state) {
    (void)state;
    us_selection selection = make_machine();
    assert_string_equal(picked(&selection, "gpu"), "2:1");
    assert_string_equal(picked(&selection, "GPU"), "2:1");
    assert_string_equal(picked(&selection, "cpu"), "0:0");
    assert_string_equal(picked(&selection, "1:0"), "1:0");
    assert_string_equal(picked(&selection, "3:1"), "3:1");
    assert_string_equal(picked(&selection, "radeon pro"), "2:0");
    assert_string_equal(picked(&selection, "RUSTICL"), "3:0");
    assert_string_equal(picked(&selection, "portable"), "0:0");
    assert_string_equal(picked(&selection, "intel"), "1:0");
}

/* Names of devices are full of digits. */
static void numbers_are_places_in_the_list(void **state) {
    (void)state;
    us_selection selection = make_machine();
    static const char *const indices[] = {"0:0", "1:0", "2:0", "2:1", "3:0", "3:1"};
    for (int i = 0; i < 6; i++) {
        char number[8];
        snprintf(number, sizeof number, "%d", i);
        assert_string_equal(picked(&selection, number), indices[i]);
        assert_non_null(strstr(selection.why, "number"));
    }
    static const char *const wrong[] = {"6",  "770", "77", "18446744073709551616",
                                        "-1", "1.0", "0x1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_string_equal(picked(&selection, wrong[i]), "none");
        assert_non_null(strstr(selection.why, "there are: 0:0 EPYC"));
    }
    assert_string_equal(picked(&selection, "UHD 770"), "1:0");
    assert_string_equal(picked(&selection, " gpu\n"), "2:1");
    assert_string_equal(picked(&selection, "  "), "2:1");
    machine[2].usable = false;
    snprintf(machine[2].why_not, sizeof machine[2].why_not, "it is asleep");
    assert_string_equal(picked(&selection, "2"), "none");
    assert_non_null(strstr(selection.why, "it is asleep"));
}

/* Root may open everything, and becomes nobody for this. */
static void devices_that_may_not_be_opened_are_named(void **state) {
    (void)state;
    char folder[] = "/tmp/unseen-nodes-XXXXXX", path[100], text[400];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/kfd", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    us_advice_nodes(folder, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(chmod(path, 0), 0);
    bool root = geteuid() == 0;
    if (root) assert_int_equal(seteuid(65534), 0);
    us_advice_nodes(folder, text, sizeof text);
    if (root) assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(text, path));
    assert_non_null(strstr(text, "may not open"));
    unlink(path);
    rmdir(folder);
}

static void selectors_that_fit_nothing_say_what_there_is(void **state) {
    (void)state;
    us_selection selection = make_machine();
    static const char *const wrong[] = {
        "4:0", "0:1", "3:", ":1", "99999999999999999999:0", "-1:0", "GeForce", "%s%n", "\xff\xfe"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_string_equal(picked(&selection, wrong[i]), "none");
        assert_non_null(strstr(selection.why, "0:0 EPYC"));
        assert_non_null(strstr(selection.why, wrong[i]));
    }
    char long_one[5000];
    memset(long_one, 'x', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    assert_string_equal(picked(&selection, long_one), "none");
    assert_non_null(strstr(selection.why, "0:0 EPYC"));
}

static void unusable_ones_are_not_picked_and_say_why(void **state) {
    (void)state;
    us_selection selection = make_machine();
    machine[2].usable = false;
    snprintf(machine[2].why_not, sizeof machine[2].why_not, "its OpenCL is older than 1.2");
    assert_string_equal(picked(&selection, "2:0"), "none");
    assert_non_null(strstr(selection.why, "older than 1.2"));
    assert_string_equal(picked(&selection, "radeon pro"), "none");
    assert_string_equal(picked(&selection, "radeon"), "2:1");
}

static void nothing_at_all_says_what_to_install(void **state) {
    (void)state;
    us_selection selection = {0};
    assert_string_equal(picked(&selection, NULL), "none");
    assert_non_null(strstr(selection.why, "pocl-opencl-icd"));
    selection.platforms = 2;
    assert_string_equal(picked(&selection, "gpu"), "none");
    assert_non_null(strstr(selection.why, "pocl-opencl-icd"));
    assert_non_null(strstr(selection.why, "2 OpenCL platforms"));
}

/* ---- this machine ---- */

/* In a process of its own, before this one loads any driver. */
static void no_platform_is_no_device(void **state) {
    (void)state;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("OCL_ICD_VENDORS", "/nonexistent/vendors", 1);
        us_device *device;
        unseen_error error;
        char *json;
        bool right = us_device_open(NULL, &device, &error) == UNSEEN_NO_DEVICE && !device &&
                     error.status == UNSEEN_NO_DEVICE && strstr(error.message, "OCL_ICD_VENDORS") &&
                     unseen_devices(NULL, &json, &error) == UNSEEN_OK &&
                     strstr(json, "\"picked\"") && strstr(json, "null");
        _exit(right ? 0 : 1);
    }
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 0);
}

static cJSON *list(const char *selector) {
    unseen_error error;
    char *json;
    TEST_OK(unseen_devices(selector, &json, &error));
    cJSON *root = cJSON_Parse(json);
    unseen_string_free(json);
    assert_non_null(root);
    assert_true(cJSON_IsString(cJSON_GetObjectItem(root, "why")));
    return root;
}

static void opening_agrees_with_the_list(void **state) {
    (void)state;
    us_device *device = test_device_open();
    cJSON *root = list(getenv("UNSEEN_DEVICE"));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(root, "picked")),
                        device->facts.index);
    cJSON_Delete(root);

    /* By its index, and by its name in another case. */
    char name[sizeof device->facts.name];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = (char)toupper((unsigned char)device->facts.name[i]);
    const char *const selectors[] = {device->facts.index, name};
    for (size_t i = 0; i < 2; i++) {
        us_device *same;
        unseen_error error;
        TEST_OK(us_device_open(selectors[i], &same, &error));
        assert_string_equal(same->facts.name, device->facts.name);
        us_device_close(same);
    }
    us_device_close(device);
}

static void the_list_has_its_fields(void **state) {
    (void)state;
    cJSON *root = list(NULL);
    static const char *const texts[] = {"platform", "device", "index",     "type",
                                        "driver",   "opencl", "execution", "matrix_units"};
    static const char *const numbers[] = {"compute_units", "memory_bytes",
                                          "largest_allocation_bytes", "vector_width"};
    cJSON *devices = cJSON_GetObjectItem(root, "devices"), *one;
    assert_true(cJSON_IsArray(devices));
    assert_true(cJSON_GetArraySize(devices) > 0);
    cJSON_ArrayForEach(one, devices) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            assert_true(cJSON_IsString(cJSON_GetObjectItem(one, texts[i])));
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            assert_true(cJSON_IsNumber(cJSON_GetObjectItem(one, numbers[i])));
        bool usable = cJSON_IsTrue(cJSON_GetObjectItem(one, "usable"));
        assert_true(usable ? cJSON_IsNull(cJSON_GetObjectItem(one, "why_not"))
                           : cJSON_IsString(cJSON_GetObjectItem(one, "why_not")));
    }
    cJSON_Delete(root);
}

static void nonsense_opens_nothing(void **state) {
    (void)state;
    static const char *const wrong[] = {"99:0", "0:99", "no such device", "::", "%n%s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        us_device *device = (us_device *)&device;
        unseen_error error;
        assert_int_equal(us_device_open(wrong[i], &device, &error), UNSEEN_NO_DEVICE);
        assert_null(device);
        assert_non_null(strstr(error.message, wrong[i]));
        cJSON *root = list(wrong[i]);
        assert_true(cJSON_IsNull(cJSON_GetObjectItem(root, "picked")));
        cJSON_Delete(root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_platform_is_no_device),
        cmocka_unit_test(the_best_is_picked_by_default),
        cmocka_unit_test(accelerators_come_between),
        cmocka_unit_test(selectors_pick),
        cmocka_unit_test(numbers_are_places_in_the_list),
        cmocka_unit_test(devices_that_may_not_be_opened_are_named),
        cmocka_unit_test(selectors_that_fit_nothing_say_what_there_is),
        cmocka_unit_test(unusable_ones_are_not_picked_and_say_why),
        cmocka_unit_test(nothing_at_all_says_what_to_install),
        cmocka_unit_test(opening_agrees_with_the_list),
        cmocka_unit_test(the_list_has_its_fields),
        cmocka_unit_test(nonsense_opens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
