/* SPDX-License-Identifier: MIT */
/* Programs and launches, on kernel files of the test's own in a folder of UNSEEN_KERNEL_DIR. */
#include "test_device.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/program.h"

static const char arguments_text[] =
    "#include \"helper.cl\"\n"
    "kernel GROUP_ATTRIBUTE void store(global ulong *out, global int *nothing, int i, uint u,\n"
    "                                  long l, ulong U, float f) {\n"
    "    if (get_global_id(0) == 0) {\n"
    "        out[0] = nothing == 0;\n"
    "        out[1] = (ulong)(long)i;\n"
    "        out[2] = u;\n"
    "        out[3] = (ulong)l;\n"
    "        out[4] = U;\n"
    "        out[5] = as_uint(f);\n"
    "        out[6] = HELPER + EXTRA;\n"
    "    }\n"
    "}\n";

static const char launch_text[] =
    "kernel GROUP_ATTRIBUTE void where(global int *out) {\n"
    "    int g = get_group_id(0) + get_num_groups(0) * (get_group_id(1) + \n"
    "            get_num_groups(1) * get_group_id(2));\n"
    "    vec_store((vec)(1.0f * g), (global float *)out + LANE_BASE(g, 1));\n"
    "}\n"
    "kernel void element(global int *out, int n) {\n"
    "    int i = (int)get_global_id(0);\n"
    "    if (i < n) out[i] += i + 1;\n"
    "}\n"
    "kernel GROUP_ATTRIBUTE void vectors(global float *out, global const float *in, int n) {\n"
    "    int first = LANE_BASE(get_group_id(0), 1);\n"
    "    vec v = vec_mask(vec_load(in + first), first, n);\n"
    "    vec_store(activate(v) + vec_sum(v), out + first);\n"
    "}\n"
    "kernel void functions(global float *out, global const float *in, int n) {\n"
    "    int i = (int)get_global_id(0);\n"
    "    if (i >= n) return;\n"
    "    out[4 * i] = tanh(in[i]);\n"
    "    out[4 * i + 1] = exp(in[i]);\n"
    "    out[4 * i + 2] = 1.0f / in[i];\n"
    "    out[4 * i + 3] = sqrt(fabs(in[i]));\n"
    "}\n";

static char folder[] = "/tmp/test_kernels_XXXXXX";
static const char *const names[] = {"arguments.cl", "helper.cl", "launch.cl",   "broken.cl",
                                    "circle.cl",    "lost.cl",   "changing.cl", "scoped.cl"};

