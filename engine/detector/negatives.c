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

static us_augmentation_settings move_settings(us_move move) {
    us_augmentation_settings still = {.zoom = {1, 1}};
    switch (move) {
    case US_MOVE_ZOOM_IN:
        still.zoom[0] = 1.25;
        still.zoom[1] = 2.5;
        break;
    case US_MOVE_ZOOM_OUT:
        still.zoom[0] = 1 / 1.8;
        still.zoom[1] = 1 / 1.2;
        still.shift = 0.1;
        break;
    case US_MOVE_SHIFT:
        still.least_shift = 0.1;
        still.shift = 0.3;
        break;
    case US_MOVE_TILT:
        still.least_rotation = 15;
        still.rotation = 45;
        break;
    default:
        still.quarter_turns = 1;
    }
    return still;
}

static unseen_status create_moves(us_detector *detector, us_negatives *negatives,
                                  unseen_error *error) {
    us_augmentation_settings moves[US_MOVES];
    int count = 0;
    for (int m = 0; m < US_MOVES; m++)
        if (negatives->settings->moves >> m & 1) moves[count++] = move_settings((us_move)m);
    return us_augmentation_create(detector->device, moves, count, detector->spec->input,
                                  detector->padded, &negatives->moves, error);
}

static unseen_status create_images(us_detector *detector, const char *what, us_buffer **images,
                                   unseen_error *error) {
    const size_t floats = us_shape_size(detector->spec->input) * (size_t)detector->padded;
    return us_buffer_create(detector->device, floats * sizeof(float), what, images, error);
}

/* What puts some images of a batch in the place of others. */
static bool mixes(const us_negatives_settings *settings) {
    return (settings->shares.codes > 0 && settings->shares.moved > 0) ||
           settings->reconstructed > 0;
}

unseen_status us_negatives_create(us_detector *detector, const us_negatives_settings *settings,
                                  int encoder, int decoder, us_negatives *negatives,
                                  unseen_error *error) {
    memset(negatives, 0, sizeof *negatives);
    negatives->settings = settings;
    negatives->encoder = detector->networks[encoder];
    negatives->decoder = detector->networks[decoder];
    const us_shape shape = detector->spec->input;
    const us_negative_shares *shares = &settings->shares;
    if (shares->codes > 0) US_TRY(create_decoded(detector, decoder, negatives, error));
    if (settings->reconstructed > 0) {
        US_TRY(us_tape_create(negatives->encoder, false, &negatives->encoder_tape, error));
        if (!negatives->tape)
            US_TRY(us_tape_create(negatives->decoder, false, &negatives->tape, error));
    }
    if (mixes(settings))
        US_TRY(us_lanes_create(detector->device, shape, detector->padded, detector->padded,
                               &negatives->lanes, error));
    if (shares->moved > 0) {
        US_TRY(create_moves(detector, negatives, error));
        US_TRY(create_images(detector, "moved images", &negatives->moved, error));
    }
    if (shares->noise == 0 && shares->corrupted == 0) return UNSEEN_OK;
    US_TRY(us_corruption_create(detector->device, settings->corruptions, settings->normal, shape,
                                detector->padded, &negatives->corruption, error));
    return create_images(detector, "negatives", &negatives->images, error);
}

void us_negatives_destroy(us_negatives *negatives) {
    us_tape_destroy(negatives->tape);
    us_tape_destroy(negatives->encoder_tape);
    us_random_codes_destroy(negatives->random);
    us_matched_codes_destroy(negatives->matched);
    us_augmentation_destroy(negatives->moves);
    us_corruption_destroy(negatives->corruption);
    us_lanes_destroy(negatives->lanes);
    us_buffer_destroy(negatives->code);
    us_buffer_destroy(negatives->moved);
    us_buffer_destroy(negatives->images);
}

