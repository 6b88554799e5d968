/* SPDX-License-Identifier: MIT */
/* An OpenCL driver that misbehaves while platforms are listed, as BROKEN_DRIVER says: abort, crash,
 * exit, hang, in its constructor where that begins with "early ", or "beside" another driver alone.
 */
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void misbehave(const char *how) {
    if (strcmp(how, "abort") == 0) abort();
    if (strcmp(how, "crash") == 0) raise(SIGSEGV);
    if (strcmp(how, "exit") == 0) exit(0);
    while (strcmp(how, "hang") == 0)
        sleep(1);
}

static const char *wanted(void) {
    const char *how = getenv("BROKEN_DRIVER");
    return how ? how : "";
}

__attribute__((constructor)) static void begin(void) {
    if (strncmp(wanted(), "early ", 6) == 0) misbehave(wanted() + 6);
}

static int abort_beside_pocl(struct dl_phdr_info *library, size_t size, void *user) {
    (void)size;
    (void)user;
    if (strstr(library->dlpi_name, "libpocl")) abort();
    return 0;
}

/* No platform (CL_PLATFORM_NOT_FOUND_KHR). */
static int get_platforms(unsigned room, void **platforms, unsigned *count) {
    (void)room;
    (void)platforms;
    misbehave(wanted());
    if (strcmp(wanted(), "beside") == 0) dl_iterate_phdr(abort_beside_pocl, NULL);
    if (count) *count = 0;
    return -1001;
}

void *clGetExtensionFunctionAddress(const char *name);
void *clGetExtensionFunctionAddress(const char *name) {
    if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0) return (void *)(intptr_t)get_platforms;
    return NULL;
}

/* The loader wants to see it. */
int clGetPlatformInfo(void *platform, unsigned what, size_t room, void *value, size_t *size);
int clGetPlatformInfo(void *platform, unsigned what, size_t room, void *value, size_t *size) {
    (void)platform;
    (void)what;
    (void)room;
    (void)value;
    (void)size;
    return -32; /* CL_INVALID_PLATFORM */
}
