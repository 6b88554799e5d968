/* SPDX-License-Identifier: MIT */
/* Configs. One that is accepted can be shown, and its resolved text is a config that resolves to
 * the same text. */
#include <string.h>

#include "fuzz.h"

void fuzz_one(const uint8_t *data, size_t size) {
    unseen_config *config, *again;
    unseen_error error = {0};
    const char *path = fuzz_file("config.json", data, size);
    if (!fuzz_accepted(unseen_config_load(path, NULL, 0, &config, &error), &error, path)) return;
    char *resolved, *second, *table;
    fuzz_check(unseen_config_resolved(config, &resolved, &error) == UNSEEN_OK, "it is resolved");
    const char *copy = fuzz_file("resolved.json", resolved, strlen(resolved));
    fuzz_check(unseen_config_load(copy, NULL, 0, &again, &error) == UNSEEN_OK,
               "a resolved config is a config");
    fuzz_check(unseen_config_resolved(again, &second, &error) == UNSEEN_OK, "it is resolved");
    fuzz_check(strcmp(resolved, second) == 0, "resolving twice is resolving once");
    if (fuzz_accepted(unseen_show(config, &table, &error), &error, NULL)) unseen_string_free(table);
    unseen_string_free(resolved);
    unseen_string_free(second);
    unseen_config_free(config);
    unseen_config_free(again);
}
