/* SPDX-License-Identifier: MIT */
#include "data/photograph_vips.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

/* ---- the library ---- */

/* What is called of it, and of GLib below it. */
#define CALLS(C)                                                                                   \
    C(vips_init)                                                                                   \
    C(vips_version)                                                                                \
    C(vips_concurrency_set)                                                                        \
    C(vips_cache_set_max)                                                                          \
    C(vips_error_buffer_copy)                                                                      \
    C(vips_thread_shutdown)                                                                        \
    C(vips_pngload_buffer)                                                                         \
    C(vips_jpegload_buffer)                                                                        \
    C(vips_tiffload_buffer)                                                                        \
    C(vips_webpload_buffer)                                                                        \
    C(vips_gifload_buffer)                                                                         \
    C(vips_magickload_buffer)                                                                      \
    C(vips_ppmload_source)                                                                         \
    C(vips_source_new_from_memory)                                                                 \
    C(vips_colourspace)                                                                            \
    C(vips_image_get_orientation)                                                                  \
    C(vips_region_new)                                                                             \
    C(vips_region_prepare)                                                                         \
    C(g_log_set_handler)                                                                           \
    C(g_object_unref)                                                                              \
    C(g_free)

#define MEMBER(name) __typeof__(name) *name;
static struct library { CALLS(MEMBER) } vips;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char fault[256], version[32];

/* Of the thread's last photograph, which says more of damage than the error itself. */
static _Thread_local char warning[160];

/* In place of GLib's own handler, which prints. */
static void keep_warning(const gchar *domain, GLogLevelFlags level, const gchar *text,
                         gpointer unused) {
    (void)domain;
    (void)unused;
    if (level & (G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR))
        snprintf(warning, sizeof warning, "%s", text);
}

static void load(void) {
    static const struct {
        const char *name;
        size_t offset;
    } calls[] = {
#define ROW(name) {#name, offsetof(struct library, name)},
        CALLS(ROW)};
    void *handle = dlopen("libvips.so.42", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(fault, sizeof fault, "%s", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *call = dlsym(handle, calls[i].name);
        memcpy((char *)&vips + calls[i].offset, &call, sizeof call);
        if (!call) {
            snprintf(fault, sizeof fault, "libvips.so.42 has no %s", calls[i].name);
            return;
        }
    }
    vips.g_log_set_handler("VIPS", (GLogLevelFlags)(G_LOG_LEVEL_MASK | G_LOG_FLAG_RECURSION),
                           keep_warning, NULL);
    if (vips.vips_init("unseen") != 0) snprintf(fault, sizeof fault, "libvips does not start");
    snprintf(version, sizeof version, "libvips %d.%d.%d", vips.vips_version(0),
             vips.vips_version(1), vips.vips_version(2));
    if (vips.vips_version(0) != VIPS_MAJOR_VERSION)
        snprintf(fault, sizeof fault, "it is of version %d, and this program was built for %d",
                 vips.vips_version(0), VIPS_MAJOR_VERSION);
    vips.vips_concurrency_set(1); /* photographs are decoded side by side */
    vips.vips_cache_set_max(0);   /* no photograph is decoded twice */
}

unseen_status us_photograph_start(unseen_error *error) {
    pthread_once(&once, load);
    if (!*fault) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE,
                   "photographs are read by libvips (Debian: libvips42), which cannot be loaded: "
                   "%s",
                   fault);
}

const char *us_photograph_library(void) {
    return version;
}

void us_photograph_end_thread(void) {
    vips.vips_thread_shutdown();
}

/* ---- a photograph ---- */

struct us_vips_image {
    const char *path;
    VipsImage *image;
    VipsRegion *region;
    int end; /* lines before it are in the region */
};

/* What libvips says, of which the first line is closest to the cause. */
static unseen_status fail_damaged(const char *path, unseen_error *error) {
    char *text = vips.vips_error_buffer_copy();
    text[strcspn(text, "\n")] = '\0';
    us_fail(error, UNSEEN_BAD_INPUT, "%s: damaged: %.200s%s%s", path,
            *text ? text : "it cannot be decoded", *warning ? "; " : "", warning);
    vips.g_free(text);
    return UNSEEN_BAD_INPUT;
}

static unseen_status check_size(const char *path, int64_t height, int64_t width,
                                unseen_error *error) {
    enum { MOST = 1 << 28 };
    if (height < 1 || width < 1)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: damaged: its size is %lld x %lld", path,
                       (long long)width, (long long)height);
    if (height > INT32_MAX || width > INT32_MAX || height * width > MOST)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: %lld x %lld pixels; photographs of up to %d are read", path,
                       (long long)width, (long long)height, MOST);
    return UNSEEN_OK;
}

/* ImageMagick, which reads these, would first make room for what the header says. */
static unseen_status check_bmp(const us_photograph_file *file, unseen_error *error) {
    int32_t words[2] = {0, 0};
    if (file->size < 26) return fail_damaged(file->path, error);
    memcpy(words, (const char *)file->bytes + 18, sizeof words);
    return check_size(file->path, llabs((long long)words[1]), words[0], error);
}

static int open_pnm(const us_photograph_file *file, VipsImage **image) {
    VipsSource *source = vips.vips_source_new_from_memory(file->bytes, file->size);
    int failed = source ? vips.vips_ppmload_source(source, image, "access", VIPS_ACCESS_SEQUENTIAL,
                                                   "fail_on", VIPS_FAIL_ON_ERROR, NULL)
                        : -1;
    if (source) vips.g_object_unref(source);
    return failed;
}

