/* SPDX-License-Identifier: MIT */
/* The device draws the host's numbers: words, uniforms and permutations to the bit. */
#include "test_device.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "device/kernel_sources.h"

enum { COUNT = 1000, PERMUTED = 1000 };

/* Indices start beyond 32 bits, so that the counter's high word counts. */
static const uint64_t seed = UINT64_C(0x0123456789abcdef), first = UINT64_C(0xfffffff00);

static const char probe[] =
    "__kernel void probe(ulong seed, ulong first, uint stream, uint substream, uint n,\n"
    "                    __global uint *words, __global float *uniforms,\n"
    "                    __global float *normals, __global uint *places) {\n"
    "    uint i = (uint)get_global_id(0), w[4];\n"
    "    us_random_words(seed, stream, substream, first + i, w);\n"
    "    for (int j = 0; j < 4; j++)\n"
    "        words[4 * i + j] = w[j];\n"
    "    uniforms[i] = us_random_uniform(seed, stream, substream, first + i);\n"
    "    normals[i] = us_random_normal(seed, stream, substream, first + i);\n"
    "    places[i] = us_random_permute(seed, stream, substream, n, i);\n"
    "}\n";

typedef struct draws {
    uint32_t words[COUNT][4];
    float uniforms[COUNT], normals[COUNT];
    uint32_t places[COUNT];
} draws;

static cl_kernel build(us_device *device) {
    const us_kernel_source *source = us_kernel_sources;
    while (source->name && strcmp(source->name, "random.cl") != 0)
        source++;
    assert_non_null(source->name);
    const char *texts[] = {source->text, probe};
    cl_int code;
    cl_program program = clCreateProgramWithSource(device->context, 2, texts, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    if (clBuildProgram(program, 1, &device->id, "-cl-std=CL1.2", NULL, NULL) != CL_SUCCESS) {
        char log[4096] = "";
        clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
        fail_msg("%s", log);
    }
    cl_kernel kernel = clCreateKernel(program, "probe", &code);
    assert_int_equal(code, CL_SUCCESS);
    clReleaseProgram(program);
    return kernel;
}

static void draw(us_device *device, draws *out) {
    cl_kernel kernel = build(device);
    cl_uint numbers[] = {US_STREAM_TEST, 77, PERMUTED};
    clSetKernelArg(kernel, 0, sizeof seed, &seed);
    clSetKernelArg(kernel, 1, sizeof first, &first);
    for (cl_uint i = 0; i < 3; i++)
        clSetKernelArg(kernel, 2 + i, sizeof numbers[i], &numbers[i]);
    struct {
        void *bytes;
        size_t size;
    } results[] = {{out->words, sizeof out->words},
                   {out->uniforms, sizeof out->uniforms},
                   {out->normals, sizeof out->normals},
                   {out->places, sizeof out->places}};
    us_buffer *buffers[4];
    unseen_error error;
    for (cl_uint i = 0; i < 4; i++) {
        TEST_OK(us_buffer_create(device, results[i].size, "draws", &buffers[i], &error));
        clSetKernelArg(kernel, 5 + i, sizeof(cl_mem), &buffers[i]->memory);
    }
    size_t items = COUNT;
    TEST_OK(us_device_finish(device, &error));
    assert_int_equal(
        clEnqueueNDRangeKernel(device->queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL),
        CL_SUCCESS);
    TEST_OK(us_device_finish(device, &error));
    for (int i = 0; i < 4; i++) {
        TEST_OK(us_buffer_read(buffers[i], 0, results[i].bytes, results[i].size, &error));
        us_buffer_destroy(buffers[i]);
    }
    clReleaseKernel(kernel);
}

static void draws_what_the_host_draws(void **state) {
    draws *got = calloc(1, sizeof *got);
    assert_non_null(got);
    draw(*state, got);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t words[4];
        us_random_words(seed, US_STREAM_TEST, 77, first + i, words);
        assert_memory_equal(got->words[i], words, sizeof words);
        assert_true(got->uniforms[i] == us_random_uniform(seed, US_STREAM_TEST, 77, first + i));
        assert_int_equal(got->places[i], us_random_permute(seed, US_STREAM_TEST, 77, PERMUTED, i));
        float normal = us_random_normal(seed, US_STREAM_TEST, 77, first + i);
        assert_true(fabsf(got->normals[i] - normal) <= 4e-6f);
    }
    free(got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_the_host_draws),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
