/* SPDX-License-Identifier: MIT */
#include "detector/density_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 96, MOST_POINTS = 1 << 24 };

unseen_status us_density_save(us_density *density, const char *prefix,
                              us_safetensors_builder *builder, unseen_error *error) {
    us_density_tensor tensors[US_DENSITY_MAX_TENSORS];
    const int count = us_density_tensors(density, tensors);
    for (int i = 0; i < count; i++) {
        char name[NAME];
        snprintf(name, sizeof name, "%s.%s", prefix, tensors[i].name);
        US_TRY(us_safetensors_add_floats(builder, name, tensors[i].rank, tensors[i].dims,
                                         tensors[i].values, error));
    }
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
        snprintf(name, sizeof name, "%s.%s", prefix, tensors[i].name);
        /* How many points there are, only the file knows. */
        status = us_safetensors_expect(file, name, "F32", tensors[i].rank, tensors[i].dims, &tensor,
                                       error);
        if (status == UNSEEN_OK && tensor->dims[0] > MOST_POINTS)
            status = us_fail(error, UNSEEN_BAD_INPUT, "%s: the tensor %s has more than %d rows",
                             file->path, name, MOST_POINTS);
        if (status != UNSEEN_OK) break;
        if (tensors[i].dims[0] < 1) points = (int)tensor->dims[0];
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
