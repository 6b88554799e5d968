/* SPDX-License-Identifier: MIT */
/* synthetic_defects: a fully convolutional network that learns to find defects which were drawn
 * into normal images (after CutPaste, arXiv 2104.04015, and NSA, arXiv 2109.15222). One step:
 *   1. defects are drawn into a share of the batch's images;
 *   2. the network gives a logit for each position of a grid over the image and learns, by the
 * cross entropy or the focal loss, how much of the position a defect covers. An image scores the
 * mean over the positions that look most defective (ops/positions.h), which make its map, too. */
#include <stdlib.h>

#include "detector/detector.h"
#include "ops/defects.h"
#include "ops/positions.h"

typedef struct synthetic_defects_attributes {
    us_defects_settings defects;
    us_position_loss_settings loss;
    double top;
    int rim;
} synthetic_defects_attributes;

#define KIND(member, number, text)                                                                 \
    {                                                                                              \
        .name = member, .kind = US_KEY_NUMBER, .offset = US_DEFECT_##number * sizeof(double),      \
        .maximum = 1e6, .fallback = {1}, .help = text                                              \
    }

static const us_key kind_keys[] = {
    KIND("cut_paste", CUT_PASTE, "Share of rectangles from another place of the image"),
    KIND("scar", SCAR, "Share of thin, tilted rectangles from another place of the image"),
    KIND("patch", PATCH, "Share of spots from any image, with soft edges, partly translucent"),
    KIND("seamless", SEAMLESS, "Share of patches from any image without visible edges"),
    KIND("line", LINE, "Share of scratches and cracks"),
    KIND("blob", BLOB, "Share of small spots, darker or brighter"),
    KIND("shade", SHADE, "Share of large areas, darker or brighter"),
    {.kind = US_KEY_END},
};

#define ATTRIBUTE(member) offsetof(synthetic_defects_attributes, member)

static const us_key keys[] = {
    {.name = "kinds",
     .kind = US_KEY_OBJECT,
     .offset = ATTRIBUTE(defects.shares),
     .members = kind_keys,
     .help = "Which defects are drawn, in proportions"},
    {.name = "share",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(defects.share),
     .above_minimum = true,
     .maximum = 1,
     .fallback = {0.6},
     .help = "Share of training images that get defects"},
    {.name = "more",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(defects.more),
     .maximum = 1,
     .fallback = {0.4},
     .help = "Probability that such an image gets a second defect, and that it gets a third"},
    {.name = "smallest",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(defects.smallest),
     .above_minimum = true,
     .maximum = 2,
     .fallback = {0.04},
     .help = "Size of the smallest patches and shades, as a share of the image's side"},
    {.name = "largest",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(defects.largest),
     .above_minimum = true,
     .maximum = 2,
     .fallback = {0.5},
     .help = "Size of the largest patches and shades, as a share of the image's side"},
    {.name = "visible",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(defects.visible),
     .above_minimum = true,
     .maximum = 2,
     .fallback = {0.05},
     .help = "Change of a pixel that counts in full as a defect; from black to white it is 2"},
    {.name = "coverage",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(loss.coverage),
     .above_minimum = true,
     .maximum = 1,
     .fallback = {0.2},
     .help = "Share of a position's pixels that a defect must cover for the network to be asked "
             "for certainty"},
    {.name = "positive_weight",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(loss.positive_weight),
     .above_minimum = true,
     .maximum = 1e6,
     .fallback = {2},
     .help = "Weight of the loss at positions with a defect, beside those without"},
    {.name = "focusing",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(loss.focusing),
     .maximum = 10,
     .fallback = {0},
     .help = "Gamma of the focal loss, which counts positions less that are easily told; at least "
             "1, or 0: cross entropy"},
    {.name = "top",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(top),
     .above_minimum = true,
     .maximum = 1,
     .fallback = {0.01},
     .help = "Share of the positions that make an image's score: those that look most defective"},
    {.name = "rim",
     .kind = US_KEY_INT,
     .offset = ATTRIBUTE(rim),
     .maximum = 1000,
     .fallback = {2},
     .help = "Positions at each edge that have no part in scores: padding is all that the network "
             "sees beyond"},
    {.kind = US_KEY_END},
};

typedef struct synthetic_defects {
    us_network *network;
    us_tape *tape;
    us_defects *defects;    /* training only, as what follows */
    us_position_loss *loss; /* NULL for scoring */
    us_position_score *score;
    us_buffer *images, *mask, *gradient;
} synthetic_defects;

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    const synthetic_defects_attributes *a = spec->attributes;
    us_json detector = us_json_member(config, "detector");
    us_json networks = us_json_member(config, "networks");
    us_json segmenter = us_json_member(&networks, "segmenter");
    us_shape out = spec->networks[0].out;
    double sum = 0;
    for (int kind = 0; kind < US_DEFECT_KINDS; kind++)
        sum += a->defects.shares[kind];
    if (sum <= 0) {
        us_json kinds = us_json_member(&detector, "kinds");
        return us_json_fail(&kinds, error, "the shares of all kinds of defects are 0");
    }
    if (a->defects.smallest > a->defects.largest) {
        us_json smallest = us_json_member(&detector, "smallest");
        return us_json_fail(&smallest, error, "must be at most /detector/largest, which is %g",
                            a->defects.largest);
    }
    if (a->loss.focusing > 0 && a->loss.focusing < 1) {
        us_json focusing = us_json_member(&detector, "focusing");
        return us_json_fail(&focusing, error, "must be 0, or at least 1, not %g", a->loss.focusing);
    }
    if (out.channels == 1) return UNSEEN_OK;
    return us_json_fail(&segmenter, error,
                        "the segmenter must give one channel, a number for each position, not %d x "
                        "%d x %d",
                        out.channels, out.height, out.width);
}

