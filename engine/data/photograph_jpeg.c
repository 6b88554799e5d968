/* SPDX-License-Identifier: MIT */
#include "data/photograph_jpeg.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

/* ---- the library ---- */

#define CALLS(C)                                                                                   \
    C(jpeg_std_error)                                                                              \
    C(jpeg_CreateDecompress)                                                                       \
    C(jpeg_destroy_decompress)                                                                     \
    C(jpeg_mem_src)                                                                                \
    C(jpeg_save_markers)                                                                           \
    C(jpeg_read_header)                                                                            \
    C(jpeg_start_decompress)                                                                       \
    C(jpeg_read_scanlines)

#define MEMBER(name) __typeof__(name) *name;
static struct library { CALLS(MEMBER) } lib;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;

/* Of the version that the header is of, whose structs would not fit others. */
static void load(void) {
    static const struct {
        const char *name;
        size_t offset;
    } calls[] = {
#define ROW(name) {#name, offsetof(struct library, name)},
        CALLS(ROW)};
    char name[24];
    snprintf(name, sizeof name, "libjpeg.so.%d",
             JPEG_LIB_VERSION < 70 ? JPEG_LIB_VERSION : JPEG_LIB_VERSION / 10);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    loaded = handle != NULL;
    for (size_t i = 0; loaded && i < sizeof calls / sizeof *calls; i++) {
        void *call = dlsym(handle, calls[i].name);
        memcpy((char *)&lib + calls[i].offset, &call, sizeof call);
        loaded = call != NULL;
    }
}

/* ---- a file ---- */

struct us_jpeg {
    struct jpeg_error_mgr errors;
    struct jpeg_decompress_struct state;
    jmp_buf failed; /* where errors end */
    bool created, started, doubtful;
    unsigned char *line;
};

static us_jpeg *of(j_common_ptr state) {
    return (us_jpeg *)(void *)state->err; /* its first member */
}

static void on_error(j_common_ptr state) {
    longjmp(of(state)->failed, 1);
}

/* Damage that libjpeg gets over is a message below 0. */
static void on_message(j_common_ptr state, int level) {
    if (level < 0) of(state)->doubtful = true;
}

static bool has_exif(const us_jpeg *jpeg) {
    for (jpeg_saved_marker_ptr marker = jpeg->state.marker_list; marker; marker = marker->next)
        if (marker->data_length >= 4 && memcmp(marker->data, "Exif", 4) == 0) return true;
    return false;
}

static bool read_header(us_jpeg *jpeg, const us_photograph_file *file) {
    enum { NAME = 8 /* bytes of EXIF's marker that tell it */ };
    struct jpeg_decompress_struct *state = &jpeg->state;
    if (setjmp(jpeg->failed)) return false;
    lib.jpeg_CreateDecompress(state, JPEG_LIB_VERSION, sizeof *state);
    jpeg->created = true;
    lib.jpeg_mem_src(state, file->bytes, (unsigned long)file->size);
    lib.jpeg_save_markers(state, JPEG_APP0 + 1, NAME);
    if (lib.jpeg_read_header(state, TRUE) != JPEG_HEADER_OK) return false;
    const bool grey = state->jpeg_color_space == JCS_GRAYSCALE && state->num_components == 1;
    const bool colour = state->jpeg_color_space == JCS_YCbCr && state->num_components == 3;
    return (grey || colour) && state->data_precision == 8 && !has_exif(jpeg) && !jpeg->doubtful;
}

us_jpeg *us_jpeg_open(const us_photograph_file *file, us_vips_about *about) {
    enum { MOST = 1 << 28 }; /* pixels, as libvips is asked for at most */
    if (us_photograph_find(file->bytes, file->size) != US_PHOTOGRAPH_JPEG) return NULL;
    pthread_once(&once, load);
    us_jpeg *jpeg = loaded ? calloc(1, sizeof *jpeg) : NULL;
    if (!jpeg) return NULL;
    jpeg->state.err = lib.jpeg_std_error(&jpeg->errors);
    jpeg->errors.error_exit = on_error;
    jpeg->errors.emit_message = on_message;
    const bool read = read_header(jpeg, file);
    const struct jpeg_decompress_struct *state = &jpeg->state;
    if (read && (uint64_t)state->image_width * state->image_height <= MOST)
        jpeg->line = malloc((size_t)state->image_width * (size_t)state->num_components);
    if (!jpeg->line) {
        us_jpeg_close(jpeg);
        return NULL;
    }
    *about = (us_vips_about){.format = US_PHOTOGRAPH_JPEG,
                             .height = (int)state->image_height,
                             .width = (int)state->image_width,
                             .bands = state->num_components,
                             .orientation = 1};
    return jpeg;
}

void us_jpeg_close(us_jpeg *jpeg) {
    if (!jpeg) return;
    if (jpeg->created && !setjmp(jpeg->failed)) lib.jpeg_destroy_decompress(&jpeg->state);
    free(jpeg->line);
    free(jpeg);
}

const unsigned char *us_jpeg_line(us_jpeg *jpeg) {
    JSAMPROW rows[] = {jpeg->line};
    if (setjmp(jpeg->failed)) return NULL;
    if (!jpeg->started && !lib.jpeg_start_decompress(&jpeg->state)) return NULL;
    jpeg->started = true;
    if (lib.jpeg_read_scanlines(&jpeg->state, rows, 1) != 1 || jpeg->doubtful) return NULL;
    return jpeg->line;
}
