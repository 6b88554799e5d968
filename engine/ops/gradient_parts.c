/* SPDX-License-Identifier: MIT */
#include "ops/gradient_parts.h"

#include <stdlib.h>

enum { ROW = 5, MOST_SHARE = 4 };

typedef struct room {
    size_t offset, bytes;
    us_buffer *buffer; /* a view */
} room;

struct us_gradient_parts {
    us_device *device;
    us_buffer *gradients;
    room *rooms;
    int64_t *rows; /* of the table: see cl_kernels/split_gradients.cl */
    int room_count, row_count;
    size_t bytes, most; /* of all rooms; elements of the largest row */
    us_buffer *parts, *table;
    us_kernel *sum;
};

unseen_status us_gradient_parts_create(us_buffer *gradients, us_gradient_parts **out,
                                       unseen_error *error) {
    *out = NULL;
    us_gradient_parts *parts = calloc(1, sizeof *parts);
    if (!parts) return us_fail_memory(error, "parts of gradients");
    parts->device = gradients->device;
    parts->gradients = gradients;
    *out = parts;
    return UNSEEN_OK;
}

void us_gradient_parts_destroy(us_gradient_parts *parts) {
    if (!parts) return;
    for (int i = 0; i < parts->room_count; i++)
        us_buffer_destroy(parts->rooms[i].buffer);
    us_buffer_destroy(parts->parts);
    us_buffer_destroy(parts->table);
    us_kernel_destroy(parts->sum);
    free(parts->rooms);
    free(parts->rows);
    free(parts);
}

static void add_row(us_gradient_parts *parts, const us_split_gradient *split, size_t first_of_room,
                    size_t to) {
    int64_t *row = parts->rows + (size_t)ROW * (size_t)parts->row_count++;
    row[0] = (int64_t)to;
    row[1] = (int64_t)split->count;
    row[2] = (int64_t)(first_of_room + split->first);
    row[3] = (int64_t)split->stride;
    row[4] = split->splits;
    if (split->count > parts->most) parts->most = split->count;
}

unseen_status us_gradient_parts_reserve(us_gradient_parts *parts, size_t floats,
                                        const us_split_gradient *split, int tensors,
                                        const size_t *offsets, int *place, unseen_error *error) {
    const us_device_facts *facts = &parts->device->facts;
    const size_t bytes = floats * sizeof(float), alignment = facts->alignment;
    *place = -1;
    if (parts->bytes + bytes > facts->largest_allocation_bytes / MOST_SHARE) return UNSEEN_OK;
    room *rooms = reallocarray(parts->rooms, (size_t)parts->room_count + 1, sizeof *rooms);
    if (rooms) parts->rooms = rooms;
    int64_t *rows =
        reallocarray(parts->rows, (size_t)(parts->row_count + tensors) * ROW, sizeof *rows);
    if (rows) parts->rows = rows;
    if (!rooms || !rows) return us_fail_memory(error, "parts of gradients");
    for (int t = 0; t < tensors; t++)
        if (split[t].splits) add_row(parts, &split[t], parts->bytes / sizeof(float), offsets[t]);
    *place = parts->room_count++;
    parts->rooms[*place] = (room){.offset = parts->bytes, .bytes = bytes};
    parts->bytes += (bytes + alignment - 1) / alignment * alignment;
    return UNSEEN_OK;
}

unseen_status us_gradient_parts_allocate(us_gradient_parts *parts, unseen_error *error) {
    if (!parts->row_count) return UNSEEN_OK;
    const size_t table_bytes = (size_t)(parts->row_count * ROW) * sizeof *parts->rows;
    US_TRY(
        us_buffer_create(parts->device, parts->bytes, "parts of gradients", &parts->parts, error));
    for (int i = 0; i < parts->room_count; i++) {
        room *r = &parts->rooms[i];
        US_TRY(us_buffer_view(parts->parts, r->offset, r->bytes, &r->buffer, error));
    }
    US_TRY(
        us_buffer_create(parts->device, table_bytes, "a table of gradients", &parts->table, error));
    return us_buffer_write(parts->table, 0, parts->rows, table_bytes, error);
}

us_buffer *us_gradient_parts_room(const us_gradient_parts *parts, int place) {
    return parts && place >= 0 ? parts->rooms[place].buffer : NULL;
}

us_gradient_table us_gradient_parts_table(const us_gradient_parts *parts, size_t first) {
    if (!parts) return (us_gradient_table){0};
    return (us_gradient_table){parts->parts, parts->table, parts->row_count, (int)first};
}

unseen_status us_gradient_parts_sum(us_gradient_parts *parts, unseen_error *error) {
    if (!parts || !parts->row_count) return UNSEEN_OK;
    const us_build build = {parts->device, US_PURPOSE_TRAINING, {.pass = US_PASS_WEIGHT_GRADIENT}};
    if (!parts->sum)
        US_TRY(us_kernel_create(&build, "gradient_parts", "gradient_parts_sum", &parts->sum, error,
                                " "));
    const size_t group = (size_t)parts->device->facts.group_size;
    const size_t groups[3] = {(parts->most + group - 1) / group, (size_t)parts->row_count, 1};
    return us_kernel_run(parts->sum, groups, error, "bbb", parts->parts, parts->table,
                         parts->gradients);
}
