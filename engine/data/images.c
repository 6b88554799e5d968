#include "data/images.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/array.h"

enum { MAX_CHANNELS = 16 };

/* What a file that is no array may be instead, told by its first bytes. */
static unseen_status fail_format(const us_array *array, const char *path, unseen_error *error) {
    static const struct {
        const char *start;
        const char *advice;
    } kinds[] = {
        {"PK\x03\x04",
         "it looks like an .npz archive or a zip file; save its one array with np.save"},
        {"\x89PNG", "it looks like a single PNG picture; put the pictures into one array"},
        {"\xff\xd8\xff", "it looks like a single JPEG picture; put the pictures into one array"},
        {"\x89HDF", "it looks like an HDF5 file; save its array with np.save"},
        {"BZh", "it looks like a bzip2 file; unpack it first"},
        {"\xfd"
         "7zXZ",
         "it looks like an xz file; unpack it first"},
        {"\x28\xb5\x2f\xfd", "it looks like a Zstandard file; unpack it first"},
        {"\x80\x02", "it looks like a Python pickle, and pickled objects are never loaded"},
        {"\x80\x03", "it looks like a Python pickle, and pickled objects are never loaded"},
        {"\x80\x04", "it looks like a Python pickle, and pickled objects are never loaded"},
        {"\x80\x05", "it looks like a Python pickle, and pickled objects are never loaded"},
    };
    const unsigned char *bytes = array->data;
    size_t size = array->header.bytes;
    const char *advice = "images are read from .npy (uint8 or float32) and IDX files, plain or .gz";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].start);
        if (size >= length && memcmp(bytes, kinds[i].start, length) == 0) advice = kinds[i].advice;
    }
    char start[16] = "";
    for (size_t i = 0; i < 4 && i < size; i++)
        snprintf(start + 3 * i, sizeof start - 3 * i, " %02x", bytes[i]);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: neither a .npy nor an IDX file, plain or .gz: it starts with the bytes%s; "
                   "%s",
                   path, start, advice);
}

static unseen_status read_type(const us_array_header *header, us_images *images,
                               unseen_error *error) {
    const char *path = images->path;
    us_array_text text = us_array_type_text(header);
    const char *type = text.text;
    if (header->kind == 'u' && header->item_bytes == 1) {
        images->pixel = US_PIXEL_UINT8;
        return UNSEEN_OK;
    }
    if (header->format == US_ARRAY_IDX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: an IDX file of %s; IDX images are of unsigned bytes (type 0x08)", path,
                       type);
    if (header->kind == 'f' && header->item_bytes == 4 && !header->big_endian) {
        images->pixel = US_PIXEL_FLOAT32;
        return UNSEEN_OK;
    }
    if (header->kind == 'f')
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds %s; save it as float32 or uint8: "
                       "np.save('float32.npy', np.load('%s').astype('<f4'))",
                       path, type, path);
    if (header->kind == 'b')
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds bool; save it as uint8 from 0 to 255: "
                       "np.save('uint8.npy', np.load('%s').astype('u1') * 255)",
                       path, path);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: holds %s; save it as float32 or uint8, if its values are from 0 to 255: "
                   "np.save('uint8.npy', np.load('%s').astype('u1'))",
                   path, type, path);
}

/* (N, C, H, W), as PyTorch has it: too many channels if read as (N, H, W, C), or square pictures of
 * one or three planes. */
static bool is_channels_first(const us_array_header *header) {
    const int64_t *dims = header->dims;
    if (dims[3] > MAX_CHANNELS) return dims[1] <= MAX_CHANNELS;
    return (dims[1] == 1 || dims[1] == 3) && dims[2] == dims[3] && dims[3] > 4;
}

static unseen_status read_shape(const us_array_header *header, us_images *images,
                                unseen_error *error) {
    const char *path = images->path;
    us_array_text text = us_array_shape_text(header);
    const char *shape = text.text;
    const int64_t *dims = header->dims;
    if (header->rank != 3 && header->rank != 4)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape is %s; images have the shape (number, height, width) or "
                       "(number, height, width, channels)",
                       path, shape);
    if (header->rank == 4 && is_channels_first(header))
        return us_fail(
            error, UNSEEN_BAD_INPUT,
            "%s: its shape %s looks like (number, channels, height, width); the channels "
            "must come last: "
            "np.save('channels_last.npy', "
            "np.ascontiguousarray(np.load('%s').transpose(0, 2, 3, 1)))",
            path, shape, path);
    int64_t channels = header->rank == 4 ? dims[3] : 1;
    if (channels > MAX_CHANNELS)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s, read as (number, height, width, channels), has %lld "
                       "channels; 1 to %d are accepted",
                       path, shape, (long long)channels, MAX_CHANNELS);
    if (dims[0] > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s has more images than the %d that are accepted", path,
                       shape, INT32_MAX);
    int64_t values;
    if (__builtin_mul_overflow(dims[1], dims[2] * channels, &values) || values > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s has more than %d values in each image", path, shape,
                       INT32_MAX);
    images->count = dims[0];
    images->height = (int)dims[1];
    images->width = (int)dims[2];
    images->channels = (int)channels;
    return UNSEEN_OK;
}

/* Widens range by an image's values; false when one is not finite. */
static bool scan_image(const float *values, size_t count, float range[2]) {
    float low = range[0], high = range[1];
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        finite &= (bits & 0x7f800000u) != 0x7f800000u;
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    range[0] = low;
    range[1] = high;
    return finite;
}

static unseen_status find_range(us_images *images, unseen_error *error) {
    static const double ranges[][2] = {{0, 1}, {-1, 1}, {0, 255}};
    if (images->pixel == US_PIXEL_UINT8) {
        images->range[0] = 0;
        images->range[1] = 255;
        return UNSEEN_OK;
    }
    size_t values = (size_t)images->height * (size_t)images->width * (size_t)images->channels;
    const float *first = images->pixels;
    float found[2] = {first[0], first[0]};
    for (int64_t n = 0; n < images->count; n++) {
        if (!scan_image(first + (size_t)n * values, values, found))
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: image %lld (counted from 0) holds a value that is not finite (NaN "
                           "or infinity)",
                           images->path, (long long)n);
    }
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if ((double)found[0] < ranges[i][0] || (double)found[1] > ranges[i][1]) continue;
        memcpy(images->range, ranges[i], sizeof images->range);
        return UNSEEN_OK;
    }
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: its values go from %.9g to %.9g; float32 images have values within 0 to 1, "
                   "-1 to 1 or 0 to 255",
                   images->path, (double)found[0], (double)found[1]);
}

static unseen_status read_array(us_images *images, us_array *array, unseen_error *error) {
    US_TRY(us_array_open(images->path, array, error));
    if (array->header.format == US_ARRAY_OTHER) return fail_format(array, images->path, error);
    US_TRY(read_type(&array->header, images, error));
    US_TRY(read_shape(&array->header, images, error));
    images->pixels = array->data;
    return find_range(images, error);
}

unseen_status us_images_open(const char *path, us_images *images, unseen_error *error) {
    memset(images, 0, sizeof *images);
    us_array *array = calloc(1, sizeof *array);
    images->owner = array;
    images->path = strdup(path);
    unseen_status status = array && images->path ? read_array(images, array, error)
                                                 : us_fail_memory(error, "opening images");
    if (status != UNSEEN_OK) us_images_close(images);
    return status;
}

void us_images_close(us_images *images) {
    if (images->owner) us_array_close(images->owner);
    free(images->owner);
    free(images->path);
    memset(images, 0, sizeof *images);
}
