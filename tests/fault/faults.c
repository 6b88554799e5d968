/* SPDX-License-Identifier: MIT */
/* Calls that fail on request. The program `unseen` is linked with --wrap for each call of calls.h,
 * so that those made by our own code, and no driver's, come here.
 *
 *   UNSEEN_FAULT=NAME:N    the Nth call of NAME fails
 *   UNSEEN_FAULT=NAME:N+   that one and every later one of NAME
 *   UNSEEN_FAULT=NAME:N!   the process is killed when it makes that call
 *   UNSEEN_FAULT_COUNT=F   F gets "NAME calls" for each call at exit, and "fault NAME N address"
 * when one fails, the address as addr2line takes it
 *
 * Calls are counted in memory that forked processes share. Writing to stderr never fails, because
 * what is written there is what is to be judged. */
#include <CL/cl.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void(CL_CALLBACK *us_program_callback)(cl_program, void *);
typedef void(CL_CALLBACK *us_memory_callback)(cl_mem, void *);
typedef void(CL_CALLBACK *us_event_callback)(cl_event, cl_int, void *);
typedef void(CL_CALLBACK *us_context_callback)(const char *, const void *, size_t, void *);

/* ---- the names ---- */

enum {
#define CALL(result, name, parameters, arguments, failure, code) CALL_##name,
#define STATUS(name, parameters, arguments, code) CALL_##name,
#define HANDLE(type, name, parameters, arguments, code) CALL_##name,
#define BLAST(name, parameters, arguments, code) CALL_##name,
#define OWN(name) CALL_##name,
#include "calls.h"
    CALLS
};
#undef CALL
#undef STATUS
#undef HANDLE
#undef BLAST
#undef OWN

static const char *const call_names[] = {
#define CALL(result, name, parameters, arguments, failure, code) #name,
#define STATUS(name, parameters, arguments, code) #name,
#define HANDLE(type, name, parameters, arguments, code) #name,
#define BLAST(name, parameters, arguments, code) #name,
#define OWN(name) #name,
#include "calls.h"
};
#undef CALL
#undef STATUS
#undef HANDLE
#undef BLAST
#undef OWN

/* ---- what fails ---- */

static struct {
    int call; /* index of the name; -1: none */
    long number;
    bool always, deadly;
    int report; /* descriptor of UNSEEN_FAULT_COUNT; -1: none */
    pid_t owner;
    atomic_long *counts;
} faults = {.call = -1, .report = -1};

extern const char __executable_start[];
int __real_kill(pid_t process, int signal);
void *__real_malloc(size_t size);

static void report_fault(long number, const void *caller) {
    if (faults.report >= 0)
        dprintf(faults.report, "fault %s %ld 0x%zx\n", call_names[faults.call], number,
                (size_t)((const char *)caller - __executable_start));
}

/* Counts a call and decides whether it fails. */
static bool fails(int call, const void *caller) {
    if (!faults.counts) return false;
    long number = atomic_fetch_add(&faults.counts[call], 1) + 1;
    if (call != faults.call) return false;
    if (number != faults.number && !(faults.always && number > faults.number)) return false;
    if (number == faults.number) report_fault(number, caller);
    if (faults.deadly) {
        __real_kill(faults.owner, SIGKILL);
        raise(SIGKILL);
    }
    return true;
}

static void *cjson_malloc(size_t size) {
    return fails(CALL_cJSON, __builtin_return_address(0)) ? NULL : __real_malloc(size);
}

static void wrong_request(const char *text) {
    fprintf(stderr, "UNSEEN_FAULT=%s: expected NAME:N, NAME:N+ or NAME:N!\n", text);
    _exit(99);
}

static void parse_request(const char *text) {
    const char *colon = strchr(text, ':');
    if (!colon) wrong_request(text);
    for (int i = 0; i < CALLS; i++)
        if (strlen(call_names[i]) == (size_t)(colon - text) &&
            strncmp(call_names[i], text, (size_t)(colon - text)) == 0)
            faults.call = i;
    char *end;
    faults.number = strtol(colon + 1, &end, 10);
    faults.always = *end == '+';
    faults.deadly = *end == '!';
    if (faults.call < 0 || faults.number < 1 || (*end && end[1])) wrong_request(text);
}

