/* SPDX-License-Identifier: MIT */
#include "evaluation/pixel_metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluation/pixel_sort.h"

struct us_pixel_evaluation {
    us_pixel_sort *sort;
    int64_t images, pixels, anomalous;
    uint32_t *sizes; /* of regions, from 1 on; that of 0 is not used */
    size_t regions, region_room;
    /* Of the image that is added: */
    uint32_t *region; /* per pixel; 0: none */
    int *stack;
    size_t image_room;
};

unseen_status us_pixel_evaluation_create(size_t room, us_pixel_evaluation **out,
                                         unseen_error *error) {
    *out = NULL;
    us_pixel_evaluation *evaluation = calloc(1, sizeof *evaluation);
    if (!evaluation) return us_fail_memory(error, "an evaluation of pixels");
    unseen_status status =
        us_pixel_sort_create(room ? room : US_PIXEL_SORT_ROOM, &evaluation->sort, error);
    if (status == UNSEEN_OK)
        *out = evaluation;
    else
        us_pixel_evaluation_destroy(evaluation);
    return status;
}

void us_pixel_evaluation_destroy(us_pixel_evaluation *evaluation) {
    if (!evaluation) return;
    us_pixel_sort_destroy(evaluation->sort);
    free(evaluation->sizes);
    free(evaluation->region);
    free(evaluation->stack);
    free(evaluation);
}

/* ---- regions ---- */

static unseen_status reserve_image(us_pixel_evaluation *e, size_t pixels, unseen_error *error) {
    if (pixels > e->image_room) {
        free(e->region);
        free(e->stack);
        e->region = malloc(pixels * sizeof *e->region);
        e->stack = malloc(pixels * sizeof *e->stack);
        e->image_room = e->region && e->stack ? pixels : 0;
    }
    if (!e->image_room) return us_fail_memory(error, "the regions of a mask");
    memset(e->region, 0, pixels * sizeof *e->region);
    return UNSEEN_OK;
}

static unseen_status begin_region(us_pixel_evaluation *e, unseen_error *error) {
    if (e->regions + 1 >= e->region_room) {
        size_t room = e->region_room ? 2 * e->region_room : 64;
        uint32_t *sizes = realloc(e->sizes, room * sizeof *sizes);
        if (!sizes) return us_fail_memory(error, "the regions of masks");
        e->sizes = sizes;
        e->region_room = room;
    }
    e->sizes[++e->regions] = 0;
    return UNSEEN_OK;
}

/* Everything that is connected with a pixel; each pixel is on the stack once. */
static void fill_region(us_pixel_evaluation *e, const us_masked_map *map, int start) {
    const uint32_t number = (uint32_t)e->regions;
    int depth = 0;
    e->stack[depth++] = start;
    e->region[start] = number;
    while (depth > 0) {
        const int pixel = e->stack[--depth], y = pixel / map->width, x = pixel % map->width;
        e->sizes[number]++;
        for (int v = y - 1; v <= y + 1; v++)
            for (int u = x - 1; u <= x + 1; u++) {
                if (v < 0 || u < 0 || v >= map->height || u >= map->width) continue;
                const int neighbour = v * map->width + u;
                if (!map->mask[neighbour] || e->region[neighbour]) continue;
                e->region[neighbour] = number;
                e->stack[depth++] = neighbour;
            }
    }
}

unseen_status us_pixel_evaluation_add(us_pixel_evaluation *e, const us_masked_map *map,
                                      unseen_error *error) {
    const int64_t pixels = (int64_t)map->height * map->width;
    if (pixels > INT32_MAX || e->pixels + pixels > UINT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the masks have more than %" PRIu32 " pixels, which is the most that can be "
                       "evaluated",
                       UINT32_MAX);
    US_TRY(reserve_image(e, (size_t)pixels, error));
    for (int i = 0; i < (int)pixels; i++) {
        if (!map->mask[i] || e->region[i]) continue;
        US_TRY(begin_region(e, error));
        fill_region(e, map, i);
    }
    for (int i = 0; i < (int)pixels; i++) {
        if (!isfinite(map->values[i]))
            return us_fail(error, UNSEEN_FAILURE,
                           "the map of image %" PRId64 " is %s at row %d, column %d: it is not a "
                           "result",
                           e->images, isnan(map->values[i]) ? "nan" : "infinite", i / map->width,
                           i % map->width);
        US_TRY(us_pixel_sort_add(e->sort, map->values[i], e->region[i], error));
        e->anomalous += e->region[i] != 0;
    }
    e->pixels += pixels;
    e->images++;
    return UNSEEN_OK;
}

