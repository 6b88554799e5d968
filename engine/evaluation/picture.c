/* SPDX-License-Identifier: MIT */
#include "evaluation/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned char shade(float value) {
    return (unsigned char)(fminf(fmaxf((value + 1) * 127.5f, 0), 255) + 0.5f);
}

void us_picture_image(const float *values, int channels, us_map_size size, unsigned char *rgb) {
    const size_t pixels = (size_t)size.height * (size_t)size.width;
    for (size_t p = 0; p < pixels; p++) {
        float mean = 0;
        for (int c = 0; c < channels; c++)
            mean += values[(size_t)c * pixels + p] / (float)channels;
        for (size_t c = 0; c < 3; c++)
            rgb[3 * p + c] = shade(channels == 3 ? values[c * pixels + p] : mean);
    }
}

/* From black by violet and orange to a pale yellow, ever lighter, so that it can be read without
 * seeing colours. */
static void colour(float share, unsigned char rgb[3]) {
    static const float ramp[][3] = {{0, 0, 0},     {60, 10, 95},   {150, 30, 100},
                                    {225, 80, 50}, {250, 170, 45}, {255, 250, 190}};
    enum { STEPS = sizeof ramp / sizeof *ramp - 1 };
    const float at = share * STEPS;
    const int step = at >= STEPS ? STEPS - 1 : (int)at;
    for (int c = 0; c < 3; c++)
        rgb[c] = (unsigned char)(ramp[step][c] +
                                 (at - (float)step) * (ramp[step + 1][c] - ramp[step][c]) + 0.5f);
}

void us_picture_map(const float *map, us_heat heat, us_map_size size, unsigned char *rgb) {
    const size_t pixels = (size_t)size.height * (size_t)size.width;
    const float extent = heat.high - heat.low;
    for (size_t p = 0; p < pixels; p++) {
        const float share = extent > 0 ? (map[p] - heat.low) / extent : 0;
        colour(sqrtf(fminf(fmaxf(share, 0), 1)), rgb + 3 * p);
    }
}

static int ascending(const void *left, const void *right) {
    const float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

us_heat us_heat_of(const float *least, float *largest, int64_t count) {
    us_heat heat = {.low = count ? least[0] : 0};
    for (int64_t i = 0; i < count; i++)
        heat.low = fminf(heat.low, least[i]);
    qsort(largest, (size_t)count, sizeof *largest, ascending);
    if (count) heat.high = largest[(count - 1) - (count - 1) / 20];
    return heat;
}

us_map_size us_picture_shrink(float *values, int channels, us_map_size size, int factor) {
    const us_map_size small = {(size.height + factor - 1) / factor,
                               (size.width + factor - 1) / factor};
    float *out = values; /* never ahead of what is read */
    for (int c = 0; c < channels; c++) {
        const float *plane = values + (size_t)c * (size_t)size.height * (size_t)size.width;
        for (int y = 0; y < small.height; y++)
            for (int x = 0; x < small.width; x++) {
                float sum = 0;
                int count = 0;
                for (int v = y * factor; v < (y + 1) * factor && v < size.height; v++)
                    for (int u = x * factor; u < (x + 1) * factor && u < size.width; u++, count++)
                        sum += plane[(size_t)v * (size_t)size.width + (size_t)u];
                *out++ = sum / (float)count;
            }
    }
    return small;
}

void us_picture_place(const unsigned char *rgb, us_map_size size, int factor, unsigned char *to,
                      int stride) {
    for (int y = 0; y < size.height * factor; y++)
        for (int x = 0; x < size.width * factor; x++)
            memcpy(to + 3 * ((size_t)y * (size_t)stride + (size_t)x),
                   rgb + 3 * ((size_t)(y / factor) * (size_t)size.width + (size_t)(x / factor)), 3);
}
