/* SPDX-License-Identifier: MIT */
#include "data/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/archive.h"
#include "data/gunzip.h"
#include "data/idx.h"
#include "data/npy.h"

us_array_text us_array_shape_text(const us_array_header *header) {
    us_array_text shape = {"("};
    size_t used = 1;
    for (int i = 0; i < header->rank && used + 32 < sizeof shape.text; i++)
        used += (size_t)snprintf(shape.text + used, sizeof shape.text - used, "%s%lld",
                                 i ? ", " : "", (long long)header->dims[i]);
    snprintf(shape.text + used, sizeof shape.text - used, header->rank == 1 ? ",)" : ")");
    return shape;
}

us_array_text us_array_type_text(const us_array_header *header) {
    us_array_text type;
    const char *order = header->big_endian ? "big-endian " : "";
    const char *kind = header->kind == 'u'   ? "uint"
                       : header->kind == 'i' ? "int"
                       : header->kind == 'f' ? "float"
                                             : "bool";
    if (header->kind == 'b')
        snprintf(type.text, sizeof type.text, "bool");
    else if (header->kind == 'U' || header->kind == 'S')
        snprintf(type.text, sizeof type.text, "text ('%s%c%d')",
                 header->kind == 'S'  ? "|"
                 : header->big_endian ? ">"
                                      : "<",
                 header->kind, header->item_bytes / (header->kind == 'U' ? 4 : 1));
    else
        snprintf(type.text, sizeof type.text, "%s%s%d", order, kind, 8 * header->item_bytes);
    return type;
}

unseen_status us_array_measure(us_array_header *header, const char *path, unseen_error *error) {
    for (int i = 0; i < header->rank; i++) {
        if (header->dims[i] < 1)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: nothing in it: its shape is %s; every dimension must be at least 1",
                           path, us_array_shape_text(header).text);
    }
    size_t bytes = (size_t)header->item_bytes, total;
    bool fits = true;
    for (int i = 0; i < header->rank; i++)
        fits = fits && !__builtin_mul_overflow(bytes, (size_t)header->dims[i], &bytes);
    if (!fits || __builtin_add_overflow(bytes, header->offset, &total) || total > PTRDIFF_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s is larger than any memory; the header is damaged", path,
                       us_array_shape_text(header).text);
    header->bytes = bytes;
    return UNSEEN_OK;
}

/* Reads the header of whichever format it is; US_ARRAY_OTHER for none. */
static unseen_status read_header(const unsigned char *bytes, size_t size, const char *path,
                                 us_array_header *header, unseen_error *error) {
    if (us_npy_is(bytes, size)) return us_npy_header(bytes, size, path, header, error);
    if (us_idx_is(bytes, size)) return us_idx_header(bytes, size, path, header, error);
    *header = (us_array_header){.format = US_ARRAY_OTHER, .bytes = size};
    return UNSEEN_OK;
}

static unseen_status fail_size(const char *path, const us_array_header *header,
                               const char *unpacked, bool more, size_t found, unseen_error *error) {
    size_t expected = header->offset + header->bytes;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: %s: its header says %s of %s, which takes %zu bytes%s, and %s%zu are there",
                   path, more ? "too long" : "truncated", us_array_shape_text(header).text,
                   us_array_type_text(header).text, expected, unpacked,
                   more && *unpacked ? "at least " : "", found);
}

/* Copies the elements where they do not lie on a multiple of their size, as in .npy files whose
 * writer did not pad the header. */
static unseen_status align(us_array *array, const char *path, unseen_error *error) {
    const us_array_header *header = &array->header;
    if ((uintptr_t)array->data % (uintptr_t)header->item_bytes == 0) return UNSEEN_OK;
    unsigned char *copy = malloc(header->bytes);
    if (!copy) return us_fail_memory(error, "the elements of an unaligned array");
    memcpy(copy, array->data, header->bytes);
    free(array->heap);
    array->heap = copy;
    array->data = copy;
    unseen_status status = us_array_check(array, path, error);
    us_file_unmap(&array->mapping);
    return status;
}

static unseen_status open_plain(us_array *array, const char *path, unseen_error *error) {
    us_array_header *header = &array->header;
    size_t size = array->mapping.size;
    US_TRY(read_header(array->mapping.bytes, size, path, header, error));
    array->data = array->mapping.bytes + header->offset;
    if (header->format == US_ARRAY_OTHER) return UNSEEN_OK;
    size_t expected = header->offset + header->bytes;
    if (size != expected) return fail_size(path, header, "", size > expected, size, error);
    return align(array, path, error);
}

/* Unpacks what the header declares, given the first `have` bytes in `start`, and checks that this
 * is all there is. */
static unseen_status unpack(us_array *array, us_gunzip *reader, const unsigned char *start,
                            size_t have, unseen_error *error) {
    const us_array_header *header = &array->header;
    const char *unpacked = " when unpacked";
    size_t expected = header->offset + header->bytes;
    if (have > expected) return fail_size(reader->path, header, unpacked, true, have, error);
    /* deflate codes at best 258 bytes in 2 bits: a header that declares more is not believed, and
     * memory is never asked for on its word alone */
    if (expected / 1032 > array->mapping.size)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: truncated: its header says %s of %s, which takes %zu bytes when "
                       "unpacked, more than %zu packed bytes can hold",
                       reader->path, us_array_shape_text(header).text,
                       us_array_type_text(header).text, expected, array->mapping.size);
    array->heap = malloc(expected);
    if (!array->heap) return us_fail_memory(error, "unpacking gzip");
    memcpy(array->heap, start, have);
    size_t got, excess;
    US_TRY(us_gunzip_read(reader, array->heap + have, expected - have, &got, error));
    if (have + got < expected)
        return fail_size(reader->path, header, unpacked, false, have + got, error);
    unsigned char one;
    US_TRY(us_gunzip_read(reader, &one, 1, &excess, error));
    if (excess) return fail_size(reader->path, header, unpacked, true, expected + 1, error);
    if (reader->truncated)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: truncated: the gzip checksum at its end is missing", reader->path);
    array->data = array->heap + header->offset;
    return align(array, reader->path, error);
}

