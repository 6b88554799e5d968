/* SPDX-License-Identifier: MIT */
/* Compiled programs on disk: used where they are what was stored, and else as if there were none.
 */
#include "test_device.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "device/program_cache.h"

static const char text_of_one[] = "kernel void k(global int *out) { out[0] = 1; }\n";
static const char text_of_two[] = "kernel void k(global int *out) { out[0] = 2; }\n";
static const char options[] = "-cl-std=CL1.2";
static char folder[] = "/tmp/unseen-test-cache-XXXXXX";

static cl_program build(const us_device *device, const char *text) {
    cl_int code;
    cl_program program = clCreateProgramWithSource(device->context, 1, &text, NULL, &code);
    assert_non_null(program);
    assert_int_equal(clBuildProgram(program, 1, &device->id, options, NULL, NULL), CL_SUCCESS);
    return program;
}

/* What the kernel of a program writes. */
static int run_program(us_device *device, cl_program program) {
    unseen_error error;
    us_buffer *out;
    cl_int code, got = -1;
    const size_t one = 1;
    assert_non_null(program);
    cl_kernel kernel = clCreateKernel(program, "k", &code);
    assert_non_null(kernel);
    TEST_OK(us_buffer_create(device, sizeof got, "test", &out, &error));
    assert_int_equal(clSetKernelArg(kernel, 0, sizeof out->memory, &out->memory), CL_SUCCESS);
    TEST_OK(us_device_finish(device, &error));
    assert_int_equal(
        clEnqueueNDRangeKernel(device->queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL),
        CL_SUCCESS);
    TEST_OK(us_device_finish(device, &error));
    TEST_OK(us_buffer_read(out, 0, &got, sizeof got, &error));
    us_buffer_destroy(out);
    clReleaseKernel(kernel);
    return got;
}

static void store(us_device *device, const char *text) {
    cl_program program = build(device, text);
    us_program_cache_store(device, text, options, program);
    clReleaseProgram(program);
}

static us_digest_text name;

static void assert_absent(us_device *device, const char *text, const char *with) {
    cl_program program = us_program_cache_load(device, text, with, &name);
    if (program) clReleaseProgram(program);
    assert_null(program);
}

static void read_file(const char *path, char **bytes, size_t *size) {
    unseen_error error;
    TEST_OK(us_file_read(path, 1 << 24, bytes, size, &error));
}

static void write_file(const char *path, const char *bytes, size_t size) {
    unseen_error error;
    TEST_OK(us_file_write(path, bytes, size, &error));
}

static void what_was_stored_is_loaded(void **state) {
    us_device *device = *state;
    assert_absent(device, text_of_one, options);
    store(device, text_of_one);
    cl_program program = us_program_cache_load(device, text_of_one, options, &name);
    assert_int_equal(run_program(device, program), 1);
    clReleaseProgram(program);
    assert_absent(device, text_of_two, options);
    assert_absent(device, text_of_one, "-cl-std=CL1.2 -DOTHER");
    us_device other = *device;
    snprintf(other.facts.driver, sizeof other.facts.driver, "another version");
    assert_absent(&other, text_of_one, options);
}

/* Every byte counts: the line, the key, the binary, and the length. */
static void damaged_files_are_ignored(void **state) {
    us_device *device = *state;
    store(device, text_of_one);
    char *path = us_program_cache_path(device, text_of_one, options), *bytes;
    size_t size;
    read_file(path, &bytes, &size);
    for (size_t i = 0; i < size; i += i < 600 ? 1 : size / 50 + 1) {
        bytes[i] ^= 1;
        write_file(path, bytes, size);
        assert_absent(device, text_of_one, options);
        bytes[i] ^= 1;
    }
    const size_t lengths[] = {0, 1, 50, 90, 300, size / 2, size - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_file(path, bytes, lengths[i]);
        assert_absent(device, text_of_one, options);
    }
    write_file(path, bytes, size);
    cl_program program = us_program_cache_load(device, text_of_one, options, &name);
    assert_int_equal(run_program(device, program), 1);
    clReleaseProgram(program);
    free(bytes);
    free(path);
}

