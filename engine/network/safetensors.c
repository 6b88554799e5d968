/* SPDX-License-Identifier: MIT */
#include "network/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

enum { HEADER_LIMIT = 64 << 20, DIGITS = 32 };

/* The metadata's digest is of the whole file, with zeros where its own digits are. The value begins
 * with a word of its own, so that a damaged key does not make it a file without a digest. */
static const char digest_key[] = "unseen_digest", digest_word[] = "xxh3-128-of-this-file:";
static const char zeros[] = "00000000000000000000000000000000";

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"F32", 4}, {"F64", 8}, {"U8", 1}, {"I32", 4}, {"I64", 8}};

static size_t dtype_bytes(const char *name) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(name, dtypes[i].name) == 0) return dtypes[i].bytes;
    return 0;
}

static bool read_offset(const cJSON *value, uint64_t limit, uint64_t *offset) {
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0) ||
        value->valuedouble > (double)limit ||
        value->valuedouble != (double)(uint64_t)value->valuedouble)
        return false;
    *offset = (uint64_t)value->valuedouble;
    return true;
}

static unseen_status read_tensor(const us_safetensors *file, const cJSON *entry, size_t data_start,
                                 us_safetensors_tensor *tensor, unseen_error *error) {
    const char *name = entry->string;
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets) ||
        cJSON_GetArraySize(offsets) != 2)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: tensor \"%s\" needs dtype, shape and data_offsets", file->path, name);
    size_t item = dtype_bytes(dtype->valuestring);
    if (!item)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: tensor \"%s\" has dtype %.16s; F32, F64, U8, I32 and I64 are read",
                       file->path, name, dtype->valuestring);
    tensor->name = name;
    snprintf(tensor->dtype, sizeof tensor->dtype, "%s", dtype->valuestring);

    uint64_t room = file->mapping.size - data_start, size = item, begin = 0, end = 0;
    tensor->rank = cJSON_GetArraySize(shape);
    if (tensor->rank > 8)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: tensor \"%s\" has %d dimensions, more than 8",
                       file->path, name, tensor->rank);
    int axis = 0;
    for (const cJSON *d = shape->child; d; d = d->next) {
        uint64_t length = 0;
        if (!read_offset(d, room, &length) || (length && size > room / length))
            return us_fail(error, UNSEEN_BAD_INPUT, "%s: tensor \"%s\" has an impossible shape",
                           file->path, name);
        size *= length;
        tensor->dims[axis++] = (int64_t)length;
    }
    if (!read_offset(offsets->child, room, &begin) ||
        !read_offset(offsets->child->next, room, &end) || begin > end || end - begin != size)
        return us_fail(
            error, UNSEEN_BAD_INPUT,
            "%s: the data of tensor \"%s\" does not lie within the file; is it truncated?",
            file->path, name);
    tensor->data = file->mapping.bytes + data_start + begin;
    tensor->bytes = (size_t)size;
    return UNSEEN_OK;
}

/* The place of the digest's digits; 0: there is none within the text. */
static size_t find_digits(const void *text, size_t length) {
    const char *word = memmem(text, length, digest_word, sizeof digest_word - 1);
    size_t at = word ? (size_t)(word - (const char *)text) + sizeof digest_word - 1 : 0;
    return at && length - at >= DIGITS ? at : 0;
}

/* Files of other programs, and of earlier versions, have no digest. */
static unseen_status check_digest(us_safetensors *file, size_t header, unseen_error *error) {
    const unsigned char *bytes = file->mapping.bytes;
    size_t at = find_digits(bytes + 8, header) + 8, end = at + DIGITS;
    if (at == 8) {
        if (!memmem(bytes + 8, header, digest_key, sizeof digest_key - 1)) return UNSEEN_OK;
    } else {
        us_digest_stream *stream = us_digest_begin();
        if (!stream) return us_fail_memory(error, "a digest");
        us_digest_add(stream, bytes, at);
        us_digest_add(stream, zeros, DIGITS);
        us_digest_add(stream, bytes + end, file->mapping.size - end);
        if (memcmp(us_digest_end(stream).text, bytes + at, DIGITS) == 0) return UNSEEN_OK;
    }
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: damaged: its bytes are not those that were written, as its digest tells "
                   "(where they were changed on purpose, take %s out of its metadata)",
                   file->path, digest_key);
}