static unseen_status create_training(us_detector *detector, synthetic_defects *d,
                                     unseen_error *error) {
    const us_detector_spec *spec = detector->spec;
    const synthetic_defects_attributes *a = spec->attributes;
    const us_shape input = spec->input, grid = spec->networks[0].out;
    const size_t lane_bytes = (size_t)detector->padded * sizeof(float);
    US_TRY(us_defects_create(detector->device, US_PURPOSE_TRAINING, &a->defects, input,
                             detector->padded, &d->defects, error));
    US_TRY(us_position_loss_create(detector->device, &a->loss, grid, input, detector->padded,
                                   us_network_output_activation(d->network), &d->loss, error));
    US_TRY(us_buffer_create(detector->device, us_shape_size(input) * lane_bytes,
                            "images with defects", &d->images, error));
    US_TRY(us_buffer_create(detector->device,
                            (size_t)input.height * (size_t)input.width * lane_bytes,
                            "masks of defects", &d->mask, error));
    return us_buffer_create(detector->device, us_shape_size(grid) * lane_bytes,
                            "gradient of the logits", &d->gradient, error);
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    synthetic_defects *d = calloc(1, sizeof *d);
    if (!d) return us_fail_memory(error, "a detector");
    detector->state = d;
    const us_detector_spec *spec = detector->spec;
    const synthetic_defects_attributes *a = spec->attributes;
    d->network = detector->networks[0];
    US_TRY(us_tape_create(d->network, training, &d->tape, error));
    US_TRY(us_position_score_create(detector->device, spec->networks[0].out, spec->input, a->rim,
                                    a->top, detector->padded, &d->score, error));
    return training ? create_training(detector, d, error) : UNSEEN_OK;
}

static void destroy(us_detector *detector) {
    synthetic_defects *d = detector->state;
    if (!d) return;
    us_tape_destroy(d->tape);
    us_defects_destroy(d->defects);
    us_position_loss_destroy(d->loss);
    us_position_score_destroy(d->score);
    us_buffer_destroy(d->images);
    us_buffer_destroy(d->mask);
    us_buffer_destroy(d->gradient);
    free(d);
}

/* The loss on images with drawn defects. gradient NULL: the loss alone. */
static unseen_status look(synthetic_defects *d, const us_defects_args *drawn, us_training training,
                          us_buffer *gradient, us_buffer *losses, int slot, unseen_error *error) {
    US_TRY(us_defects_draw(d->defects, drawn, error));
    US_TRY(us_network_forward(d->network, d->tape, d->images, drawn->n, training, error));
    const us_position_loss_args args = {
        .y = us_tape_output(d->tape),
        .mask = d->mask,
        .dy = gradient,
        .losses = losses,
        .slot = slot,
        .n = drawn->n,
    };
    return us_position_loss_run(d->loss, &args, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    synthetic_defects *d = detector->state;
    const us_defects_args drawn = {
        .x = step->x,
        .out = d->images,
        .mask = d->mask,
        .n = step->n,
        .seed = step->seed,
        .substream = (uint32_t)step->step,
    };
    US_TRY(look(d, &drawn, US_TRAINING_MOVES, d->gradient, step->losses, step->slot, error));
    us_network_backward_args backward = {.dy = d->gradient, .n = step->n, .parameters = true};
    US_TRY(us_network_backward(d->network, d->tape, &backward, error));
    return step->update(step->user, 0, NULL, error);
}

/* The defects drawn are the same each time, so that the losses of epochs are comparable. */
static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    synthetic_defects *d = detector->state;
    const us_defects_args drawn = {
        .x = x, .out = d->images, .mask = d->mask, .n = n, .substream = (uint32_t)slot};
    return look(d, &drawn, US_TRAINING_NONE, NULL, losses, slot, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    synthetic_defects *d = detector->state;
    US_TRY(us_network_forward(d->network, d->tape, x, n, US_TRAINING_NONE, error));
    return us_position_score_run(d->score, us_tape_output(d->tape), columns[0], error);
}

static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    synthetic_defects *d = detector->state;
    US_TRY(us_position_score_map(d->score, args->out, error));
    return us_anomaly_map_smooth(args->map, args->out, error);
}

const us_detector_type us_synthetic_defects_detector = {
    .name = "synthetic_defects",
    .help = "A network that finds defects which were drawn into normal images; the score is how "
            "defective the worst part of an image looks, and there are maps",
    .keys = keys,
    .attributes_size = sizeof(synthetic_defects_attributes),
    .networks = {{.name = "segmenter", .forward = 1, .backward = 1}},
    .losses = {{"defects", "segmenter", US_GAME_NONE}},
    .columns = {{"defect", 1, "segmenter"}},
    .check = check,
    .create = create,
    .destroy = destroy,
    .train = train,
    .validate = validate,
    .score = score,
    .map = map,
};
