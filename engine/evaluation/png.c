/* SPDX-License-Identifier: MIT */
#include "evaluation/png.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
enum { CHUNK = 12 /* length, name and checksum */, HEADER = 13, LEVEL = 6 };

static unsigned char *put_number(unsigned char *at, uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (unsigned char)(number >> shift);
    return at;
}

/* The contents lie at `at` + 8 already, or are copied there. Returns the end. */
static unsigned char *put_chunk(unsigned char *at, const char name[5], const void *contents,
                                size_t size) {
    unsigned char *start = put_number(at, (uint32_t)size);
    memcpy(start, name, 4);
    if (contents) memcpy(start + 4, contents, size);
    return put_number(start + 4 + size, (uint32_t)crc32(0, start, (uInt)(size + 4)));
}

/* Each row begins with the number of its filter: 2, which takes the difference from the row above,
 * makes smooth pictures small. */
static unsigned char *filtered(const us_picture *picture, size_t *size) {
    const size_t row = (size_t)picture->width * (size_t)picture->channels;
    unsigned char *rows = malloc((row + 1) * (size_t)picture->height), *out = rows;
    for (int y = 0; rows && y < picture->height; y++) {
        const unsigned char *values = picture->values + (size_t)y * row;
        *out++ = 2;
        for (size_t i = 0; i < row; i++)
            *out++ =
                (unsigned char)(y ? values[i] - values[(ptrdiff_t)i - (ptrdiff_t)row] : values[i]);
    }
    *size = (row + 1) * (size_t)picture->height;
    return rows;
}

unseen_status us_png_encode(const us_picture *picture, unsigned char **bytes, size_t *size,
                            unseen_error *error) {
    size_t unpacked;
    unsigned char *rows = filtered(picture, &unpacked);
    uLong packed = compressBound((uLong)unpacked);
    *bytes = malloc(sizeof signature + CHUNK + HEADER + CHUNK + packed + CHUNK);
    bool done = rows && *bytes;
    if (done) {
        unsigned char header[HEADER] = {[8] = 8, [9] = picture->channels == 3 ? 2 : 0};
        put_number(put_number(header, (uint32_t)picture->width), (uint32_t)picture->height);
        memcpy(*bytes, signature, sizeof signature);
        unsigned char *at = put_chunk(*bytes + sizeof signature, "IHDR", header, HEADER);
        done = compress2(at + 8, &packed, rows, (uLong)unpacked, LEVEL) == Z_OK;
        if (done) at = put_chunk(put_chunk(at, "IDAT", NULL, packed), "IEND", "", 0);
        *size = (size_t)(at - *bytes);
    }
    free(rows);
    if (done) return UNSEEN_OK;
    free(*bytes);
    *bytes = NULL;
    return us_fail_memory(error, "a picture");
}

unseen_status us_png_data_uri(const us_picture *picture, char **uri, unseen_error *error) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char start[] = "data:image/png;base64,";
    unsigned char *bytes;
    size_t size;
    *uri = NULL;
    US_TRY(us_png_encode(picture, &bytes, &size, error));
    char *text = malloc(sizeof start + (size + 2) / 3 * 4), *at = text;
    if (text) at += strlen(strcpy(text, start));
    for (size_t i = 0; text && i < size; i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < size ? bytes[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *at++ = i + k > size ? '=' : digits[three >> (18 - 6 * k) & 63];
    }
    if (text) *at = '\0';
    free(bytes);
    *uri = text;
    return text ? UNSEEN_OK : us_fail_memory(error, "a picture");
}
