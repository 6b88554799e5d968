/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path that cannot be what the user meant is bad input; anything else is the system's failure. */
static unseen_status status_of(int code) {
    switch (code) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case ENAMETOOLONG:
    case ENXIO:
        return UNSEEN_BAD_INPUT;
    default:
        return UNSEEN_FAILURE;
    }
}

unseen_status us_fail_errno(unseen_error *error, const char *path, const char *what) {
    int code = errno;
    return us_fail(error, status_of(code), "%s: %s: %s", path, what, strerror(code));
}

static unseen_status open_for_reading(const char *path, int flags, int *descriptor,
                                      struct stat *status, unseen_error *error) {
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (*descriptor < 0) return us_fail_errno(error, path, "cannot open");
    if (fstat(*descriptor, status) != 0) {
        unseen_status failure = us_fail_errno(error, path, "cannot inspect");
        close(*descriptor);
        return failure;
    }
    if (S_ISDIR(status->st_mode)) {
        close(*descriptor);
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: is a folder, expected a file", path);
    }
    return UNSEEN_OK;
}

/* Reads up to `room` bytes; fewer only at the end of the file. -1: errno says why. */
static ssize_t read_up_to(int descriptor, char *bytes, size_t room) {
    size_t used = 0;
    while (used < room) {
        ssize_t got = read(descriptor, bytes + used, room - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

/* The size that a file claims is a hint only: pipes claim none, and a file may grow meanwhile. */
static unseen_status read_all(int descriptor, const char *path, size_t hint, size_t limit,
                              char **bytes, size_t *size, unseen_error *error) {
    size_t capacity = (hint && hint <= limit ? hint : limit < 65536 ? limit : 65536) + 1;
    size_t used = 0;
    char *buffer = NULL;
    for (;;) {
        char *larger = realloc(buffer, capacity + 1);
        if (!larger) {
            free(buffer);
            return us_fail_memory(error, path);
        }
        buffer = larger;
        ssize_t got = read_up_to(descriptor, buffer + used, capacity - used);
        if (got < 0) {
            free(buffer);
            return us_fail_errno(error, path, "cannot read");
        }
        used += (size_t)got;
        if (used > limit) {
            free(buffer);
            return us_fail(error, UNSEEN_BAD_INPUT, "%s: larger than %zu bytes", path, limit);
        }
        if (used < capacity) break;
        capacity = capacity <= limit / 2 ? capacity * 2 : limit + 1;
    }
    buffer[used] = '\0';
    *bytes = buffer;
    *size = used;
    return UNSEEN_OK;
}

unseen_status us_file_read_open(int descriptor, const struct stat *about, const char *path,
                                size_t limit, char **bytes, size_t *size, unseen_error *error) {
    bool regular = S_ISREG(about->st_mode);
    *bytes = NULL;
    *size = 0;
    if (limit > SIZE_MAX / 2 - 2) limit = SIZE_MAX / 2 - 2;
    if (regular && (uintmax_t)about->st_size > limit)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: %jd bytes, more than the %zu allowed here",
                       path, (intmax_t)about->st_size, limit);
    return read_all(descriptor, path, regular ? (size_t)about->st_size : 0, limit, bytes, size,
                    error);
}

/* A pipe that the caller of this process has opened, as `<(...)` or `|` do. One that lies in a
 * folder may have no writer, and anybody who can write to the folder can put one there. */
static bool is_given_pipe(const char *path, const struct stat *about) {
    return S_ISFIFO(about->st_mode) &&
           (strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
            strncmp(path, "/proc/self/fd/", 14) == 0);
}

static unseen_status check_readable(int descriptor, const char *path, const struct stat *about,
                                    unseen_error *error) {
    if (S_ISREG(about->st_mode)) return UNSEEN_OK;
    if (is_given_pipe(path, about)) {
        int flags = fcntl(descriptor, F_GETFL);
        if (flags < 0 || fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) != 0)
            return us_fail_errno(error, path, "cannot wait for");
        return UNSEEN_OK;
    }
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: %s, expected a regular file%s", path,
                   S_ISFIFO(about->st_mode) ? "is a named pipe" : "is a device",
                   S_ISFIFO(about->st_mode) ? " (a pipe is read as /dev/stdin)" : "");
}

unseen_status us_file_read(const char *path, size_t limit, char **bytes, size_t *size,
                           unseen_error *error) {
    *bytes = NULL;
    *size = 0;
    int descriptor;
    struct stat about;
    /* A named pipe that nobody writes to would be waited for already when it is opened. */
    US_TRY(open_for_reading(path, O_NONBLOCK | O_NOCTTY, &descriptor, &about, error));
    unseen_status status = check_readable(descriptor, path, &about, error);
    if (status == UNSEEN_OK)
        status = us_file_read_open(descriptor, &about, path, limit, bytes, size, error);
    close(descriptor);
    return status;
}

