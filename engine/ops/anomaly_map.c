/* SPDX-License-Identifier: MIT */
#include "ops/anomaly_map.h"

#include <math.h>
#include <stdlib.h>

struct us_anomaly_map {
    us_device *device;
    us_kernel *error, *smooth, *stretch;
    us_buffer *weights, *between; /* NULL: no smoothing */
    int width;
    size_t groups[3];
};

/* Weights of a Gaussian beyond four deviations are below 1 / 2980 of its middle's. */
static int radius_of(double smoothing, us_shape shape) {
    const int largest = (shape.height > shape.width ? shape.height : shape.width) - 1;
    const double radius = ceil(4 * smoothing);
    return radius < largest ? (int)radius : largest;
}

static unseen_status create_weights(us_anomaly_map *map, double smoothing, int radius,
                                    unseen_error *error) {
    const size_t count = (size_t)radius + 1;
    float *weights = malloc(count * sizeof *weights);
    if (!weights) return us_fail_memory(error, "the weights of a Gaussian");
    for (size_t k = 0; k < count; k++)
        weights[k] = (float)exp(-0.5 * (double)(k * k) / (smoothing * smoothing));
    unseen_status status = us_buffer_create(map->device, count * sizeof *weights,
                                            "weights of a Gaussian", &map->weights, error);
    if (status == UNSEEN_OK)
        status = us_buffer_write(map->weights, 0, weights, count * sizeof *weights, error);
    free(weights);
    return status;
}

static unseen_status create_kernels(us_anomaly_map *map, us_shape shape, int batch, int radius,
                                    unseen_error *error) {
    const us_device_facts *facts = &map->device->facts;
    const int pixels = shape.height * shape.width;
    const bool lanes = facts->execution == US_EXECUTION_LANES;
    const int vectors = lanes ? 1 : us_device_vectors(facts, batch);
    /* Some items for each compute unit, more where each works on a part of the batch alone. */
    int64_t splits = (int64_t)facts->compute_units * 8;
    if (lanes) splits = splits * 64 / batch + 1;
    const int rows = (int)((pixels + splits - 1) / splits);
    map->groups[0] = (size_t)us_device_vectors(facts, batch) / (size_t)vectors;
    map->groups[1] = ((size_t)pixels + (size_t)rows - 1) / (size_t)rows;
    map->groups[2] = 1;
    const char *const names[] = {"anomaly_map_error", "anomaly_map_stretch", "anomaly_map_smooth"};
    us_kernel **const kernels[] = {&map->error, &map->stretch, &map->smooth};
    const us_build build = {.device = map->device, .label.pass = US_PASS_SCORE};
    for (int i = 0; i < (radius > 0 ? 3 : 2); i++)
        US_TRY(us_kernel_create(&build, "anomaly_map", names[i], kernels[i], error,
                                "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DBATCH=%d -DVECTORS=%d "
                                "-DROWS=%d -DRADIUS=%d",
                                shape.channels, shape.height, shape.width, batch, vectors, rows,
                                radius));
    return UNSEEN_OK;
}

unseen_status us_anomaly_map_create(us_device *device, us_shape shape, int batch, double smoothing,
                                    us_anomaly_map **out, unseen_error *error) {
    *out = NULL;
    us_anomaly_map *map = calloc(1, sizeof *map);
    if (!map) return us_fail_memory(error, "maps");
    map->device = device;
    map->width = shape.width;
    const int radius = radius_of(smoothing, shape);
    const size_t bytes = (size_t)shape.height * (size_t)shape.width * (size_t)batch * sizeof(float);
    unseen_status status = create_kernels(map, shape, batch, radius, error);
    if (status == UNSEEN_OK && radius > 0) status = create_weights(map, smoothing, radius, error);
    if (status == UNSEEN_OK && radius > 0)
        status = us_buffer_create(device, bytes, "maps being smoothed", &map->between, error);
    if (status == UNSEEN_OK)
        *out = map;
    else
        us_anomaly_map_destroy(map);
    return status;
}

void us_anomaly_map_destroy(us_anomaly_map *map) {
    if (!map) return;
    us_kernel_destroy(map->error);
    us_kernel_destroy(map->smooth);
    us_kernel_destroy(map->stretch);
    us_buffer_destroy(map->weights);
    us_buffer_destroy(map->between);
    free(map);
}

/* Along x and then along y, which is the same as by both at once. */
unseen_status us_anomaly_map_smooth(us_anomaly_map *map, us_buffer *out, unseen_error *error) {
    if (!map->smooth) return UNSEEN_OK;
    US_TRY(
        us_kernel_run(map->smooth, map->groups, error, "bbib", out, map->weights, 1, map->between));
    return us_kernel_run(map->smooth, map->groups, error, "bbib", map->between, map->weights,
                         map->width, out);
}

unseen_status us_anomaly_map_error(us_anomaly_map *map, us_buffer *x, us_buffer *y, us_buffer *out,
                                   unseen_error *error) {
    US_TRY(us_kernel_run(map->error, map->groups, error, "bbb", x, y, out));
    return us_anomaly_map_smooth(map, out, error);
}

unseen_status us_anomaly_map_stretch(us_anomaly_map *map, us_buffer *cells, int rows, int columns,
                                     us_buffer *out, unseen_error *error) {
    US_TRY(us_kernel_run(map->stretch, map->groups, error, "biib", cells, rows, columns, out));
    return us_anomaly_map_smooth(map, out, error);
}
