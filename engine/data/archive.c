/* SPDX-License-Identifier: MIT */
/* Reading archives by libarchive. */
#include "data/archive.h"

#include <stdlib.h>
#include <string.h>

#if UNSEEN_LIBARCHIVE

#include <archive.h>
#include <archive_entry.h>

struct us_archive {
    const char *path;
    struct archive *reader;
    int64_t next; /* place of the next regular file */
    bool ended;
};

static unseen_status fail_read(const us_archive *archive, unseen_error *error) {
    const char *text = archive_error_string(archive->reader);
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: cannot be read as an archive: %.200s",
                   archive->path, text ? text : "it is damaged");
}

unseen_status us_archive_open(const char *path, us_archive **out, unseen_error *error) {
    enum { PIECE = 1 << 17 };
    us_archive *archive = calloc(1, sizeof *archive);
    *out = archive;
    if (!archive || !(archive->reader = archive_read_new())) {
        us_archive_close(archive);
        *out = NULL;
        return us_fail_memory(error, "an archive");
    }
    archive->path = path;
    archive_read_support_filter_all(archive->reader);
    archive_read_support_format_tar(archive->reader);
    archive_read_support_format_zip(archive->reader);
    if (archive_read_open_filename(archive->reader, path, PIECE) == ARCHIVE_OK) return UNSEEN_OK;
    unseen_status status = fail_read(archive, error);
    us_archive_close(archive);
    *out = NULL;
    return status;
}

void us_archive_close(us_archive *archive) {
    if (!archive) return;
    if (archive->reader) archive_read_free(archive->reader);
    free(archive);
}

/* The name without what many programs put before it. */
static const char *name_of(struct archive_entry *entry) {
    const char *name = archive_entry_pathname(entry);
    if (!name) name = archive_entry_pathname_utf8(entry);
    if (!name) name = "";
    while (strncmp(name, "./", 2) == 0 || *name == '/')
        name += *name == '/' ? 1 : 2;
    return name;
}

unseen_status us_archive_next(us_archive *archive, us_member *member, bool *found,
                              unseen_error *error) {
    struct archive_entry *entry;
    for (*found = !archive->ended;;) {
        if (!*found) return UNSEEN_OK;
        const int code = archive_read_next_header(archive->reader, &entry);
        archive->ended = code == ARCHIVE_EOF;
        *found = !archive->ended;
        if (archive->ended) continue;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return fail_read(archive, error);
        if (archive_entry_filetype(entry) == AE_IFREG) break;
    }
    *member = (us_member){.name = name_of(entry),
                          .place = archive->next++,
                          .size = archive_entry_size(entry),
                          .modified = archive_entry_mtime(entry)};
    return UNSEEN_OK;
}

unseen_status us_archive_piece(us_archive *archive, void *bytes, size_t room, size_t *got,
                               unseen_error *error) {
    la_ssize_t size = archive_read_data(archive->reader, bytes, room);
    *got = size > 0 ? (size_t)size : 0;
    return size < 0 ? fail_read(archive, error) : UNSEEN_OK;
}

#else

static unseen_status fail_absent(const char *path, unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: it looks like an archive (tar, zip, .npz), and this program was built "
                   "without libarchive, which reads them: install libarchive-dev and build it "
                   "again, or unpack the archive",
                   path);
}

unseen_status us_archive_open(const char *path, us_archive **archive, unseen_error *error) {
    *archive = NULL;
    return fail_absent(path, error);
}

void us_archive_close(us_archive *archive) {
    (void)archive;
}

unseen_status us_archive_next(us_archive *archive, us_member *member, bool *found,
                              unseen_error *error) {
    (void)archive;
    (void)member;
    *found = false;
    return fail_absent("an archive", error);
}

unseen_status us_archive_piece(us_archive *archive, void *bytes, size_t room, size_t *got,
                               unseen_error *error) {
    (void)archive;
    (void)bytes;
    (void)room;
    *got = 0;
    return fail_absent("an archive", error);
}

#endif

unseen_status us_archive_read(us_archive *archive, size_t limit, char **bytes, size_t *size,
                              unseen_error *error) {
    size_t room = 1 << 16, got;
    *size = 0;
    *bytes = NULL;
    for (;;) {
        char *longer = realloc(*bytes, room);
        if (!longer) {
            free(*bytes);
            *bytes = NULL;
            return us_fail_memory(error, "a file of an archive");
        }
        *bytes = longer;
        unseen_status status = us_archive_piece(archive, longer + *size, room - *size, &got, error);
        *size += got;
        if (status == UNSEEN_OK && *size > limit)
            status = us_fail(error, UNSEEN_BAD_INPUT, "larger than %zu bytes", limit);
        if (status != UNSEEN_OK) {
            free(*bytes);
            *bytes = NULL;
            return status;
        }
        if (got == 0) return UNSEEN_OK;
        if (*size == room) room *= 2;
    }
}