/* A pipe cannot be mapped: it is refused rather than waited for. */
unseen_status us_file_open_regular(const char *path, int *descriptor, struct stat *about,
                                   unseen_error *error) {
    US_TRY(open_for_reading(path, O_NONBLOCK, descriptor, about, error));
    if (S_ISREG(about->st_mode)) return UNSEEN_OK;
    close(*descriptor);
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: not a regular file, so it cannot be mapped", path);
}

/* The folder of a path, on the heap: "." for a bare name. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* ---- temporaries ---- */

static char *temporary_path(const char *folder, long process, int attempt) {
    char *path;
    return asprintf(&path, "%s/.unseen-%ld-%d.tmp", folder, process, attempt) < 0 ? NULL : path;
}

/* A writer locks its temporary file, so that another process does not take it for that of a dead
 * one; process numbers are no proof, as another machine may use the same. Without locks in the file
 * system, the temporary file is used unlocked. */
static bool hold_temporary(int descriptor) {
    struct stat about;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    return fstat(descriptor, &about) != 0 || about.st_nlink > 0; /* not known: it is there */
}

/* Opens a new file beside the target, with the mode that an ordinary new file would get (which
 * mkstemp would not give). Its name is short whatever the target's length. */
static int open_temporary(const char *folder, char **temporary) {
    for (int attempt = 0; attempt < 10000; attempt++) {
        *temporary = temporary_path(folder, (long)getpid(), attempt);
        errno = ENOMEM;
        int descriptor =
            *temporary ? open(*temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
        if (descriptor >= 0 && hold_temporary(descriptor)) return descriptor;
        int code = descriptor >= 0 ? EEXIST : errno;
        if (descriptor >= 0) {
            unlink(*temporary);
            close(descriptor);
        }
        free(*temporary);
        *temporary = NULL;
        errno = code;
        if (code != EEXIST) break;
    }
    return -1;
}

/* ".unseen-PID-N.tmp" of a process that is no more. */
static bool is_orphan(const char *name) {
    long process = 0;
    int attempt = 0;
    char again[64];
    if (sscanf(name, ".unseen-%ld-%d.tmp", &process, &attempt) != 2 || process < 1) return false;
    snprintf(again, sizeof again, ".unseen-%ld-%d.tmp", process, attempt);
    return strcmp(again, name) == 0 && kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

static void remove_orphan(int folder, const char *name) {
    struct stat about;
    int descriptor = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return;
    if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode) && about.st_uid == geteuid() &&
        flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        unlinkat(folder, name, 0);
    close(descriptor);
}

void us_file_sweep(const char *folder) {
    DIR *entries = opendir(folder);
    if (!entries) return;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (is_orphan(entry->d_name)) remove_orphan(dirfd(entries), entry->d_name);
    closedir(entries);
}

static void writer_reset(us_file_writer *writer) {
    free(writer->path);
    free(writer->temporary);
    *writer = (us_file_writer){0};
}

unseen_status us_file_begin(const char *path, us_file_writer *writer, unseen_error *error) {
    *writer = (us_file_writer){0};
    if (!*path) return us_fail(error, UNSEEN_BAD_INPUT, "the name of a file to write is empty");
    /* Replacing a device or a folder by a file is never meant; a link keeps pointing where it did.
     */
    struct stat about;
    bool exists = stat(path, &about) == 0;
    if (exists && !S_ISREG(about.st_mode))
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: not a regular file, so it is not replaced",
                       path);
    writer->path = exists ? realpath(path, NULL) : strdup(path);
    if (!writer->path) return us_fail_errno(error, path, "cannot resolve");

    char *folder = folder_of(writer->path);
    if (folder) us_file_sweep(folder);
    int descriptor = folder ? open_temporary(folder, &writer->temporary) : -1;
    int code = folder ? errno : ENOMEM;
    free(folder);
    errno = code;
    if (descriptor < 0) {
        unseen_status status = us_fail_errno(error, path, "cannot write");
        writer_reset(writer);
        return status;
    }
    /* Best effort: a file system without modes is no reason to fail. */
    if (exists && fchmod(descriptor, about.st_mode & 0777) != 0) errno = 0;
    writer->stream = fdopen(descriptor, "wb");
    if (!writer->stream) {
        unseen_status status = us_fail_errno(error, path, "cannot write");
        close(descriptor);
        unlink(writer->temporary);
        writer_reset(writer);
        return status;
    }
    return UNSEEN_OK;
}

