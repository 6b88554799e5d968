/* SPDX-License-Identifier: MIT */
#include "data/resample.h"

#include <math.h>
#include <stdlib.h>

/* The weights of one axis: output i is the sum of weights[starts[i] + k] times input first[i] + k
 * over k < counts[i]. */
typedef struct axis {
    int length;
    int *first, *counts;
    size_t *starts;
    float *weights;
} axis;

struct us_resampler {
    us_resample_shape shape;
    axis columns, rows;
    float *across; /* a row of the input, resampled */
    float *result;
    int next; /* the row of the input that comes next */
    int done; /* output rows before this one have all that they need */
};

static void release_axis(axis *a) {
    free(a->first);
    free(a->counts);
    free(a->starts);
    free(a->weights);
}

/* The triangle's half width. */
static double reach_of(double scale) {
    return scale > 1 ? scale : 1;
}

static int clamp(double value, int most) {
    return value < 0 ? 0 : value > most ? most : (int)value;
}

static void weigh(const axis *a, int i, double center, double reach) {
    float *weights = a->weights + a->starts[i];
    double sum = 0;
    for (int k = 0; k < a->counts[i]; k++)
        sum += fmax(0, 1 - fabs((a->first[i] + k + 0.5 - center) / reach));
    for (int k = 0; k < a->counts[i]; k++)
        weights[k] = (float)(fmax(0, 1 - fabs((a->first[i] + k + 0.5 - center) / reach)) / sum);
}

static unseen_status create_axis(int in, double start, double window, int out, axis *a,
                                 unseen_error *error) {
    const double scale = window / out, reach = reach_of(scale);
    const size_t most = (size_t)(2 * reach + 2);
    a->length = out;
    a->first = calloc((size_t)out, sizeof *a->first);
    a->counts = calloc((size_t)out, sizeof *a->counts);
    a->starts = calloc((size_t)out, sizeof *a->starts);
    a->weights = calloc((size_t)out * most, sizeof *a->weights);
    if (!a->first || !a->counts || !a->starts || !a->weights)
        return us_fail_memory(error, "resampling");
    for (int i = 0; i < out; i++) {
        const double center = start + (i + 0.5) * scale;
        a->first[i] = clamp(floor(center - reach + 0.5), in - 1);
        a->counts[i] = clamp(floor(center + reach + 0.5), in) - a->first[i];
        if (a->counts[i] < 1) a->counts[i] = 1;
        a->starts[i] = (size_t)i * most;
        weigh(a, i, center, reach);
    }
    return UNSEEN_OK;
}

unseen_status us_resampler_create(const us_resample_shape *shape, us_resampler **resampler,
                                  unseen_error *error) {
    us_resampler *r = calloc(1, sizeof *r);
    *resampler = r;
    if (!r) return us_fail_memory(error, "resampling");
    r->shape = *shape;
    const size_t across = (size_t)shape->width * (size_t)shape->channels;
    unseen_status status;
    US_CHECK(create_axis(shape->in_width, shape->left, shape->window_width, shape->width,
                         &r->columns, error));
    US_CHECK(create_axis(shape->in_height, shape->top, shape->window_height, shape->height,
                         &r->rows, error));
    r->across = malloc(across * sizeof *r->across);
    r->result = calloc(across * (size_t)shape->height, sizeof *r->result);
    if (r->across && r->result) {
        r->next = r->rows.first[0];
        return UNSEEN_OK;
    }
    status = us_fail_memory(error, "resampling");
done:
    us_resampler_destroy(r);
    *resampler = NULL;
    return status;
}

void us_resampler_destroy(us_resampler *resampler) {
    if (!resampler) return;
    release_axis(&resampler->columns);
    release_axis(&resampler->rows);
    free(resampler->across);
    free(resampler->result);
    free(resampler);
}

void us_resampler_rows(const us_resampler *resampler, int *first, int *end) {
    const axis *rows = &resampler->rows;
    *first = rows->first[0];
    *end = rows->first[rows->length - 1] + rows->counts[rows->length - 1];
}

static void resample_across(us_resampler *r, const float *row) {
    const axis *a = &r->columns;
    const int channels = r->shape.channels;
    for (int i = 0; i < a->length; i++) {
        const float *from = row + (size_t)a->first[i] * (size_t)channels;
        const float *weights = a->weights + a->starts[i];
        for (int c = 0; c < channels; c++) {
            float sum = 0;
            for (int k = 0; k < a->counts[i]; k++)
                sum += weights[k] * from[k * channels + c];
            r->across[i * channels + c] = sum;
        }
    }
}

void us_resampler_add(us_resampler *r, const float *row) {
    const axis *a = &r->rows;
    const int y = r->next++;
    const size_t across = (size_t)r->shape.width * (size_t)r->shape.channels;
    resample_across(r, row);
    while (r->done < a->length && a->first[r->done] + a->counts[r->done] <= y)
        r->done++;
    for (int i = r->done; i < a->length && a->first[i] <= y; i++) {
        if (y >= a->first[i] + a->counts[i]) continue;
        const float weight = a->weights[a->starts[i] + (size_t)(y - a->first[i])];
        float *out = r->result + (size_t)i * across;
        for (size_t k = 0; k < across; k++)
            out[k] += weight * r->across[k];
    }
}

const float *us_resampler_result(const us_resampler *resampler) {
    return resampler->result;
}
