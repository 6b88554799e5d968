/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "ops/density_fit.h"
#include "ops/density_internal.h"
#include "tuning/tuning.h"

enum {
    ROWS = 16, /* of an item */
    MOST_CHUNK = 128,
    CHUNK_FLOATS = 1 << 23, /* distances at once, about */
};

/* ---- creation ---- */

unseen_status us_density_product(const us_density *density, us_convolution_pass pass, int in,
                                 int out, bool bias, us_convolution **product,
                                 unseen_error *error) {
    us_device *device = density->device;
    const int height = density->shape.height, width = density->shape.width;
    const us_convolution_problem problem = {
        .pass = pass,
        .large = {in, height, width},
        .small = {out, height, width},
        .batch = density->batch,
        .kernel = {1, 1},
        .stride = {1, 1},
        .large_stride = (size_t)out,
        .tap_stride = (size_t)out,
        .small_stride = 1,
        .bias = bias,
    };
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    us_choice choice;
    US_TRY(us_tuning_choose(device->tuning, &device->facts, &us_convolution_tunable, &problem,
                            &choice, error));
    return us_convolution_create(&build, &problem, &choice, product, error);
}

static unseen_status create_kernel(us_density *density, const char *name, int channels,
                                   us_kernel **kernel, unseen_error *error) {
    const us_build build = {.device = density->device, .label.pass = US_PASS_SCORE};
    char points[96] = "";
    if (!us_density_is_gaussian(density))
        snprintf(points, sizeof points, "-DPOINTS=%d -DNEIGHBOURS=%d -DSAME_PLACE=1e-5f",
                 density->chunk, density->settings.neighbours);
    return us_kernel_create(&build, "density", name, kernel, error,
                            "-DCHANNELS=%d -DPIXELS=%d -DBATCH=%d -DROWS=%d %s", channels,
                            density->pixels, density->batch, ROWS, points);
}

static unseen_status create_kernels(us_density *density, unseen_error *error) {
    const bool nearest = density->settings.kind == US_DENSITY_NEIGHBOURS;
    US_TRY(
        create_kernel(density, "density_centre", density->shape.channels, &density->centre, error));
    US_TRY(create_kernel(density, "density_extend", density->d, &density->extend, error));
    if (us_density_is_gaussian(density))
        return create_kernel(density, "density_length", density->d, &density->length, error);
    US_TRY(create_kernel(density, nearest ? "density_nearest" : "density_kernels", density->d,
                         &density->search, error));
    return create_kernel(density, nearest ? "density_neighbours" : "density_unlikeliness",
                         density->d, &density->result, error);
}

static unseen_status create_buffer(us_density *density, int channels, const char *what,
                                   us_buffer **buffer, unseen_error *error) {
    return us_buffer_create(density->device,
                            (size_t)channels * (size_t)density->pixels * (size_t)density->batch *
                                sizeof(float),
                            what, buffer, error);
}

static unseen_status create_projection(us_density *density, unseen_error *error) {
    const int channels = density->shape.channels, d = density->d;
    const size_t bytes = (size_t)channels * (size_t)d * sizeof(float);
    density->centred = density->z;
    if (d == channels) return UNSEEN_OK;
    density->centred = NULL;
    US_TRY(create_buffer(density, channels, "centred features", &density->centred, error));
    US_TRY(us_buffer_create(density->device, bytes, "a projection", &density->projected, error));
    float *weights = malloc(bytes);
    if (!weights) return us_fail_memory(error, "a projection");
    us_projection(channels, d, weights);
    unseen_status status = us_buffer_write(density->projected, 0, weights, bytes, error);
    free(weights);
    US_TRY(status);
    return us_density_product(density, US_CONVOLUTION_DOWN, channels, d, false,
                              &density->projection, error);
}

/* z has two channels more, see density_extend. */
static unseen_status create_buffers(us_density *density, unseen_error *error) {
    const bool gaussian = us_density_is_gaussian(density);
    const bool nearest = density->settings.kind == US_DENSITY_NEIGHBOURS;
    US_TRY(us_buffer_create(density->device, (size_t)density->shape.channels * sizeof(float),
                            "the shift of features", &density->shift, error));
    US_TRY(create_buffer(density, density->d + 2, "features of a density", &density->z, error));
    US_TRY(create_buffer(density, gaussian ? density->d : density->chunk, "distances of a density",
                         &density->y, error));
    if (gaussian) return UNSEEN_OK;
    return create_buffer(density, nearest ? density->settings.neighbours + 1 : 2, "nearest points",
                         &density->best, error);
}

