/* SPDX-License-Identifier: MIT */
/* Adds up the parts of a loss:
 *
 *     losses[slot] (+)= scale * sum over i of parts[i]
 *
 * by one work-group, all of whose items call it. Included by loss.cl, and by optimizer.cl, which is
 * launched anyway once the loss is known. */

#define LOSS_TOTAL_ARGUMENTS                                                                       \
    __global const float *restrict loss_parts, int loss_count, __global float *restrict losses,    \
        int slot, float loss_scale, int accumulate_loss
#define LOSS_TOTAL(room)                                                                           \
    loss_total(loss_parts, loss_count, losses, slot, loss_scale, accumulate_loss, room)

INLINE void loss_total(__global const float *parts, int count, __global float *losses, int slot,
                       float scale, int accumulate, __local float *room) {
    float sum = 0.0f;
    for (int i = get_local_id(0); i < count; i += GROUP_SIZE) sum += parts[i];
    sum = group_sum(sum, room);
    if (get_local_id(0) == 0) losses[slot] = (accumulate ? losses[slot] : 0.0f) + scale * sum;
}