__attribute__((constructor)) static void begin(void) {
    const char *request = getenv("UNSEEN_FAULT"), *report = getenv("UNSEEN_FAULT_COUNT");
    if (request && *request) parse_request(request);
    if (report) faults.report = open(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    faults.owner = getpid();
    void *shared = mmap(NULL, CALLS * sizeof *faults.counts, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) _exit(99);
    cJSON_InitHooks(&(cJSON_Hooks){cjson_malloc, free});
    faults.counts = shared;
}

__attribute__((destructor)) static void end(void) {
    if (faults.report < 0 || getpid() != faults.owner) return;
    for (int i = 0; i < CALLS; i++)
        dprintf(faults.report, "%s %ld\n", call_names[i], atomic_load(&faults.counts[i]));
}

/* ---- the calls of the table ---- */

#define CALL(result, name, parameters, arguments, failure, code)                                   \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters {                                                              \
        if (!fails(CALL_##name, __builtin_return_address(0))) return __real_##name arguments;      \
        errno = code;                                                                              \
        return failure;                                                                            \
    }
#define STATUS(name, parameters, arguments, code)                                                  \
    cl_int __real_##name parameters;                                                               \
    cl_int __wrap_##name parameters;                                                               \
    cl_int __wrap_##name parameters {                                                              \
        return fails(CALL_##name, __builtin_return_address(0)) ? code : __real_##name arguments;   \
    }
#define HANDLE(type, name, parameters, arguments, code)                                            \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters {                                                                \
        if (!fails(CALL_##name, __builtin_return_address(0))) return __real_##name arguments;      \
        if (code_out) *code_out = code;                                                            \
        return NULL;                                                                               \
    }
#if UNSEEN_CLBLAST
#define BLAST STATUS
#else
#define BLAST(name, parameters, arguments, code)
#endif
#define OWN(name)
#include "calls.h"

/* ---- calls with any number of arguments, and streams ---- */

#define FAILS(name) fails(CALL_##name, __builtin_return_address(0))

#define OPEN(name)                                                                                 \
    int __real_##name(const char *path, int flags, mode_t mode);                                   \
    int __wrap_##name(const char *path, int flags, mode_t mode);                                   \
    int __wrap_##name(const char *path, int flags, mode_t mode) {                                  \
        if (!FAILS(name)) return __real_##name(path, flags, mode);                                 \
        errno = EMFILE;                                                                            \
        return -1;                                                                                 \
    }
#define OPENAT(name)                                                                               \
    int __real_##name(int at, const char *path, int flags, mode_t mode);                           \
    int __wrap_##name(int at, const char *path, int flags, mode_t mode);                           \
    int __wrap_##name(int at, const char *path, int flags, mode_t mode) {                          \
        if (!FAILS(name)) return __real_##name(at, path, flags, mode);                             \
        errno = EMFILE;                                                                            \
        return -1;                                                                                 \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...) {
    if (FAILS(asprintf)) {
        errno = ENOMEM;
        return -1;
    }
    va_list list;
    va_start(list, format);
    int length = __real_vasprintf(out, format, list);
    va_end(list);
    return length;
}

int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor) {
    int result = __real_close(descriptor);
    if (!FAILS(close)) return result;
    errno = EIO;
    return -1;
}

/* A full disk: the write is lost, and the stream knows of it, as glibc's own would. */
static bool write_fails(int call, FILE *stream, const void *caller) {
    if (stream == stderr || !fails(call, caller)) return false;
    stream->_flags |= _IO_ERR_SEEN;
    errno = ENOSPC;
    return true;
}
#define WRITE_FAILS(name, stream) write_fails(CALL_##name, stream, __builtin_return_address(0))

size_t __real_fwrite(const void *bytes, size_t size, size_t count, FILE *stream);
size_t __wrap_fwrite(const void *bytes, size_t size, size_t count, FILE *stream);
size_t __wrap_fwrite(const void *bytes, size_t size, size_t count, FILE *stream) {
    return WRITE_FAILS(fwrite, stream) ? 0 : __real_fwrite(bytes, size, count, stream);
}

int __real_fputs(const char *text, FILE *stream);
int __wrap_fputs(const char *text, FILE *stream);
int __wrap_fputs(const char *text, FILE *stream) {
    return WRITE_FAILS(fputs, stream) ? EOF : __real_fputs(text, stream);
}

int __real_fputc(int c, FILE *stream);
int __wrap_fputc(int c, FILE *stream);
int __wrap_fputc(int c, FILE *stream) {
    return WRITE_FAILS(fputc, stream) ? EOF : __real_fputc(c, stream);
}

int __wrap_putc(int c, FILE *stream);
int __wrap_putc(int c, FILE *stream) {
    return WRITE_FAILS(putc, stream) ? EOF : __real_fputc(c, stream);
}

int __wrap_putchar(int c);
int __wrap_putchar(int c) {
    return WRITE_FAILS(putchar, stdout) ? EOF : __real_fputc(c, stdout);
}

int __wrap_puts(const char *text);
int __wrap_puts(const char *text) {
    if (WRITE_FAILS(puts, stdout)) return EOF;
    return __real_fputs(text, stdout) < 0 ? EOF : __real_fputc('\n', stdout);
}

int __wrap_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int __wrap_printf(const char *format, ...) {
    if (WRITE_FAILS(printf, stdout)) return -1;
    va_list list;
    va_start(list, format);
    int length = vprintf(format, list);
    va_end(list);
    return length;
}

int __wrap_fprintf(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_fprintf(FILE *stream, const char *format, ...) {
    if (WRITE_FAILS(fprintf, stream)) return -1;
    va_list list;
    va_start(list, format);
    int length = vfprintf(stream, format, list);
    va_end(list);
    return length;
}

int __real_fflush(FILE *stream);
int __wrap_fflush(FILE *stream);
int __wrap_fflush(FILE *stream) {
    return stream && WRITE_FAILS(fflush, stream) ? EOF : __real_fflush(stream);
}

int __real_fclose(FILE *stream);
int __wrap_fclose(FILE *stream);
int __wrap_fclose(FILE *stream) {
    bool failed = WRITE_FAILS(fclose, stream);
    int result = __real_fclose(stream);
    if (!failed) return result;
    errno = ENOSPC;
    return EOF;
}
