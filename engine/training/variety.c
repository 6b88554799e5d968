/* SPDX-License-Identifier: MIT */
#include "training/variety.h"

#include <inttypes.h>
#include <string.h>

enum { HANDFUL = 5 };

static const void *image(const us_dataset *dataset, const uint32_t *selection, int64_t i) {
    size_t place = selection ? selection[i] : (size_t)i;
    return (const char *)dataset->images.pixels + place * us_images_image_bytes(&dataset->images);
}

/* How many different images there are, `most` at most. */
static int count_different(const us_dataset *dataset, const uint32_t *selection, int64_t count,
                           int most) {
    const void *seen[HANDFUL];
    size_t bytes = us_images_image_bytes(&dataset->images);
    int different = 0;
    for (int64_t i = 0; i < count && different < most; i++) {
        const void *one = image(dataset, selection, i);
        int k = 0;
        while (k < different && memcmp(seen[k], one, bytes) != 0)
            k++;
        if (k == different) seen[different++] = one;
    }
    return different;
}

bool us_dataset_alike(const us_dataset *dataset, const uint32_t *selection, int64_t count) {
    return count_different(dataset, selection, count, 2) < 2;
}

static void check_held_out(const us_dataset *training, const unseen_events *events) {
    int64_t count = training->held_out_count;
    if (!count || !us_dataset_alike(training, training->held_out, count)) return;
    us_event_message(events, UNSEEN_EVENT_WARNING,
                     "%s: %s held out (/training/held_out): their loss and the threshold say "
                     "little of other normal images",
                     training->images.path,
                     count == 1 ? "a single image is" : "identical images are");
}

unseen_status us_dataset_check_variety(const us_dataset *training, const unseen_events *events,
                                       unseen_error *error) {
    const char *path = training->images.path;
    int64_t count = training->selected_count;
    int different = count_different(training, training->selected, count, HANDFUL);
    if (count == 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: there is a single training image: a model of it cannot tell what "
                       "normal images have in common",
                       path);
    if (different == 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: all %" PRId64 " training images are identical: a model of them cannot "
                       "tell what normal images have in common",
                       path, count);
    if (different < HANDFUL)
        us_event_message(events, UNSEEN_EVENT_WARNING,
                         "%s: only %d different images among the %" PRId64
                         " to train on: every other one will seem strange to a model of them",
                         path, different, count);
    check_held_out(training, events);
    return UNSEEN_OK;
}
