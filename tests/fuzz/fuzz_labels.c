/* SPDX-License-Identifier: MIT */
/* Labels: .npy, IDX and tables. */
#include <stdio.h>
#include <stdlib.h>

#include "data/labels.h"
#include "fuzz.h"

static void check(const us_labels *labels, const char *path) {
    unseen_error error = {0};
    char number[32];
    const char *first = number;
    fuzz_check(labels->count >= 1, "the count");
    if (labels->words)
        first = labels->words[labels->values[0]];
    else
        snprintf(number, sizeof number, "%lld", (long long)labels->values[0]);
    uint32_t *indices;
    int64_t count;
    unsigned char *anomalous;
    fuzz_check(us_labels_select(labels, first, &indices, &count, &error) == UNSEEN_OK,
               "the class of the first label has images");
    fuzz_check(count >= 1 && indices[0] == 0 && indices[count - 1] < labels->count, "the indices");
    free(indices);
    if (fuzz_accepted(us_labels_anomalous(labels, NULL, &anomalous, &error), &error, path)) {
        for (int64_t i = 0; i < labels->count; i++)
            fuzz_check(anomalous[i] <= 1 && (labels->words || anomalous[i] == labels->values[i]),
                       "0 and 1 mean what they are");
        free(anomalous);
    }
}

void fuzz_one(const uint8_t *data, size_t size) {
    us_labels labels;
    unseen_error error = {0};
    const char *path = fuzz_file("labels", data, size);
    if (!fuzz_accepted(us_labels_open(path, NULL, &labels, &error), &error, path)) return;
    if (fuzz_accepted(us_labels_match_images(&labels, labels.count, path, &error), &error, path))
        check(&labels, path);
    us_labels_close(&labels);
}
