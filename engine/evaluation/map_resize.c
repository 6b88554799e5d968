/* SPDX-License-Identifier: MIT */
#include "evaluation/map_resize.h"

#include <string.h>

/* The two pixels that a place lies between, and how near it is to the second. */
typedef struct between {
    int first, second;
    float share;
} between;

static between find(int place, int out_extent, int extent) {
    double at = (place + 0.5) * extent / out_extent - 0.5;
    if (at < 0) at = 0;
    between found = {.first = (int)at};
    if (found.first > extent - 1) found.first = extent - 1;
    found.second = found.first + 1 < extent ? found.first + 1 : found.first;
    found.share = (float)(at - found.first);
    return found;
}

void us_map_resize(const float *map, us_map_size size, float *out, us_map_size out_size) {
    if (size.height == out_size.height && size.width == out_size.width) {
        memcpy(out, map, (size_t)size.height * (size_t)size.width * sizeof *map);
        return;
    }
    for (int y = 0; y < out_size.height; y++) {
        const between v = find(y, out_size.height, size.height);
        const float *upper = map + (size_t)v.first * (size_t)size.width;
        const float *lower = map + (size_t)v.second * (size_t)size.width;
        for (int x = 0; x < out_size.width; x++) {
            const between u = find(x, out_size.width, size.width);
            const float above = upper[u.first] + u.share * (upper[u.second] - upper[u.first]);
            const float below = lower[u.first] + u.share * (lower[u.second] - lower[u.first]);
            *out++ = above + v.share * (below - above);
        }
    }
}
