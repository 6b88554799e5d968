/* Partial sums of parameters' gradients, [splits][count], added up always in the same order. Launched
 * over elements; used by engine/ops/weight_gradient.c. */
__kernel void sum_splits(const __global float *restrict partial, int splits, long count,
                         int accumulate, __global float *restrict gradient) {
    const size_t i = get_global_id(0);
    if (i >= (size_t)count) return;
    float total = accumulate ? gradient[i] : 0.0f;
    for (int split = 0; split < splits; split++)
        total += partial[(size_t)split * (size_t)count + i];
    gradient[i] = total;
}
