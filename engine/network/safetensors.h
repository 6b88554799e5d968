/* SPDX-License-Identifier: MIT */
/* The safetensors format: an 8-byte little-endian header length, a JSON header, then the tensors'
 * bytes. Reading maps the file; nothing in it is executed. */
#ifndef US_NETWORK_SAFETENSORS_H
#define US_NETWORK_SAFETENSORS_H

#include "base/file.h"
#include "base/mapping.h"
#include "base/json.h"

typedef struct us_safetensors_tensor {
    const char *name;
    char dtype[8]; /* "F32", "F64", "U8", "I32", "I64" */
    int rank;
    int64_t dims[8];
    const void *data; /* as stored: little-endian, C order; aligned to 1 byte only */
    size_t bytes;
} us_safetensors_tensor;

typedef struct us_safetensors {
    us_mapping mapping;
    cJSON *header;
    us_safetensors_tensor *tensors;
    int count;
    char *path;
} us_safetensors;

/* Every offset, shape and type is checked against the file before anything is returned, and every
 * byte against the digest that us_safetensors_write puts into the metadata. */
unseen_status us_safetensors_open(const char *path, us_safetensors *file, unseen_error *error);
void us_safetensors_close(us_safetensors *file);

/* UNSEEN_FAILURE where the file was truncated meanwhile: tensors that were read from it may be
 * zeros.
 */
unseen_status us_safetensors_check(const us_safetensors *file, unseen_error *error);

/* NULL where there is none. */
const us_safetensors_tensor *us_safetensors_find(const us_safetensors *file, const char *name);
/* Such a tensor, which has to be of this type and shape; dims[i] < 1: any, but not 0. Where it is
 * another, or there is none, UNSEEN_BAD_INPUT. */
unseen_status us_safetensors_expect(const us_safetensors *file, const char *name, const char *dtype,
                                    int rank, const int *dims, const us_safetensors_tensor **tensor,
                                    unseen_error *error);
/* A value of __metadata__, or NULL. */
const char *us_safetensors_metadata(const us_safetensors *file, const char *key);
/* Such a value as JSON, which the caller frees by cJSON_Delete. *value is NULL where there is none,
 * or no JSON, which is no failure: only memory can be lacking. */
unseen_status us_safetensors_metadata_json(const us_safetensors *file, const char *key,
                                           cJSON **value, unseen_error *error);

/* ---- writing ---- */

typedef struct us_safetensors_builder {
    cJSON *header;
    struct us_safetensors_part {
        void *data; /* heap, the builder's */
        size_t bytes;
    } * parts;
    int count, room;
    size_t offset;
} us_safetensors_builder;

unseen_status us_safetensors_begin(us_safetensors_builder *builder, unseen_error *error);
/* Takes `data` (heap; also freed on failure). dtype as above. */
unseen_status us_safetensors_add(us_safetensors_builder *builder, const char *name,
                                 const char *dtype, int rank, const int *dims, void *data,
                                 size_t bytes, unseen_error *error);
/* A copy of floats, which remain the caller's. */
unseen_status us_safetensors_add_floats(us_safetensors_builder *builder, const char *name, int rank,
                                        const int *dims, const float *values, unseen_error *error);
unseen_status us_safetensors_add_metadata(us_safetensors_builder *builder, const char *key,
                                          const char *value, unseen_error *error);
/* Writes the file whole or not at all. */
unseen_status us_safetensors_write(const us_safetensors_builder *builder, const char *path,
                                   unseen_error *error);
void us_safetensors_end(us_safetensors_builder *builder);

#endif
