/* SPDX-License-Identifier: MIT */
#include "data/photographs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "data/archive.h"
#include "data/fitted_file.h"
#include "data/npy.h"
#include "data/photograph_pool.h"

/* ---- what a path is ---- */

static bool is_list_name(const char *path) {
    static const char *const endings[] = {".csv", ".tsv", ".txt"};
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (length > 4 && strcasecmp(path + length - 4, endings[i]) == 0) return true;
    return false;
}

static bool is_photograph(const char *path) {
    unsigned char head[US_PHOTOGRAPH_HEAD];
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return false;
    ssize_t size = read(descriptor, head, sizeof head);
    close(descriptor);
    return size > 0 && us_photograph_find(head, (size_t)size) != US_PHOTOGRAPH_NONE;
}

static unseen_status find_kind(const char *path, bool *are, us_file_set_kind *kind,
                               unseen_error *error) {
    struct stat about;
    *are = true;
    *kind = US_FILE_SET_FOLDER;
    const bool there = stat(path, &about) == 0;
    if (there && S_ISDIR(about.st_mode)) return UNSEEN_OK;
    *are = there && S_ISREG(about.st_mode);
    if (!*are) return UNSEEN_OK;
    if (is_photograph(path)) {
        *kind = US_FILE_SET_SINGLE;
    } else if (us_archive_is(path)) {
        us_archive_content content;
        US_TRY(us_archive_look(path, &content, error));
        *kind = US_FILE_SET_ARCHIVE;
        *are = content.photographs > 0;
    } else {
        *kind = US_FILE_SET_LIST;
        *are = is_list_name(path);
    }
    return UNSEEN_OK;
}

unseen_status us_photographs_are(const char *path, bool *are, unseen_error *error) {
    us_file_set_kind kind;
    return find_kind(path, are, &kind, error);
}

/* ---- what is kept ---- */

/* Everything that the fitted pixels depend on, less the content of the files. */
static unseen_status key_of(const us_file_set *set, const us_photographs_request *request,
                            us_digest_text *key, unseen_error *error) {
    enum { VERSION = 2 };
    char *real = realpath(set->path, NULL);
    us_digest_stream *stream = us_digest_begin();
    if (!stream || !real) {
        free(real);
        if (stream) us_digest_end(stream);
        return us_fail_memory(error, "names of photographs");
    }
    const int32_t form[] = {VERSION,           request->height, request->width,
                            request->channels, request->fit,    request->list.masks};
    us_digest_add(stream, form, sizeof form);
    us_digest_add(stream, &request->overlap, sizeof request->overlap);
    us_digest_add(stream, real, strlen(real) + 1);
    for (int64_t i = 0; i < set->count; i++) {
        const us_set_file *file = &set->files[i];
        const int64_t numbers[] = {file->size, file->modified.tv_sec, file->modified.tv_nsec};
        us_digest_add(stream, numbers, sizeof numbers);
        us_digest_add(stream, file->name, strlen(file->name) + 1);
    }
    free(real);
    *key = us_digest_end(stream);
    return UNSEEN_OK;
}

/* ---- decoding ---- */

typedef struct opening {
    const us_photographs_request *request;
    us_file_set *set;
    us_fitted_file *file;
    us_tiling *tiling; /* count 0: photographs are not cut */
} opening;

static int64_t count_images(const opening *o) {
    return o->tiling->count ? o->tiling->first[o->tiling->count] : o->set->count;
}

static void tell_decoded(const opening *o, const us_photograph_form *form, double seconds) {
    us_event_message(o->request->events, UNSEEN_EVENT_MESSAGE,
                     "%s: decoded by %s in %.1f s to %s of %d bits (%s); %s%s", o->set->path,
                     us_photograph_library(), seconds, form->channels == 1 ? "grey" : "RGB",
                     8 * form->value_bytes,
                     o->request->channels == 1 || o->request->channels == 3
                         ? "channels by the config, bits by most of the files"
                         : "by most of the files",
                     us_fitted_is_kept(o->file) ? "kept in " : "kept in memory",
                     us_fitted_is_kept(o->file) ? o->file->folder.path : "");
}

static unseen_status decode(const opening *o, const us_photograph_form *form, unseen_error *error) {
    const int64_t dims[] = {count_images(o), form->height, form->width, form->channels};
    char header[US_NPY_HEADER];
    us_npy_write_header(form->value_bytes == 2 ? "<u2" : "|u1", 4, dims, header);
    if (pwrite(o->file->writer.descriptor, header, sizeof header, 0) != sizeof header)
        return us_fail(error, UNSEEN_FAILURE, "%s: cannot keep the fitted images", o->set->path);
    US_TRY(o->tiling->count
               ? us_photographs_cut(o->set, form, o->tiling, o->file->writer.descriptor,
                                    US_NPY_HEADER, o->request->events, error)
               : us_photographs_decode(o->set, form, o->file->writer.descriptor, US_NPY_HEADER,
                                       o->request->events, error));
    return us_fitted_commit(o->file, error);
}