static void put(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int setup(void **state) {
    if (!mkdtemp(folder)) return -1;
    setenv("UNSEEN_KERNEL_DIR", folder, 1);
    put("arguments.cl", arguments_text);
    put("helper.cl", "#define HELPER 40\n");
    put("launch.cl", launch_text);
    put("broken.cl", "kernel void k(global int *out) {\n    out[0] = misspelt;\n}\n");
    put("circle.cl", "#include \"circle.cl\"\n");
    put("lost.cl", "\n  # include \"nowhere.cl\"\n");
    *state = test_device_open();
    return 0;
}

static int teardown(void **state) {
    us_device_close(*state);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static us_kernel *take(us_device *device, const char *source, const char *name) {
    unseen_error error;
    us_kernel *kernel;
    TEST_OK(us_kernel_create(&(us_build){.device = device}, source, name, &kernel, &error,
                             "-DEXTRA=%d", 2));
    return kernel;
}

static void every_type_arrives(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_buffer *out;
    TEST_OK(us_buffer_create(device, 7 * 8, "test", &out, &error));
    us_kernel *kernel = take(device, "arguments", "store");
    const size_t groups[3] = {1, 1, 1};
    TEST_OK(us_kernel_run(kernel, groups, &error, "bbiulUf", out, (us_buffer *)NULL, -5,
                          4000000000u, (int64_t)-6000000000, (uint64_t)18000000000000000000u, 1.5));
    uint64_t got[7];
    TEST_OK(us_buffer_read(out, 0, got, sizeof got, &error));
    assert_int_equal(got[0], 1);
    assert_true((int64_t)got[1] == -5);
    assert_true(got[2] == 4000000000u);
    assert_true((int64_t)got[3] == -6000000000);
    assert_true(got[4] == 18000000000000000000u);
    assert_int_equal(got[5], 0x3fc00000);
    assert_int_equal(got[6], 42); /* of the included file and of the options */
    us_kernel_destroy(kernel);
    us_buffer_destroy(out);
}

static void wrong_types_are_refused(void **state) {
    unseen_error error;
    us_kernel *kernel = take(*state, "launch", "element");
    const size_t groups[3] = {1, 1, 1}, none[3] = {1, 0, 1}, many[3] = {SIZE_MAX, 1, 1};
    us_buffer *out;
    TEST_OK(us_buffer_create(*state, 1024, "test", &out, &error));
    assert_int_equal(us_kernel_run(kernel, groups, &error, "b", out), UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "element of launch.cl takes 2"));
    assert_int_equal(us_kernel_run(kernel, groups, &error, "bii", out, 1, 1), UNSEEN_FAILURE);
    assert_int_equal(us_kernel_run_elements(kernel, 1, &error, "bx", out, 1), UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "\"bx\""));
    /* The driver notices a size that is not the parameter's. */
    assert_int_equal(us_kernel_run_elements(kernel, 1, &error, "bl", out, (int64_t)1),
                     UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "argument 1"));
    assert_int_equal(us_kernel_run_elements(kernel, 0, &error, "bi", out, 1), UNSEEN_FAILURE);
    assert_int_equal(us_kernel_run_elements(kernel, SIZE_MAX, &error, "bi", out, 1),
                     UNSEEN_FAILURE);
    assert_int_equal(us_kernel_run(kernel, none, &error, "bi", out, 1), UNSEEN_FAILURE);
    if (((us_device *)*state)->facts.group_size > 1)
        assert_int_equal(us_kernel_run(kernel, many, &error, "bi", out, 1), UNSEEN_FAILURE);
    us_buffer_destroy(out);
    us_kernel_destroy(kernel);
}

static void groups_cover_the_grid_once(void **state) {
    us_device *device = *state;
    enum { GROUPS = 3 * 5 * 2 };
    size_t lanes = (size_t)us_device_lanes(&device->facts);
    unseen_error error;
    us_buffer *out;
    TEST_OK(us_buffer_create(device, GROUPS * lanes * 4, "test", &out, &error));
    us_kernel *kernel = take(device, "launch", "where");
    const size_t groups[3] = {3, 5, 2};
    TEST_OK(us_kernel_run(kernel, groups, &error, "b", out));
    float *got = malloc(GROUPS * lanes * 4);
    TEST_OK(us_buffer_read(out, 0, got, GROUPS * lanes * 4, &error));
    for (size_t i = 0; i < GROUPS * lanes; i++)
        assert_true(got[i] == (float)(i / lanes));
    free(got);
    us_kernel_destroy(kernel);
    us_buffer_destroy(out);
}

static void elements_are_each_visited_once(void **state) {
    static const int counts[] = {1, 7, 255, 256, 257, 10007};
    us_device *device = *state;
    unseen_error error;
    us_kernel *kernel = take(device, "launch", "element");
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        int n = counts[c];
        us_buffer *out;
        TEST_OK(us_buffer_create(device, ((size_t)n + 1) * 4, "test", &out, &error));
        TEST_OK(us_kernel_run_elements(kernel, (size_t)n, &error, "bi", out, n));
        TEST_OK(us_kernel_run_elements(kernel, (size_t)n, &error, "bi", out, n));
        int *got = malloc(((size_t)n + 1) * 4);
        TEST_OK(us_buffer_read(out, 0, got, ((size_t)n + 1) * 4, &error));
        for (int i = 0; i < n; i++)
            assert_int_equal(got[i], 2 * (i + 1));
        assert_int_equal(got[n], 0);
        free(got);
        us_buffer_destroy(out);
    }
    us_kernel_destroy(kernel);
}

