/* SPDX-License-Identifier: MIT */
#include "evaluation/pixel_sort.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* A sorted part: records of the file, or, where all fit, of memory. */
typedef struct sorted_part {
    uint64_t *buffer; /* NULL: not used */
    size_t at, filled, room;
    off_t offset;  /* of what follows the buffer, in the file */
    uint64_t left; /* records there */
} sorted_part;

struct us_pixel_sort {
    uint64_t *records, *spare; /* room each: key in the upper half, region in the lower */
    size_t room, count;
    int file; /* -1: everything is in memory so far */
    char *folder;
    sorted_part *parts;
    size_t part_count, part_room;
    size_t *heap, heap_size; /* parts by their first record, while merging */
};

/* ---- sorting a part ---- */

/* Floats that are compared as integers: those of negative numbers are ordered the other way. */
static uint32_t key_of(float value) {
    uint32_t bits;
    value += 0.0f; /* -0 and 0 are one value */
    memcpy(&bits, &value, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return ~bits; /* descending */
}

/* By the key alone, byte by byte from the lowest; equal keys stay in order. */
static void sort_records(us_pixel_sort *sort) {
    for (int shift = 32; shift < 64; shift += 8) {
        size_t starts[256] = {0}, sum = 0;
        for (size_t i = 0; i < sort->count; i++)
            starts[sort->records[i] >> shift & 255]++;
        for (int digit = 0; digit < 256; digit++) {
            size_t size = starts[digit];
            starts[digit] = sum;
            sum += size;
        }
        for (size_t i = 0; i < sort->count; i++)
            sort->spare[starts[sort->records[i] >> shift & 255]++] = sort->records[i];
        uint64_t *sorted = sort->spare;
        sort->spare = sort->records;
        sort->records = sorted;
    }
}

/* ---- the file ---- */

static unseen_status open_file(us_pixel_sort *sort, unseen_error *error) {
    const char *folder = getenv("TMPDIR");
    if (!folder || !*folder) folder = "/var/tmp";
    if (!(sort->folder = strdup(folder))) return us_fail_memory(error, "a path");
    sort->file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (sort->file >= 0) return UNSEEN_OK;
    char *path =
        us_path_join(folder, "unseen-pixels-XXXXXX"); /* some file systems lack O_TMPFILE */
    if (!path) return us_fail_memory(error, "a path");
    sort->file = mkostemp(path, O_CLOEXEC);
    if (sort->file >= 0) unlink(path);
    free(path);
    return sort->file >= 0 ? UNSEEN_OK
                           : us_fail_errno(error, folder, "cannot hold the pixels of maps");
}

static unseen_status write_all(const us_pixel_sort *sort, off_t offset, unseen_error *error) {
    const char *bytes = (const char *)sort->records;
    size_t left = sort->count * sizeof *sort->records;
    while (left) {
        ssize_t done = pwrite(sort->file, bytes, left, offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return us_fail_errno(error, sort->folder, "cannot hold the pixels of maps");
        bytes += done;
        offset += done;
        left -= (size_t)done;
    }
    return UNSEEN_OK;
}

static unseen_status refill(const us_pixel_sort *sort, sorted_part *part, unseen_error *error) {
    size_t count = part->left < part->room ? (size_t)part->left : part->room;
    char *bytes = (char *)part->buffer;
    for (size_t left = count * sizeof *part->buffer; left;) {
        ssize_t done = pread(sort->file, bytes, left, part->offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) {
            if (done == 0) errno = EIO;
            return us_fail_errno(error, sort->folder, "cannot read the pixels of maps back");
        }
        bytes += done;
        part->offset += done;
        left -= (size_t)done;
    }
    part->at = 0;
    part->filled = count;
    part->left -= count;
    return UNSEEN_OK;
}

/* ---- adding ---- */

static unseen_status add_part(us_pixel_sort *sort, unseen_error *error) {
    if (sort->part_count == sort->part_room) {
        size_t room = sort->part_room ? 2 * sort->part_room : 16;
        sorted_part *parts = realloc(sort->parts, room * sizeof *parts);
        if (!parts) return us_fail_memory(error, "the parts of a sort");
        sort->parts = parts;
        sort->part_room = room;
    }
    const sorted_part *last = sort->part_count ? &sort->parts[sort->part_count - 1] : NULL;
    const off_t offset =
        last ? last->offset + (off_t)(last->left * sizeof *sort->records) : (off_t)0;
    sort->parts[sort->part_count++] = (sorted_part){.offset = offset, .left = sort->count};
    return UNSEEN_OK;
}

static unseen_status spill(us_pixel_sort *sort, unseen_error *error) {
    if (sort->file < 0) US_TRY(open_file(sort, error));
    sort_records(sort);
    US_TRY(add_part(sort, error));
    US_TRY(write_all(sort, sort->parts[sort->part_count - 1].offset, error));
    sort->count = 0;
    return UNSEEN_OK;
}

unseen_status us_pixel_sort_create(size_t room, us_pixel_sort **out, unseen_error *error) {
    *out = NULL;
    us_pixel_sort *sort = calloc(1, sizeof *sort);
    if (!sort) return us_fail_memory(error, "a sort of pixels");
    sort->file = -1;
    sort->room = room;
    sort->records = malloc(room * sizeof *sort->records);
    sort->spare = malloc(room * sizeof *sort->spare);
    if (!sort->records || !sort->spare) {
        us_pixel_sort_destroy(sort);
        return us_fail_memory(error, "a sort of pixels");
    }
    *out = sort;
    return UNSEEN_OK;
}

void us_pixel_sort_destroy(us_pixel_sort *sort) {
    if (!sort) return;
    if (sort->file >= 0) close(sort->file);
    free(sort->records);
    free(sort->spare);
    free(sort->folder);
    free(sort->parts);
    free(sort->heap);
    free(sort);
}

unseen_status us_pixel_sort_add(us_pixel_sort *sort, float value, uint32_t region,
                                unseen_error *error) {
    if (sort->count == sort->room) US_TRY(spill(sort, error));
    sort->records[sort->count++] = (uint64_t)key_of(value) << 32 | region;
    return UNSEEN_OK;
}

/* ---- merging ---- */

static bool precedes(const us_pixel_sort *sort, size_t a, size_t b) {
    const sorted_part *left = &sort->parts[a], *right = &sort->parts[b];
    const uint64_t x = left->buffer[left->at] >> 32, y = right->buffer[right->at] >> 32;
    return x < y || (x == y && a < b);
}

static void sink(us_pixel_sort *sort, size_t place) {
    for (;;) {
        size_t least = place, child = 2 * place + 1;
        for (size_t c = child; c < child + 2 && c < sort->heap_size; c++)
            if (precedes(sort, sort->heap[c], sort->heap[least])) least = c;
        if (least == place) return;
        size_t part = sort->heap[place];
        sort->heap[place] = sort->heap[least];
        sort->heap[least] = part;
        place = least;
    }
}

/* The memory in which parts were sorted is shared out among them. */
static unseen_status share_out(us_pixel_sort *sort, unseen_error *error) {
    size_t parts = sort->part_count, room = sort->room / ((parts + 1) / 2);
    if (room == 0)
        return us_fail(error, UNSEEN_FAILURE, "the pixels of maps are too many to be sorted");
    for (size_t i = 0; i < parts; i++) {
        sorted_part *part = &sort->parts[i];
        part->buffer = (i % 2 ? sort->spare : sort->records) + i / 2 * room;
        part->room = room;
        US_TRY(refill(sort, part, error));
    }
    return UNSEEN_OK;
}

unseen_status us_pixel_sort_begin(us_pixel_sort *sort, unseen_error *error) {
    if (sort->file < 0) {
        sort_records(sort);
        US_TRY(add_part(sort, error));
        sort->parts[0] = (sorted_part){.buffer = sort->records, .filled = sort->count};
    } else {
        if (sort->count) US_TRY(spill(sort, error));
        US_TRY(share_out(sort, error));
    }
    sort->heap = malloc(sort->part_count * sizeof *sort->heap);
    if (!sort->heap) return us_fail_memory(error, "a sort of pixels");
    for (size_t i = 0; i < sort->part_count; i++)
        if (sort->parts[i].filled) sort->heap[sort->heap_size++] = i;
    for (size_t place = sort->heap_size; place-- > 0;)
        sink(sort, place);
    return UNSEEN_OK;
}

unseen_status us_pixel_sort_next(us_pixel_sort *sort, us_sorted_pixel *pixel, bool *end,
                                 unseen_error *error) {
    *end = sort->heap_size == 0;
    if (*end) return UNSEEN_OK;
    sorted_part *part = &sort->parts[sort->heap[0]];
    const uint64_t record = part->buffer[part->at++];
    *pixel = (us_sorted_pixel){.key = (uint32_t)(record >> 32), .region = (uint32_t)record};
    if (part->at == part->filled && part->left) US_TRY(refill(sort, part, error));
    if (part->at == part->filled) sort->heap[0] = sort->heap[--sort->heap_size];
    sink(sort, 0);
    return UNSEEN_OK;
}
