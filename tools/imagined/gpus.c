/* SPDX-License-Identifier: MIT */
#include "gpus.h"

#include <string.h>

#define GIB(n) ((uint64_t)(n) << 30)
#define KIB(n) ((n)*1024)

/* What all of them have in common. */
#define GPU                                                                                        \
    .index = "0:0", .driver = "imagined", .execution = US_EXECUTION_LANES, .exact_division = true, \
    .vector_width = 1
#define NVIDIA                                                                                     \
    GPU, .vendor = US_VENDOR_NVIDIA, .matrix_units = US_MATRIX_UNITS_MMA, .matrix_bf16_factor = 1, \
         .platform_name = "NVIDIA CUDA", .version = "OpenCL 3.0 CUDA"
#define AMD                                                                                        \
    GPU, .vendor = US_VENDOR_AMD, .platform_name = "AMD Accelerated Parallel Processing",          \
         .version = "OpenCL 2.0"
#define INTEL                                                                                      \
    GPU, .vendor = US_VENDOR_INTEL, .platform_name = "Intel(R) OpenCL Graphics",                   \
         .version = "OpenCL 3.0 NEO"

/* Compute units are NVIDIA's multiprocessors, AMD's compute units (gfx10 and later: pairs of them,
 * work-group processors), Intel's execution units. */
const imagined_gpu imagined_gpus[] = {
    {"h100",
     "sm_90",
     {NVIDIA, .name = "NVIDIA H100 80GB HBM3", .group_size = 32, .compute_units = 132,
      .max_group_size = 1024, .matrix_multiply_adds = 1024, .memory_bytes = GIB(79),
      .largest_allocation_bytes = GIB(19), .local_bytes = KIB(48), .alignment = 512,
      .registers = 65536},
     .items = 2048,
     .groups = 32,
     .local_bytes = KIB(228)},
    {"rtx3060",
     "sm_86",
     {NVIDIA, .name = "NVIDIA GeForce RTX 3060", .group_size = 32, .compute_units = 28,
      .max_group_size = 1024, .matrix_multiply_adds = 128, .memory_bytes = GIB(12),
      .largest_allocation_bytes = GIB(3), .local_bytes = KIB(48), .alignment = 512,
      .registers = 65536},
     .items = 1536,
     .groups = 16,
     .local_bytes = KIB(100)},
    {"rx7900",
     "gfx1100",
     {AMD, .name = "gfx1100", .group_size = 32, .compute_units = 48, .max_group_size = 256,
      .matrix_units = US_MATRIX_UNITS_WMMA, .matrix_multiply_adds = 512, .matrix_bf16_factor = 1,
      .memory_bytes = GIB(24), .largest_allocation_bytes = GIB(20), .local_bytes = KIB(64),
      .alignment = 128, .registers = 4 * 1536 * 32},
     .items = 2048,
     .local_bytes = KIB(128)},
    {"rx6800",
     "gfx1030",
     {AMD, .name = "gfx1030", .group_size = 32, .compute_units = 30, .max_group_size = 256,
      .memory_bytes = GIB(16), .largest_allocation_bytes = GIB(13), .local_bytes = KIB(64),
      .alignment = 128, .registers = 4 * 1024 * 32},
     .items = 2048,
     .local_bytes = KIB(128)},
    {"mi250",
     "gfx90a",
     {AMD, .name = "gfx90a:sramecc+:xnack-", .group_size = 64, .compute_units = 104,
      .max_group_size = 256, .matrix_units = US_MATRIX_UNITS_MFMA, .matrix_multiply_adds = 128,
      .matrix_bf16_factor = 4, .memory_bytes = GIB(64), .largest_allocation_bytes = GIB(54),
      .local_bytes = KIB(64), .alignment = 128, .registers = 4 * 512 * 64},
     .items = 2048,
     .local_bytes = KIB(64)},
    {"mi100",
     "gfx908",
     {AMD, .name = "gfx908:sramecc+:xnack-", .group_size = 64, .compute_units = 120,
      .max_group_size = 256, .matrix_units = US_MATRIX_UNITS_MFMA, .matrix_multiply_adds = 128,
      .matrix_bf16_factor = 2, .memory_bytes = GIB(32), .largest_allocation_bytes = GIB(27),
      .local_bytes = KIB(64), .alignment = 128, .registers = 4 * 256 * 64},
     .items = 2560,
     .local_bytes = KIB(64)},
    {"arc",
     "dg2",
     {INTEL, .name = "Intel(R) Arc(TM) A770 Graphics", .group_size = 32, .compute_units = 512,
      .max_group_size = 1024, .matrix_units = US_MATRIX_UNITS_DPAS, .matrix_multiply_adds = 64,
      .matrix_bf16_factor = 1, .memory_bytes = GIB(15), .largest_allocation_bytes = GIB(4) - 1,
      .local_bytes = KIB(64), .alignment = 128, .registers = 8192},
     .items = 0},
    {"max1100",
     "pvc",
     {INTEL, .name = "Intel(R) Data Center GPU Max 1100", .group_size = 32, .compute_units = 448,
      .max_group_size = 1024, .matrix_units = US_MATRIX_UNITS_DPAS16, .matrix_multiply_adds = 64,
      .matrix_bf16_factor = 2, .memory_bytes = GIB(47), .largest_allocation_bytes = GIB(47),
      .local_bytes = KIB(128), .alignment = 128, .registers = 8192},
     .items = 0},
    {"irisxe",
     "tgllp",
     {INTEL, .name = "Intel(R) Iris(R) Xe Graphics", .group_size = 32, .compute_units = 96,
      .max_group_size = 512, .memory_bytes = GIB(12), .largest_allocation_bytes = GIB(4) - 1,
      .local_bytes = KIB(64), .alignment = 128, .registers = 8192},
     .items = 0},
    {0},
};

const imagined_gpu *imagined_gpu_find(const char *key) {
    for (const imagined_gpu *gpu = imagined_gpus; gpu->key; gpu++)
        if (strcmp(gpu->key, key) == 0) return gpu;
    return NULL;
}
