/* SPDX-License-Identifier: MIT */
/* The public functions that belong to no part of the engine. */
#include <stdlib.h>

#include "unseen.h"

void unseen_string_free(char *string) {
    free(string);
}

const char *unseen_version(void) {
    return UNSEEN_VERSION;
}

const char *unseen_features(void) {
    return UNSEEN_FEATURES;
}