static void launches_work_on_views(void **state) {
    us_device *device = *state;
    size_t step = device->facts.alignment;
    int n = (int)(step / 4);
    unseen_error error;
    us_buffer *whole, *view;
    TEST_OK(us_buffer_create(device, 3 * step, "test", &whole, &error));
    TEST_OK(us_buffer_view(whole, step, step, &view, &error));
    us_kernel *kernel = take(device, "launch", "element");
    TEST_OK(us_kernel_run_elements(kernel, (size_t)n, &error, "bi", view, n));
    int *got = malloc(3 * step);
    TEST_OK(us_buffer_read(whole, 0, got, 3 * step, &error));
    for (int i = 0; i < 3 * n; i++)
        assert_int_equal(got[i], i >= n && i < 2 * n ? i - n + 1 : 0);
    free(got);
    us_kernel_destroy(kernel);
    us_buffer_destroy(view);
    us_buffer_destroy(whole);
}

static void common_functions_work(void **state) {
    us_device *device = *state;
    int lanes = us_device_lanes(&device->facts), width = device->facts.vector_width, n = lanes + 1;
    size_t bytes = (size_t)lanes * 2 * 4;
    float *in = malloc(bytes), *got = malloc(bytes);
    for (int i = 0; i < 2 * lanes; i++)
        in[i] = (float)(i % 7 - 3);
    unseen_error error;
    us_buffer *x, *y;
    TEST_OK(us_buffer_create(device, bytes, "test", &x, &error));
    TEST_OK(us_buffer_write(x, 0, in, bytes, &error));
    TEST_OK(us_buffer_create(device, bytes, "test", &y, &error));
    us_kernel *kernel;
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "launch", "vectors", &kernel, &error,
                             "-DACTIVATION=2 -DSLOPE=%af", 0.25));
    const size_t groups[3] = {2, 1, 1};
    TEST_OK(us_kernel_run(kernel, groups, &error, "bbi", y, x, n));
    TEST_OK(us_buffer_read(y, 0, got, bytes, &error));
    for (int i = 0; i < 2 * lanes; i++) {
        float sum = 0;
        for (int j = i / width * width; j < (i / width + 1) * width; j++)
            sum += j < n ? in[j] : 0;
        float v = i < n ? in[i] : 0;
        assert_true(got[i] == (v > 0 ? v : 0.25f * v) + sum);
    }
    us_kernel_destroy(kernel);
    us_buffer_destroy(x);
    us_buffer_destroy(y);
    free(in);
    free(got);
}

static double relative(double got, double want) {
    return fabs(got - want) / fmax(fabs(want), 1e-30);
}

/* What the build options promise of arithmetic. */
static void functions_are_exact_enough(void **state) {
    us_device *device = *state;
    enum { N = 4001 };
    static float in[N], got[4 * N], again[4 * N];
    for (int i = 0; i < N; i++)
        in[i] = (float)(i - 2000) * 0.01f + 0.0003f;
    unseen_error error;
    us_buffer *x, *y;
    TEST_OK(us_buffer_create(device, sizeof in, "test", &x, &error));
    TEST_OK(us_buffer_write(x, 0, in, sizeof in, &error));
    TEST_OK(us_buffer_create(device, sizeof got, "test", &y, &error));
    us_kernel *kernel = take(device, "launch", "functions");
    TEST_OK(us_kernel_run_elements(kernel, N, &error, "bbi", y, x, N));
    TEST_OK(us_buffer_read(y, 0, got, sizeof got, &error));
    for (int i = 0; i < N; i++) {
        assert_true(relative(got[4 * i], tanh(in[i])) < 1e-6);
        assert_true(relative(got[4 * i + 1], exp(in[i])) < 1e-6);
        assert_true(relative(got[4 * i + 2], 1.0 / in[i]) < 4e-7);
        assert_true(relative(got[4 * i + 3], sqrt(fabs(in[i]))) < 4e-7);
    }
    TEST_OK(us_kernel_run_elements(kernel, N, &error, "bbi", y, x, N));
    TEST_OK(us_buffer_read(y, 0, again, sizeof again, &error));
    assert_memory_equal(got, again, sizeof got);
    us_kernel_destroy(kernel);
    us_buffer_destroy(x);
    us_buffer_destroy(y);
}

static void failed_builds_show_the_log(void **state) {
    unseen_error error;
    us_kernel *kernel;
    TEST_OK(us_kernel_create(&(us_build){.device = *state}, "broken", "k", &kernel, &error,
                             "-DEXTRA=%d", 9));
    assert_int_equal(us_kernel_build(kernel, &error), UNSEEN_FAILURE);
    us_kernel_destroy(kernel);
    assert_non_null(strstr(error.message, "broken.cl"));
    assert_non_null(strstr(error.message, "misspelt"));
    assert_non_null(strstr(error.message, "-DEXTRA=9"));
    assert_non_null(strstr(error.message, ((us_device *)*state)->facts.name));
}

