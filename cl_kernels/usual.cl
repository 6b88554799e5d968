/* SPDX-License-Identifier: MIT */
/* How far distances are above those that normal images have at the same place: engine/ops/usual.h
 * has the formulas.
 *
 *     usual_level   parts[split][n], sums of logarithms of distances
 *     usual_apply   distances, in their place
 *
 * Distances are [PLACES][BATCH], values [3][PLACES]: offset, slope, deviation. Work-groups are (lane
 * groups, splits of the places), and an item has ROWS places, each a vector wide.
 *
 * Options
 *     PLACES, BATCH   of the distances in memory
 *     ROWS            places of an item (64)
 *     LEAST           distances are at least that
 *
 * Twin of engine/ops/usual.c. */

#define SPLITS CEIL_DIV(PLACES, ROWS)
#define ITEM_LANE LANE_BASE(get_group_id(0), 1)
#define FOR_PLACES(place)                                                                          \
    for (int place = (int)get_group_id(1) * ROWS, end = min(place + ROWS, PLACES); place < end;    \
         place++)

INLINE vec log_of(const vec distance) {
    return log(vec_choose(distance, (vec)(LEAST), distance < (vec)(LEAST)));
}

__kernel GROUP_ATTRIBUTE void usual_level(__global const float *restrict distances,
                                          __global float *restrict parts) {
    const int lane = ITEM_LANE;
    vec sum = (vec)(0.0f);
    FOR_PLACES(place) sum += log_of(vec_load(distances + (size_t)place * BATCH + lane));
    vec_store(sum, parts + get_group_id(1) * BATCH + lane);
}

__kernel GROUP_ATTRIBUTE void usual_apply(__global const float *restrict parts,
                                          __global const float *restrict values,
                                          __global float *restrict distances) {
    const int lane = ITEM_LANE;
    vec level = (vec)(0.0f);
    for (int s = 0; s < SPLITS; s++) level += vec_load(parts + (size_t)s * BATCH + lane);
    level *= 1.0f / PLACES;
    FOR_PLACES(place) {
        __global float *distance = distances + (size_t)place * BATCH + lane;
        const vec usual = values[place] + values[PLACES + place] * level;
        vec_store((log_of(vec_load(distance)) - usual) / values[2 * PLACES + place], distance);
    }
}
