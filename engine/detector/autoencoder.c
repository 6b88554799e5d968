/* SPDX-License-Identifier: MIT */
/* The autoencoder: what it reconstructs poorly, it has not seen. */
#include <stdlib.h>

#include "detector/reconstruction.h"

static const us_key keys[] = {{.kind = US_KEY_END}};

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    us_reconstruction *reconstruction = calloc(1, sizeof *reconstruction);
    if (!reconstruction) return us_fail_memory(error, "a detector");
    detector->state = reconstruction;
    return us_reconstruction_create(detector, training, reconstruction, error);
}

static void destroy(us_detector *detector) {
    if (detector->state) us_reconstruction_destroy(detector->state);
    free(detector->state);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    return us_reconstruction_learn(detector->state, step, error);
}

static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    return us_reconstruction_validate(detector->state, x, n, losses, slot, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    return us_reconstruction_score(detector->state, x, n, columns[0], error);
}

static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    return us_reconstruction_map(detector->state, args->x, args->n, args->map, args->out, error);
}

const us_detector_type us_autoencoder_detector = {
    .name = "autoencoder",
    .help =
        "Encoder and decoder trained to reproduce images; the score is the reconstruction error",
    .keys = keys,
    .networks = {{.name = "encoder", .forward = 1, .backward = 1},
                 {.name = "decoder",
                  .input = "encoder",
                  .updated_with_previous = true,
                  .compared = true,
                  .forward = 1,
                  .backward = 1}},
    .losses = {{"reconstruction", "decoder", US_GAME_NONE}},
    .columns = {{"reconstruction", 1, "decoder"}},
    .create = create,
    .destroy = destroy,
    .train = train,
    .validate = validate,
    .score = score,
    .map = map,
};
