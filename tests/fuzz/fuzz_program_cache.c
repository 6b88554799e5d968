/* SPDX-License-Identifier: MIT */
/* Compiled programs of the cache folder, for a driver that takes no binary: it checks that it is
 * only asked to take what lies within the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/program_cache.h"
#include "fuzz.h"

/* ---- the driver: these definitions come before those of the OpenCL library ---- */

static size_t file_size;

cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room, void *value,
                         size_t *size) {
    (void)platform;
    (void)what;
    if (value) snprintf(value, room, "made up 1");
    if (size) *size = sizeof "made up 1";
    return CL_SUCCESS;
}

cl_program clCreateProgramWithBinary(cl_context context, cl_uint count, const cl_device_id *devices,
                                     const size_t *sizes, const unsigned char **binaries,
                                     cl_int *accepted, cl_int *code) {
    (void)context;
    (void)devices;
    unsigned sum = 0;
    for (size_t i = 0; i < sizes[0]; i++)
        sum += binaries[0][i];
    fuzz_check(count == 1 && sizes[0] < file_size && sum <= 255 * sizes[0], "the binary");
    *accepted = CL_INVALID_BINARY;
    *code = CL_INVALID_BINARY;
    return NULL;
}

/* ---- */

static void load(const us_device *device, const char *path, const void *bytes, size_t size) {
    FILE *stream = fopen(path, "wb");
    fuzz_check(stream && fwrite(bytes, 1, size, stream) == size && fclose(stream) == 0,
               "a file can be written");
    file_size = size;
    us_digest_text name;
    fuzz_check(us_program_cache_load(device, "text", "options", &name) == NULL,
               "no program comes of what the driver does not take");
    remove(path);
}

void fuzz_one(const uint8_t *data, size_t size) {
    us_device device = {
        .facts = {.name = "Made up", .platform_name = "Nobody's", .driver = "1", .version = "1"}};
    char folder[96];
    setenv("UNSEEN_CACHE_DIR", fuzz_folder(), 1);
    snprintf(folder, sizeof folder, "%s/programs", fuzz_folder());
    unseen_error error = {0};
    fuzz_check(us_folder_create(folder, &error) == UNSEEN_OK, "a folder can be made");
    char *path = us_program_cache_path(&device, "text", "options");
    fuzz_check(path != NULL, "there is a path");
    load(&device, path, data, size);
    free(path);
}