static void missing_things_are_named(void **state) {
    unseen_error error;
    us_kernel *kernel;
    assert_int_equal(
        us_kernel_create(&(us_build){.device = *state}, "absent", "k", &kernel, &error, "%s", ""),
        UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "absent.cl"));
    TEST_OK(
        us_kernel_create(&(us_build){.device = *state}, "launch", "k", &kernel, &error, "%s", ""));
    const size_t groups[3] = {1, 1, 1};
    assert_int_equal(us_kernel_run(kernel, groups, &error, ""), UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "kernel k of launch.cl"));
    us_kernel_destroy(kernel);
    assert_int_equal(
        us_kernel_create(&(us_build){.device = *state}, "lost", "k", &kernel, &error, "%s", ""),
        UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "nowhere.cl"));
    assert_non_null(strstr(error.message, "lost.cl:2"));
    assert_int_equal(
        us_kernel_create(&(us_build){.device = *state}, "circle", "k", &kernel, &error, "%s", ""),
        UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "circle.cl"));
}

static void a_wrong_kernel_folder_is_an_error(void **state) {
    unseen_error error;
    us_kernel *kernel;
    setenv("UNSEEN_KERNEL_DIR", "/nonexistent/kernels", 1);
    unseen_status status =
        us_kernel_create(&(us_build){.device = *state}, "random", "k", &kernel, &error, "%s", "");
    setenv("UNSEEN_KERNEL_DIR", folder, 1);
    assert_int_equal(status, UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "/nonexistent/kernels"));
}

/* Images are read where they lie in a mapped file, on devices that share the host's memory. */
static void kernels_read_mapped_bytes(void **state) {
    us_device *device = *state;
    enum { N = 3000 };
    static float in[N + 32], got[4 * N];
    if (!us_device_shares_memory(&device->facts)) skip();
    for (int i = 0; i < N + 32; i++)
        in[i] = 1.0f + (float)i;
    char path[128];
    snprintf(path, sizeof path, "%s/mapped", folder);
    FILE *file = fopen(path, "w+");
    assert_non_null(file);
    unlink(path);
    assert_int_equal(fwrite(in, sizeof in, 1, file), 1);
    fflush(file);
    unsigned char *mapped = mmap(NULL, sizeof in, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    fclose(file);
    assert_true(mapped != MAP_FAILED);
    unseen_error error;
    us_buffer *x, *y;
    TEST_OK(us_buffer_in_place(device, mapped + 128, N * 4, "images", &x, &error));
    TEST_OK(us_buffer_create(device, sizeof got, "test", &y, &error));
    us_kernel *kernel = take(device, "launch", "functions");
    TEST_OK(us_kernel_run_elements(kernel, N, &error, "bbi", y, x, N));
    TEST_OK(us_buffer_read(y, 0, got, sizeof got, &error));
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)got[4 * i + 2] * in[i + 32] - 1.0) < 1e-6);
    us_kernel_destroy(kernel);
    us_buffer_destroy(y);
    us_buffer_destroy(x);
    munmap(mapped, sizeof in);
}

static int result_of_changing(us_device *device) {
    unseen_error error;
    us_buffer *out;
    us_kernel *kernel;
    int got = -1;
    const size_t groups[3] = {1, 1, 1};
    TEST_OK(us_buffer_create(device, 4, "test", &out, &error));
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "changing", "k", &kernel, &error,
                             "-DEXTRA=%d", 1));
    TEST_OK(us_kernel_run(kernel, groups, &error, "b", out));
    TEST_OK(us_buffer_read(out, 0, &got, 4, &error));
    us_kernel_destroy(kernel);
    us_buffer_destroy(out);
    return got;
}

static void programs_are_kept_by_what_they_are_built_from(void **state) {
    us_device *device = *state;
    put("changing.cl", "kernel GROUP_ATTRIBUTE void k(global int *out) { out[0] = 1; }\n");
    assert_int_equal(result_of_changing(device), 1);
    struct us_program *built = device->programs;
    assert_int_equal(result_of_changing(device), 1);
    assert_ptr_equal(device->programs, built);
    put("changing.cl", "kernel GROUP_ATTRIBUTE void k(global int *out) { out[0] = 2; }\n");
    assert_int_equal(result_of_changing(device), 2);
    assert_ptr_not_equal(device->programs, built);
}