void us_negatives_divide(const us_negative_shares *shares, int n, double u, int begin[3]) {
    const double sum = shares->codes + shares->moved + shares->noise + shares->corrupted;
    const double until[3] = {shares->codes / sum, (shares->codes + shares->moved) / sum,
                             (shares->codes + shares->moved + shares->noise) / sum};
    for (int i = 0; i < 3; i++)
        begin[i] = (int)fmin(fmax(ceil(until[i] * n - u), 0), n);
}

int us_negatives_reconstructed(double share, int count, double u) {
    return (int)fmin(floor(share * count + u), count);
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

/* Moves all images of the batch, and puts the decoded ones before those from `first` on. */
static unseen_status move(us_negatives *negatives, const us_detector_step *step, us_buffer *decoded,
                          int first, unseen_error *error) {
    const us_augmentation_args args = {.x = step->x,
                                       .out = negatives->moved,
                                       .n = step->n,
                                       .seed = step->seed,
                                       .substream = (uint32_t)step->step,
                                       .purpose = US_AUGMENT_NEGATIVES};
    US_TRY(us_augmentation_run(negatives->moves, &args, error));
    if (first == 0) return UNSEEN_OK;
    return us_lanes_copy(negatives->lanes,
                         &(us_lanes_args){.from = decoded, .to = negatives->moved, .n = first},
                         error);
}

/* Puts the reconstructions of the first of the moved and of the corrupted images in their places.
 */
static unseen_status reconstruct(us_negatives *negatives, us_buffer *images, int n,
                                 const int begin[3], double u, unseen_error *error) {
    const double share = negatives->settings->reconstructed;
    const int firsts[2] = {begin[0], begin[2]};
    const int counts[2] = {us_negatives_reconstructed(share, begin[1] - begin[0], u),
                           us_negatives_reconstructed(share, n - begin[2], u)};
    if (counts[0] + counts[1] == 0) return UNSEEN_OK;
    US_TRY(us_network_forward(negatives->encoder, negatives->encoder_tape, images, n,
                              US_TRAINING_NONE, error));
    US_TRY(us_network_forward(negatives->decoder, negatives->tape,
                              us_tape_output(negatives->encoder_tape), n, US_TRAINING_NONE, error));
    for (int i = 0; i < 2; i++) {
        const us_lanes_args args = {.from = us_tape_output(negatives->tape),
                                    .to = images,
                                    .from_first = firsts[i],
                                    .to_first = firsts[i],
                                    .n = counts[i]};
        if (counts[i]) US_TRY(us_lanes_copy(negatives->lanes, &args, error));
    }
    return UNSEEN_OK;
}

unseen_status us_negatives_make(us_negatives *negatives, const us_detector_step *step,
                                us_buffer *codes, us_buffer **images, unseen_error *error) {
    const uint32_t substream = (uint32_t)(DRAWS * step->step);
    const double u =
        (double)us_random_uniform(step->seed, US_STREAM_CORRUPTION, substream + DRAW_DIVISION, 0);
    int begin[3];
    us_negatives_divide(&negatives->settings->shares, step->n, u, begin);
    us_buffer *made = NULL; /* decoded and moved images */
    if (begin[0] > 0) {
        US_TRY(decode(negatives, step, codes, error));
        made = us_tape_output(negatives->tape);
    }
    if (begin[1] > begin[0]) {
        US_TRY(move(negatives, step, made, begin[0], error));
        made = negatives->moved;
    }
    *images = made;
    if (negatives->corruption) {
        const us_corruption_args args = {
            .x = step->x,
            .base = made,
            .out = negatives->images,
            .n = step->n,
            .noise_begin = begin[1],
            .corrupted_begin = begin[2],
            .seed = step->seed,
            .substream = substream + DRAW_CORRUPTION,
        };
        *images = negatives->images;
        US_TRY(us_corruption_run(negatives->corruption, &args, error));
    }
    if (!negatives->encoder_tape) return UNSEEN_OK;
    return reconstruct(negatives, *images, step->n, begin, u, error);
}