/* How large they are is not kept. */
static unseen_status measure(const opening *o, unseen_error *error) {
    const us_tile_form form = {o->request->height, o->request->width, o->request->overlap};
    US_TRY(us_photograph_start(error));
    US_TRY(us_tiling_create(o->set->count, &form, o->tiling, error));
    return us_photographs_measure(o->set, o->tiling, o->request->events, error);
}

/* The array of fitted photographs, from the cache or made now. */
static unseen_status make(const opening *o, unseen_error *error) {
    const us_photographs_request *request = o->request;
    us_digest_text key;
    us_photograph_majority majority;
    US_TRY(key_of(o->set, request, &key, error));
    if (request->fit == US_FIT_TILE) US_TRY(measure(o, error));
    if (us_fitted_find(&key, o->file)) return UNSEEN_OK;
    const double started = us_clock();
    US_TRY(us_photograph_start(error));
    US_TRY(us_photographs_look(o->set, &majority, error));
    const us_photograph_form form = {
        .height = request->height,
        .width = request->width,
        .channels = request->channels == 1 || request->channels == 3 ? request->channels
                    : majority.colour                                ? 3
                                                                     : 1,
        .value_bytes = majority.deep && !request->list.masks ? 2 : 1,
        .fit = request->fit == US_FIT_TILE ? US_FIT_RESIZE : request->fit,
        .mask = request->list.masks};
    const size_t bytes = US_NPY_HEADER + us_photograph_bytes(&form) * (size_t)count_images(o);
    US_TRY(us_fitted_begin(&key, bytes, o->file, error));
    unseen_status status = decode(o, &form, error);
    if (status == UNSEEN_OK)
        tell_decoded(o, &form, us_clock() - started);
    else
        us_fitted_abandon(o->file);
    return status;
}

/* ---- opening ---- */

static void tell(const us_file_set *set, const us_photographs_request *request) {
    char skipped[256] = "", classes[96] = "";
    if (set->skipped)
        snprintf(skipped, sizeof skipped, "; %lld other file%s left out, %s%s",
                 (long long)set->skipped, set->skipped == 1 ? " is" : "s are",
                 set->skipped == 1 ? "" : "first ", set->first_skipped);
    if (set->labels.count && set->labels.words)
        snprintf(classes, sizeof classes, " of %lld class%s", (long long)set->labels.word_count,
                 set->labels.word_count == 1 ? "" : "es");
    us_event_message(request->events, UNSEEN_EVENT_MESSAGE, "%s: %lld photograph%s%s, %s %dx%d%s",
                     set->path, (long long)set->count, set->count == 1 ? "" : "s", classes,
                     request->fit == US_FIT_RESIZE ? "resized to"
                     : request->fit == US_FIT_PAD  ? "resized and padded to"
                     : request->fit == US_FIT_CROP ? "resized and cropped to"
                                                   : "cut into windows of",
                     request->height, request->width, skipped);
}

static unseen_status name_images(const opening *o, us_images *images, unseen_error *error) {
    us_file_set *set = o->set;
    US_TRY(us_file_set_ids(set, "images", &images->ids, error));
    images->ids.path = images->path;
    images->labels = set->labels;
    set->labels = (us_labels){0};
    images->tiling = *o->tiling;
    *o->tiling = (us_tiling){0};
    return UNSEEN_OK;
}

static unseen_status open_array(const opening *o, us_images *images, unseen_error *error) {
    const us_photographs_request *request = o->request;
    const us_layout_request layout = {.layout = US_LAYOUT_NHWC,
                                      .when = US_LAYOUT_ALWAYS,
                                      .channels = request->channels,
                                      .height = request->height,
                                      .width = request->width};
    US_TRY(us_images_open_fitted(o->set->path, o->file, &layout, images, error));
    unseen_status status =
        images->count == count_images(o) ? name_images(o, images, error) : UNSEEN_BAD_INPUT;
    if (status == UNSEEN_BAD_INPUT)
        us_fail(error, status, "%s: damaged: it holds %lld images instead of %lld: remove it",
                o->file->path, (long long)images->count, (long long)count_images(o));
    if (status != UNSEEN_OK) us_images_close(images);
    return status;
}

unseen_status us_photographs_list(const char *path, const us_photographs_request *request,
                                  us_file_set *set, unseen_error *error) {
    us_file_set_request wanted = {.list = request->list};
    bool are;
    US_TRY(find_kind(path, &are, &wanted.kind, error));
    return us_file_set_open(path, &wanted, set, error);
}

unseen_status us_photographs_open(const char *path, const us_photographs_request *request,
                                  us_images *images, unseen_error *error) {
    us_file_set set;
    us_fitted_file file = {0};
    us_tiling tiling = {0};
    memset(images, 0, sizeof *images);
    US_TRY(us_photographs_list(path, request, &set, error));
    tell(&set, request);
    const opening o = {request, &set, &file, &tiling};
    unseen_status status = make(&o, error);
    if (status == UNSEEN_OK) status = open_array(&o, images, error);
    us_fitted_close(&file);
    us_tiling_release(&tiling);
    us_file_set_close(&set);
    return status;
}
