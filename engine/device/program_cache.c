/* SPDX-License-Identifier: MIT */
#include "device/program_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/private_file.h"
#include "device/process.h"

/* Measured, or known of implementations that cannot be measured here:
 * - PoCL keeps whole work-group functions, which is what takes long. Asking it for a binary makes
 * it compile every kernel once more, for groups of any size: 0.3 to 1 s each (PoCL 3.1).
 * - NVIDIA's driver keeps machine code in ~/.nv, while the binary that it gives away is PTX, to be
 *   compiled again.
 * Mesa's rusticl (22.3) has a cache, and yet takes 30 to 60 ms for a program of which it is given
 * the source and 2 to 9 ms for its binary. Where nothing is known, ours is used: at worst it stands
 * beside another one. */
bool us_program_cache_helps(const us_device *device) {
    static const char *const better[] = {"Portable Computing Language", "NVIDIA CUDA"};
    for (size_t i = 0; i < sizeof better / sizeof *better; i++)
        if (strstr(device->facts.platform_name, better[i])) return false;
    return true;
}

/* ---- keys ---- */

typedef struct cache_key {
    char *text;
    size_t length;
} cache_key;

static bool make_key(const us_device *device, const char *text, const char *options,
                     cache_key *key) {
    char platform[256] = "";
    key->text = NULL;
    key->length = 0;
    if (clGetPlatformInfo(device->platform, CL_PLATFORM_VERSION, sizeof platform, platform, NULL) !=
        CL_SUCCESS)
        return false; /* without the whole key nothing is kept */
    int length =
        asprintf(&key->text, "platform %s\nversion %s\ndevice %s\ndriver %s\nOpenCL %s\n%s\n%s",
                 device->facts.platform_name, platform, device->facts.name, device->facts.driver,
                 device->facts.version, options, text);
    if (length < 0) key->text = NULL;
    key->length = key->text ? (size_t)length : 0;
    return key->text != NULL;
}

static us_digest_text key_name(const cache_key *key) {
    return us_digest(key->text, key->length);
}

char *us_program_cache_path(const us_device *device, const char *text, const char *options) {
    cache_key key;
    char *cache = us_cache_folder(), *path = NULL;
    if (make_key(device, text, options, &key) && cache &&
        asprintf(&path, "%s/programs/%s", cache, key_name(&key).text) < 0)
        path = NULL;
    free(cache);
    free(key.text);
    return path;
}

/* ---- files: a line, the key, the binary ---- */

enum { HEAD_ROOM = 128, FILE_LIMIT = 256 << 20 };

static int head_of(char head[HEAD_ROOM], const cache_key *key, const unsigned char *binary,
                   size_t size) {
    return snprintf(head, HEAD_ROOM, "unseen program 2: key %zu, binary %zu, digest %s\n",
                    key->length, size, us_digest(binary, size).text);
}

/* The binary within a file's bytes; NULL where the file is not what was stored for this key. */
static const unsigned char *find_binary(const cache_key *key, const char *bytes, size_t size,
                                        size_t *binary_size) {
    const char *line = memchr(bytes, '\n', size < HEAD_ROOM ? size : HEAD_ROOM);
    size_t head_length = line ? (size_t)(line - bytes) + 1 : size;
    if (head_length > size || size - head_length <= key->length) return NULL;
    if (memcmp(bytes + head_length, key->text, key->length) != 0) return NULL;
    size_t start = head_length + key->length;
    const unsigned char *binary = (const unsigned char *)bytes + start;
    *binary_size = size - start;
    char head[HEAD_ROOM];
    int length = head_of(head, key, binary, *binary_size);
    bool same = (size_t)length == head_length && memcmp(head, bytes, head_length) == 0;
    return same ? binary : NULL;
}

static cl_program build_binary(const us_device *device, const char *options,
                               const unsigned char *binary, size_t size) {
    cl_int code, accepted = CL_INVALID_BINARY;
    cl_program program = clCreateProgramWithBinary(device->context, 1, &device->id, &size, &binary,
                                                   &accepted, &code);
    if (!program) return NULL;
    if (code == CL_SUCCESS && accepted == CL_SUCCESS)
        code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code == CL_SUCCESS && accepted == CL_SUCCESS) return program;
    clReleaseProgram(program);
    return NULL;
}

/* Mesa's rusticl (22.3) ends the process over a binary that it does not understand, so a process of
 * its own tries it first. That takes as long as loading it, 2 to 9 ms. Others are not known to work
 * after a fork. */
static bool survives(const us_device *device, const char *options, const unsigned char *binary,
                     size_t size) {
    int state;
    char how[80];
    if (!strstr(device->facts.platform_name, "rusticl")) return true;
    pid_t process = us_process_fork();
    if (process < 0) return false;
    if (process == 0) _exit(build_binary(device, options, binary, size) ? 0 : 1);
    if (us_process_reap(process, 10, &state)) return WIFEXITED(state) && WEXITSTATUS(state) == 0;
    us_process_end(process, how);
    return false;
}

cl_program us_program_cache_load(const us_device *device, const char *text, const char *options,
                                 us_digest_text *name) {
    cache_key key;
    us_private_folder folder = {.descriptor = -1};
    char *bytes = NULL;
    size_t size, binary_size;
    cl_program program = NULL;
    bool known = make_key(device, text, options, &key);
    if (known) *name = key_name(&key);
    if (known && us_private_cache("programs", false, &folder, NULL) == UNSEEN_OK &&
        us_private_read(&folder, name->text, FILE_LIMIT, &bytes, &size, NULL) == UNSEEN_OK) {
        const unsigned char *binary = find_binary(&key, bytes, size, &binary_size);
        if (binary && survives(device, options, binary, binary_size))
            program = build_binary(device, options, binary, binary_size);
    }
    us_private_close(&folder);
    free(bytes);
    free(key.text);
    if (!program) *name = (us_digest_text){0};
    return program;
}

void us_program_cache_remove(const char *name) {
    us_private_folder folder;
    if (us_private_cache("programs", false, &folder, NULL) == UNSEEN_OK)
        us_private_remove(&folder, name);
    us_private_close(&folder);
}

/* Heap; NULL where the driver gives none. */
static unsigned char *binary_of(cl_program program, size_t *size) {
    *size = 0;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof *size, size, NULL) !=
            CL_SUCCESS ||
        *size == 0 || *size > FILE_LIMIT / 2)
        return NULL;
    unsigned char *binary = malloc(*size);
    if (!binary) return NULL;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS)
        return binary;
    free(binary);
    return NULL;
}

static void write_file(const cache_key *key, const unsigned char *binary, size_t size) {
    us_private_folder folder;
    char head[HEAD_ROOM];
    const us_private_part parts[] = {
        {head, (size_t)head_of(head, key, binary, size)}, {key->text, key->length}, {binary, size}};
    if (us_private_cache("programs", true, &folder, NULL) == UNSEEN_OK)
        us_private_write(&folder, key_name(key).text, parts, 3, NULL);
    us_private_close(&folder);
}

void us_program_cache_store(const us_device *device, const char *text, const char *options,
                            cl_program program) {
    cache_key key;
    size_t size;
    bool known = make_key(device, text, options, &key);
    unsigned char *binary = known ? binary_of(program, &size) : NULL;
    if (binary) write_file(&key, binary, size);
    free(binary);
    free(key.text);
}
