/* SPDX-License-Identifier: MIT */
#include "training/joint_maps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluation/map_resize.h"
#include "training/windows.h"

enum { TOGETHER = 32 };

static bool has_maps(const us_model *member) {
    return us_detector_has_maps(&member->config->detector);
}

static unseen_status pass(us_model *model, int member, const us_scored_images *of,
                          const us_map_consumer *consumer, unseen_error *error) {
    us_scored_images own = *of;
    own.dataset = us_dataset_of(of->dataset, member);
    own.maps = consumer;
    return us_model_show(&model->members[member], &own, error);
}

static us_shape shown_by(const us_model *model, int member, const us_scored_images *of) {
    return us_windows_shown(us_dataset_of(of->dataset, member),
                            model->members[member].config->input);
}

static size_t pixels_of(us_shape shape) {
    return (size_t)shape.height * (size_t)shape.width;
}

/* ---- what maps of normal images hold ---- */

enum { MEASURED_IMAGES = 64, MEASURED_VALUES = 1 << 18 };

typedef struct sample {
    float *values;
    size_t count, most, pixels, step;
} sample;

static unseen_status gather(void *user, const us_mapped_image *image, unseen_error *error) {
    sample *s = user;
    (void)error;
    for (size_t p = 0; p < s->pixels && s->count < s->most; p += s->step)
        s->values[s->count++] = image->map[p];
    return UNSEEN_OK;
}

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static unseen_status measure(us_model *model, int member, const us_scored_images *of,
                             unseen_error *error) {
    us_joint_member *joint = &model->joint.members[member];
    sample s = {.pixels = pixels_of(shown_by(model, member, of))};
    s.step = 1 + s.pixels * (size_t)of->count / MEASURED_VALUES;
    s.most = (s.pixels / s.step + 1) * (size_t)of->count;
    if (!(s.values = malloc(s.most * sizeof *s.values))) return us_fail_memory(error, "maps");
    const us_map_consumer consumer = {.take = gather, .user = &s};
    unseen_status status = pass(model, member, of, &consumer, error);
    if (status == UNSEEN_OK && s.count > 0) {
        qsort(s.values, s.count, sizeof *s.values, ascending);
        joint->low = (double)s.values[s.count / 2];
        joint->high = (double)s.values[s.count - 1 - s.count / 100];
    }
    if (!(joint->high > joint->low)) joint->high = joint->low + 1e-6 * (1 + fabs(joint->low));
    free(s.values);
    return status;
}

unseen_status us_joint_maps_measure(us_model *model, const us_scored_images *normal,
                                    unseen_error *error) {
    us_scored_images of = *normal;
    if (of.count > MEASURED_IMAGES) of.count = MEASURED_IMAGES;
    for (int m = 0; m < model->config->member_count; m++)
        if (has_maps(&model->members[m])) US_TRY(measure(model, m, &of, error));
    return UNSEEN_OK;
}

/* ---- joining ---- */

typedef struct joining {
    us_shape shown;             /* in which images and maps are handed out */
    float *maps, *images;       /* [TOGETHER][..] */
    float *resized;             /* a map, or a channel */
    us_shape of_member;         /* who is looking now */
    const us_joint_member *how; /* its maps; NULL: it has none */
    double share;               /* of its maps in the joint ones */
    bool pixels;                /* its images are those handed out */
} joining;

static us_map_size size_of(us_shape shape) {
    return (us_map_size){shape.height, shape.width};
}

static void add_map(joining *j, const float *map, float *sum) {
    us_map_resize(map, size_of(j->of_member), j->resized, size_of(j->shown));
    const float low = (float)j->how->low, share = (float)j->share;
    const float factor = share / (float)(j->how->high - j->how->low);
    for (size_t p = 0; p < pixels_of(j->shown); p++)
        if (j->resized[p] > low) sum[p] += factor * (j->resized[p] - low);
}

