/* SPDX-License-Identifier: MIT */
#include "data/images.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/convert.h"

/* Guesses from its first bytes what a file that is no array is instead. */
static unseen_status fail_format(const us_array *array, const char *path, unseen_error *error) {
    static const struct {
        const char *start;
        const char *advice;
    } kinds[] = {
        {"\x89PNG", "it looks like a damaged PNG picture"},
        {"\xff\xd8\xff", "it looks like a JPEG picture; an array is expected here"},
        {"\x89HDF", "it looks like an HDF5 file; save its array with np.save"},
        {"\x80\x02", "it looks like a Python pickle, and pickled objects are never loaded"},
        {"\x80\x03", "it looks like a Python pickle, and pickled objects are never loaded"},
        {"\x80\x04", "it looks like a Python pickle, and pickled objects are never loaded"},
        {"\x80\x05", "it looks like a Python pickle, and pickled objects are never loaded"},
    };
    const unsigned char *bytes = array->data;
    size_t size = array->header.bytes;
    const char *advice = "images are read from .npy and IDX files, plain or .gz";
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

static unseen_status read_shape(const us_array_header *header, const us_layout_request *request,
                                us_images *images, unseen_error *error) {
    const char *path = images->path, *shape = images->shape.text;
    us_layout_reading reading;
    int64_t values;
    US_TRY(us_layout_read(header, request, path, &reading, error));
    if (reading.count > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s has more images than the %d that are accepted", path,
                       shape, INT32_MAX);
    if (__builtin_mul_overflow(reading.height, reading.width * reading.channels, &values) ||
        values > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s has more than %d values in each image", path, shape,
                       INT32_MAX);
    images->layout = reading.layout;
    images->planar = (reading.layout == US_LAYOUT_NCHW || reading.layout == US_LAYOUT_CHW) &&
                     reading.channels > 1;
    images->count = reading.count;
    images->height = (int)reading.height;
    images->width = (int)reading.width;
    images->channels = (int)reading.channels;
    return UNSEEN_OK;
}

/* ---- values ---- */

typedef struct extremes {
    double low, high;
} extremes;

/* Widens the extremes by an image's values; false when one is not finite. */
static bool scan_image(const float *values, size_t count, extremes *found) {
    float low = values[0], high = values[0];
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        finite &= (bits & 0x7f800000u) != 0x7f800000u;
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    found->low = (double)low < found->low ? (double)low : found->low;
    found->high = (double)high > found->high ? (double)high : found->high;
    return finite;
}

static const float *float_image(const us_images *images, int64_t n) {
    return (const float *)images->pixels + (size_t)n * us_images_values(images);
}

static unseen_status scan_floats(us_images *images, unseen_error *error) {
    extremes found = {INFINITY, -INFINITY};
    for (int64_t n = 0; n < images->count; n++) {
        if (!scan_image(float_image(images, n), us_images_values(images), &found))
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: image %lld (counted from 0) holds a value that is not finite as "
                           "float32 (NaN, infinity or above 3.4e38)",
                           images->path, (long long)n);
    }
    images->lowest = found.low;
    images->highest = found.high;
    return UNSEEN_OK;
}

/* All bytes of a small file; of a large one, blocks that are spread evenly, so that opening it
 * takes no longer the larger it is. */
static void scan_bytes(us_images *images) {
    enum { BLOCK = 1 << 16, BLOCKS = 64 };
    const unsigned char *bytes = images->pixels;
    size_t size = (size_t)images->count * us_images_values(images);
    size_t blocks = size / BLOCK < BLOCKS ? size / BLOCK + 1 : BLOCKS;
    size_t stride = blocks < BLOCKS ? BLOCK : size / BLOCKS;
    unsigned char low = 255, high = 0;
    for (size_t b = 0; b < blocks && (low > 0 || high < 255); b++) {
        size_t first = b * stride, end = size - first < BLOCK ? size : first + BLOCK;
        for (size_t i = first; i < end; i++) {
            low = bytes[i] < low ? bytes[i] : low;
            high = bytes[i] > high ? bytes[i] : high;
        }
    }
    images->lowest = low;
    images->highest = high;
}

static unseen_status fail_range(const us_images *images, int64_t image, const char *ranges,
                                unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: its values go from %.9g to %.9g, which does not fit %s; the first such "
                   "image is number %lld, counted from 0",
                   images->path, images->lowest, images->highest, ranges, (long long)image);
}

unseen_status us_images_range(const us_images *images, us_range *range, unseen_error *error) {
    *range = US_RANGE_BYTE;
    if (images->pixel == US_PIXEL_UINT8) return UNSEEN_OK;
    *range = us_range_choose(images->lowest, images->highest, images->highest);
    if (*range != US_RANGE_AUTO) return UNSEEN_OK;
    extremes found = {INFINITY, -INFINITY};
    int64_t image = 0;
    for (; image < images->count - 1; image++) {
        scan_image(float_image(images, image), us_images_values(images), &found);
        if (us_range_choose(found.low, found.high, images->highest) == US_RANGE_AUTO) break;
    }
    return fail_range(images, image,
                      "0..1, -1..1, 0..255 (the largest from 16 on) or 0..65535 (from 32768 on): "
                      "scale all images alike to one of these, or, if they are so dark, name it "
                      "by --set /input/range=0..255",
                      error);
}

