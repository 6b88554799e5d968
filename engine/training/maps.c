/* SPDX-License-Identifier: MIT */
#include "training/maps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/fence.h"

enum { TOGETHER = 16 }; /* floats of a cache line: images that are taken out of a batch at once */

struct us_map_pass {
    us_detector *detector;
    us_map_consumer consumer;
    us_score_parts parts;
    us_anomaly_map *map;
    us_buffer *maps; /* [pixels][padded] */
    struct batch {
        float *maps, *images; /* [pixels][padded], [channels][pixels][padded] on the host */
        int64_t first;
        int n; /* 0: none is under way */
    } batches[US_STEPS_IN_FLIGHT];
    float *taken[2]; /* [TOGETHER][..]: maps and images out of a batch */
    size_t pixels, values;
};

unseen_status us_maps_check(const us_detector_spec *spec, unseen_error *error) {
    if (us_detector_has_maps(spec)) return UNSEEN_OK;
    char names[256] = "";
    for (int i = 0; us_detector_types[i]; i++) {
        const size_t used = strlen(names);
        if (us_detector_types[i]->map)
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                     us_detector_types[i]->name);
    }
    return us_fail(
        error, UNSEEN_BAD_INPUT,
        "the detector %s does not tell where an image is anomalous, so there are no maps "
        "(those that do: %s; and any whose /scoring/features have no pooling)",
        spec->type->name, names);
}

static bool reserve(us_map_pass *pass) {
    const size_t lane_bytes = (size_t)pass->detector->padded * sizeof(float);
    bool room = (pass->taken[0] = malloc(TOGETHER * pass->pixels * sizeof(float))) != NULL;
    for (int i = 0; i < US_STEPS_IN_FLIGHT; i++)
        room = room && (pass->batches[i].maps = malloc(pass->pixels * lane_bytes));
    if (!pass->values) return room;
    room = room && (pass->taken[1] = malloc(TOGETHER * pass->values * sizeof(float)));
    for (int i = 0; i < US_STEPS_IN_FLIGHT; i++)
        room = room && (pass->batches[i].images = malloc(pass->values * lane_bytes));
    return room;
}

unseen_status us_map_pass_create(us_detector *detector, const us_score_parts *parts,
                                 const us_map_consumer *consumer, us_map_pass **out,
                                 unseen_error *error) {
    *out = NULL;
    us_map_pass *pass = calloc(1, sizeof *pass);
    if (!pass) return us_fail_memory(error, "maps");
    const us_shape input = detector->spec->input;
    pass->detector = detector;
    pass->consumer = *consumer;
    pass->parts = *parts;
    pass->pixels = (size_t)input.height * (size_t)input.width;
    pass->values = consumer->pixels ? us_shape_size(input) : 0;
    const size_t bytes = pass->pixels * (size_t)detector->padded * sizeof(float);
    unseen_status status = UNSEEN_OK;
    if (us_detector_has_maps(detector->spec))
        status = us_anomaly_map_create(detector->device, input, detector->padded,
                                       detector->spec->scoring.map_smoothing, &pass->map, error);
    if (status == UNSEEN_OK && pass->map)
        status = us_buffer_create(detector->device, bytes, "maps", &pass->maps, error);
    if (status == UNSEEN_OK && !reserve(pass)) status = us_fail_memory(error, "maps");
    if (status == UNSEEN_OK)
        *out = pass;
    else
        us_map_pass_destroy(pass, true);
    return status;
}

void us_map_pass_destroy(us_map_pass *pass, bool ended) {
    if (!pass) return;
    us_anomaly_map_destroy(pass->map);
    us_buffer_destroy(pass->maps);
    for (int i = 0; ended && i < US_STEPS_IN_FLIGHT; i++) {
        free(pass->batches[i].maps);
        free(pass->batches[i].images);
    }
    for (int i = 0; i < 2; i++)
        free(pass->taken[i]);
    free(pass);
}

unseen_status us_map_pass_run(us_map_pass *pass, us_buffer *const *columns, int slot, int64_t first,
                              int n, unseen_error *error) {
    us_detector *detector = pass->detector;
    struct batch *batch = &pass->batches[slot];
    const us_detector_map_args args = {.x = detector->x,
                                       .n = n,
                                       .columns = columns,
                                       .parts = &pass->parts,
                                       .map = pass->map,
                                       .out = pass->maps};
    if (pass->map) US_TRY(us_detector_map(detector, &args, error));
    batch->first = first;
    batch->n = n;
    const size_t lane_bytes = (size_t)detector->padded * sizeof(float);
    if (pass->map)
        US_TRY(us_buffer_read_later(pass->maps, 0, batch->maps, pass->pixels * lane_bytes, error));
    if (!pass->values) return UNSEEN_OK;
    return us_buffer_read_later(detector->x, 0, batch->images, pass->values * lane_bytes, error);
}

/* `count` images from `first` on of [rows][padded] become [count][rows]. */
static void take_out(const float *batch, size_t rows, size_t padded, int first, int count,
                     float *out) {
    for (size_t row = 0; row < rows; row++)
        for (int j = 0; j < count; j++)
            out[(size_t)j * rows + row] = batch[row * padded + (size_t)(first + j)];
}

unseen_status us_map_pass_deliver(us_map_pass *pass, int slot, unseen_error *error) {
    struct batch *batch = &pass->batches[slot];
    const size_t padded = (size_t)pass->detector->padded;
    for (int start = 0; start < batch->n; start += TOGETHER) {
        const int count = batch->n - start < TOGETHER ? batch->n - start : TOGETHER;
        if (pass->map) take_out(batch->maps, pass->pixels, padded, start, count, pass->taken[0]);
        if (pass->values)
            take_out(batch->images, pass->values, padded, start, count, pass->taken[1]);
        for (int j = 0; j < count; j++) {
            const us_mapped_image image = {
                .place = batch->first + start + j,
                .map = pass->map ? pass->taken[0] + (size_t)j * pass->pixels : NULL,
                .pixels = pass->values ? pass->taken[1] + (size_t)j * pass->values : NULL,
            };
            US_TRY(pass->consumer.take(pass->consumer.user, &image, error));
        }
    }
    batch->n = 0;
    return UNSEEN_OK;
}
