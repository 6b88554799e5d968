/* SPDX-License-Identifier: MIT */
/* What is made of labels: which images are normal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels.h"

/* The first labels in ascending order, for messages: "0, 1, 7", "0, 1, ... 19, ...". */
typedef struct label_list {
    char text[512];
} label_list;

static us_shown show_class(const us_labels *labels, int64_t value) {
    us_shown shown;
    if (labels->words) {
        const char *word = labels->words[value];
        us_shown text = us_cell_show((us_cell){.text = word, .length = strlen(word)});
        snprintf(shown.text, sizeof shown.text, "'%.48s'", text.text);
        return shown;
    }
    snprintf(shown.text, sizeof shown.text, "%lld", (long long)value);
    return shown;
}

static label_list list_labels(const us_labels *labels) {
    enum { MOST = 20 };
    int64_t smallest[MOST + 1];
    int found = 0;
    for (int64_t i = 0; i < labels->count; i++) {
        int64_t value = labels->values[i];
        int at = found;
        while (at > 0 && smallest[at - 1] > value)
            at--;
        if (at == MOST + 1 || (at > 0 && smallest[at - 1] == value)) continue;
        if (found <= MOST) found++;
        for (int k = found - 1; k > at; k--)
            smallest[k] = smallest[k - 1];
        smallest[at] = value;
    }
    label_list list = {""};
    size_t used = 0;
    bool more = found > MOST;
    for (int k = 0; k < found && k < MOST; k++) {
        if (used + 56 > sizeof list.text) {
            more = true;
            break;
        }
        used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s%s", k ? ", " : "",
                                 show_class(labels, smallest[k]).text);
    }
    if (more) snprintf(list.text + used, sizeof list.text - used, ", ...");
    return list;
}

/* False: no label can be called so. */
static bool parse_class(const us_labels *labels, const char *text, int64_t *class) {
    if (!labels->words) return us_text_class(text, class);
    for (*class = 0; *class < labels->word_count; ++*class)
        if (strcmp(labels->words[*class], text) == 0) return true;
    return false;
}

bool us_labels_have(const us_labels *labels, const char *class) {
    int64_t value;
    bool known = parse_class(labels, class, &value), there = false;
    for (int64_t i = 0; known && !there && i < labels->count; i++)
        there = labels->values[i] == value;
    return there;
}

const char *us_labels_class(const us_labels *labels, int64_t class, char text[24]) {
    if (labels->words) return labels->words[class];
    snprintf(text, 24, "%lld", (long long)class);
    return text;
}

const char *us_labels_normal(const us_labels *labels, const char *given) {
    static const char *const names[] = {"good", "normal"};
    if (given) return given;
    for (size_t i = 0; labels->words && i < sizeof names / sizeof *names; i++)
        if (us_labels_have(labels, names[i])) return names[i];
    for (int64_t i = 0; i < labels->count; i++)
        if (labels->words || (labels->values[i] != 0 && labels->values[i] != 1)) return NULL;
    return "0";
}

/* The class that `normal` names, and how many labels are of it. */
static unseen_status find_class(const us_labels *labels, const char *normal, int64_t *class,
                                int64_t *count, unseen_error *error) {
    bool known = parse_class(labels, normal, class);
    if (!known && !labels->words)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the normal class '%s' is not a whole number; the labels in %s are %s",
                       normal, labels->path, list_labels(labels).text);
    *count = 0;
    for (int64_t i = 0; known && i < labels->count; i++)
        *count += labels->values[i] == *class;
    if (*count > 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "no image in %s is of the normal class %s; the labels there are %s",
                   labels->path, normal, list_labels(labels).text);
}

unseen_status us_labels_select(const us_labels *labels, const char *normal, uint32_t **indices,
                               int64_t *count, unseen_error *error) {
    int64_t class;
    *indices = NULL;
    US_TRY(find_class(labels, normal, &class, count, error));
    *indices = malloc((size_t)*count * sizeof **indices);
    if (!*indices) return us_fail_memory(error, "the indices of the normal images");
    int64_t used = 0;
    for (int64_t i = 0; i < labels->count; i++)
        if (labels->values[i] == class) (*indices)[used++] = (uint32_t)i;
    return UNSEEN_OK;
}

/* Without a normal class, labels are 0 and 1. */
static unseen_status check_binary(const us_labels *labels, unseen_error *error) {
    for (int64_t i = 0; i < labels->count; i++) {
        if (!labels->words && (labels->values[i] == 0 || labels->values[i] == 1)) continue;
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: the labels are %s; without a normal class they must be 0 (normal) and "
                       "1 (anomalous); name the class that is normal: --normal %s",
                       labels->path, list_labels(labels).text, labels->words ? "WORD" : "CLASS");
    }
    return UNSEEN_OK;
}

unseen_status us_labels_anomalous(const us_labels *labels, const char *normal,
                                  unsigned char **anomalous, unseen_error *error) {
    int64_t class = 0, count;
    *anomalous = NULL;
    if (labels->count < 1) return us_fail(error, UNSEEN_BAD_INPUT, "%s: no labels", labels->path);
    if (normal)
        US_TRY(find_class(labels, normal, &class, &count, error));
    else
        US_TRY(check_binary(labels, error));
    *anomalous = malloc((size_t)labels->count);
    if (!*anomalous) return us_fail_memory(error, "labels");
    for (int64_t i = 0; i < labels->count; i++)
        (*anomalous)[i] = labels->values[i] != class;
    return UNSEEN_OK;
}