static unseen_status open_gzip(us_array *array, const char *path, unseen_error *error) {
    unseen_status status;
    us_gunzip reader = {0};
    size_t have = 0;
    unsigned char *start = malloc(US_ARRAY_MAX_HEADER);
    if (!start) return us_fail_memory(error, "unpacking gzip");
    US_CHECK(us_gunzip_open(&reader, array->mapping.bytes, array->mapping.size, path, error));
    US_CHECK(us_gunzip_read(&reader, start, US_ARRAY_MAX_HEADER, &have, error));
    US_CHECK(have > 0 ? UNSEEN_OK
                      : us_fail(error, UNSEEN_BAD_INPUT, "%s: %s", path,
                                reader.truncated ? "truncated gzip data: nothing can be unpacked"
                                                 : "unpacks to an empty file"));
    US_CHECK(read_header(start, have, path, &array->header, error));
    if (array->header.format == US_ARRAY_OTHER)
        status = us_fail(error, UNSEEN_BAD_INPUT,
                         "%s: unpacks to neither a .npy nor an IDX file; unpack it with gunzip if "
                         "it is of another kind",
                         path);
    else
        status = unpack(array, &reader, start, have, error);
    if (us_array_check(array, path, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
done:
    us_gunzip_close(&reader);
    free(start);
    us_file_unmap(&array->mapping);
    return status;
}

unseen_status us_array_open(const char *path, us_array *array, unseen_error *error) {
    memset(array, 0, sizeof *array);
    US_TRY(us_archive_unpack(path, &array->unpacked, error));
    const char *file = array->unpacked.path ? array->unpacked.path : path;
    unseen_status status = us_file_map(file, &array->mapping, error);
    if (status == UNSEEN_OK)
        status = us_gunzip_is(array->mapping.bytes, array->mapping.size)
                     ? open_gzip(array, path, error)
                     : open_plain(array, path, error);
    if (status != UNSEEN_OK) us_array_close(array);
    return status;
}

void us_array_close(us_array *array) {
    us_file_unmap(&array->mapping);
    free(array->heap);
    us_fitted_close(&array->unpacked);
    memset(array, 0, sizeof *array);
}

unseen_status us_array_check(const us_array *array, const char *path, unseen_error *error) {
    return us_mapping_check(&array->mapping, path, error);
}

static uint64_t bits_of(const us_array *array, size_t k) {
    const us_array_header *header = &array->header;
    int size = header->item_bytes;
    const unsigned char *at = array->data + k * (size_t)size;
    uint64_t bits = 0;
    for (int i = 0; i < size; i++)
        bits = bits << 8 | at[header->big_endian ? i : size - 1 - i];
    return bits;
}

bool us_array_integer(const us_array *array, size_t k, int64_t *value) {
    const us_array_header *header = &array->header;
    uint64_t bits = bits_of(array, k);
    if (header->kind != 'i') {
        *value = (int64_t)bits;
        return bits <= INT64_MAX;
    }
    int unused = 64 - 8 * header->item_bytes;
    *value = (int64_t)(bits << unused) >> unused; /* extends the sign */
    return true;
}

/* IEEE 754's 16 bits: a sign, 5 bits of exponent, 10 of the fraction. */
static double half(unsigned bits) {
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 1023);
    double size = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

bool us_array_number(const us_array *array, size_t k, double *value) {
    if (array->header.item_bytes > 8) return false;
    uint64_t bits = bits_of(array, k);
    if (array->header.item_bytes == 2) {
        *value = half((unsigned)bits);
    } else if (array->header.item_bytes == 4) {
        uint32_t low = (uint32_t)bits;
        float single;
        memcpy(&single, &low, sizeof single);
        *value = (double)single;
    } else {
        memcpy(value, &bits, sizeof bits);
    }
    return true;
}

/* Appends one character as UTF-8, which takes no more bytes than in UCS-4. */
static char *put_character(char *to, uint32_t c) {
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    int bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (bytes == 1) *to++ = (char)c;
    for (int i = bytes - 1; bytes > 1 && i >= 0; i--)
        *to++ = (char)(i == bytes - 1 ? first[bytes] | c >> 6 * i : 0x80 | (c >> 6 * i & 63));
    return to;
}

bool us_array_word(const us_array *array, size_t k, char *text) {
    const us_array_header *header = &array->header;
    int size = header->kind == 'U' ? 4 : 1;
    const unsigned char *at = array->data + k * (size_t)header->item_bytes;
    bool ended = false;
    for (int i = 0; i < header->item_bytes; i += size) {
        uint32_t c = 0;
        for (int b = 0; b < size; b++)
            c = c << 8 | at[i + (header->big_endian ? b : size - 1 - b)];
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || (c && ended)) return false;
        ended = c == 0; /* zeros fill up what is shorter */
        if (size == 1 && c)
            *text++ = (char)c;
        else if (c)
            text = put_character(text, c);
    }
    *text = '\0';
    return true;
}
