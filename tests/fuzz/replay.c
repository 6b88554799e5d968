/* SPDX-License-Identifier: MIT */
/* Gives every file of some folders to the target, in the place of libFuzzer. A folder that is not
 * there has no files. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static int give(const char *path) {
    static uint8_t bytes[1 << 20];
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        perror(path);
        return 1;
    }
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    /* In a block of its very size, so that a sanitizer sees what reads beyond it. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) return 1;
    memcpy(exact, bytes, size);
    fuzz_one(exact, size);
    free(exact);
    return 0;
}

int main(int argc, char **argv) {
    int given = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
            char path[4096];
            if (entry->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            failed |= give(path);
            given++;
        }
        if (folder) closedir(folder);
    }
    printf("%d inputs\n", given);
    return failed || !given;
}
