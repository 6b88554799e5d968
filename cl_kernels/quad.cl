/* SPDX-License-Identifier: MIT */
/* Included by kernels whose items work on quads: four images, which lie side by side in memory.
 * GPUs load and store them 128 bits at a time, for which addresses must be multiples of 16 bytes:
 * BATCH is a multiple of 4, and so is the first image of each quad.
 *
 * A quad is a float4 whatever VECTOR_WIDTH is, so that these kernels run on CPUs as well. */
#define quad_load(p) (*(__global const float4 *)(p))
#define quad_store(v, p) (*(__global float4 *)(p) = (v))

/* common.cl's functions of a vec, for a quad. */
#if VECTOR_WIDTH == 1
INLINE float4 quad_activate(float4 v) {
    return (float4)(activate(v.x), activate(v.y), activate(v.z), activate(v.w));
}
INLINE float4 quad_input_activation_backward(float4 dx, float4 x) {
    return (float4)(input_activation_backward(dx.x, x.x), input_activation_backward(dx.y, x.y),
                    input_activation_backward(dx.z, x.z), input_activation_backward(dx.w, x.w));
}
#else
#if VECTOR_WIDTH == 4
#define TO_VEC(quad) (quad)
#define FROM_VEC(v) (v)
#elif VECTOR_WIDTH == 8
#define TO_VEC(quad) ((float8)((quad), (quad)))
#define FROM_VEC(v) ((v).lo)
#else
#define TO_VEC(quad) ((float16)((quad), (quad), (quad), (quad)))
#define FROM_VEC(v) ((v).lo.lo)
#endif
INLINE float4 quad_activate(float4 v) {
    return FROM_VEC(activate(TO_VEC(v)));
}
INLINE float4 quad_input_activation_backward(float4 dx, float4 x) {
    return FROM_VEC(input_activation_backward(TO_VEC(dx), TO_VEC(x)));
}
#endif
