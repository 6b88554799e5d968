/* SPDX-License-Identifier: MIT */
/* Reading what PyTorch computed (tools/pytorch/make_golden.py), and comparing with it. Include
 * first. Each golden case becomes a cmocka test of its own, whose *state is its golden_case. */
#ifndef US_TEST_GOLDEN_H
#define US_TEST_GOLDEN_H

#include "../device/test_device.h"

#include "network/safetensors.h"
#include "ops/layer.h"

typedef struct golden {
    us_safetensors file;
    cJSON *cases;
    us_device *device;
} golden;

typedef struct golden_case {
    const golden *golden;
    cJSON *attributes;
    const char *name;
} golden_case;

/* Opens GOLDEN_FOLDER/NAME.safetensors and the device (not when device is false), and ends the
 * program where that fails. */
void golden_open(golden *g, const char *name, bool device);
void golden_close(golden *g);

/* Runs `test` on every case and returns cmocka's result. */
int golden_run(const golden *g, const char *group, CMUnitTestFunction test);

/* ---- attributes of a case; absent ones fail the test unless a fallback is given ---- */

const char *golden_string(const golden_case *c, const char *key, const char *fallback);
double golden_number(const golden_case *c, const char *key);
double golden_number_or(const golden_case *c, const char *key, double fallback);
bool golden_flag(const golden_case *c, const char *key, bool fallback);
/* Three numbers [C, H, W], or one [C]. */
us_shape golden_shape(const golden_case *c, const char *key);
/* The activation named by an attribute; NONE where it is absent or null. */
us_activation golden_activation(const golden_case *c, const char *key);

/* ---- tensors of a case ---- */

bool golden_has(const golden_case *c, const char *name);
/* Its float32 values on the heap; absent, of another type or of another size (expected: elements;
 * 0: any): the test fails. */
float *golden_floats(const golden_case *c, const char *name, size_t expected);
const us_safetensors_tensor *golden_tensor(const golden_case *c, const char *name);

/* ||value - expected|| / ||expected||, of L2 norms; the absolute error where expected is zero;
 * infinite where a value is not finite. */
double golden_error(const float *value, const float *expected, size_t count);

/* Fails the test when the error is beyond GOLDEN_TOLERANCE, with the largest difference. */
#define GOLDEN_TOLERANCE 1e-4
void golden_compare(const golden_case *c, const char *what, const float *value,
                    const float *expected, size_t count, double tolerance);

/* ---- batches: N,C,H,W in the files, [C][H][W][batch] on the device ---- */

/* padding: what the lanes beyond n hold. */
us_buffer *golden_batch(us_device *device, const float *values, us_shape shape, int n, int batch,
                        float padding);
/* Reads a buffer back as N,C,H,W (heap). Lanes beyond n must be finite, and zero where
 * zero_padding. */
float *golden_read_batch(us_buffer *buffer, us_shape shape, int n, int batch, bool zero_padding);
us_buffer *golden_buffer(us_device *device, const float *values, size_t count);
float *golden_read(us_buffer *buffer, size_t count);

#endif
