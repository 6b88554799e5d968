/* SPDX-License-Identifier: MIT */
/* What archives hold, and single files out of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "data/archive.h"
#include "data/gunzip.h"
#include "data/npy.h"
#include "data/photograph.h"

/* ---- paths ---- */

static bool is_regular(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/* Where the name of the member begins; NULL: the path is of no archive. */
static const char *member_of(const char *path) {
    struct stat about;
    if (stat(path, &about) == 0) return NULL;
    char *prefix = strdup(path);
    const char *member = NULL;
    for (char *colon; prefix && !member && (colon = strrchr(prefix, ':'));) {
        *colon = '\0';
        if (is_regular(prefix)) member = path + (colon - prefix) + 1;
    }
    free(prefix);
    return member && *member ? member : NULL;
}

char *us_archive_file(const char *path) {
    const char *member = member_of(path);
    return strndup(path, member ? (size_t)(member - path) - 1 : strlen(path));
}

/* ---- telling archives ---- */

enum { TAR_MAGIC = 257, TAR_HEAD = 512, HEAD = 1 << 15 };

static bool is_tar(const unsigned char *bytes, size_t size) {
    return size >= TAR_HEAD && memcmp(bytes + TAR_MAGIC, "ustar", 5) == 0;
}

/* Whether gzip packs a tar file. */
static bool packs_tar(const unsigned char *bytes, size_t size, const char *path) {
    us_gunzip reader = {0};
    unsigned char head[TAR_HEAD];
    size_t got = 0;
    if (us_gunzip_open(&reader, bytes, size, path, NULL) == UNSEEN_OK)
        us_gunzip_read(&reader, head, sizeof head, &got, NULL);
    us_gunzip_close(&reader);
    return is_tar(head, got);
}

static bool starts(const unsigned char *bytes, size_t size, const char *with, size_t length) {
    return size >= length && memcmp(bytes, with, length) == 0;
}

/* The other ways of compression pack nothing else that is read here. */
static bool is_archive(const unsigned char *bytes, size_t size, const char *path) {
    if (us_gunzip_is(bytes, size)) return packs_tar(bytes, size, path);
    return is_tar(bytes, size) || starts(bytes, size, "PK\3\4", 4) ||
           starts(bytes, size, "PK\5\6", 4) || starts(bytes, size, "BZh", 3) ||
           starts(bytes, size, "\xfd\x37zXZ", 5) || starts(bytes, size, "\x28\xb5\x2f\xfd", 4);
}

bool us_archive_is(const char *path) {
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat about;
    unsigned char *bytes = malloc(HEAD);
    ssize_t size = -1;
    if (descriptor >= 0 && bytes && fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode))
        size = read(descriptor, bytes, HEAD);
    if (descriptor >= 0) close(descriptor);
    bool is = size > 0 && is_archive(bytes, (size_t)size, path);
    free(bytes);
    return is;
}

/* ---- members ---- */

/* Files that systems put there: a part of the path begins with a dot, or it is of macOS. */
static bool is_hidden(const char *name) {
    return *name == '.' || strstr(name, "/.") || strncmp(name, "__MACOSX/", 9) == 0;
}

static bool is_array_name(const char *name) {
    const size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".npy") == 0;
}

typedef unseen_status (*visit)(const us_member *member, void *user, unseen_error *error);

static unseen_status walk(const char *path, visit function, void *user, unseen_error *error) {
    us_archive *archive;
    us_member member;
    bool found;
    US_TRY(us_archive_open(path, &archive, error));
    unseen_status status;
    for (;;) {
        US_CHECK(us_archive_next(archive, &member, &found, error));
        if (!found) break;
        if (!is_hidden(member.name)) US_CHECK(function(&member, user, error));
    }
done:
    us_archive_close(archive);
    return status;
}

static unseen_status add_photograph(const us_member *member, void *user, unseen_error *error) {
    us_file_set *set = user;
    if (!us_photograph_is_name(member->name, strlen(member->name))) {
        us_file_set_skip(set, member->name);
        return UNSEEN_OK;
    }
    const us_set_file file = {.name = (char *)member->name,
                              .size = member->size,
                              .modified.tv_sec = member->modified,
                              .place = member->place};
    return us_file_set_add(set, &file, error);
}

unseen_status us_archive_photographs(us_file_set *set, unseen_error *error) {
    return walk(set->path, add_photograph, set, error);
}

typedef struct look {
    us_archive_content content;
    char array[4096]; /* the first one */
    char names[256];  /* of arrays, for a message */
} look;

static unseen_status look_at(const us_member *member, void *user, unseen_error *error) {
    look *l = user;
    (void)error;
    l->content.photographs += us_photograph_is_name(member->name, strlen(member->name));
    if (!is_array_name(member->name)) return UNSEEN_OK;
    if (l->content.arrays++ == 0) snprintf(l->array, sizeof l->array, "%s", member->name);
    const size_t used = strlen(l->names);
    snprintf(l->names + used, sizeof l->names - used, "%s%s", used ? ", " : "", member->name);
    return UNSEEN_OK;
}

