/* SPDX-License-Identifier: MIT */
#include "data/convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 4096,         /* elements that are converted at once */
    RUN = 128,            /* of an array in Fortran order, elements that follow one another, */
    ROWS = PIECE / RUN,   /* and such runs */
    FLOAT_WHOLE = 1 << 24 /* float32 holds all whole numbers up to here */
};

bool us_array_needs_converting(const us_array_header *header) {
    bool bytes = header->kind == 'u' && header->item_bytes == 1;
    bool floats = header->kind == 'f' && header->item_bytes == 4 && !header->big_endian;
    return header->fortran || !(bytes || floats);
}

static double single(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static double half(uint16_t bits) {
    uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double value = exponent == 0
                       ? mantissa * 0x1p-24
                       : single((exponent == 31 ? 255 : exponent + 112) << 23 | mantissa << 13);
    return bits >> 15 ? -value : value;
}

static double twofold(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define same(v) (v)
#define EACH(type, swap, value)                                                                    \
    for (size_t i = 0; i < count; i++) {                                                           \
        type v;                                                                                    \
        memcpy(&v, from + i * sizeof v, sizeof v);                                                 \
        if (big) v = swap(v);                                                                      \
        to[i] = (double)(value);                                                                   \
    }                                                                                              \
    break

#define CASE(kind, bytes) (kind) << 8 | (bytes)

/* Elements that follow one another. */
static void decode(const us_array_header *header, const unsigned char *from, double *to,
                   size_t count) {
    const bool big = header->big_endian;
    switch (CASE(header->kind, header->item_bytes)) {
    case CASE('b', 1):
        EACH(uint8_t, same, v ? 255 : 0);
    case CASE('u', 1):
        EACH(uint8_t, same, v);
    case CASE('i', 1):
        EACH(uint8_t, same, (int8_t)v);
    case CASE('u', 2):
        EACH(uint16_t, __builtin_bswap16, v);
    case CASE('i', 2):
        EACH(uint16_t, __builtin_bswap16, (int16_t)v);
    case CASE('f', 2):
        EACH(uint16_t, __builtin_bswap16, half(v));
    case CASE('u', 4):
        EACH(uint32_t, __builtin_bswap32, v);
    case CASE('i', 4):
        EACH(uint32_t, __builtin_bswap32, (int32_t)v);
    case CASE('f', 4):
        EACH(uint32_t, __builtin_bswap32, single(v));
    case CASE('u', 8):
        EACH(uint64_t, __builtin_bswap64, v);
    case CASE('i', 8):
        EACH(uint64_t, __builtin_bswap64, (int64_t)v);
    case CASE('f', 8):
        EACH(uint64_t, __builtin_bswap64, twofold(v));
    }
}

static void store(double value, bool floats, void *to, size_t at) {
    if (floats)
        ((float *)to)[at] = (float)value;
    else
        ((unsigned char *)to)[at] = (unsigned char)value;
}

/* In any order of the axes: decides what the elements become. */
static unseen_status choose_floats(const us_array *array, size_t count, const char *path,
                                   bool *floats, unseen_error *error) {
    const us_array_header *header = &array->header;
    *floats = header->kind == 'f';
    if (header->kind == 'f' || header->kind == 'b' ||
        (header->kind == 'u' && header->item_bytes == 1))
        return UNSEEN_OK;
    double low = INFINITY, high = -INFINITY, values[PIECE];
    for (size_t k = 0; k < count; k += PIECE) {
        size_t n = count - k < PIECE ? count - k : PIECE;
        decode(header, array->data + k * (size_t)header->item_bytes, values, n);
        for (size_t i = 0; i < n; i++) {
            low = values[i] < low ? values[i] : low;
            high = values[i] > high ? values[i] : high;
        }
    }
    *floats = low < 0 || high > 255;
    if (low >= -FLOAT_WHOLE && high <= FLOAT_WHOLE) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: holds %s from %.17g to %.17g, which neither uint8 nor float32 can hold: "
                   "scale the values to 0..1 or 0..255",
                   path, us_array_type_text(header).text, low, high);
}

/* From the front or from the back, so that `to` may be where `from` is. */
static void convert_in_order(const us_array_header *header, const unsigned char *from, size_t count,
                             bool floats, void *to) {
    const size_t item = (size_t)header->item_bytes, pieces = (count + PIECE - 1) / PIECE;
    const bool backwards = (floats ? sizeof(float) : 1) > item;
    double values[PIECE];
    for (size_t p = 0; p < pieces; p++) {
        size_t first = (backwards ? pieces - 1 - p : p) * PIECE;
        size_t n = count - first < PIECE ? count - first : PIECE;
        decode(header, from + first * item, values, n);
        for (size_t i = 0; i < n; i++)
            store(values[i], floats, to, first + i);
    }
}

/* Where an element of an array without its first axis, whose place in Fortran order is q, lies in C
 * order. */
static size_t place_in_c_order(const us_array_header *header, size_t q) {
    size_t place = 0, index[US_ARRAY_MAX_RANK];
    for (int i = 1; i < header->rank; i++) {
        index[i] = q % (size_t)header->dims[i];
        q /= (size_t)header->dims[i];
    }
    for (int i = 1; i < header->rank; i++)
        place = place * (size_t)header->dims[i] + index[i];
    return place;
}

/* Turns the axes round, by squares that the caches hold. */
static void convert_fortran(const us_array *array, size_t count, bool floats, void *to) {
    const us_array_header *header = &array->header;
    const size_t item = (size_t)header->item_bytes;
    const size_t first_axis = (size_t)header->dims[0], rest = count / first_axis;
    double values[ROWS][RUN];
    size_t places[ROWS];
    for (size_t n = 0; n < first_axis; n += RUN) {
        const size_t run = first_axis - n < RUN ? first_axis - n : RUN;
        for (size_t q = 0; q < rest; q += ROWS) {
            const size_t rows = rest - q < ROWS ? rest - q : ROWS;
            for (size_t r = 0; r < rows; r++) {
                places[r] = place_in_c_order(header, q + r);
                decode(header, array->data + ((q + r) * first_axis + n) * item, values[r], run);
            }
            for (size_t i = 0; i < run; i++)
                for (size_t r = 0; r < rows; r++)
                    store(values[r][i], floats, to, (n + i) * rest + places[r]);
        }
    }
}

/* Room for the result: where the elements are, if they are on the heap and stay in order. */
static unsigned char *make_room(us_array *array, size_t bytes) {
    if (!array->heap || array->header.fortran) return malloc(bytes);
    size_t have = array->header.offset + array->header.bytes;
    if (array->data != array->heap) memmove(array->heap, array->data, array->header.bytes);
    unsigned char *heap = bytes > have ? realloc(array->heap, bytes) : array->heap;
    if (heap) array->heap = heap;
    array->data = array->heap;
    return heap;
}

unseen_status us_array_convert(us_array *array, const char *path, unseen_error *error) {
    us_array_header *header = &array->header;
    const size_t count = header->bytes / (size_t)header->item_bytes;
    bool floats;
    size_t bytes;
    US_TRY(choose_floats(array, count, path, &floats, error));
    unsigned char *to = NULL;
    if (!__builtin_mul_overflow(count, floats ? sizeof(float) : 1, &bytes))
        to = make_room(array, bytes);
    if (!to) return us_fail_memory(error, "images of another type");
    if (header->fortran)
        convert_fortran(array, count, floats, to);
    else
        convert_in_order(header, array->data, count, floats, to);
    if (to != array->heap) free(array->heap);
    array->heap = to;
    array->data = to;
    unseen_status status = us_array_check(array, path, error);
    us_file_unmap(&array->mapping);
    header->kind = floats ? 'f' : 'u';
    header->item_bytes = floats ? sizeof(float) : 1;
    header->big_endian = header->fortran = false;
    header->offset = 0;
    header->bytes = bytes;
    return status;
}
