/* SPDX-License-Identifier: MIT */
#include "detector/density_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 96, MOST_POINTS = 1 << 24 };

static size_t floats_of(const us_density_tensor *tensor) {
    return (size_t)tensor->dims[0] * (size_t)(tensor->rank > 1 ? tensor->dims[1] : 1);
}

unseen_status us_density_save(us_density *density, const char *prefix,
                              us_safetensors_builder *builder, unseen_error *error) {
    us_density_tensor tensors[US_DENSITY_MAX_TENSORS];
    const int count = us_density_tensors(density, tensors);
    for (int i = 0; i < count; i++) {
        char name[NAME];
        snprintf(name, sizeof name, "%s.%s", prefix, tensors[i].name);
        const size_t bytes = floats_of(&tensors[i]) * sizeof(float);
        float *copy = malloc(bytes);
        if (!copy) return us_fail_memory(error, "a density");
        memcpy(copy, tensors[i].values, bytes);
        US_TRY(us_safetensors_add(builder, name, "F32", tensors[i].rank, tensors[i].dims, copy,
                                  bytes, error));
    }
    return UNSEEN_OK;
}

/* *rows receives the first dimension, which only the file knows where the density has none. */
static unseen_status find(const us_safetensors *file, const char *name,
                          const us_density_tensor *wanted, const us_safetensors_tensor **found,
                          int *rows, unseen_error *error) {
    const us_safetensors_tensor *tensor = us_safetensors_find(file, name);
    if (!tensor)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: the tensor %s is missing", file->path, name);
    const bool open = wanted->dims[0] < 1;
    const bool fits = strcmp(tensor->dtype, "F32") == 0 && tensor->rank == wanted->rank &&
                      (open ? tensor->dims[0] > 0 && tensor->dims[0] <= MOST_POINTS
                            : tensor->dims[0] == wanted->dims[0]) &&
                      (wanted->rank < 2 || tensor->dims[1] == wanted->dims[1]);
    if (!fits)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: the tensor %s is not of the type and shape that the config wants",
                       file->path, name);
    *found = tensor;
    *rows = (int)tensor->dims[0];
    return UNSEEN_OK;
}

unseen_status us_density_load(us_density *density, const char *prefix, const us_safetensors *file,
                              unseen_error *error) {
    us_density_tensor tensors[US_DENSITY_MAX_TENSORS];
    float *values[US_DENSITY_MAX_TENSORS] = {0};
    int points = 0;
    us_density_forget_points(density);
    const int count = us_density_tensors(density, tensors);
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < count && status == UNSEEN_OK; i++) {
        char name[NAME];
        const us_safetensors_tensor *tensor = NULL;
        int rows = 0;
        snprintf(name, sizeof name, "%s.%s", prefix, tensors[i].name);
        status = find(file, name, &tensors[i], &tensor, &rows, error);
        if (status != UNSEEN_OK) break;
        if (tensors[i].dims[0] < 1) points = rows;
        values[i] = malloc(tensor->bytes); /* those of the file need not be aligned */
        if (values[i])
            memcpy(values[i], tensor->data, tensor->bytes);
        else
            status = us_fail_memory(error, "a density");
    }
    if (status == UNSEEN_OK) {
        status = us_density_restore(density, points, (const float *const *)values, error);
        if (status == UNSEEN_BAD_INPUT) us_error_context(error, "%s, %s", file->path, prefix);
    }
    for (int i = 0; i < count; i++)
        free(values[i]);
    return status;
}