/* After the rename, so the file is whole already; this makes the new name survive a power cut. */
static unseen_status sync_folder(const char *path, unseen_error *error) {
    char *folder = folder_of(path);
    if (!folder) return us_fail_memory(error, path);
    unseen_status status = UNSEEN_OK;
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A folder may be writable without being readable, and some file systems cannot sync one. */
    if (descriptor >= 0) {
        if (fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
            status = us_fail_errno(error, path, "written, but its folder cannot be synchronized");
        close(descriptor);
    }
    free(folder);
    return status;
}

unseen_status us_file_commit(us_file_writer *writer, unseen_error *error) {
    if (!writer->stream)
        return us_fail(error, UNSEEN_FAILURE, "no file is open for writing: nothing was written");
    /* An earlier write's reason is lost by now, unless the flush meets it again. */
    errno = 0;
    bool failed = fflush(writer->stream) != 0;
    failed = failed || ferror(writer->stream) ||
             (writer->temporary && fsync(fileno(writer->stream)) != 0);
    int code = errno;
    /* The temporary is held until it has its name. */
    int held = writer->temporary ? fcntl(fileno(writer->stream), F_DUPFD_CLOEXEC, 0) : -1;
    failed = fclose(writer->stream) != 0 || failed;
    writer->stream = NULL;
    errno = code ? code : failed ? EIO : 0;
    unseen_status status = UNSEEN_OK;
    if (failed || (writer->temporary && rename(writer->temporary, writer->path) != 0)) {
        status = us_fail_errno(error, writer->path, "cannot write");
        if (writer->temporary) unlink(writer->temporary);
    } else if (writer->temporary) {
        status = sync_folder(writer->path, error);
    }
    if (held >= 0) close(held);
    writer_reset(writer);
    return status;
}

void us_file_abandon(us_file_writer *writer) {
    if (writer->stream) {
        fclose(writer->stream);
        if (writer->temporary) unlink(writer->temporary);
    }
    writer_reset(writer);
}

unseen_status us_file_check(const char *path, unseen_error *error) {
    us_file_writer writer;
    US_TRY(us_file_begin(path, &writer, error));
    us_file_abandon(&writer);
    return UNSEEN_OK;
}

unseen_status us_file_write(const char *path, const void *bytes, size_t size, unseen_error *error) {
    us_file_writer writer;
    US_TRY(us_file_begin(path, &writer, error));
    if (size && fwrite(bytes, 1, size, writer.stream) != size) {
        unseen_status status = us_fail_errno(error, path, "cannot write");
        us_file_abandon(&writer);
        return status;
    }
    return us_file_commit(&writer, error);
}

/* mkdir where nothing is there yet. What mkdir says of an existing folder varies (EEXIST, EROFS,
 * EACCES), so the folder itself is asked. */
static unseen_status ensure_folder(const char *path, const char *whole, unseen_error *error) {
    if (mkdir(path, 0777) == 0) return UNSEEN_OK;
    int code = errno;
    struct stat about;
    if (stat(path, &about) == 0) {
        if (S_ISDIR(about.st_mode)) return UNSEEN_OK;
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: cannot create the folder: %s is a file", whole,
                       path);
    }
    return us_fail(error, status_of(code), "%s: cannot create the folder %s: %s", whole, path,
                   strerror(code));
}

unseen_status us_folder_create(const char *path, unseen_error *error) {
    if (!*path) return us_fail(error, UNSEEN_BAD_INPUT, "the name of a folder to create is empty");
    char *prefix = strdup(path);
    if (!prefix) return us_fail_memory(error, path);
    unseen_status status = UNSEEN_OK;
    for (char *slash = strchr(prefix + 1, '/'); slash && status == UNSEEN_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = ensure_folder(prefix, path, error);
        *slash = '/';
    }
    free(prefix);
    if (status == UNSEEN_OK) status = ensure_folder(path, path, error);
    if (status == UNSEEN_OK && faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) != 0)
        status = us_fail_errno(error, path, "the folder is not writable");
    return status;
}

bool us_file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

char *us_path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    const char *slash = length == 0 || folder[length - 1] == '/' ? "" : "/";
    char *path;
    return asprintf(&path, "%s%s%s", folder, slash, name) < 0 ? NULL : path;
}

char *us_path_resolve(const char *path) {
    char *whole = realpath(path, NULL);
    if (whole || errno != ENOENT) return whole;
    char *folder = folder_of(path), *real = folder ? realpath(folder, NULL) : NULL;
    const char *slash = strrchr(path, '/');
    if (real) whole = us_path_join(real, slash ? slash + 1 : path);
    free(folder);
    free(real);
    return whole;
}

bool us_same_file(const char *a, const char *b) {
    struct stat one, other, null;
    bool one_exists = stat(a, &one) == 0, other_exists = stat(b, &other) == 0;
    if (one_exists != other_exists) return false;
    if (one_exists) {
        bool is_null =
            S_ISCHR(one.st_mode) && stat("/dev/null", &null) == 0 && null.st_rdev == one.st_rdev;
        return one.st_dev == other.st_dev && one.st_ino == other.st_ino && !is_null;
    }
    char *first = us_path_resolve(a), *second = us_path_resolve(b);
    bool same = first && second && strcmp(first, second) == 0;
    free(first);
    free(second);
    return same;
}

/* An absolute path of the environment; NULL else, as the XDG specification has it. */
static const char *environment_folder(const char *name) {
    const char *folder = getenv(name);
    return folder && *folder == '/' ? folder : NULL;
}

char *us_cache_folder(void) {
    const char *own = getenv("UNSEEN_CACHE_DIR");
    if (own && *own) return strdup(own);
    const char *caches = environment_folder("XDG_CACHE_HOME");
    if (caches) return us_path_join(caches, "unseen");
    const char *home = environment_folder("HOME");
    return home ? us_path_join(home, ".cache/unseen") : NULL;
}