static unseen_status read_header(us_safetensors *file, unseen_error *error) {
    const unsigned char *bytes = file->mapping.bytes;
    uint64_t length = 0;
    if (file->mapping.size < 8)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: not a safetensors file (%zu bytes)",
                       file->path, file->mapping.size);
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)bytes[i] << (8 * i);
    if (length > HEADER_LIMIT || length > file->mapping.size - 8)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: not a safetensors file, or truncated: its header claims %" PRIu64
                       " bytes and %zu are there",
                       file->path, length, file->mapping.size - 8);
    US_TRY(check_digest(file, (size_t)length, error));
    us_json root;
    US_TRY(us_json_parse((const char *)bytes + 8, (size_t)length, file->path, &root, error));
    file->header = root.value;
    if (!cJSON_IsObject(file->header))
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: the header is not a JSON object", file->path);

    int entries = cJSON_GetArraySize(file->header);
    file->tensors = calloc((size_t)entries + 1, sizeof *file->tensors);
    if (!file->tensors) return us_fail_memory(error, "the tensor table");
    for (const cJSON *entry = file->header->child; entry; entry = entry->next) {
        if (strcmp(entry->string, "__metadata__") == 0) continue;
        US_TRY(read_tensor(file, entry, (size_t)length + 8, &file->tensors[file->count], error));
        file->count++;
    }
    return UNSEEN_OK;
}

unseen_status us_safetensors_open(const char *path, us_safetensors *file, unseen_error *error) {
    memset(file, 0, sizeof *file);
    file->path = strdup(path);
    if (!file->path) return us_fail_memory(error, "a path");
    unseen_status status = us_file_map(path, &file->mapping, error);
    if (status == UNSEEN_OK) status = read_header(file, error);
    if (status != UNSEEN_OK) us_safetensors_close(file);
    return status;
}

void us_safetensors_close(us_safetensors *file) {
    us_file_unmap(&file->mapping);
    cJSON_Delete(file->header);
    free(file->tensors);
    free(file->path);
    memset(file, 0, sizeof *file);
}

unseen_status us_safetensors_check(const us_safetensors *file, unseen_error *error) {
    return us_mapping_check(&file->mapping, file->path, error);
}

const us_safetensors_tensor *us_safetensors_find(const us_safetensors *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

unseen_status us_safetensors_expect(const us_safetensors *file, const char *name, const char *dtype,
                                    int rank, const int *dims, const us_safetensors_tensor **tensor,
                                    unseen_error *error) {
    const us_safetensors_tensor *found = *tensor = us_safetensors_find(file, name);
    if (!found)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: the tensor %s is missing", file->path, name);
    bool fits = strcmp(found->dtype, dtype) == 0 && found->rank == rank;
    for (int i = 0; fits && i < rank; i++)
        fits = dims[i] < 1 ? found->dims[i] > 0 : found->dims[i] == dims[i];
    if (fits) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: the tensor %s is not of the type and shape that the config wants",
                   file->path, name);
}

const char *us_safetensors_metadata(const us_safetensors *file, const char *key) {
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(file->header, "__metadata__");
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(metadata, key));
}

unseen_status us_safetensors_metadata_json(const us_safetensors *file, const char *key,
                                           cJSON **value, unseen_error *error) {
    const char *text = us_safetensors_metadata(file, key);
    us_json json = {0};
    unseen_status status = UNSEEN_OK;
    if (text) status = us_json_parse(text, strlen(text), file->path, &json, NULL);
    *value = json.value;
    return status == UNSEEN_OK || status == UNSEEN_BAD_INPUT ? UNSEEN_OK
                                                             : us_fail_memory(error, file->path);
}

/* ---- writing ---- */

unseen_status us_safetensors_begin(us_safetensors_builder *builder, unseen_error *error) {
    char digest[sizeof digest_word + DIGITS];
    memset(builder, 0, sizeof *builder);
    builder->header = cJSON_CreateObject();
    if (!builder->header) return us_fail_memory(error, "a safetensors header");
    snprintf(digest, sizeof digest, "%s%s", digest_word, zeros);
    return us_safetensors_add_metadata(builder, digest_key, digest, error);
}

