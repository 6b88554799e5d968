/* SPDX-License-Identifier: MIT */
/* What is known of a device without opening it: plain data, which can be copied, sent to another
 * process, or made up for a device that is not there. Kernels are shaped by it alone. */
#ifndef US_DEVICE_FACTS_H
#define US_DEVICE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a device wants its kernels. */
typedef enum us_execution {
    US_EXECUTION_VECTOR, /* CPUs through PoCL, Intel's runtime: one work-item per work-group, each
                            working on whole SIMD vectors */
    US_EXECUTION_LANES,  /* GPUs, and rusticl on llvmpipe: work-groups of many scalar items,
                            neighbours in the batch side by side */
} us_execution;

/* Whose hardware it is: compilers and matrix units differ. */
typedef enum us_vendor {
    US_VENDOR_OTHER,
    US_VENDOR_AMD,
    US_VENDOR_INTEL,
    US_VENDOR_NVIDIA
} us_vendor;

/* Units that multiply small matrices, which a group of items shares; device/matrix_units.h tells
 * more. Twin of MATRIX_UNITS in cl_kernels/matrix_unit.cl. */
typedef enum us_matrix_units {
    US_MATRIX_UNITS_NONE,
    US_MATRIX_UNITS_MMA,    /* NVIDIA's mma.sync with factors of TF32 or BF16, by inline PTX */
    US_MATRIX_UNITS_WMMA,   /* AMD's of gfx11, BF16 */
    US_MATRIX_UNITS_MFMA,   /* AMD's of gfx908 and later, floats or BF16 */
    US_MATRIX_UNITS_DPAS,   /* Intel's with sub-groups of 8, BF16 */
    US_MATRIX_UNITS_DPAS16, /* Intel's with sub-groups of 16, TF32 or BF16 */
    US_MATRIX_UNITS_COUNT
} us_matrix_units;

typedef struct us_device_facts {
    char name[256], platform_name[256], driver[128], version[128];
    char index[24]; /* "P:D" */
    us_execution execution;
    us_vendor vendor;
    us_matrix_units matrix_units; /* that compute right; before it is opened, that it may have */
    int matrix_multiply_adds;     /* of a compute unit in a cycle, of the widest factors that the
                                     units have (floats, TF32, BF16); 0 without units */
    int matrix_bf16_factor;       /* how many times as many of BF16 a model may count on */
    bool matrix_emulated;         /* they are in OpenCL C, for tests */
    bool is_cpu;                  /* its kernels run on the host's processor */
    bool exact_division;          /* it can round quotients and square roots correctly */
    int vector_width;             /* floats in a vector: 1, 4, 8 or 16; 1 for LANES */
    int group_size; /* work-items per work-group along the batch: 1 for VECTOR, 32 to 64 else */
    int compute_units;
    size_t max_group_size;
    int registers; /* of 32 bits, of a compute unit, for all its work-items; 0: not known */
    uint64_t memory_bytes, largest_allocation_bytes, local_bytes;
    size_t alignment; /* of views into a buffer, in bytes */
} us_device_facts;

/* Whether kernels read the host's memory as fast as the device's own, so that large inputs need no
 * copy. */
static inline bool us_device_shares_memory(const us_device_facts *device) {
    return device->is_cpu && device->execution == US_EXECUTION_VECTOR;
}

/* Whether it is a GPU, and no CPU that runs kernels the way of GPUs: those take minutes to compile
 * kernels that are unrolled for a GPU's many registers, and gain nothing by them. */
static inline bool us_device_is_gpu(const us_device_facts *device) {
    return device->execution == US_EXECUTION_LANES && !device->is_cpu;
}

/* Lanes that a vector has, or a work-group of lanes: kernels take this many images at a time. */
static inline int us_device_lanes(const us_device_facts *device) {
    return device->vector_width * device->group_size;
}

/* Lanes of the batch in memory, where it is innermost; images lie in the first ones. A batch is
 * padded to whole lanes, and on CPUs a large one to whole cache lines, so that no two work-items
 * share one, and not to a multiple of 512 bytes: pixels that far apart would fight for the same few
 * sets of a cache. */
enum { US_CACHE_LINE = 16 /* floats */, US_LARGE_BATCH = 8 * US_CACHE_LINE };
static inline int us_device_pad(const us_device_facts *device, int batch) {
    int lanes = us_device_lanes(device), padded = (batch + lanes - 1) / lanes * lanes;
    if (device->execution != US_EXECUTION_VECTOR || padded < US_LARGE_BATCH) return padded;
    padded = (padded + US_CACHE_LINE - 1) / US_CACHE_LINE * US_CACHE_LINE;
    return padded % US_LARGE_BATCH <= US_CACHE_LINE ? padded + US_CACHE_LINE : padded;
}

/* Those of us_device_pad's lanes that images may lie in: whole vectors, or work-groups of lanes.
 * Kernels need not touch the others, which hold zeros from the start. Twin of OCCUPIED in
 * cl_kernels/common.cl. */
static inline int us_device_occupied(const us_device_facts *device, int padded) {
    bool apart = device->execution == US_EXECUTION_VECTOR && padded > US_LARGE_BATCH &&
                 padded % US_LARGE_BATCH == US_CACHE_LINE;
    return apart ? padded - US_CACHE_LINE : padded;
}
static inline int us_device_vectors(const us_device_facts *device, int padded) {
    return us_device_occupied(device, padded) / us_device_lanes(device);
}

#endif
