/* SPDX-License-Identifier: MIT */
#include "data/idx.h"

bool us_idx_is(const unsigned char *bytes, size_t size) {
    return size >= 1 && bytes[0] == 0 && (size < 2 || bytes[1] == 0);
}

static bool element_type(int code, us_array_header *header) {
    static const struct {
        int code;
        char kind;
        int bytes;
    } types[] = {{0x08, 'u', 1}, {0x09, 'i', 1}, {0x0b, 'i', 2},
                 {0x0c, 'i', 4}, {0x0d, 'f', 4}, {0x0e, 'f', 8}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].code != code) continue;
        header->kind = types[i].kind;
        header->item_bytes = types[i].bytes;
        header->big_endian = types[i].bytes > 1;
        return true;
    }
    return false;
}

unseen_status us_idx_header(const unsigned char *bytes, size_t size, const char *path,
                            us_array_header *header, unseen_error *error) {
    *header = (us_array_header){.format = US_ARRAY_IDX};
    if (size < 4)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: truncated: an IDX file starts with 4 bytes of type and rank, and only "
                       "%zu are there",
                       path, size);
    if (!element_type(bytes[2], header))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: neither an IDX nor a .npy file: it starts with the bytes 00 00 %02x "
                       "%02x, and IDX has no element type 0x%02x",
                       path, bytes[2], bytes[3], bytes[2]);
    int rank = bytes[3];
    if (rank < 1 || rank > US_ARRAY_MAX_RANK)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its IDX header says %d dimensions; 1 to 4 are accepted", path, rank);
    header->offset = 4 + 4 * (size_t)rank;
    if (size < header->offset)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: truncated: an IDX header of %d dimensions takes %zu bytes, and only "
                       "%zu are there",
                       path, rank, header->offset, size);
    header->rank = rank;
    for (int i = 0; i < rank; i++) {
        const unsigned char *at = bytes + 4 + 4 * i;
        header->dims[i] =
            (int64_t)at[0] << 24 | (int64_t)at[1] << 16 | (int64_t)at[2] << 8 | (int64_t)at[3];
    }
    return us_array_measure(header, path, error);
}
