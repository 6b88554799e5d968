/* The standard deviation of the n values in a batch's lanes, told if it is above what is there.
 *
 * Option: BATCH. One work-group. Differences are taken from the first value, so that equal values
 * have exactly no spread. */

__kernel GROUP_ATTRIBUTE void spread(__global const float *restrict values,
                                     __global float *restrict out, int slot, int n) {
    __local float room[GROUP_SIZE];
    const int start = LANE_BASE(0, 1);
    const vec first = (vec)(values[0]);
    vec sum = (vec)(0.0f);
    for (int lane = start; lane < BATCH; lane += LANE_STRIDE)
        sum += vec_mask(vec_load(values + lane) - first, lane, n);
    const float mean = group_sum(vec_sum(sum), room) / n;
    vec squares = (vec)(0.0f);
    for (int lane = start; lane < BATCH; lane += LANE_STRIDE) {
        const vec d = vec_mask(vec_load(values + lane) - first - mean, lane, n);
        squares += d * d;
    }
    const float deviation = sqrt(group_sum(vec_sum(squares), room) / n);
    /* A NaN is told too. */
    if (get_local_id(0) == 0 && !(deviation <= out[slot])) out[slot] = deviation;
}
