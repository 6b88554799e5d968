/* Activation layers of their own, where no layer before them can compute them. Options: COUNT
 * (floats of a tensor with its padded lanes), VECTORS (per item), ACTIVATION, INPUT_ACTIVATION. */

#define ITEM_BASE LANE_BASE(get_group_id(0), VECTORS)

__kernel GROUP_ATTRIBUTE void forward(__global const float *restrict x,
                                      __global float *restrict y) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i < COUNT) vec_store(activate(vec_load(x + i)), y + i);
    }
}

__kernel GROUP_ATTRIBUTE void backward(__global const float *restrict x,
                                       __global const float *restrict dy,
                                       __global float *restrict dx) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i < COUNT)
            vec_store(input_activation_backward(vec_load(dy + i), vec_load(x + i)), dx + i);
    }
}