/* Another key under the name, as where two hashes are the same, or a file was copied. */
static void the_key_decides_and_not_the_name(void **state) {
    us_device *device = *state;
    store(device, text_of_two);
    char *one = us_program_cache_path(device, text_of_one, options), *bytes;
    char *two = us_program_cache_path(device, text_of_two, options);
    size_t size;
    assert_string_not_equal(one, two);
    read_file(two, &bytes, &size);
    write_file(one, bytes, size);
    assert_absent(device, text_of_one, options);
    free(bytes);
    free(one);
    free(two);
}

static void folders_that_do_not_serve_are_no_failure(void **state) {
    us_device *device = *state;
    char blocked[128];
    snprintf(blocked, sizeof blocked, "%s/file", folder);
    write_file(blocked, "x", 1);
    setenv("UNSEEN_CACHE_DIR", blocked, 1);
    store(device, text_of_one);
    assert_absent(device, text_of_one, options);
    setenv("UNSEEN_CACHE_DIR", "/proc/nowhere", 1);
    store(device, text_of_one);
    assert_absent(device, text_of_one, options);
    setenv("UNSEEN_CACHE_DIR", folder, 1);
    unlink(blocked);
}

static int count_files(const char *path) {
    int count = 0;
    DIR *entries = opendir(path);
    if (!entries) return 0;
    for (struct dirent *entry; (entry = readdir(entries));)
        count += entry->d_name[0] != '.';
    closedir(entries);
    return count;
}

/* A kernel of cached.cl, in a folder of UNSEEN_KERNEL_DIR, and what it writes. */
static int run_cached(us_device *device) {
    unseen_error error;
    us_kernel *kernel;
    us_buffer *out;
    int got = -1;
    TEST_OK(
        us_kernel_create(&(us_build){.device = device}, "cached", "k", &kernel, &error, "%s", ""));
    TEST_OK(us_buffer_create(device, sizeof got, "test", &out, &error));
    TEST_OK(us_kernel_run_elements(kernel, 1, &error, "b", out));
    TEST_OK(us_buffer_read(out, 0, &got, sizeof got, &error));
    us_kernel_destroy(kernel);
    us_buffer_destroy(out);
    return got;
}

static void kernels_use_it_where_it_helps(void **state) {
    us_device *device = *state;
    char programs[128], source[128];
    snprintf(programs, sizeof programs, "%s/programs", folder);
    snprintf(source, sizeof source, "%s/cached.cl", folder);
    int before = count_files(programs), helps = us_program_cache_helps(device);
    setenv("UNSEEN_KERNEL_DIR", folder, 1);
    write_file(source, text_of_two, strlen(text_of_two));
    assert_int_equal(run_cached(device), 2);
    assert_int_equal(count_files(programs) - before, helps);
    us_device *again = test_device_open();
    assert_int_equal(run_cached(again), 2);
    us_device_close(again);
    assert_int_equal(count_files(programs) - before, helps);
    unsetenv("UNSEEN_KERNEL_DIR");
    unlink(source);
}

/* That a binary is what runs is seen by putting another program's in its place: keys of one length
 * and a file that is whole. */
static void the_binary_is_what_runs(void **state) {
    us_device *device = *state;
    char *one = us_program_cache_path(device, text_of_one, options), *bytes, *digit;
    size_t size;
    store(device, text_of_two);
    char *two = us_program_cache_path(device, text_of_two, options);
    read_file(two, &bytes, &size);
    digit = memmem(bytes, size, text_of_two, strlen(text_of_two));
    assert_non_null(digit);
    memcpy(digit, text_of_one, strlen(text_of_one));
    write_file(one, bytes, size);
    cl_program program = us_program_cache_load(device, text_of_one, options, &name);
    assert_int_equal(run_program(device, program), 2);
    clReleaseProgram(program);
    unlink(one);
    free(bytes);
    free(one);
    free(two);
}

/* A file that is whole, of a binary that is not: what does not load or lacks a kernel is compiled
 * anew, and stored in its place. */