#define OPTIONS "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_ERROR

static int open_format(const us_photograph_file *file, us_photograph_format format, int shrink,
                       VipsImage **image) {
    void *bytes = (void *)file->bytes;
    switch (format) {
    case US_PHOTOGRAPH_PNG:
        return vips.vips_pngload_buffer(bytes, file->size, image, OPTIONS, NULL);
    case US_PHOTOGRAPH_JPEG:
        return vips.vips_jpegload_buffer(bytes, file->size, image, OPTIONS, "shrink", shrink, NULL);
    case US_PHOTOGRAPH_TIFF:
        return vips.vips_tiffload_buffer(bytes, file->size, image, OPTIONS, NULL);
    case US_PHOTOGRAPH_WEBP:
        return vips.vips_webpload_buffer(bytes, file->size, image, OPTIONS, NULL);
    case US_PHOTOGRAPH_GIF:
        return vips.vips_gifload_buffer(bytes, file->size, image, OPTIONS, NULL);
    case US_PHOTOGRAPH_BMP:
        return vips.vips_magickload_buffer(bytes, file->size, image, OPTIONS, NULL);
    case US_PHOTOGRAPH_PNM:
        return open_pnm(file, image);
    case US_PHOTOGRAPH_NONE:
        break;
    }
    return -1;
}

/* Colours that are neither grey nor RGB become RGB. */
static unseen_status as_rgb(us_vips_image *image, unseen_error *error) {
    const VipsImage *in = image->image;
    VipsImage *out;
    if (in->Coding == VIPS_CODING_NONE && in->Type != VIPS_INTERPRETATION_CMYK &&
        in->Type != VIPS_INTERPRETATION_LAB && in->Type != VIPS_INTERPRETATION_LABS)
        return UNSEEN_OK;
    if (vips.vips_colourspace(image->image, &out, VIPS_INTERPRETATION_sRGB, NULL) != 0)
        return fail_damaged(image->path, error);
    vips.g_object_unref(image->image);
    image->image = out;
    return UNSEEN_OK;
}

static unseen_status describe(us_vips_image *image, us_vips_about *about, unseen_error *error) {
    const VipsImage *in = image->image;
    US_TRY(check_size(image->path, in->Ysize, in->Xsize, error));
    about->orientation = vips.vips_image_get_orientation(image->image);
    US_TRY(as_rgb(image, error));
    in = image->image;
    about->height = in->Ysize;
    about->width = in->Xsize;
    about->bands = in->Bands;
    about->deep = in->BandFmt == VIPS_FORMAT_USHORT;
    if (in->BandFmt != VIPS_FORMAT_UCHAR && !about->deep)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its values are not whole numbers of 8 or 16 bits: save it as a .npy "
                       "array",
                       image->path);
    if (in->Bands > 4)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: %d channels; photographs of grey or RGB, with or without alpha, are "
                       "read: save it as a .npy array",
                       image->path, in->Bands);
    if ((image->region = vips.vips_region_new(image->image))) return UNSEEN_OK;
    return fail_damaged(image->path, error);
}

unseen_status us_vips_open(const us_photograph_file *file, int shrink, us_vips_image **out,
                           us_vips_about *about, unseen_error *error) {
    *out = NULL;
    *about = (us_vips_about){.format = us_photograph_find(file->bytes, file->size)};
    *warning = '\0';
    if (about->format == US_PHOTOGRAPH_NONE)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: %s", file->path,
                       file->size ? "no PNG, JPEG, TIFF, WebP, BMP, PNM or GIF picture"
                                  : "an empty file");
    if (about->format == US_PHOTOGRAPH_BMP) US_TRY(check_bmp(file, error));
    us_vips_image *image = calloc(1, sizeof *image);
    if (!image) return us_fail_memory(error, "a photograph");
    *out = image;
    image->path = file->path;
    if (open_format(file, about->format, shrink, &image->image) != 0) {
        image->image = NULL;
        return fail_damaged(file->path, error);
    }
    return describe(image, about, error);
}

void us_vips_close(us_vips_image *image) {
    if (!image) return;
    if (image->region) vips.g_object_unref(image->region);
    if (image->image) vips.g_object_unref(image->image);
    free(image);
}

unseen_status us_vips_line(us_vips_image *image, int y, int end, const void **line,
                           unseen_error *error) {
    enum { PIECE = 1 << 18, LEAST = 16 };
    VipsRegion *region = image->region;
    if (y >= image->end) {
        const VipsImage *in = image->image;
        const size_t bytes = (size_t)in->Xsize * (size_t)in->Bands *
                             (in->BandFmt == VIPS_FORMAT_USHORT ? sizeof(uint16_t) : 1);
        int lines = bytes < PIECE / LEAST ? (int)(PIECE / bytes) : LEAST;
        if (lines > end - y) lines = end - y;
        const VipsRect rect = {0, y, in->Xsize, lines};
        if (vips.vips_region_prepare(region, &rect) != 0) return fail_damaged(image->path, error);
        image->end = y + lines;
    }
    *line = region->data + (ptrdiff_t)(y - region->valid.top) * region->bpl;
    return UNSEEN_OK;
}