/* Values of an image below and above two bounds. */
static size_t count_beyond(const us_images *images, int64_t image, double low, double high) {
    size_t count = us_images_values(images), beyond = 0;
    const float *floats = images->pixels;
    const unsigned char *bytes = images->pixels;
    for (size_t i = (size_t)image * count; i < ((size_t)image + 1) * count; i++) {
        double value = images->pixel == US_PIXEL_UINT8 ? bytes[i] : (double)floats[i];
        beyond += value < low || value > high;
    }
    return beyond;
}

unseen_status us_images_clip(const us_images *images, us_range_ends ends, const char *whose,
                             int64_t *clipped, unseen_error *error) {
    const double room = (ends.white - ends.black) / 1000;
    const bool sampled = images->pixel == US_PIXEL_UINT8 && ends.white < 255;
    *clipped = 0;
    if (!sampled && images->lowest >= ends.black && images->highest <= ends.white) return UNSEEN_OK;
    for (int64_t n = 0; n < images->count; n++) {
        *clipped += (int64_t)count_beyond(images, n, ends.black, ends.white);
        if (*clipped == 0 || !count_beyond(images, n, ends.black - room, ends.white + room))
            continue;
        char text[160];
        snprintf(text, sizeof text, "%g..%g (%s): scale all images alike", ends.black, ends.white,
                 whose);
        return fail_range(images, n, text, error);
    }
    return UNSEEN_OK;
}

/* ---- opening ---- */

static unseen_status read_array(us_images *images, us_array *array,
                                const us_layout_request *request, unseen_error *error) {
    us_array_header *header = &array->header;
    if (header->format == US_ARRAY_OTHER) return fail_format(array, images->path, error);
    images->shape = us_array_shape_text(header);
    images->type = us_array_type_text(header);
    if (header->kind == 'U' || header->kind == 'S')
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: holds text (%s); save an array of numbers",
                       images->path, images->type.text);
    if (header->item_bytes > 8)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds %s; save it as float32: "
                       "np.save('float32.npy', np.load('%s').astype('<f4'))",
                       images->path, images->type.text, images->path);
    US_TRY(read_shape(header, request, images, error));
    if (us_array_needs_converting(header)) US_TRY(us_array_convert(array, images->path, error));
    images->pixels = array->data;
    images->pixel = header->kind == 'f' ? US_PIXEL_FLOAT32 : US_PIXEL_UINT8;
    if (images->pixel == US_PIXEL_FLOAT32)
        US_TRY(scan_floats(images, error));
    else
        scan_bytes(images);
    return us_images_check(images, error);
}

/* file NULL: the path is that of the array. */
static unseen_status open_images(const char *path, us_fitted_file *file,
                                 const us_layout_request *request, us_images *images,
                                 unseen_error *error) {
    memset(images, 0, sizeof *images);
    us_array *array = calloc(1, sizeof *array);
    images->owner = array;
    images->path = strdup(path);
    unseen_status status =
        array && images->path ? UNSEEN_OK : us_fail_memory(error, "opening images");
    if (status == UNSEEN_OK) status = us_array_open(file ? file->path : path, array, error);
    if (status == UNSEEN_OK && file) {
        array->unpacked = *file;
        *file = (us_fitted_file){0};
    }
    if (status == UNSEEN_OK) status = read_array(images, array, request, error);
    if (status != UNSEEN_OK) us_images_close(images);
    return status;
}

unseen_status us_images_open(const char *path, const us_layout_request *request, us_images *images,
                             unseen_error *error) {
    return open_images(path, NULL, request, images, error);
}

unseen_status us_images_open_fitted(const char *path, us_fitted_file *file,
                                    const us_layout_request *request, us_images *images,
                                    unseen_error *error) {
    return open_images(path, file, request, images, error);
}

const char *us_images_file(const us_images *images) {
    const us_array *array = images->owner;
    return array && array->unpacked.path ? array->unpacked.path : images->path;
}

void us_images_close(us_images *images) {
    if (images->owner) us_array_close(images->owner);
    free(images->owner);
    free(images->path);
    us_ids_release(&images->ids);
    us_labels_close(&images->labels);
    us_tiling_release(&images->tiling);
    memset(images, 0, sizeof *images);
}

unseen_status us_images_check(const us_images *images, unseen_error *error) {
    return images->owner ? us_array_check(images->owner, images->path, error) : UNSEEN_OK;
}

bool us_images_changed(const us_images *images) {
    const us_array *array = images->owner;
    return array && us_mapping_changed(&array->mapping);
}