/* Distances from so many points at once that they take about CHUNK_FLOATS. */
static int chunk_of(const us_density *density) {
    const int64_t points = CHUNK_FLOATS / ((int64_t)density->pixels * density->batch) / 16 * 16;
    return points < 16 ? 16 : us_smaller(points, MOST_CHUNK);
}

unseen_status us_density_create(us_device *device, us_shape shape, int batch,
                                const us_density_settings *settings, us_density **out,
                                unseen_error *error) {
    *out = NULL;
    us_density *density = calloc(1, sizeof *density);
    if (!density) return us_fail_memory(error, "a density");
    density->device = device;
    density->settings = *settings;
    density->shape = shape;
    density->batch = batch;
    density->pixels = shape.height * shape.width;
    density->d = us_smaller(shape.channels, settings->components);
    density->chunk = chunk_of(density);
    density->lane_groups = (size_t)us_device_vectors(&device->facts, batch);
    density->host_shift = calloc((size_t)shape.channels, sizeof *density->host_shift);
    unseen_status status = density->host_shift ? UNSEEN_OK : us_fail_memory(error, "a density");
    if (status == UNSEEN_OK) status = create_kernels(density, error);
    if (status == UNSEEN_OK) status = create_buffers(density, error);
    if (status == UNSEEN_OK) status = create_projection(density, error);
    if (status == UNSEEN_OK)
        status = us_density_product(density, US_CONVOLUTION_DOWN, density->d,
                                    us_density_is_gaussian(density) ? density->d : density->chunk,
                                    true, &density->matrix, error);
    if (status == UNSEEN_OK)
        *out = density;
    else
        us_density_destroy(density);
    return status;
}

void us_density_forget(us_density *density) {
    for (int i = 0; density->chunk_weights && i < density->chunks; i++)
        us_buffer_destroy(density->chunk_weights[i]);
    for (int i = 0; density->chunk_bias && i < density->chunks; i++)
        us_buffer_destroy(density->chunk_bias[i]);
    free(density->chunk_weights);
    free(density->chunk_bias);
    us_buffer_destroy(density->weights);
    us_buffer_destroy(density->bias);
    free(density->host_matrix);
    free(density->host_mean);
    density->chunk_weights = density->chunk_bias = NULL;
    density->weights = density->bias = NULL;
    density->host_matrix = density->host_mean = NULL;
    density->ready = false;
}

void us_density_destroy(us_density *density) {
    if (!density) return;
    us_density_end_lesson(density);
    us_density_forget(density);
    us_kernel *const kernels[] = {density->centre, density->extend, density->length,
                                  density->search, density->result};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        us_kernel_destroy(kernels[i]);
    us_convolution_destroy(density->projection);
    us_convolution_destroy(density->matrix);
    if (density->centred != density->z) us_buffer_destroy(density->centred);
    us_buffer *const buffers[] = {density->shift, density->projected, density->z, density->y,
                                  density->best};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        us_buffer_destroy(buffers[i]);
    free(density->host_shift);
    free(density);
}

/* ---- asking ---- */

static const size_t *rows_of(const us_density *density, int rows, size_t groups[3]) {
    groups[0] = density->lane_groups;
    groups[1] = (size_t)us_divide_up(rows, ROWS);
    groups[2] = 1;
    return groups;
}

unseen_status us_density_prepare(us_density *density, us_buffer *x, int n, unseen_error *error) {
    size_t groups[3];
    rows_of(density, density->shape.channels * density->pixels, groups);
    US_TRY(us_kernel_run(density->centre, groups, error, "bbbi", x, density->shift,
                         density->centred, n));
    if (density->projection) {
        const us_convolution_args args = {
            .large = density->centred, .small = density->z, .weights = density->projected, .n = n};
        US_TRY(us_convolution_run(density->projection, &args, error));
    }
    rows_of(density, density->pixels, groups);
    return us_kernel_run(density->extend, groups, error, "bi", density->z, n);
}

static unseen_status multiply(us_density *density, us_buffer *weights, us_buffer *bias, int n,
                              unseen_error *error) {
    const us_convolution_args args = {
        .large = density->z, .small = density->y, .weights = weights, .bias = bias, .n = n};
    return us_convolution_run(density->matrix, &args, error);
}

