/* The cross entropy of class scores [CLASSES][BATCH] with one class per image, and its gradient.
 *
 * Options: CLASSES, BATCH, INPUT_ACTIVATION (the one that produced y). Work-groups are lane groups;
 * an item has one vector of the batch. */

typedef WIDE(int) classes;

/* As loss.cl's: a NaN stays one, and tells of divergence. */
static inline vec larger(vec a, vec b) {
    return vec_choose(b, a, b <= a);
}

/* entropies[j]: that of image j, or (accumulate) added to what is there; dy (may be NULL): scale
 * times its gradient. */
__kernel GROUP_ATTRIBUTE void class_entropy(__global const float *restrict y,
                                            __global const int *restrict labels,
                                            __global float *restrict dy,
                                            __global float *restrict entropies, int n, float scale,
                                            int accumulate) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    classes label;
#if VECTOR_WIDTH == 1
    label = labels[lane];
#elif VECTOR_WIDTH == 4
    label = vload4(0, labels + lane);
#elif VECTOR_WIDTH == 8
    label = vload8(0, labels + lane);
#else
    label = vload16(0, labels + lane);
#endif
    vec top = vec_load(y + lane);
    for (int c = 1; c < CLASSES; c++)
        top = larger(top, vec_load(y + (size_t)c * BATCH + lane));
    vec sum = (vec)(0.0f), own = (vec)(0.0f);
    for (int c = 0; c < CLASSES; c++) {
        const vec v = vec_load(y + (size_t)c * BATCH + lane) - top;
        sum += exp(v);
        own = vec_choose(own, v, label == (classes)(c));
    }
    const vec entropy = vec_mask(log(sum) - own, lane, n);
    vec_store(accumulate ? vec_load(entropies + lane) + entropy : entropy, entropies + lane);
    if (!dy) return;
    for (int c = 0; c < CLASSES; c++) {
        const size_t i = (size_t)c * BATCH + lane;
        const vec value = vec_load(y + i);
        const vec target = vec_choose((vec)(0.0f), (vec)(1.0f), label == (classes)(c));
        vec d = scale * (exp(value - top) / sum - target);
        vec_store(vec_mask(input_activation_backward(d, value), lane, n), dy + i);
    }
}

/* One work-group: losses[slot] = scale times the sum over the batch. */
__kernel GROUP_ATTRIBUTE void entropy_sum(__global const float *restrict entropies,
                                          __global float *restrict losses, int slot, float scale) {
    __local float room[GROUP_SIZE];
    float sum = 0.0f;
    for (int i = get_local_id(0); i < BATCH; i += GROUP_SIZE)
        sum += entropies[i];
    sum = group_sum(sum, room);
    if (get_local_id(0) == 0) losses[slot] = scale * sum;
}
