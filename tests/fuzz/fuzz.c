/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], files[8][96];

static void clean_up(void) {
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (*files[i]) unlink(files[i]);
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) fprintf(stderr, "%s is left\n", folder);
}

const char *fuzz_folder(void) {
    if (*folder) return folder;
    bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(folder, sizeof folder, "%s/unseen-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
    fuzz_check(mkdtemp(folder) != NULL, "a folder can be made");
    atexit(clean_up);
    return folder;
}

const char *fuzz_file(const char *name, const void *bytes, size_t size) {
    char path[sizeof files[0]];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    size_t at = 0;
    while (*files[at] && strcmp(files[at], path) != 0)
        fuzz_check(++at < sizeof files / sizeof *files, "there is room for another name");
    strcpy(files[at], path);
    FILE *stream = fopen(path, "wb");
    fuzz_check(stream && fwrite(bytes, 1, size, stream) == size && fclose(stream) == 0,
               "a file can be written");
    return files[at];
}

bool fuzz_accepted(unseen_status status, const unseen_error *error, const char *named) {
    if (status == UNSEEN_OK) return true;
    if (status != UNSEEN_BAD_INPUT || error->status != status)
        fprintf(stderr, "status %d: %s\n", (int)status, error->message);
    fuzz_check(status == UNSEEN_BAD_INPUT && error->status == status, "a refusal is of bad input");
    fuzz_check(strlen(error->message) > 10, "a refusal has a message");
    if (named && !strstr(error->message, named)) fprintf(stderr, "%s\n", error->message);
    fuzz_check(!named || strstr(error->message, named), "a refusal names what it is about");
    return false;
}

void fuzz_check(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}
