/* SPDX-License-Identifier: MIT */
/* Tensors between the host, where they have PyTorch's layout, and the device. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "network/internal.h"

/* Moves values between PyTorch's order and the device's: axis i on the device is PyTorch's axis
 * order[i], both in C order. */
static void permute(const us_tensor_spec *tensor, const float *from, float *to, bool to_device) {
    int64_t stride[4] = {0}, step = 1;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        stride[axis] = step;
        step *= tensor->dims[axis];
    }
    /* Pad to four axes of length 1, so that one loop nest serves every rank. */
    int64_t length[4] = {1, 1, 1, 1}, jump[4] = {0};
    for (int i = 0; i < tensor->rank; i++) {
        length[4 - tensor->rank + i] = tensor->dims[tensor->order[i]];
        jump[4 - tensor->rank + i] = stride[tensor->order[i]];
    }
    int64_t place = 0;
    for (int64_t a = 0; a < length[0]; a++)
        for (int64_t b = 0; b < length[1]; b++)
            for (int64_t c = 0; c < length[2]; c++)
                for (int64_t d = 0; d < length[3]; d++, place++) {
                    int64_t torch = a * jump[0] + b * jump[1] + c * jump[2] + d * jump[3];
                    if (to_device)
                        to[place] = from[torch];
                    else
                        to[torch] = from[place];
                }
}

/* Both work on the tensor at `offset` bytes into a flat buffer. */
static unseen_status put_tensor(us_buffer *buffer, size_t offset, const us_tensor_spec *tensor,
                                const float *values, unseen_error *error) {
    size_t bytes = (size_t)us_tensor_spec_size(tensor) * sizeof(float);
    float *ordered = malloc(bytes);
    if (!ordered) return us_fail_memory(error, "a tensor");
    permute(tensor, values, ordered, true);
    unseen_status status = us_buffer_write(buffer, offset, ordered, bytes, error);
    free(ordered);
    return status;
}

/* *values is heap. */
static unseen_status get_tensor(us_buffer *buffer, size_t offset, const us_tensor_spec *tensor,
                                float **values, unseen_error *error) {
    size_t bytes = (size_t)us_tensor_spec_size(tensor) * sizeof(float);
    float *ordered = malloc(bytes);
    *values = malloc(bytes);
    unseen_status status = ordered && *values
                               ? us_buffer_read(buffer, offset, ordered, bytes, error)
                               : us_fail_memory(error, "a tensor");
    if (status == UNSEEN_OK) permute(tensor, ordered, *values, false);
    free(ordered);
    if (status != UNSEEN_OK) {
        free(*values);
        *values = NULL;
    }
    return status;
}

/* FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t name_hash(const char *name) {
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static unseen_status initialize_tensor(us_buffer *buffer, const us_tensor_spec *tensor,
                                       const char *name, uint64_t seed, unseen_error *error) {
    int64_t size = us_tensor_spec_size(tensor);
    float *values = malloc((size_t)size * sizeof *values);
    if (!values) return us_fail_memory(error, "a tensor");
    uint32_t substream = name_hash(name);
    for (int64_t i = 0; i < size; i++)
        values[i] = tensor->init == US_INIT_CONSTANT
                        ? tensor->value
                        : tensor->value * (2 * us_random_uniform(seed, US_STREAM_INITIALIZATION,
                                                                 substream, (uint64_t)i) -
                                           1);
    unseen_status status = put_tensor(buffer, 0, tensor, values, error);
    free(values);
    return status;
}

unseen_status us_network_initialize(us_network *network, uint64_t seed, unseen_error *error) {
    network->has_scored = false;
    for (int s = 0; s < network->plan.count; s++) {
        us_stage *stage = &network->stages[s];
        for (int t = 0; t < stage->spec->tensor_count; t++) {
            char name[128];
            us_tensor_name(network->spec, stage->index, t, name, sizeof name);
            US_TRY(
                initialize_tensor(stage->tensors[t], &stage->spec->tensors[t], name, seed, error));
        }
    }
    return UNSEEN_OK;
}

int us_network_places(const us_network *network, us_tensor_place **places) {
    int count = 0;
    *places = calloc((size_t)network->plan.count * US_LAYER_MAX_TENSORS + 1, sizeof **places);
    if (!*places) return -1;
    for (int s = 0; s < network->plan.count; s++) {
        const us_stage *stage = &network->stages[s];
        for (int t = 0; t < stage->spec->tensor_count; t++)
            if (stage->spec->tensors[t].trainable)
                (*places)[count++] =
                    (us_tensor_place){stage->offset[t] / sizeof(float),
                                      (size_t)us_tensor_spec_size(&stage->spec->tensors[t])};
    }
    return count;
}

/* ---- files ---- */

