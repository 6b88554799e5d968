/* SPDX-License-Identifier: MIT */
/* --set: overrides of a config, one a line. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { MOST = 16 };

static const char config_text[] =
    "{\"name\": \"tiny\", \"input\": {\"channels\": 1, \"height\": 8, \"width\": 8}, \"networks\": "
    "{\"encoder\": [{\"layer\": \"convolution\", \"channels\": 2, \"kernel\": 4, \"stride\": 2, "
    "\"padding\": 1}, {\"layer\": \"relu\"}], \"decoder\": [{\"layer\": \"convolution_transpose\", "
    "\"channels\": 1, \"kernel\": 4, \"stride\": 2, \"padding\": 1}]}, "
    "\"detector\": {\"type\": \"autoencoder\"}}";

void fuzz_one(const uint8_t *data, size_t size) {
    const char *path = fuzz_file("config.json", config_text, sizeof config_text - 1);
    char *text = malloc(size + 1);
    fuzz_check(text != NULL, "memory");
    memcpy(text, data, size);
    text[size] = '\0';
    const char *overrides[MOST];
    size_t count = 0;
    for (char *line = strtok(text, "\n"); line && count < MOST; line = strtok(NULL, "\n"))
        overrides[count++] = line;
    unseen_config *config;
    unseen_error error = {0};
    if (fuzz_accepted(unseen_config_load(path, overrides, count, &config, &error), &error, NULL)) {
        char *resolved;
        fuzz_check(unseen_config_resolved(config, &resolved, &error) == UNSEEN_OK,
                   "it is resolved");
        unseen_string_free(resolved);
        unseen_config_free(config);
    }
    free(text);
}
