/* The device's arithmetic peak: independent chains of fused multiply-adds in registers. */

#define CHAINS 10

__kernel GROUP_ATTRIBUTE void peak(const int rounds, const float a, const float b,
                                   __global float *restrict out) {
    vec chain[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++) chain[i] = (vec)(0.1f * i);
    for (int r = 0; r < rounds; r++) UNROLL
        for (int i = 0; i < CHAINS; i++) chain[i] = fma(chain[i], (vec)(a), (vec)(b));
    float sum = 0;
    UNROLL for (int i = 0; i < CHAINS; i++) sum += vec_sum(chain[i]);
    out[get_global_id(0)] = sum;
}