static void a_bad_binary_costs_a_build(void **state) {
    us_device *device = *state;
    char source[128], programs[128], path[512];
    if (!us_program_cache_helps(device)) skip();
    snprintf(source, sizeof source, "%s/cached.cl", folder);
    snprintf(programs, sizeof programs, "%s/programs", folder);
    setenv("UNSEEN_KERNEL_DIR", folder, 1);
    write_file(source, text_of_two, strlen(text_of_two));
    us_device *again = test_device_open();
    assert_int_equal(run_cached(again), 2);
    us_device_close(again);

    static const char without[] = "kernel void other(global int *out) { out[0] = 3; }\n";
    store(device, without);
    char *path_without = us_program_cache_path(device, without, options), *from, *bytes;
    size_t from_size, size;
    read_file(path_without, &from, &from_size);
    size_t key, binary;
    assert_int_equal(sscanf(from, "unseen program 2: key %zu, binary %zu", &key, &binary), 2);
    const char *bad[] = {from + from_size - binary, "no binary at all"};
    const size_t bad_sizes[] = {binary, 16};
    unlink(path_without);
    for (int i = 0; i < 2; i++) {
        int forged = 0;
        DIR *entries = opendir(programs);
        for (struct dirent *entry; (entry = readdir(entries));) {
            if (entry->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", programs, entry->d_name);
            read_file(path, &bytes, &size);
            char *line = memchr(bytes, '\n', size);
            assert_int_equal(sscanf(bytes, "unseen program 2: key %zu", &key), 1);
            char *file;
            int head = asprintf(&file, "unseen program 2: key %zu, binary %zu, digest %s\n", key,
                                bad_sizes[i], us_digest(bad[i], bad_sizes[i]).text);
            file = realloc(file, (size_t)head + key + bad_sizes[i]);
            memcpy(file + head, line + 1, key);
            memcpy(file + head + key, bad[i], bad_sizes[i]);
            write_file(path, file, (size_t)head + key + bad_sizes[i]);
            free(file);
            free(bytes);
            forged++;
        }
        closedir(entries);
        assert_true(forged > 0);
        again = test_device_open();
        assert_int_equal(run_cached(again), 2);
        us_device_close(again);
    }
    free(from);
    free(path_without);
    unsetenv("UNSEEN_KERNEL_DIR");
    unlink(source);
}

/* Another user could have written these. */
static void files_that_are_not_ours_alone_are_ignored(void **state) {
    us_device *device = *state;
    char *path = us_program_cache_path(device, text_of_one, options);
    store(device, text_of_one);
    assert_int_equal(chmod(path, 0666), 0);
    assert_absent(device, text_of_one, options);
    assert_int_equal(chmod(path, 0600), 0);
    char programs[128], moved[128];
    snprintf(programs, sizeof programs, "%s/programs", folder);
    snprintf(moved, sizeof moved, "%s/moved", folder);
    assert_int_equal(rename(programs, moved), 0);
    assert_int_equal(symlink(moved, programs), 0);
    assert_absent(device, text_of_one, options);
    store(device, text_of_two);
    assert_absent(device, text_of_two, options);
    assert_int_equal(unlink(programs), 0);
    assert_int_equal(rename(moved, programs), 0);
    cl_program program = us_program_cache_load(device, text_of_one, options, &name);
    assert_int_equal(run_program(device, program), 1);
    clReleaseProgram(program);
    unlink(path);
    free(path);
}

static int setup(void **state) {
    umask(022);
    if (!mkdtemp(folder)) return -1;
    setenv("UNSEEN_CACHE_DIR", folder, 1);
    return test_device_setup(state);
}

static int teardown(void **state) {
    char programs[128], path[512];
    snprintf(programs, sizeof programs, "%s/programs", folder);
    DIR *entries = opendir(programs);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        snprintf(path, sizeof path, "%s/%s", programs, entry->d_name);
        unlink(path);
    }
    if (entries) closedir(entries);
    rmdir(programs);
    snprintf(path, sizeof path, "rm -rf %s/drivers", folder);
    if (system(path) != 0) return -1;
    test_device_teardown(state);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_stored_is_loaded),
        cmocka_unit_test(damaged_files_are_ignored),
        cmocka_unit_test(the_key_decides_and_not_the_name),
        cmocka_unit_test(folders_that_do_not_serve_are_no_failure),
        cmocka_unit_test(kernels_use_it_where_it_helps),
        cmocka_unit_test(the_binary_is_what_runs),
        cmocka_unit_test(a_bad_binary_costs_a_build),
        cmocka_unit_test(files_that_are_not_ours_alone_are_ignored),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