static unseen_status search(us_density *density, us_buffer *distances, int n, unseen_error *error) {
    const bool nearest = density->settings.kind == US_DENSITY_NEIGHBOURS;
    const double scale = -0.5 / ((double)density->bandwidth * (double)density->bandwidth);
    us_buffer *y = density->y, *best = density->best;
    size_t groups[3];
    rows_of(density, density->pixels, groups);
    for (int i = 0; i < density->chunks; i++) {
        const int32_t begins = i == 0;
        US_TRY(multiply(density, density->chunk_weights[i], density->chunk_bias[i], n, error));
        US_TRY(nearest ? us_kernel_run(density->search, groups, error, "bbi", y, best, begins)
                       : us_kernel_run(density->search, groups, error, "bbfbi", y, density->z,
                                       scale, best, begins));
    }
    const int32_t points = density->points;
    return nearest ? us_kernel_run(density->result, groups, error, "bbib", best, density->z, points,
                                   distances)
                   : us_kernel_run(density->result, groups, error, "bib", best, points, distances);
}

unseen_status us_density_score(us_density *density, us_buffer *x, us_buffer *distances, int n,
                               unseen_error *error) {
    size_t groups[3];
    if (!density->ready)
        return us_fail(error, UNSEEN_FAILURE, "nothing has been learned of the density yet");
    US_TRY(us_density_prepare(density, x, n, error));
    if (!us_density_is_gaussian(density)) return search(density, distances, n, error);
    US_TRY(multiply(density, density->weights, density->bias, n, error));
    return us_kernel_run(density->length, rows_of(density, density->pixels, groups), error, "bb",
                         density->y, distances);
}

/* ---- what was learned, to the device ---- */

/* Weights are [d][outputs]. */
static unseen_status take_gaussian(us_density *density, unseen_error *error) {
    const size_t d = (size_t)density->d;
    float *weights = malloc(d * d * sizeof *weights), *bias = malloc(d * sizeof *bias);
    unseen_status status = weights && bias ? UNSEEN_OK : us_fail_memory(error, "a density");
    for (size_t k = 0; status == UNSEEN_OK && k < d; k++) {
        double sum = 0;
        for (size_t c = 0; c < d; c++) {
            const float value = density->host_matrix[k * d + c];
            weights[c * d + k] = value;
            sum += (double)value * (double)density->host_mean[c];
        }
        bias[k] = (float)-sum;
    }
    if (status == UNSEEN_OK)
        status = us_buffer_create(density->device, d * d * sizeof *weights, "a covariance",
                                  &density->weights, error);
    if (status == UNSEEN_OK)
        status =
            us_buffer_create(density->device, d * sizeof *bias, "a mean", &density->bias, error);
    if (status == UNSEEN_OK)
        status = us_buffer_write(density->weights, 0, weights, d * d * sizeof *weights, error);
    if (status == UNSEEN_OK)
        status = us_buffer_write(density->bias, 0, bias, d * sizeof *bias, error);
    free(weights);
    free(bias);
    return status;
}

/* Chunk i: -2 p in [d][chunk], and |p|^2. What is beyond the last point is far from everything. */
static void lay_out_chunk(const us_density *density, int i, float *weights, float *bias) {
    const float beyond = 1e30f;
    for (int k = 0; k < density->chunk; k++) {
        const int point = i * density->chunk + k;
        const float *p = density->host_matrix + (size_t)point * (size_t)density->d;
        double square = 0;
        for (int c = 0; c < density->d; c++) {
            const float value = point < density->points ? p[c] : 0;
            weights[(size_t)c * (size_t)density->chunk + (size_t)k] = -2 * value;
            square += (double)value * (double)value;
        }
        bias[k] = point < density->points ? (float)square : beyond;
    }
}

static unseen_status take_points(us_density *density, unseen_error *error) {
    const size_t step = (size_t)density->d * (size_t)density->chunk;
    const size_t chunk_bytes = step * sizeof(float);
    const size_t bias_bytes = (size_t)density->chunk * sizeof(float);
    float *weights = malloc(chunk_bytes), *bias = malloc(bias_bytes);
    density->chunks = us_divide_up(density->points, density->chunk);
    density->chunk_weights = calloc((size_t)density->chunks, sizeof *density->chunk_weights);
    density->chunk_bias = calloc((size_t)density->chunks, sizeof *density->chunk_bias);
    unseen_status status = weights && bias && density->chunk_weights && density->chunk_bias
                               ? UNSEEN_OK
                               : us_fail_memory(error, "a density");
    for (int i = 0; status == UNSEEN_OK && i < density->chunks; i++) {
        lay_out_chunk(density, i, weights, bias);
        status = us_buffer_create(density->device, chunk_bytes, "points of a density",
                                  &density->chunk_weights[i], error);
        if (status == UNSEEN_OK)
            status = us_buffer_create(density->device, bias_bytes, "points of a density",
                                      &density->chunk_bias[i], error);
        if (status == UNSEEN_OK)
            status = us_buffer_write(density->chunk_weights[i], 0, weights, chunk_bytes, error);
        if (status == UNSEEN_OK)
            status = us_buffer_write(density->chunk_bias[i], 0, bias, bias_bytes, error);
    }
    free(weights);
    free(bias);
    return status;
}

