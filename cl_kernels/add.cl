/* Sums of gradients, where one value went two ways. Options: COUNT (floats of a tensor with its padded
 * lanes), VECTORS (per item). */

__kernel GROUP_ATTRIBUTE void add(__global const float *restrict from, __global float *restrict to) {
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i < COUNT) vec_store(vec_load(to + i) + vec_load(from + i), to + i);
    }
}
