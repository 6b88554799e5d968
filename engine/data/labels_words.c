/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "data/labels_read.h"

static bool reserve(us_words *words) {
    if (words->count < words->room) return true;
    int64_t room = words->room ? 2 * words->room : 64;
    char **longer = realloc(words->words, (size_t)room * sizeof *longer);
    if (longer) words->words = longer;
    int64_t *sorted = realloc(words->sorted, (size_t)room * sizeof *sorted);
    if (sorted) words->sorted = sorted;
    if (!longer || !sorted) return false;
    words->room = room;
    return true;
}

int64_t us_words_add(us_words *words, const char *text) {
    int64_t low = 0, high = words->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        int order = strcmp(words->words[words->sorted[middle]], text);
        if (order == 0) return words->sorted[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (words->count == US_WORDS_MOST || !reserve(words)) return -1;
    char *copy = strdup(text);
    if (!copy) return -1;
    memmove(words->sorted + low + 1, words->sorted + low,
            (size_t)(words->count - low) * sizeof *words->sorted);
    words->sorted[low] = words->count;
    words->words[words->count] = copy;
    return words->count++;
}

unseen_status us_words_finish(us_words *words, us_labels *labels, unseen_error *error) {
    int64_t *place = malloc((size_t)words->count * sizeof *place);
    labels->words = malloc((size_t)words->count * sizeof *labels->words);
    if (!place || !labels->words) {
        free(place);
        return us_fail_memory(error, "labels");
    }
    for (int64_t i = 0; i < words->count; i++) {
        place[words->sorted[i]] = i;
        labels->words[i] = words->words[words->sorted[i]];
    }
    labels->word_count = words->count;
    words->count = 0;
    for (int64_t i = 0; i < labels->count; i++)
        labels->values[i] = place[labels->values[i]];
    free(place);
    return UNSEEN_OK;
}

void us_words_release(us_words *words) {
    for (int64_t i = 0; i < words->count; i++)
        free(words->words[i]);
    free(words->words);
    free(words->sorted);
    *words = (us_words){0};
}
