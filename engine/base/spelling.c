/* SPDX-License-Identifier: MIT */
/* The nearest word: "did you mean". */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "unseen.h"

enum { NEAREST_LENGTH = 63 };

/* Edits (insertion, deletion, change, swap of neighbours) between two words, case ignored: the
 * optimal string alignment distance. Words are at most NEAREST_LENGTH long. */
static size_t distance(const char *a, const char *b) {
    size_t rows[3][NEAREST_LENGTH + 1];
    size_t length = strlen(b);
    size_t *before = rows[0], *previous = rows[1], *current = rows[2];
    for (size_t j = 0; j <= length; j++)
        previous[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        current[0] = i;
        for (size_t j = 1; j <= length; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            size_t best = previous[j - 1] + (x != y);
            if (previous[j] + 1 < best) best = previous[j] + 1;
            if (current[j - 1] + 1 < best) best = current[j - 1] + 1;
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            current[j] = best;
        }
        size_t *oldest = before;
        before = previous;
        previous = current;
        current = oldest;
    }
    return previous[length];
}

const char *unseen_nearest(const char *word, const char *const *candidates) {
    size_t length = strlen(word);
    if (length == 0 || length > NEAREST_LENGTH) return NULL;
    const char *nearest = NULL;
    size_t nearest_distance = SIZE_MAX;
    for (; *candidates; candidates++) {
        size_t size = strlen(*candidates);
        if (size > NEAREST_LENGTH) continue;
        size_t edits = distance(word, *candidates);
        size_t shorter = size < length ? size : length;
        size_t limit = shorter < 3 ? 0 : shorter < 6 ? 1 : shorter < 9 ? 2 : 3;
        /* An abbreviation is understood too, but any misspelling beats it. */
        bool near = edits <= limit;
        if (!near && length >= 3 && strncasecmp(word, *candidates, length) == 0) {
            near = true;
            edits += NEAREST_LENGTH;
        }
        if (near && edits < nearest_distance) {
            nearest = *candidates;
            nearest_distance = edits;
        }
    }
    return nearest;
}
