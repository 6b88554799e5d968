/* SPDX-License-Identifier: MIT */
#include "ops/group_statistics.h"

#include <stdlib.h>
#include <string.h>

/* Of a channel: count, mean and sum of squared deviations; or two sums, and how many values there
 * are. */
enum { VALUES = 3 };

struct us_group_statistics {
    us_device *device;
    us_group *group;
    int channels;
    us_parts parts; /* a single one, of all ranks */
    float *read;    /* the parts of this rank, grown to the most that there have been */
    size_t room;
    double *own, *all; /* [channels][VALUES], and of each rank */
    float *written;
};

unseen_status us_group_statistics_create(us_device *device, us_group *group, int channels,
                                         us_group_statistics **out, unseen_error *error) {
    *out = NULL;
    us_group_statistics *s = calloc(1, sizeof *s);
    if (!s) return us_fail_memory(error, "statistics of ranks");
    const size_t count = (size_t)channels * VALUES;
    s->device = device;
    s->group = group;
    s->channels = channels;
    s->parts.stride = device->facts.vector_width;
    s->own = calloc(count, sizeof *s->own);
    s->all = calloc(count * (size_t)us_group_size(group), sizeof *s->all);
    s->written = calloc(count * (size_t)s->parts.stride, sizeof *s->written);
    unseen_status status =
        s->own && s->all && s->written
            ? us_buffer_create(device, count * (size_t)s->parts.stride * sizeof(float),
                               "statistics of ranks", &s->parts.buffer, error)
            : us_fail_memory(error, "statistics of ranks");
    if (status == UNSEEN_OK)
        *out = s;
    else
        us_group_statistics_destroy(s);
    return status;
}

void us_group_statistics_destroy(us_group_statistics *s) {
    if (!s) return;
    us_buffer_destroy(s->parts.buffer);
    free(s->read);
    free(s->own);
    free(s->all);
    free(s->written);
    free(s);
}

/* The parts as they are on the device, `values` of each channel. */
static unseen_status read_parts(us_group_statistics *s, const us_parts *parts, int values,
                                unseen_error *error) {
    const size_t floats = (size_t)s->channels * (size_t)values * (size_t)parts->stride;
    if (floats > s->room) {
        float *larger = realloc(s->read, floats * sizeof *larger);
        if (!larger) return us_fail_memory(error, "statistics of ranks");
        s->read = larger;
        s->room = floats;
    }
    US_TRY(us_device_flush(s->device, error));
    US_TRY(us_group_let_others(s->group, error));
    return us_buffer_read(parts->buffer, 0, s->read, floats * sizeof *s->read, error);
}

static unseen_status gather(us_group_statistics *s, unseen_error *error) {
    return us_group_gather(s->group, s->own, s->all, (size_t)s->channels * VALUES * sizeof *s->own,
                           error);
}

/* Sends the values as a single part, the first. */
static unseen_status write_part(us_group_statistics *s, us_parts *parts, int values,
                                unseen_error *error) {
    *parts = s->parts;
    return us_buffer_write(
        s->parts.buffer, 0, s->written,
        (size_t)s->channels * (size_t)values * (size_t)s->parts.stride * sizeof *s->written, error);
}

/* Adds a part: count, mean and sum of squared deviations (Chan, Golub, LeVeque; see
 * cl_kernels/batchnorm.cl). */
static void add_moments(double *m, double count, double mean, double squares) {
    if (count <= 0) return;
    const double all = m[0] + count, away = mean - m[1];
    m[1] += away * count / all;
    m[2] += squares + away * away * m[0] * count / all;
    m[0] = all;
}

static bool has_images(const us_group_statistics *s, int rank) {
    return us_group_weight(s->group, rank) > 0;
}

unseen_status us_group_statistics_moments(us_group_statistics *s, us_parts *parts,
                                          unseen_error *error) {
    const size_t stride = (size_t)parts->stride, to = (size_t)s->parts.stride;
    US_TRY(read_parts(s, parts, 3, error));
    memset(s->own, 0, (size_t)s->channels * VALUES * sizeof *s->own);
    for (int c = 0; c < s->channels; c++) {
        const float *count = s->read + (size_t)c * 3 * stride, *mean = count + stride,
                    *squares = mean + stride;
        for (size_t i = 0; i < stride; i++)
            add_moments(s->own + VALUES * c, count[i], mean[i], squares[i]);
    }
    US_TRY(gather(s, error));
    for (int c = 0; c < s->channels; c++) {
        double m[VALUES] = {0};
        for (int r = 0; r < us_group_size(s->group); r++) {
            const double *of = s->all + VALUES * ((size_t)r * (size_t)s->channels + (size_t)c);
            if (has_images(s, r)) add_moments(m, of[0], of[1], of[2]);
        }
        for (int v = 0; v < 3; v++)
            s->written[((size_t)c * 3 + (size_t)v) * to] = (float)m[v];
    }
    return write_part(s, parts, 3, error);
}

unseen_status us_group_statistics_sums(us_group_statistics *s, us_parts *parts, double *values,
                                       unseen_error *error) {
    const size_t stride = (size_t)parts->stride, to = (size_t)s->parts.stride;
    const double weight = us_group_weight(s->group, us_group_rank(s->group));
    US_TRY(read_parts(s, parts, 2, error));
    for (int c = 0; c < s->channels; c++) {
        double *own = s->own + VALUES * c;
        const float *sums = s->read + (size_t)c * 2 * stride, *products = sums + stride;
        own[0] = own[1] = 0;
        own[2] = *values;
        for (size_t i = 0; i < stride; i++) {
            own[0] += weight * (double)sums[i];
            own[1] += weight * (double)products[i];
        }
    }
    US_TRY(gather(s, error));
    *values = 0;
    memset(s->written, 0, (size_t)s->channels * VALUES * to * sizeof *s->written);
    for (int c = 0; c < s->channels; c++) {
        double sum = 0, product = 0, count = 0;
        for (int r = 0; r < us_group_size(s->group); r++) {
            const double *of = s->all + VALUES * ((size_t)r * (size_t)s->channels + (size_t)c);
            if (!has_images(s, r)) continue;
            sum += of[0];
            product += of[1];
            count += of[2];
        }
        *values = count;
        if (weight == 0) continue; /* whatever it computes does not count */
        s->written[(size_t)c * 2 * to] = (float)(sum / weight);
        s->written[((size_t)c * 2 + 1) * to] = (float)(product / weight);
    }
    return write_part(s, parts, 2, error);
}
