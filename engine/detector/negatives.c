/* SPDX-License-Identifier: MIT */
#include "detector/negatives.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

/* What a step draws from US_STREAM_CORRUPTION, each from a substream of its own. */
enum { DRAW_CORRUPTION, DRAW_DIVISION = 2, DRAWS };

static unseen_status create_decoded(us_detector *detector, int decoder, us_negatives *negatives,
                                    unseen_error *error) {
    const us_negatives_settings *settings = negatives->settings;
    us_device *device = detector->device;
    us_shape code = detector->spec->networks[decoder].in;
    us_distribution distribution = (us_distribution)settings->codes;
    US_TRY(us_tape_create(negatives->decoder, false, &negatives->tape, error));
    if (settings->codes == US_CODES_MATCHED) {
        US_TRY(us_matched_codes_create(device, code, detector->padded, &negatives->matched, error));
        distribution = US_DISTRIBUTION_RECTIFIED_NORMAL; /* for a batch of one image */
    }
    US_TRY(us_random_codes_create(device, distribution, code, detector->padded, &negatives->random,
                                  error));
    return us_buffer_create(device, us_shape_size(code) * (size_t)detector->padded * sizeof(float),
                            "random codes", &negatives->code, error);
}

unseen_status us_negatives_create(us_detector *detector, const us_negatives_settings *settings,
                                  int decoder, us_negatives *negatives, unseen_error *error) {
    memset(negatives, 0, sizeof *negatives);
    negatives->settings = settings;
    negatives->decoder = detector->networks[decoder];
    us_shape shape = detector->spec->input;
    if (settings->shares.codes > 0) US_TRY(create_decoded(detector, decoder, negatives, error));
    if (settings->shares.noise == 0 && settings->shares.corrupted == 0) return UNSEEN_OK;
    US_TRY(us_corruption_create(detector->device, settings->corruptions, settings->normal, shape,
                                detector->padded, &negatives->corruption, error));
    return us_buffer_create(detector->device,
                            us_shape_size(shape) * (size_t)detector->padded * sizeof(float),
                            "negatives", &negatives->images, error);
}

void us_negatives_destroy(us_negatives *negatives) {
    us_tape_destroy(negatives->tape);
    us_random_codes_destroy(negatives->random);
    us_matched_codes_destroy(negatives->matched);
    us_corruption_destroy(negatives->corruption);
    us_buffer_destroy(negatives->code);
    us_buffer_destroy(negatives->images);
}

void us_negatives_divide(const us_negative_shares *shares, int n, double u, int begin[2]) {
    const double sum = shares->codes + shares->noise + shares->corrupted;
    const double until[2] = {shares->codes / sum, (shares->codes + shares->noise) / sum};
    for (int i = 0; i < 2; i++)
        begin[i] = (int)fmin(fmax(ceil(until[i] * n - u), 0), n);
}

/* Decodes in evaluation mode, so that the images come from the same function that decodes real
 * codes when scoring. */
static unseen_status decode(us_negatives *negatives, const us_detector_step *step, us_buffer *codes,
                            unseen_error *error) {
    const float scale = (float)negatives->settings->scale;
    const uint32_t substream = (uint32_t)step->step;
    if (negatives->matched && step->n > 1)
        US_TRY(us_matched_codes_draw(negatives->matched, codes, negatives->code, step->n, scale,
                                     step->seed, substream, error));
    else
        US_TRY(us_random_codes_draw(negatives->random, NULL, negatives->code, step->n, scale,
                                    step->seed, substream, error));
    return us_network_forward(negatives->decoder, negatives->tape, negatives->code, step->n,
                              US_TRAINING_NONE, error);
}

unseen_status us_negatives_make(us_negatives *negatives, const us_detector_step *step,
                                us_buffer *codes, us_buffer **images, unseen_error *error) {
    const uint32_t substream = (uint32_t)(DRAWS * step->step);
    const double u =
        (double)us_random_uniform(step->seed, US_STREAM_CORRUPTION, substream + DRAW_DIVISION, 0);
    int begin[2];
    us_negatives_divide(&negatives->settings->shares, step->n, u, begin);
    if (begin[0] > 0) {
        US_TRY(decode(negatives, step, codes, error));
        *images = us_tape_output(negatives->tape);
        if (!negatives->corruption) return UNSEEN_OK;
    }
    us_corruption_args args = {
        .x = step->x,
        .base = begin[0] > 0 ? *images : NULL,
        .out = negatives->images,
        .n = step->n,
        .noise_begin = begin[0],
        .corrupted_begin = begin[1],
        .seed = step->seed,
        .substream = substream + DRAW_CORRUPTION,
    };
    *images = negatives->images;
    return us_corruption_run(negatives->corruption, &args, error);
}
