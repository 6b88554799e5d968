/* SPDX-License-Identifier: MIT */
#include "training/verdict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 256, SAMPLE_VALUES = 1 << 26, ENOUGH_STEPS = 100 };
static const double far_above = 1.5; /* beyond what noise or a few first steps do */
static const double hardly_below = 0.95;

/* Sums over images, for each pixel. */
typedef struct moments {
    double *sum, *squares;
    size_t pixels;
    int64_t images;
} moments;

static unseen_status add_batch(const us_verdict_subject *subject, int64_t first, int n,
                               float *values, moments *m, unseen_error *error) {
    us_detector *detector = subject->detector;
    us_image_batch_args batch = {.out = detector->x,
                                 .first = first,
                                 .n = n,
                                 .shuffle = true,
                                 .seed = subject->seed,
                                 .epoch = UINT32_MAX};
    size_t padded = (size_t)detector->padded;
    const uint32_t step =
        UINT32_MAX - (uint32_t)(first / detector->batch); /* no step of training */
    US_TRY(us_training_images_load(subject->images, &batch, batch.seed, step, error));
    US_TRY(us_buffer_read(detector->x, 0, values, m->pixels * padded * sizeof *values, error));
    for (size_t p = 0; p < m->pixels; p++)
        for (int i = 0; i < n; i++) {
            double value = (double)values[p * padded + (size_t)i];
            m->sum[p] += value;
            m->squares[p] += value * value;
        }
    m->images += n;
    return UNSEEN_OK;
}

/* The mean squared error of the images' own mean, from a sample of them as the networks see them.
 */
static unseen_status mean_image_loss(const us_verdict_subject *subject, double *loss,
                                     unseen_error *error) {
    const us_detector *detector = subject->detector;
    size_t pixels = us_shape_size(detector->spec->input);
    int64_t most = SAMPLE_VALUES / (int64_t)pixels, count = subject->count;
    if (most > SAMPLE) most = SAMPLE;
    if (most < detector->batch) most = detector->batch;
    if (count > most) count = most;
    moments m = {.sum = calloc(pixels, sizeof(double)),
                 .squares = calloc(pixels, sizeof(double)),
                 .pixels = pixels};
    float *values = malloc(pixels * (size_t)detector->padded * sizeof *values);
    unseen_status status =
        m.sum && m.squares && values ? UNSEEN_OK : us_fail_memory(error, "a mean image");
    for (int64_t first = 0; status == UNSEEN_OK && first < count; first += detector->batch) {
        int64_t n = count - first < detector->batch ? count - first : detector->batch;
        status = add_batch(subject, first, (int)n, values, &m, error);
    }
    double spread = 0, images = (double)m.images;
    for (size_t p = 0; status == UNSEEN_OK && p < pixels; p++)
        spread += m.squares[p] - m.sum[p] * m.sum[p] / images;
    *loss = images > 1 ? spread / (images - 1) / (double)pixels : NAN;
    free(m.sum);
    free(m.squares);
    free(values);
    return status;
}

/* The loss of a model that gives the same for every image; NaN where the first loss is of another
 * kind. */
static unseen_status constant_loss(const us_verdict_subject *subject, double *loss,
                                   unseen_error *error) {
    const us_detector *detector = subject->detector;
    const us_detector_type *type = detector->spec->type;
    if (strcmp(type->losses[0].name, "reconstruction") == 0)
        return mean_image_loss(subject, loss, error);
    *loss = type->constant_loss ? type->constant_loss(detector->spec) : NAN;
    return UNSEEN_OK;
}

/* Where networks play against each other, a worse reconstruction may be part of the game. */
static bool is_game(const us_detector_type *type) {
    for (int i = 0; type->losses[i].name; i++)
        if (type->losses[i].game == US_GAME_ADVERSARIAL) return true;
    return false;
}

unseen_status us_verdict(const us_verdict_subject *subject, char *doubt, size_t room,
                         unseen_error *error) {
    const us_progress *progress = subject->progress;
    const us_detector_type *type = subject->detector->spec->type;
    const char *name = type->losses[0].name;
    double loss = progress->loss, first = progress->first_loss, constant;
    bool worse = loss > far_above * first;
    *doubt = '\0';
    if (!type->train) return UNSEEN_OK;
    if (!worse && subject->steps < ENOUGH_STEPS) return UNSEEN_OK;
    US_TRY(constant_loss(subject, &constant, error));
    worse = worse && loss > far_above * constant;
    if (worse && !is_game(type))
        return us_fail(error, UNSEEN_DIVERGED,
                       "training diverged: the %s loss was %.3g in the first step and is %.3g "
                       "after the last epoch, while a model that gives the same for every image "
                       "has %.3g: a lower /training/optimizer/learning_rate or a "
                       "/training/clip_norm may help",
                       name, first, loss, constant);
    if (loss > hardly_below * constant)
        snprintf(doubt, room,
                 "the %s loss, %.3g, is %s the %.3g of a model that gives the same for every "
                 "image: nothing of single images has been learned; another "
                 "/training/optimizer/learning_rate or more epochs may help",
                 name, loss, loss < constant ? "hardly below" : "above", constant);
    return UNSEEN_OK;
}
