/* SPDX-License-Identifier: MIT */
#include "training/map_weights.h"

#include <math.h>
#include <stdlib.h>

#include "evaluation/map_resize.h"
#include "evaluation/pixel_metrics.h"
#include "training/windows.h"

/* A pixel counts as changed where a channel differs by more than this, of 255. */
enum { NOTICEABLE = 12 };

/* A member at work, and anomalies of a kind. */
typedef struct looking {
    const us_synthetic_base *base;
    const unsigned char *anomalous; /* as base->pixels */
    us_map_size size, of_member;
    float *resized;
    unsigned char *mask;
    us_pixel_evaluation *evaluation;
    float least, most; /* of all maps of the member */
    bool finite;
} looking;

static size_t count_pixels(us_map_size size) {
    return (size_t)size.height * (size_t)size.width;
}

/* Where an anomaly differs from the image that it was made of. */
static void mark(looking *l, size_t image) {
    const size_t pixels = count_pixels(l->size), channels = (size_t)l->base->shape.channels;
    const unsigned char *a = l->base->pixels + image * pixels * channels;
    const unsigned char *b = l->anomalous + image * pixels * channels;
    for (size_t p = 0; p < pixels; p++) {
        l->mask[p] = 0;
        for (size_t k = 0; k < channels; k++, a++, b++)
            if (abs(*a - *b) > NOTICEABLE) l->mask[p] = 1;
    }
}

static unseen_status take(void *user, const us_mapped_image *image, unseen_error *error) {
    looking *l = user;
    us_map_resize(image->map, l->of_member, l->resized, l->size);
    for (size_t p = 0; p < count_pixels(l->size); p++) {
        if (!isfinite(l->resized[p])) l->finite = false;
        l->least = fminf(l->least, l->resized[p]);
        l->most = fmaxf(l->most, l->resized[p]);
    }
    if (!l->finite) return UNSEEN_OK;
    mark(l, (size_t)image->place);
    const us_masked_map map = {l->resized, l->mask, l->size.height, l->size.width};
    return us_pixel_evaluation_add(l->evaluation, &map, error);
}

/* The member's maps of anomalies of a kind. */
static unseen_status look(us_model *model, int member, int kind, const unseen_events *events,
                          looking *l, unseen_error *error) {
    us_model *own = &model->members[member];
    us_dataset images;
    US_TRY(us_synthetic_make(l->base, kind, &images, error));
    const us_map_consumer consumer = {.take = take, .user = l};
    const us_scored_images of = {.dataset = us_dataset_of(&images, member),
                                 .count = l->base->count,
                                 .what = "judging maps by synthetic anomalies",
                                 .events = events,
                                 .maps = &consumer};
    const us_shape shown = us_windows_shown(of.dataset, own->config->input);
    l->of_member = (us_map_size){shown.height, shown.width};
    l->anomalous = images.images.pixels;
    unseen_status status = us_model_show(own, &of, error);
    us_synthetic_drop(own->detector->device, &images);
    return status;
}

static unseen_status weigh(us_model *model, int member, const unseen_events *events, looking *l,
                           double *weight, unseen_error *error) {
    us_pixel_metrics metrics;
    *weight = us_map_weight(0); /* where maps say nothing */
    l->finite = true;
    l->least = INFINITY;
    l->most = -INFINITY;
    US_TRY(us_pixel_evaluation_create(0, &l->evaluation, error));
    unseen_status status = UNSEEN_OK;
    for (int kind = 0; status == UNSEEN_OK && kind < US_SYNTHETIC_KINDS; kind++)
        if (us_synthetic_is_local(kind)) status = look(model, member, kind, events, l, error);
    if (status == UNSEEN_OK && l->finite && l->most > l->least) {
        status = us_pixel_evaluation_finish(l->evaluation, &metrics, error);
        if (status == UNSEEN_OK) *weight = us_map_weight(metrics.aupro);
        if (status == UNSEEN_BAD_INPUT) status = UNSEEN_OK; /* no anomaly can be seen */
    }
    us_pixel_evaluation_destroy(l->evaluation);
    return status;
}

double us_map_weight(double aupro) {
    const double chance = US_AUPRO_LIMIT / 2, least = 0.01;
    const double told = (aupro - chance) / (1 - chance);
    return told > least ? told : least;
}

/* Images of each kind: few enough for their pixels to be sorted in seconds. */
static int64_t count_images(us_shape shape) {
    enum { MOST_PIXELS = 1 << 23, LEAST = 4, MOST = 24 };
    int kinds = 0;
    for (int kind = 0; kind < US_SYNTHETIC_KINDS; kind++)
        kinds += us_synthetic_is_local(kind);
    const int64_t room = MOST_PIXELS / kinds / ((int64_t)shape.height * shape.width);
    return room < LEAST ? LEAST : room > MOST ? MOST : room;
}

unseen_status us_map_weights_measure(us_model *model, us_shape shape,
                                     const us_scored_images *normal, uint64_t seed,
                                     unseen_error *error) {
    const int64_t most = count_images(shape);
    us_scored_images of = *normal;
    us_synthetic_base base;
    if (of.count > most) of.count = most;
    us_device *device = model->members[0].detector->device;
    unseen_status status = us_synthetic_take(device, shape, &of, seed, &base, error);
    if (base.count > most) base.count = most; /* windows */
    looking l = {.base = &base, .size = {shape.height, shape.width}};
    l.resized = malloc(count_pixels(l.size) * sizeof *l.resized);
    l.mask = malloc(count_pixels(l.size));
    if (status == UNSEEN_OK && !(l.resized && l.mask)) status = us_fail_memory(error, "maps");
    for (int m = 0; status == UNSEEN_OK && m < model->config->member_count; m++) {
        if (!us_detector_has_maps(&model->members[m].config->detector)) continue;
        double *weight = &model->joint.members[m].map_weight;
        status = weigh(model, m, normal->events, &l, weight, error);
        *weight *= model->config->joining.weights[m];
    }
    free(l.resized);
    free(l.mask);
    us_synthetic_release(&base);
    return status;
}
