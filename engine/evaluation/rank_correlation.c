/* SPDX-License-Identifier: MIT */
#include "evaluation/rank_correlation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct item {
    double x, y, x_rank, y_rank;
} item;

static int order(double a, double b) {
    return (a > b) - (a < b);
}

static int by_y(const void *a, const void *b) {
    return order(((const item *)a)->y, ((const item *)b)->y);
}

static int by_x_then_y(const void *a, const void *b) {
    const item *one = a, *other = b;
    const int first = order(one->x, other->x);
    return first ? first : order(one->y, other->y);
}

static double pairs_of(double count) {
    return count * (count - 1) / 2;
}

/* The end of the items from `first` on that are alike. */
static size_t end_of_tie(const item *items, size_t count, size_t first,
                         int (*compare)(const void *, const void *)) {
    size_t end = first + 1;
    while (end < count && compare(&items[first], &items[end]) == 0)
        end++;
    return end;
}

static int by_x(const void *a, const void *b) {
    return order(((const item *)a)->x, ((const item *)b)->x);
}

/* Items lie in their order by x (or y). Gives them midranks by it, less their mean; the return value
 * is the number of pairs that are alike. */
static double rank_all(item *items, size_t count, bool y) {
    double tied = 0;
    for (size_t first = 0, end; first < count; first = end) {
        end = end_of_tie(items, count, first, y ? by_y : by_x);
        const double rank = ((double)(first + end) - (double)count) / 2;
        for (size_t i = first; i < end; i++)
            *(y ? &items[i].y_rank : &items[i].x_rank) = rank;
        tied += pairs_of((double)(end - first));
    }
    return tied;
}

/* Sorts items by y; the return value is the number of pairs that were in the wrong order. */
static double count_inversions(item *items, size_t count, item *room) {
    double inversions = 0;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low + width < count; low += 2 * width) {
            const size_t middle = low + width;
            const size_t high = middle + width < count ? middle + width : count;
            size_t left = low, right = middle, to = low;
            while (left < middle && right < high) {
                const bool wrong = items[right].y < items[left].y;
                if (wrong) inversions += (double)(middle - left);
                room[to++] = wrong ? items[right++] : items[left++];
            }
            while (left < middle)
                room[to++] = items[left++];
            memcpy(items + low, room + low, (to - low) * sizeof *items);
        }
    }
    return inversions;
}

static double correlate_ranks(const item *items, size_t count) {
    double both = 0, x = 0, y = 0;
    for (size_t i = 0; i < count; i++) {
        both += items[i].x_rank * items[i].y_rank;
        x += items[i].x_rank * items[i].x_rank;
        y += items[i].y_rank * items[i].y_rank;
    }
    return x > 0 && y > 0 ? both / sqrt(x * y) : NAN;
}

bool us_rank_correlation(const us_ranked *values, size_t count, double *spearman, double *kendall) {
    item *items = calloc(2 * count + 1, sizeof *items);
    if (!items) return false;
    for (size_t i = 0; i < count; i++)
        items[i] = (item){.x = values[i].x, .y = values[i].y};
    qsort(items, count, sizeof *items, by_x_then_y);
    const double x_ties = rank_all(items, count, false);
    double both_ties = 0;
    for (size_t first = 0, end; first < count; first = end) {
        end = end_of_tie(items, count, first, by_x_then_y);
        both_ties += pairs_of((double)(end - first));
    }
    const double inversions = count_inversions(items, count, items + count);
    const double y_ties = rank_all(items, count, true), all = pairs_of((double)count);
    const double untied = sqrt((all - x_ties) * (all - y_ties));
    *spearman = correlate_ranks(items, count);
    *kendall = untied > 0 ? (all - x_ties - y_ties + both_ties - 2 * inversions) / untied : NAN;
    free(items);
    return true;
}