unseen_status us_archive_look(const char *path, us_archive_content *content, unseen_error *error) {
    look l = {0};
    unseen_status status = walk(path, look_at, &l, error);
    *content = l.content;
    return status;
}

/* The one array that an archive holds. */
static unseen_status find_array(const char *path, look *l, unseen_error *error) {
    US_TRY(walk(path, look_at, l, error));
    if (l->content.arrays == 1) return UNSEEN_OK;
    if (l->content.arrays == 0)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: an archive that holds no .npy array%s", path,
                       l->content.photographs ? ", but photographs" : "");
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: an archive that holds %lld arrays (%s): say which, as in %s:%s", path,
                   (long long)l->content.arrays, l->names, path, l->array);
}

/* ---- unpacking ---- */

static us_digest_text key_of(const char *path, const char *member) {
    struct stat about;
    char *real = realpath(path, NULL);
    us_digest_stream *stream = us_digest_begin();
    us_digest_text key = {"unknown"};
    if (stream && real && stat(path, &about) == 0) {
        const int64_t numbers[] = {1, about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec};
        us_digest_add(stream, numbers, sizeof numbers);
        us_digest_add(stream, real, strlen(real) + 1);
        us_digest_add(stream, member, strlen(member));
    }
    free(real);
    if (stream) key = us_digest_end(stream);
    return key;
}

static bool write_all(int descriptor, const char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t wrote = write(descriptor, bytes + done, size - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return false;
        done += (size_t)wrote;
    }
    return true;
}

/* As much as the array's header says and one byte more, which is then found to be too much; other
 * files up to a limit. */
static unseen_status copy_member(us_archive *archive, int descriptor, unseen_error *error) {
    enum { PIECE = 1 << 17 };
    size_t limit = (size_t)4 << 30, done = 0, got;
    char *piece = malloc(PIECE);
    if (!piece) return us_fail_memory(error, "unpacking");
    unseen_status status;
    do {
        US_CHECK(us_archive_piece(archive, piece, PIECE, &got, error));
        us_array_header header;
        if (done == 0 && us_npy_is((unsigned char *)piece, got) &&
            us_npy_header((unsigned char *)piece, got, "", &header, NULL) == UNSEEN_OK)
            limit = header.offset + header.bytes;
        if (!write_all(descriptor, piece, got))
            US_CHECK(us_fail(error, UNSEEN_FAILURE, "cannot unpack it: %s", strerror(errno)));
        done += got;
    } while (got > 0 && done <= limit);
    status = UNSEEN_OK;
done:
    free(piece);
    return status;
}

static bool is_called(const char *name, const char *wanted) {
    const size_t length = strlen(wanted);
    return strncmp(name, wanted, length) == 0 &&
           (!name[length] || strcmp(name + length, ".npy") == 0);
}

static unseen_status find_member(us_archive *archive, const char *path, const char *wanted,
                                 unseen_error *error) {
    us_member member;
    bool found;
    do {
        US_TRY(us_archive_next(archive, &member, &found, error));
        if (found && is_called(member.name, wanted)) return UNSEEN_OK;
    } while (found);
    look l = {0};
    US_TRY(walk(path, look_at, &l, error));
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: the archive holds no file %s; its arrays are: %s",
                   path, wanted, *l.names ? l.names : "none");
}

static unseen_status unpack_member(const char *path, const char *member, us_fitted_file *file,
                                   unseen_error *error) {
    const us_digest_text key = key_of(path, member);
    us_archive *archive;
    if (us_fitted_find(&key, file)) return UNSEEN_OK;
    US_TRY(us_archive_open(path, &archive, error));
    unseen_status status = find_member(archive, path, member, error);
    if (status == UNSEEN_OK) status = us_fitted_begin(&key, 0, file, error);
    if (status == UNSEEN_OK) {
        status = copy_member(archive, file->writer.descriptor, error);
        if (status == UNSEEN_OK) status = us_fitted_commit(file, error);
        if (status != UNSEEN_OK) us_fitted_abandon(file);
        if (status != UNSEEN_OK) us_error_context(error, "%s:%s", path, member);
    }
    us_archive_close(archive);
    return status;
}

unseen_status us_archive_unpack(const char *path, us_fitted_file *file, unseen_error *error) {
    *file = (us_fitted_file){0};
    const char *member = member_of(path);
    if (!member && !us_archive_is(path)) return UNSEEN_OK;
    char *archive = us_archive_file(path);
    if (!archive) return us_fail_memory(error, "a path");
    look l = {0};
    unseen_status status = member ? UNSEEN_OK : find_array(archive, &l, error);
    if (status == UNSEEN_OK)
        status = unpack_member(archive, member ? member : l.array, file, error);
    free(archive);
    return status;
}