static const char scoped_text[] =
    "#ifndef EXTRA\n"
    "#error EXTRA\n"
    "#endif\n"
    "#define TWICE(x) ((x) * FACTOR) /* a macro, of {several\n"
    " * lines} */\n"
    "typedef struct pair { int first, second; } pair;\n"
    "struct other { int one; };\n"
    "constant int table[2] = {EXTRA, 2}; // of \"{\n"
    "#if EXTRA == 1\n"
    "#define FACTOR 2\n"
    "typedef int number;\n"
    "static inline number value(pair p) { if (p.first) { return TWICE(p.second); } return 0; }\n"
    "#else\n"
    "#define FACTOR (2 + 0)\n"
    "typedef float number;\n"
    "static inline number value(pair p) { return 0.5f + TWICE(p.second); }\n"
    "#endif\n"
    "kernel GROUP_ATTRIBUTE void k(global float *out) {\n"
    "    struct other o = {100};\n"
    "    pair p = {1, table[0]};\n"
    "    if (get_global_id(0) == 0) out[0] = (float)value(p) + o.one;\n"
    "}\n";

/* Sources that declare the same names become one program, and each keeps its own meaning of them.
 */
static void waiting_programs_are_built_as_one(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_buffer *out;
    us_kernel *one, *seven, *broken, *other;
    const size_t groups[3] = {1, 1, 1};
    float got;
    put("scoped.cl", scoped_text);
    TEST_OK(us_buffer_create(device, 4, "test", &out, &error));
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "scoped", "k", &one, &error,
                             "-DEXTRA=%d", 1));
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "scoped", "k", &seven, &error,
                             "-DEXTRA=%d", 7));
    TEST_OK(us_kernel_run(seven, groups, &error, "b", out));
    TEST_OK(us_buffer_read(out, 0, &got, 4, &error));
    assert_true(got == 114.5f);
    assert_ptr_equal(device->programs->program, device->programs->next->program);
    TEST_OK(us_kernel_run(one, groups, &error, "b", out));
    TEST_OK(us_buffer_read(out, 0, &got, 4, &error));
    assert_true(got == 102.0f);

    us_kernel_destroy(one);
    us_kernel_destroy(seven);
    us_buffer_destroy(out);
    us_program *latest = device->programs;
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "launch", "where", &other, &error,
                             "-DEXTRA=%d", 11));
    const us_build training = {.device = device, .purpose = US_PURPOSE_TRAINING};
    TEST_OK(us_kernel_create(&training, "launch", "where", &one, &error, "-DEXTRA=%d", 12));
    TEST_OK(us_kernel_build(other, &error));
    assert_null(device->programs->program); /* of another purpose */
    us_kernel_destroy(one);
    us_kernel_destroy(other);
    assert_ptr_equal(device->programs->next, latest); /* what nobody built is forgotten */

    TEST_OK(us_kernel_create(&(us_build){.device = device}, "launch", "where", &one, &error,
                             "-DEXTRA=%d", 13));
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "broken", "k", &broken, &error,
                             "-DEXTRA=%d", 13));
    TEST_OK(us_kernel_build(one, &error));
    assert_int_equal(us_kernel_build(broken, &error), UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "building broken.cl"));
    us_kernel_destroy(one);
    us_kernel_destroy(broken);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_programs_are_built_as_one),
        cmocka_unit_test(every_type_arrives),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(groups_cover_the_grid_once),
        cmocka_unit_test(elements_are_each_visited_once),
        cmocka_unit_test(launches_work_on_views),
        cmocka_unit_test(common_functions_work),
        cmocka_unit_test(functions_are_exact_enough),
        cmocka_unit_test(failed_builds_show_the_log),
        cmocka_unit_test(missing_things_are_named),
        cmocka_unit_test(a_wrong_kernel_folder_is_an_error),
        cmocka_unit_test(kernels_read_mapped_bytes),
        cmocka_unit_test(programs_are_kept_by_what_they_are_built_from),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
