/* Where branches of a network meet: outputs are added on the way forward, gradients on the way
 * back. Options: COUNT (floats of a tensor with its padded lanes), VECTORS (per item), ACTIVATION,
 * INPUT_ACTIVATION. */

#define ITEM_BASE LANE_BASE(get_group_id(0), VECTORS)

/* y = activation(a + b) */
__kernel GROUP_ATTRIBUTE void forward(__global const float *restrict a,
                                      __global const float *restrict b,
                                      __global float *restrict y) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i < COUNT) vec_store(activate(vec_load(a + i) + vec_load(b + i)), y + i);
    }
}

/* sum = base + gradient times the derivative of the activation that produced x. sum may be base,
 * which may be NULL for zero. */
__kernel GROUP_ATTRIBUTE void gradient_sum(__global const float *base,
                                           __global const float *restrict x,
                                           __global const float *restrict gradient,
                                           __global float *sum) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i >= COUNT) continue;
        const vec more = input_activation_backward(vec_load(gradient + i), vec_load(x + i));
        vec_store(base ? vec_load(base + i) + more : more, sum + i);
    }
}
