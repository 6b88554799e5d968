#include "network/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_LIMIT = 64 << 20 };

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

const char *us_safetensors_metadata(const us_safetensors *file, const char *key) {
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(file->header, "__metadata__");
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(metadata, key));
}

/* ---- writing ---- */

unseen_status us_safetensors_begin(us_safetensors_builder *builder, unseen_error *error) {
    memset(builder, 0, sizeof *builder);
    builder->header = cJSON_CreateObject();
    return builder->header ? UNSEEN_OK : us_fail_memory(error, "a safetensors header");
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

unseen_status us_safetensors_add_metadata(us_safetensors_builder *builder, const char *key,
                                          const char *value, unseen_error *error) {
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(builder->header, "__metadata__");
    if (!metadata) metadata = cJSON_AddObjectToObject(builder->header, "__metadata__");
    return cJSON_AddStringToObject(metadata, key, value)
               ? UNSEEN_OK
               : us_fail_memory(error, "a safetensors header");
}

unseen_status us_safetensors_write(const us_safetensors_builder *builder, const char *path,
                                   unseen_error *error) {
    char *text = cJSON_PrintUnformatted(builder->header);
    if (!text) return us_fail_memory(error, "a safetensors header");
    us_file_writer writer;
    unseen_status status = us_file_begin(path, &writer, error);
    if (status == UNSEEN_OK) {
        /* Spaces round the header up, so that the data is aligned to 8 bytes. */
        size_t length = strlen(text), padded = (length + 7) / 8 * 8;
        unsigned char prefix[8];
        for (int i = 0; i < 8; i++)
            prefix[i] = (unsigned char)((uint64_t)padded >> (8 * i));
        fwrite(prefix, 1, sizeof prefix, writer.stream);
        fwrite(text, 1, length, writer.stream);
        for (size_t i = length; i < padded; i++)
            fputc(' ', writer.stream);
        for (int i = 0; i < builder->count; i++)
            fwrite(builder->parts[i].data, 1, builder->parts[i].bytes, writer.stream);
        status = us_file_commit(&writer, error);
    }
    cJSON_free(text);
    return status;
}

void us_safetensors_end(us_safetensors_builder *builder) {
    for (int i = 0; i < builder->count; i++)
        free(builder->parts[i].data);
    free(builder->parts);
    cJSON_Delete(builder->header);
    memset(builder, 0, sizeof *builder);
}