static unseen_status take(void *user, const us_mapped_image *image, unseen_error *error) {
    joining *j = user;
    const size_t pixels = pixels_of(j->shown), values = us_shape_size(j->shown);
    (void)error;
    if (j->how) add_map(j, image->map, j->maps + (size_t)image->place * pixels);
    for (int k = 0; j->pixels && k < j->shown.channels; k++) {
        const int from = k < j->of_member.channels ? k : j->of_member.channels - 1;
        us_map_resize(image->pixels + (size_t)from * pixels_of(j->of_member), size_of(j->of_member),
                      j->images + (size_t)image->place * values + (size_t)k * pixels,
                      size_of(j->shown));
    }
    return UNSEEN_OK;
}

/* The member whose images are like those that are handed out: best of the same channels, largest.
 */
static int shows_best(const us_model *model) {
    const unseen_config *config = model->config;
    int best = 0;
    for (int m = 1; m < config->member_count; m++) {
        const us_shape a = config->members[m]->input, b = config->members[best]->input;
        const bool same = a.channels == config->input.channels;
        const bool best_same = b.channels == config->input.channels;
        if (same != best_same ? same : pixels_of(a) > pixels_of(b)) best = m;
    }
    return best;
}

/* All members look at these few images. */
static unseen_status join_chunk(us_model *model, const us_scored_images *of, bool pixels,
                                joining *j, unseen_error *error) {
    const int best = shows_best(model);
    double weights = 0;
    for (int m = 0; m < model->config->member_count; m++)
        if (has_maps(&model->members[m])) weights += model->joint.members[m].map_weight;
    memset(j->maps, 0, TOGETHER * pixels_of(j->shown) * sizeof *j->maps);
    for (int m = 0; m < model->config->member_count; m++) {
        j->how = has_maps(&model->members[m]) ? &model->joint.members[m] : NULL;
        j->pixels = pixels && m == best;
        if (!j->how && !j->pixels) continue;
        j->of_member = shown_by(model, m, of);
        j->share = j->how && weights > 0 ? j->how->map_weight / weights : 0;
        const us_map_consumer consumer = {.take = take, .user = j, .pixels = j->pixels};
        US_TRY(pass(model, m, of, &consumer, error));
    }
    return UNSEEN_OK;
}

static bool any_maps(const us_model *model) {
    for (int m = 0; m < model->config->member_count; m++)
        if (has_maps(&model->members[m])) return true;
    return false;
}

static unseen_status hand_out(const us_model *model, const joining *j, int64_t first, int count,
                              const us_map_consumer *to, unseen_error *error) {
    const bool maps = any_maps(model);
    for (int i = 0; i < count; i++) {
        const us_mapped_image image = {
            .place = first + i,
            .map = maps ? j->maps + (size_t)i * pixels_of(j->shown) : NULL,
            .pixels = to->pixels ? j->images + (size_t)i * us_shape_size(j->shown) : NULL};
        US_TRY(to->take(to->user, &image, error));
    }
    return UNSEEN_OK;
}

unseen_status us_joint_maps_show(us_model *model, const us_scored_images *images,
                                 unseen_error *error) {
    uint32_t selection[TOGETHER];
    joining j = {.shown = us_windows_shown(images->dataset, model->config->input)};
    const size_t pixels = pixels_of(j.shown);
    j.maps = malloc(TOGETHER * pixels * sizeof *j.maps);
    j.images = malloc(TOGETHER * us_shape_size(j.shown) * sizeof *j.images);
    j.resized = malloc(pixels * sizeof *j.resized);
    unseen_status status =
        j.maps && j.images && j.resized ? UNSEEN_OK : us_fail_memory(error, "maps");
    for (int64_t first = 0; status == UNSEEN_OK && first < images->count; first += TOGETHER) {
        us_scored_images few = *images;
        few.count = images->count - first < TOGETHER ? images->count - first : TOGETHER;
        few.selection = selection;
        for (int i = 0; i < few.count; i++)
            selection[i] = images->selection ? images->selection[first + i] : (uint32_t)(first + i);
        status = join_chunk(model, &few, images->maps->pixels, &j, error);
        if (status == UNSEEN_OK)
            status = hand_out(model, &j, first, (int)few.count, images->maps, error);
    }
    free(j.maps);
    free(j.images);
    free(j.resized);
    return status;
}
