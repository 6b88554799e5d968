/* SPDX-License-Identifier: MIT */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"

enum { HEAD = 4096 };

/* ---- streams ---- */

/* The descriptor that a path stands for: by its name, or because it is the file that standard
 * output or standard error goes to, where another one would write over what they write. -1: none.
 */
static int descriptor_of(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    struct stat file, open_file;
    if (strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
    for (int i = 0; i < 2; i++) {
        const char *number = path + strlen(folders[i]);
        if (strncmp(path, folders[i], strlen(folders[i])) != 0) continue;
        size_t digits = strspn(number, "0123456789");
        if (digits && digits < 9 && !number[digits]) return atoi(number);
    }
    if (stat(path, &file) != 0) return -1;
    for (int descriptor = STDOUT_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        if (fstat(descriptor, &open_file) == 0 && open_file.st_dev == file.st_dev &&
            open_file.st_ino == file.st_ino)
            return descriptor;
    return -1;
}

/* A device that holds files is written by other programs. */
static bool is_stream(const char *path) {
    struct stat about;
    return descriptor_of(path) >= 0 ||
           (stat(path, &about) == 0 && (S_ISCHR(about.st_mode) || S_ISFIFO(about.st_mode)));
}

static unseen_status fail_write(const char *path, unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: cannot write: %s", path, strerror(errno));
}

/* Opening a pipe to see whether it can be opened would end it for its reader. */
static unseen_status check_stream(const char *path, unseen_error *error) {
    int descriptor = descriptor_of(path);
    if (descriptor < 0) return access(path, W_OK) == 0 ? UNSEEN_OK : fail_write(path, error);
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_RDONLY) errno = EBADF;
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY ? UNSEEN_OK : fail_write(path, error);
}

unseen_status us_output_begin(const char *path, us_file_writer *writer, unseen_error *error) {
    if (!is_stream(path)) return us_file_begin(path, writer, error);
    *writer = (us_file_writer){.path = strdup(path)};
    if (!writer->path) return us_fail_memory(error, "a path");
    int own = descriptor_of(path);
    int descriptor = own >= 0 ? fcntl(own, F_DUPFD_CLOEXEC, 0)
                              : open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
    if (descriptor >= 0) writer->stream = fdopen(descriptor, "wb");
    if (writer->stream) return UNSEEN_OK;
    unseen_status status = fail_write(path, error);
    if (descriptor >= 0) close(descriptor);
    us_file_abandon(writer);
    return status;
}

/* ---- checks ---- */

unseen_status us_output_check(const us_output *output, unseen_error *error) {
    if (!output->path) return UNSEEN_OK;
    if (*output->path && is_stream(output->path)) return check_stream(output->path, error);
    if (us_folder_keeps(output->path))
        return us_fail(
            error, UNSEEN_BAD_INPUT,
            "%s: a file of the run or sweep in that folder, which %s would replace: give "
            "another name",
            output->path, output->option);
    return us_file_check(output->path, error);
}

/* The beginning of a file, NUL-terminated; false: it cannot be read. */
static bool read_head(const char *path, char head[HEAD + 1], size_t *size) {
    FILE *file = fopen(path, "rbe");
    *size = file ? fread(head, 1, HEAD, file) : 0;
    bool read = file && !ferror(file);
    if (file) fclose(file);
    head[*size] = '\0';
    return read;
}

unseen_status us_output_replaces(const us_output *output, unseen_error *error) {
    char head[HEAD + 1];
    size_t size;
    if (!output->path || is_stream(output->path) || !us_file_exists(output->path)) return UNSEEN_OK;
    bool known = read_head(output->path, head, &size) &&
                 (size == 0 || output->recognize(head, output->what));
    if (known) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s is there already, and does not look like what %s would write: give another "
                   "name, or replace it with --overwrite",
                   output->path, output->option);
}

unseen_status us_output_spares(const us_output *output, const char *what, const char *path,
                               unseen_error *error) {
    if (!output->path || !path || !us_same_file(output->path, path)) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s (%s) is the same file as %s (%s): give it another name", output->path,
                   output->option, path, what);
}
