/* SPDX-License-Identifier: MIT */
#include "ops/contrastive.h"

#include <stdlib.h>

#include "ops/activation.h"

enum { ROWS = US_CONTRASTIVE_POINTS /* of an item: of products, dimensions, points */ };

/* Kernels of cl_kernels/contrastive.cl, in the order in which they run. */
enum { LENGTHS, PRODUCTS, ENTROPIES, SUM, WEIGHTS, GRADIENT, LOSS_KERNELS };

struct us_contrastive_loss {
    us_kernel *kernels[LOSS_KERNELS];
    us_buffer *lengths; /* 1 / |z|, of each vector */
    us_buffer *matrix;  /* [batch][batch]: cosines / temperature, then their gradient */
    us_buffer *sums, *losses, *pull; /* of each vector */
    size_t lane_groups, dimension_groups;
    float temperature;
};

static size_t rows_of(int count) {
    return (size_t)((count + ROWS - 1) / ROWS);
}

static unseen_status create_loss_kernels(us_device *device, int dimensions, int batch,
                                         us_activation activation, us_contrastive_loss *loss,
                                         unseen_error *error) {
    static const char *const names[LOSS_KERNELS] = {
        "contrastive_lengths", "contrastive_products", "contrastive_entropies",
        "contrastive_sum",     "contrastive_weights",  "contrastive_gradient"};
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_LOSS};
    for (int i = 0; i < LOSS_KERNELS; i++)
        US_TRY(us_kernel_create(&build, "contrastive", names[i], &loss->kernels[i], error,
                                "-DDIMENSIONS=%d -DBATCH=%d -DROWS=%d %s", dimensions, batch, ROWS,
                                activations));
    return UNSEEN_OK;
}

unseen_status us_contrastive_loss_create(us_device *device, int dimensions, int batch,
                                         us_activation activation, double temperature,
                                         us_contrastive_loss **out, unseen_error *error) {
    *out = NULL;
    us_contrastive_loss *loss = calloc(1, sizeof *loss);
    if (!loss) return us_fail_memory(error, "a loss");
    const size_t bytes = (size_t)batch * sizeof(float);
    loss->temperature = (float)temperature;
    loss->lane_groups = (size_t)us_device_vectors(&device->facts, batch);
    loss->dimension_groups = rows_of(dimensions);
    const struct {
        us_buffer **buffer;
        size_t bytes;
        const char *what;
    } wanted[] = {{&loss->lengths, bytes, "lengths of vectors"},
                  {&loss->matrix, bytes * (size_t)batch, "similarities of vectors"},
                  {&loss->sums, bytes, "sums of similarities"},
                  {&loss->losses, bytes, "losses of vectors"},
                  {&loss->pull, bytes, "gradients of lengths"}};
    unseen_status status = UNSEEN_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && status == UNSEEN_OK; i++)
        status = us_buffer_create(device, wanted[i].bytes, wanted[i].what, wanted[i].buffer, error);
    if (status == UNSEEN_OK)
        status = create_loss_kernels(device, dimensions, batch, activation, loss, error);
    if (status == UNSEEN_OK)
        *out = loss;
    else
        us_contrastive_loss_destroy(loss);
    return status;
}

void us_contrastive_loss_destroy(us_contrastive_loss *loss) {
    if (!loss) return;
    for (int i = 0; i < LOSS_KERNELS; i++)
        us_kernel_destroy(loss->kernels[i]);
    us_buffer *const buffers[] = {loss->lengths, loss->matrix, loss->sums, loss->losses,
                                  loss->pull};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        us_buffer_destroy(buffers[i]);
    free(loss);
}