unseen_status us_safetensors_add(us_safetensors_builder *builder, const char *name,
                                 const char *dtype, int rank, const int *dims, void *data,
                                 size_t bytes, unseen_error *error) {
    if (builder->count == builder->room) {
        int room = builder->room ? 2 * builder->room : 32;
        void *parts = realloc(builder->parts, (size_t)room * sizeof *builder->parts);
        if (!parts) {
            free(data);
            return us_fail_memory(error, "the tensor table");
        }
        builder->parts = parts;
        builder->room = room;
    }
    builder->parts[builder->count++] = (struct us_safetensors_part){data, bytes};

    double offsets[2] = {(double)builder->offset, (double)(builder->offset + bytes)};
    builder->offset += bytes;
    cJSON *entry = cJSON_AddObjectToObject(builder->header, name);
    cJSON *shape = cJSON_CreateIntArray(dims, rank), *range = cJSON_CreateDoubleArray(offsets, 2);
    bool added = cJSON_AddStringToObject(entry, "dtype", dtype) != NULL;
    added = cJSON_AddItemToObject(entry, "shape", shape) && added;
    added = cJSON_AddItemToObject(entry, "data_offsets", range) && added;
    return added ? UNSEEN_OK : us_fail_memory(error, "a safetensors header");
}

unseen_status us_safetensors_add_floats(us_safetensors_builder *builder, const char *name, int rank,
                                        const int *dims, const float *values, unseen_error *error) {
    size_t bytes = sizeof *values;
    for (int i = 0; i < rank; i++)
        bytes *= (size_t)dims[i];
    float *copy = malloc(bytes + 1);
    if (!copy) return us_fail_memory(error, "a model");
    if (bytes) memcpy(copy, values, bytes); /* values may then be NULL */
    return us_safetensors_add(builder, name, "F32", rank, dims, copy, bytes, error);
}

unseen_status us_safetensors_add_metadata(us_safetensors_builder *builder, const char *key,
                                          const char *value, unseen_error *error) {
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(builder->header, "__metadata__");
    if (!metadata) metadata = cJSON_AddObjectToObject(builder->header, "__metadata__");
    return cJSON_AddStringToObject(metadata, key, value)
               ? UNSEEN_OK
               : us_fail_memory(error, "a safetensors header");
}

/* What comes before the data: the length, and the header with the digest of all. Heap. */
static unsigned char *make_head(const us_safetensors_builder *builder, size_t *size) {
    char *text = cJSON_PrintUnformatted(builder->header);
    /* Spaces round the header up, so that the data is aligned to 8 bytes. */
    size_t length = text ? strlen(text) : 0, padded = (length + 7) / 8 * 8;
    unsigned char *head = text ? malloc(8 + padded) : NULL;
    us_digest_stream *stream = head ? us_digest_begin() : NULL;
    *size = 8 + padded;
    if (stream) {
        for (int i = 0; i < 8; i++)
            head[i] = (unsigned char)((uint64_t)padded >> (8 * i));
        memcpy(head + 8, text, length);
        memset(head + 8 + length, ' ', padded - length);
        us_digest_add(stream, head, *size);
        for (int i = 0; i < builder->count; i++)
            us_digest_add(stream, builder->parts[i].data, builder->parts[i].bytes);
        memcpy(head + 8 + find_digits(text, length), us_digest_end(stream).text, DIGITS);
    } else {
        free(head);
        head = NULL;
    }
    cJSON_free(text);
    return head;
}

unseen_status us_safetensors_write(const us_safetensors_builder *builder, const char *path,
                                   unseen_error *error) {
    size_t size;
    unsigned char *head = make_head(builder, &size);
    if (!head) return us_fail_memory(error, "a safetensors header");
    us_file_writer writer;
    unseen_status status = us_file_begin(path, &writer, error);
    if (status == UNSEEN_OK) {
        fwrite(head, 1, size, writer.stream);
        for (int i = 0; i < builder->count; i++)
            fwrite(builder->parts[i].data, 1, builder->parts[i].bytes, writer.stream);
        status = us_file_commit(&writer, error);
    }
    free(head);
    return status;
}

void us_safetensors_end(us_safetensors_builder *builder) {
    for (int i = 0; i < builder->count; i++)
        free(builder->parts[i].data);
    free(builder->parts);
    cJSON_Delete(builder->header);
    memset(builder, 0, sizeof *builder);
}