unseen_status us_density_take(us_density *density, unseen_error *error) {
    US_TRY(us_buffer_write(density->shift, 0, density->host_shift,
                           (size_t)density->shape.channels * sizeof(float), error));
    US_TRY(us_density_is_gaussian(density) ? take_gaussian(density, error)
                                           : take_points(density, error));
    density->ready = true;
    return UNSEEN_OK;
}

/* ---- files ---- */

int us_density_tensors(us_density *density, us_density_tensor tensors[US_DENSITY_MAX_TENSORS]) {
    const int d = density->d;
    tensors[0] = (us_density_tensor){"shift", 1, {density->shape.channels, 0}, density->host_shift};
    if (us_density_is_gaussian(density)) {
        tensors[1] = (us_density_tensor){"matrix", 2, {d, d}, density->host_matrix};
        tensors[2] = (us_density_tensor){"mean", 1, {d, 0}, density->host_mean};
        return 3;
    }
    tensors[1] = (us_density_tensor){"points", 2, {density->points, d}, density->host_matrix};
    if (density->settings.kind == US_DENSITY_NEIGHBOURS) return 2;
    tensors[2] = (us_density_tensor){"bandwidth", 1, {1, 0}, &density->bandwidth};
    return 3;
}

void us_density_forget_points(us_density *density) {
    density->points = 0;
    density->ready = false;
}

bool us_density_is_ready(const us_density *density) {
    return density->ready;
}

static unseen_status copy_tensor(const us_density_tensor *tensor, const float *from, float **to,
                                 unseen_error *error) {
    const size_t count = (size_t)tensor->dims[0] * (size_t)(tensor->rank > 1 ? tensor->dims[1] : 1);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(from[i]))
            return us_fail(error, UNSEEN_BAD_INPUT, "the tensor %s holds a number that is not one",
                           tensor->name);
    if (!*to && !(*to = malloc(count * sizeof **to))) return us_fail_memory(error, "a density");
    memcpy(*to, from, count * sizeof **to);
    return UNSEEN_OK;
}

unseen_status us_density_restore(us_density *density, int points,
                                 const float *const values[US_DENSITY_MAX_TENSORS],
                                 unseen_error *error) {
    us_density_tensor tensors[US_DENSITY_MAX_TENSORS];
    us_density_forget(density);
    density->points = points;
    us_density_tensors(density, tensors);
    float *bandwidth = &density->bandwidth;
    US_TRY(copy_tensor(&tensors[0], values[0], &density->host_shift, error));
    US_TRY(copy_tensor(&tensors[1], values[1], &density->host_matrix, error));
    if (us_density_is_gaussian(density))
        US_TRY(copy_tensor(&tensors[2], values[2], &density->host_mean, error));
    if (density->settings.kind == US_DENSITY_KERNELS) {
        US_TRY(copy_tensor(&tensors[2], values[2], &bandwidth, error));
        if (!(density->bandwidth > 0))
            return us_fail(error, UNSEEN_BAD_INPUT, "the tensor %s holds %g, which is no width",
                           tensors[2].name, (double)density->bandwidth);
    }
    return us_density_take(density, error);
}

/* ---- the largest of an image's distances ---- */

struct us_density_top {
    us_kernel *kernel;
    size_t groups[3];
};

unseen_status us_density_top_create(us_device *device, int pixels, int batch, double share,
                                    us_density_top **out, unseen_error *error) {
    *out = NULL;
    us_density_top *top = calloc(1, sizeof *top);
    if (!top) return us_fail_memory(error, "a score");
    const int rounded = (int)(share * pixels + 0.5);
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    top->groups[0] = (size_t)us_device_vectors(&device->facts, batch);
    top->groups[1] = top->groups[2] = 1;
    unseen_status status =
        us_kernel_create(&build, "density", "density_top", &top->kernel, error,
                         "-DCHANNELS=1 -DPIXELS=%d -DBATCH=%d -DROWS=1 -DTOP=%d", pixels, batch,
                         rounded < 1 ? 1 : us_smaller(rounded, pixels));
    if (status == UNSEEN_OK)
        *out = top;
    else
        us_density_top_destroy(top);
    return status;
}

void us_density_top_destroy(us_density_top *top) {
    if (!top) return;
    us_kernel_destroy(top->kernel);
    free(top);
}

unseen_status us_density_top_run(us_density_top *top, us_buffer *distances, us_buffer *scores,
                                 unseen_error *error) {
    return us_kernel_run(top->kernel, top->groups, error, "bb", distances, scores);
}