unseen_status us_contrastive_loss_run(us_contrastive_loss *loss,
                                      const us_contrastive_loss_args *args, unseen_error *error) {
    us_kernel *const *kernels = loss->kernels;
    const int n = args->n;
    const double scale = 1.0 / n;
    const size_t lanes[3] = {loss->lane_groups, 1, 1};
    US_TRY(us_kernel_run(kernels[LENGTHS], lanes, error, "bb", args->z, loss->lengths));
    US_TRY(us_kernel_run(kernels[PRODUCTS], (size_t[]){loss->lane_groups, rows_of(n), 1}, error,
                         "bbbif", args->z, loss->lengths, loss->matrix, n, 1 / loss->temperature));
    US_TRY(us_kernel_run(kernels[ENTROPIES], lanes, error, "bbbi", loss->matrix, loss->sums,
                         loss->losses, n));
    US_TRY(us_kernel_run(kernels[SUM], (size_t[]){1, 1, 1}, error, "bbif", loss->losses,
                         args->losses, args->slot, scale));
    if (!args->dz) return UNSEEN_OK;
    US_TRY(us_kernel_run(kernels[WEIGHTS], lanes, error, "bbbi", loss->matrix, loss->sums,
                         loss->pull, n));
    return us_kernel_run(kernels[GRADIENT],
                         (size_t[]){loss->lane_groups, loss->dimension_groups, 1}, error,
                         "bbbbbiff", args->z, loss->lengths, loss->matrix, loss->pull, args->dz, n,
                         scale, 1 / loss->temperature);
}

/* ---- the score ---- */

struct us_contrastive_score {
    us_kernel *nearest, *join;
    us_buffer *directions, *weights, *similarities;
    size_t lane_groups;
    int parts, points;
};

static unseen_status create_memory(us_device *device, const us_contrastive_memory *memory,
                                   int lanes, us_contrastive_score *score, unseen_error *error) {
    const size_t parts = (size_t)memory->parts;
    const size_t directions =
        parts * (size_t)memory->dimensions * (size_t)memory->points * sizeof(float);
    const size_t weights = 2 * parts * sizeof(float);
    US_TRY(us_buffer_create(device, directions, "features of training images", &score->directions,
                            error));
    US_TRY(us_buffer_create(device, weights, "weights of scores", &score->weights, error));
    US_TRY(us_buffer_create(device, parts * (size_t)lanes * sizeof(float), "similarities",
                            &score->similarities, error));
    US_TRY(us_buffer_write(score->directions, 0, memory->directions, directions, error));
    return us_buffer_write(score->weights, 0, memory->weights, weights, error);
}

unseen_status us_contrastive_score_create(us_device *device, const us_contrastive_memory *memory,
                                          int lanes, int wide, us_contrastive_score **out,
                                          unseen_error *error) {
    *out = NULL;
    us_contrastive_score *score = calloc(1, sizeof *score);
    if (!score) return us_fail_memory(error, "a score");
    score->lane_groups = (size_t)us_device_vectors(&device->facts, lanes);
    score->parts = memory->parts;
    score->points = memory->points;
    const char *const names[] = {"contrastive_nearest", "contrastive_join"};
    us_kernel **const kernels[] = {&score->nearest, &score->join};
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    unseen_status status = create_memory(device, memory, lanes, score, error);
    for (int i = 0; i < 2 && status == UNSEEN_OK; i++)
        status = us_kernel_create(&build, "contrastive", names[i], kernels[i], error,
                                  "-DDIMENSIONS=%d -DBATCH=%d -DLANES_OF_PART=%d -DPARTS=%d "
                                  "-DROWS=%d",
                                  memory->dimensions, wide, lanes, memory->parts, ROWS);
    if (status == UNSEEN_OK)
        *out = score;
    else
        us_contrastive_score_destroy(score);
    return status;
}

void us_contrastive_score_destroy(us_contrastive_score *score) {
    if (!score) return;
    us_kernel_destroy(score->nearest);
    us_kernel_destroy(score->join);
    us_buffer_destroy(score->directions);
    us_buffer_destroy(score->weights);
    us_buffer_destroy(score->similarities);
    free(score);
}

unseen_status us_contrastive_score_run(us_contrastive_score *score, us_buffer *z, us_buffer *logits,
                                       us_buffer *similarities, us_buffer *shifts,
                                       unseen_error *error) {
    const size_t groups[3] = {score->lane_groups, (size_t)score->parts, 1};
    US_TRY(us_kernel_run(score->nearest, groups, error, "bbbi", z, score->directions,
                         score->similarities, score->points));
    return us_kernel_run(score->join, (size_t[]){score->lane_groups, 1, 1}, error, "bbbbb",
                         score->similarities, logits, score->weights, similarities, shifts);
}