static unseen_status find_tensor(const us_safetensors *file, const us_tensor_spec *tensor,
                                 const char *name, const us_safetensors_tensor **found,
                                 unseen_error *error) {
    *found = us_safetensors_find(file, name);
    if (!*found)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: tensor \"%s\" is missing; does the file belong to this config?",
                       file->path, name);
    bool same = (*found)->rank == tensor->rank && strcmp((*found)->dtype, "F32") == 0;
    for (int i = 0; same && i < tensor->rank; i++)
        same = (*found)->dims[i] == tensor->dims[i];
    if (same) return UNSEEN_OK;
    return us_fail(
        error, UNSEEN_BAD_INPUT,
        "%s: tensor \"%s\" has another shape or type than the config's float32 tensor of "
        "%" PRId64 " elements",
        file->path, name, us_tensor_spec_size(tensor));
}

/* Where a tensor goes: into a file or, from it, onto the device. */
typedef struct transfer {
    us_safetensors_builder *to;
    const us_safetensors *from;
} transfer;

static unseen_status transfer_tensor(const transfer *way, us_buffer *buffer, size_t offset,
                                     const us_tensor_spec *tensor, const char *name,
                                     unseen_error *error) {
    size_t bytes = (size_t)us_tensor_spec_size(tensor) * sizeof(float);
    float *values;
    if (way->to) {
        US_TRY(get_tensor(buffer, offset, tensor, &values, error));
        return us_safetensors_add(way->to, name, "F32", tensor->rank, tensor->dims, values, bytes,
                                  error);
    }
    const us_safetensors_tensor *found;
    US_TRY(find_tensor(way->from, tensor, name, &found, error));
    if (!(values = malloc(bytes))) return us_fail_memory(error, "a tensor");
    memcpy(values, found->data, bytes); /* the file's bytes need not be aligned */
    unseen_status status = put_tensor(buffer, offset, tensor, values, error);
    free(values);
    return status;
}

/* flat NULL: the model's own tensors. */
static unseen_status transfer_all(const us_network *network, us_buffer *flat, const char *prefix,
                                  const transfer *way, unseen_error *error) {
    for (int s = 0; s < network->plan.count; s++) {
        const us_stage *stage = &network->stages[s];
        for (int t = 0; t < stage->spec->tensor_count; t++) {
            const us_tensor_spec *tensor = &stage->spec->tensors[t];
            if (flat && !tensor->trainable) continue;
            us_buffer *buffer = flat                ? flat
                                : tensor->trainable ? network->parameters
                                                    : network->statistics;
            char name[128], full[192];
            us_tensor_name(network->spec, stage->index, t, name, sizeof name);
            snprintf(full, sizeof full, "%s%s%s", prefix, *prefix ? "." : "", name);
            US_TRY(transfer_tensor(way, buffer, stage->offset[t], tensor, full, error));
        }
    }
    return UNSEEN_OK;
}

unseen_status us_network_save(const us_network *network, us_safetensors_builder *builder,
                              unseen_error *error) {
    return transfer_all(network, NULL, "", &(transfer){.to = builder}, error);
}

unseen_status us_network_load(us_network *network, const us_safetensors *file,
                              unseen_error *error) {
    network->has_scored = false;
    return transfer_all(network, NULL, "", &(transfer){.from = file}, error);
}

unseen_status us_network_save_like(const us_network *network, us_buffer *flat, const char *prefix,
                                   us_safetensors_builder *builder, unseen_error *error) {
    return flat ? transfer_all(network, flat, prefix, &(transfer){.to = builder}, error)
                : UNSEEN_OK;
}

unseen_status us_network_load_like(const us_network *network, us_buffer *flat, const char *prefix,
                                   const us_safetensors *file, unseen_error *error) {
    return flat ? transfer_all(network, flat, prefix, &(transfer){.from = file}, error) : UNSEEN_OK;
}
