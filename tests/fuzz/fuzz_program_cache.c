/* Compiled programs of the cache folder. The device is made up, so that no driver gets to see a
 * binary: what is damaged must be refused before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/program_cache.h"
#include "fuzz.h"

void fuzz_one(const uint8_t *data, size_t size) {
    us_device device = {
        .name = "Made up", .platform_name = "Nobody's", .driver = "1", .version = "1"};
    char folder[96];
    setenv("UNSEEN_CACHE_DIR", fuzz_folder(), 1);
    snprintf(folder, sizeof folder, "%s/programs", fuzz_folder());
    unseen_error error = {0};
    fuzz_check(us_folder_create(folder, &error) == UNSEEN_OK, "a folder can be made");
    char *path = us_program_cache_path(&device, "text", "options");
    FILE *stream = fopen(path, "wb");
    fuzz_check(stream && fwrite(data, 1, size, stream) == size && fclose(stream) == 0,
               "a file can be written");
    fuzz_check(us_program_cache_load(&device, "text", "options") == NULL,
               "no program comes of a device that is not there");
    remove(path);
    free(path);
}
