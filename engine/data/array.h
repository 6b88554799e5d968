/* SPDX-License-Identifier: MIT */
/* An n-dimensional array in a file: .npy or IDX, plain or gzip. Images and labels are both read
 * through this; nothing in a file is trusted before it is checked. */
#ifndef US_DATA_ARRAY_H
#define US_DATA_ARRAY_H

#include "base/error.h"
#include "base/mapping.h"
#include "data/fitted_file.h"

enum {
    US_ARRAY_MAX_RANK = 32, /* NumPy's own limit */
    US_ARRAY_MAX_HEADER = 65536 + 12,
};

typedef enum us_array_format { US_ARRAY_OTHER, US_ARRAY_NPY, US_ARRAY_IDX } us_array_format;

/* What a header says. */
typedef struct us_array_header {
    us_array_format format;
    char kind; /* 'u' unsigned, 'i' signed, 'f' float, 'b' bool, 'U' text of UCS-4, 'S' of bytes;
                  others have been refused */
    int item_bytes;                  /* 1, 2, 4 or 8 (floats also 16; text: of its longest) */
    bool big_endian;                 /* false for single bytes */
    bool fortran;                    /* the first axis is innermost in memory, not the last one */
    int rank;                        /* 0 to US_ARRAY_MAX_RANK */
    int64_t dims[US_ARRAY_MAX_RANK]; /* each at least 1 */
    size_t offset;                   /* of the first element in the (unpacked) file */
    size_t bytes;                    /* of all elements; offset + bytes does not overflow */
} us_array_header;

typedef struct us_array {
    us_array_header header;
    const unsigned char *data; /* header.bytes of them, aligned to an item; read-only */
    us_mapping mapping;        /* what data lies in: this, */
    unsigned char *heap;       /* or this */
    us_fitted_file unpacked;   /* of what is in an archive: the plain file that was mapped */
} us_array;

/* Opens a file; its content decides the format. A file in an archive ("data.zip:images.npy") is
 * unpacked first, as is the one array that an archive holds (archive.h). A plain file that is
 * neither .npy nor IDX is not an error here: header.format is US_ARRAY_OTHER, and data and
 * header.bytes are the whole file. A file that is shorter or longer than its header says is an
 * error (NumPy ignores what follows an array; here it would hide that arrays were appended or a
 * header is wrong). */
unseen_status us_array_open(const char *path, us_array *array, unseen_error *error);
void us_array_close(us_array *array);

/* UNSEEN_FAILURE where the file has lost a part of what was or will be read of it. */
unseen_status us_array_check(const us_array *array, const char *path, unseen_error *error);

/* Completes header->bytes from kind, dims and offset; refuses empty dimensions and sizes that no
 * address space holds. For the format readers. */
unseen_status us_array_measure(us_array_header *header, const char *path, unseen_error *error);

/* The k-th element of an array of kind 'u', 'i' or 'b' in *value; false: above INT64_MAX. */
bool us_array_integer(const us_array *array, size_t k, int64_t *value);

/* The k-th element of an array of kind 'f' and at most 8 bytes; false: it is longer. */
bool us_array_number(const us_array *array, size_t k, double *value);

/* The k-th element of an array of kind 'U' or 'S' as UTF-8; `text` has room for item_bytes + 1.
 * False: it is no text. */
bool us_array_word(const us_array *array, size_t k, char *text);

/* "(140001, 64, 64, 3)" and "big-endian float32", for messages. */
typedef struct us_array_text {
    char text[128];
} us_array_text;
us_array_text us_array_shape_text(const us_array_header *header);
us_array_text us_array_type_text(const us_array_header *header);

#endif