/* ---- the curves ---- */

/* All pixels of one value. */
typedef struct tie {
    int64_t normal, anomalous;
    double overlap; /* that they add to the mean over regions */
} tie;

typedef struct curves {
    int64_t normal, normal_above; /* in all, and of values above the tie's */
    double overlap;               /* so far */
    double area;                  /* below the overlap, up to the limit */
    uint64_t ordered_twice;       /* pairs (anomalous, normal) in order, tied ones half: at most
                                     2 * 2^31 * 2^31 for fewer than 2^32 pixels */
} curves;

static void add_tie(curves *c, const tie *t) {
    const int64_t below = c->normal - c->normal_above - t->normal;
    c->ordered_twice += (uint64_t)t->anomalous * (uint64_t)(2 * below + t->normal);
    const double rate = (double)c->normal_above / (double)c->normal;
    const double step = (double)t->normal / (double)c->normal;
    if (rate < US_AUPRO_LIMIT && step > 0) {
        const double within = fmin(1, (US_AUPRO_LIMIT - rate) / step);
        c->area += within * step * (c->overlap + within * t->overlap / 2);
    }
    c->normal_above += t->normal;
    c->overlap += t->overlap;
}

/* The order of pixels of one value is that in which they were added, so that sums are the same each
 * time. */
static unseen_status walk(us_pixel_evaluation *e, curves *c, int *values, unseen_error *error) {
    us_sorted_pixel pixel, next;
    bool end;
    US_TRY(us_pixel_sort_begin(e->sort, error));
    US_TRY(us_pixel_sort_next(e->sort, &pixel, &end, error));
    for (*values = 0; !end; pixel = next) {
        tie t = {0};
        const uint32_t key = pixel.key;
        for (next = pixel; !end && next.key == key;) {
            if (next.region) {
                t.anomalous++;
                t.overlap += 1.0 / e->sizes[next.region] / (double)e->regions;
            } else {
                t.normal++;
            }
            US_TRY(us_pixel_sort_next(e->sort, &next, &end, error));
        }
        add_tie(c, &t);
        if (*values < 2) ++*values;
    }
    return UNSEEN_OK;
}

unseen_status us_pixel_evaluation_finish(us_pixel_evaluation *e, us_pixel_metrics *metrics,
                                         unseen_error *error) {
    curves c = {.normal = e->pixels - e->anomalous};
    int values;
    if (!e->anomalous || !c.normal)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "all %" PRId64 " pixels are %s by the masks: an evaluation needs normal and "
                       "anomalous ones",
                       e->pixels, e->anomalous ? "anomalous" : "normal");
    US_TRY(walk(e, &c, &values, error));
    if (values < 2)
        return us_fail(error, UNSEEN_FAILURE,
                       "all %" PRId64 " pixels of the maps have one value: they tell nothing",
                       e->pixels);
    *metrics = (us_pixel_metrics){
        .auroc = (double)c.ordered_twice / (2 * (double)e->anomalous * (double)c.normal),
        .aupro = c.area / US_AUPRO_LIMIT,
        .images = e->images,
        .pixels = e->pixels,
        .anomalous_pixels = e->anomalous,
        .regions = (int64_t)e->regions,
    };
    return UNSEEN_OK;
}

unseen_status us_pixel_metrics_to_json(const us_pixel_metrics *metrics, const char *masks_path,
                                       cJSON *object, unseen_error *error) {
    cJSON *masks;
    bool added =
        cJSON_AddNumberToObject(object, "pixel_auroc", metrics->auroc) &&
        cJSON_AddNumberToObject(object, "aupro", metrics->aupro) &&
        (masks = cJSON_AddObjectToObject(object, "masks")) &&
        cJSON_AddStringToObject(masks, "path", masks_path) &&
        cJSON_AddNumberToObject(masks, "images", (double)metrics->images) &&
        cJSON_AddNumberToObject(masks, "pixels", (double)metrics->pixels) &&
        cJSON_AddNumberToObject(masks, "anomalous_pixels", (double)metrics->anomalous_pixels) &&
        cJSON_AddNumberToObject(masks, "regions", (double)metrics->regions);
    return added ? UNSEEN_OK : us_fail_memory(error, "the metrics of pixels");
}
