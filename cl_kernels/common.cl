/* SPDX-License-Identifier: MIT */
/* Put before every kernel file. The build options give VECTOR_WIDTH (floats of a vector: 1, 4, 8,
 * 16), GROUP_SIZE (work-items of a work-group, all along the batch) and LANES (1: GPUs, whose
 * work-items are lanes; 0: CPUs, whose work-items work on vectors).
 *
 * The batch is innermost in memory: BATCH lanes, of which images may lie in the first OCCUPIED;
 * those beyond only keep pixels of a large batch from being a power of two apart. A work-item owns
 * whole vectors of it: vector j of an item in work-group g starts at lane LANE_BASE(g, per_item) +
 * j * LANE_STRIDE, so that neighbouring items read neighbouring memory. WIDE(name) is the type or
 * function `name` of a vector's width: WIDE(uint), WIDE(convert_float). */

/* a / b, rounded up. clang-format takes `(b) - 1` for a cast. */
/* clang-format off */
#define CEIL_DIV(a, b) (((a) + (b) - 1) / (b))
/* clang-format on */
/* Where a tile begins. The last tile is moved back to fit. */
#define FIRST_OF_TILE(tile, tile_size, size) min((tile) * (tile_size), (size) - (tile_size))
#define UNROLL_FOR _Pragma("unroll") for
#define UNROLL_TWICE_FOR _Pragma("unroll 2") for /* half as many steps of the counter */
/* For helpers with __local arguments that a compiler may find too large to inline: PoCL 3.1 gives
 * wrong results if they are not inlined. */
#define INLINE static inline __attribute__((always_inline))
/* PoCL compiles the body of a kernel three times over, but functions that it does not inline once.
 * Large kernels therefore consist of PARTs, which do not ask for ids. Where work-items are alone in
 * their work-groups, ROOM is private memory, else memory that the work-group shares. */
#if defined(POCL_DEVICE_ADDRESS_BITS) && GROUP_SIZE == 1
#define ROOM __private
#define PART static __attribute__((noinline))
#else
#define ROOM __local
#define PART INLINE
#endif
#define GROUP_ATTRIBUTE __attribute__((reqd_work_group_size(GROUP_SIZE, 1, 1)))
#define LANE_STRIDE (GROUP_SIZE * VECTOR_WIDTH)
/* clang-format off */
#if GROUP_SIZE == 1
#define LANE_BASE(group, per_item) ((int)(group) * (per_item) * LANE_STRIDE)
#else
#define LANE_BASE(group, per_item)                                                                 \
    ((int)(group) * (per_item) * LANE_STRIDE + (int)get_local_id(0) * VECTOR_WIDTH)
#endif
/* clang-format on */

#if VECTOR_WIDTH == 1
typedef float vec;
#define WIDE(name) name
#define vec_load(p) (*(p))
#define vec_store(v, p) (*(p) = (v))
#define vec_sum(v) (v)
#define vec_lanes(first) (first)
#elif VECTOR_WIDTH == 4
typedef float4 vec;
#define WIDE(name) name##4
#define vec_load(p) vload4(0, p)
#define vec_store(v, p) vstore4(v, 0, p)
static inline float vec_sum(vec v) {
    float2 s = v.lo + v.hi;
    return s.x + s.y;
}
#define vec_lanes(first) ((int4)(first) + (int4)(0, 1, 2, 3))
#elif VECTOR_WIDTH == 8
typedef float8 vec;
#define WIDE(name) name##8
#define vec_load(p) vload8(0, p)
#define vec_store(v, p) vstore8(v, 0, p)
static inline float vec_sum(vec v) {
    float4 s = v.lo + v.hi;
    float2 t = s.lo + s.hi;
    return t.x + t.y;
}
#define vec_lanes(first) ((int8)(first) + (int8)(0, 1, 2, 3, 4, 5, 6, 7))
#else
typedef float16 vec;
#define WIDE(name) name##16
#define vec_load(p) vload16(0, p)
#define vec_store(v, p) vstore16(v, 0, p)
static inline float vec_sum(vec v) {
    float8 s = v.lo + v.hi;
    float4 t = s.lo + s.hi;
    float2 u = t.lo + t.hi;
    return u.x + u.y;
}
#define vec_lanes(first)                                                                           \
    ((int16)(first) + (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#endif

#define LINE 16 /* floats of a CPU's cache line */
#define LINES(floats) CEIL_DIV(floats, LINE)

/* Rounds up to an odd number of cache lines: addresses that far apart fall into different sets of a
 * cache. */
#define ODD_LINES(floats) ((LINES(floats) | 1) * LINE)

/* Asks a CPU to load a line that will soon be read (WRITE 0) or written (1) into its cache of LEVEL
 * 1 or 2. */
#if !LANES && defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#define prefetch_line(address, WRITE, LEVEL)                                                       \
    __builtin_prefetch((const void *)(uintptr_t)(address), WRITE, 4 - (LEVEL))
#endif
#endif
#ifndef prefetch_line
#define prefetch_line(address, WRITE, LEVEL) (void)0
#endif

/* Stores a vector, at a multiple of its size, past a CPU's caches: lines that are written whole
 * need not be read first. */
#if !LANES && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#define vec_stream(v, p) __builtin_nontemporal_store(v, (__global vec *)(p))
#endif
#endif
#ifndef vec_stream
#define vec_stream(v, p) vec_store(v, p)
#endif

/* Takes `yes` in each lane where the condition (a comparison of vectors) holds, else `no`. */
#if VECTOR_WIDTH == 1
#define vec_choose(no, yes, condition) ((condition) ? (yes) : (no))
#else
#define vec_choose(no, yes, condition) select(no, yes, condition)
#endif

/* x in the lanes below n, 0 in the padded ones. */
#if VECTOR_WIDTH == 1
#define vec_mask(x, first, n) ((first) < (n) ? (x) : 0.0f)
#else
#define vec_mask(x, first, n) select((vec)(0.0f), (x), vec_lanes(first) < (n))
#endif

/* The sum of v over the items of a work-group, in the order of the items; each of them receives it.
 * Every item must call it. room is the kernel's `__local float room[GROUP_SIZE]`. */
#if GROUP_SIZE == 1
#define group_sum(v, room) (v)
#else
static inline float group_sum(float v, __local float *room) {
    room[get_local_id(0)] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0.0f;
    for (int i = 0; i < GROUP_SIZE; i++) sum += room[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}
#endif

/* Activations by the numbers of us_activation_kind in engine/ops/activation.h. A kernel applies
 * ACTIVATION (with SLOPE) to what it writes; INPUT_ACTIVATION (with INPUT_SLOPE) produced what it
 * reads. */
#ifndef ACTIVATION
#define ACTIVATION 0
#endif
#ifndef INPUT_ACTIVATION
#define INPUT_ACTIVATION 0
#endif

/* An odd polynomial over an even one, within 5 units in the last place and several times as fast as
 * most drivers' tanh. Beyond the limit it is 1 but for the last bit. A NaN stays one. */
static inline vec hyperbolic_tangent(vec v) {
    const vec limit = (vec)(7.90531111f);
    vec x = vec_choose(v, limit, v > limit);
    x = vec_choose(x, -limit, x < -limit);
    const vec s = x * x;
    vec p = fma(s, (vec)(-2.76076847742355e-16f), (vec)(2.00018790482477e-13f));
    p = fma(s, p, (vec)(-8.60467152213735e-11f));
    p = fma(s, p, (vec)(5.12229709037114e-08f));
    p = fma(s, p, (vec)(1.48572235717979e-05f));
    p = fma(s, p, (vec)(6.37261928875436e-04f));
    p = fma(s, p, (vec)(4.89352455891786e-03f));
    vec q = fma(s, (vec)(1.19825839466702e-06f), (vec)(1.18534705686654e-04f));
    q = fma(s, q, (vec)(2.26843463243900e-03f));
    q = fma(s, q, (vec)(4.89352518554385e-03f));
    return x * (p / q);
}

/* Written with comparisons that a NaN fails, so that it stays one, as in PyTorch (fmax would make
 * it 0). */
static inline vec activate(vec v) {
#if ACTIVATION == 1
    return vec_choose(v, (vec)(0.0f), v < (vec)(0.0f));
#elif ACTIVATION == 2
    return vec_choose(v, SLOPE * v, v < (vec)(0.0f));
#elif ACTIVATION == 3
    return hyperbolic_tangent(v);
#elif ACTIVATION == 4
    return 1.0f / (1.0f + exp(-v));
#else
    return v;
#endif
}

/* dx times the derivative of the input's activation, given its output x. */
static inline vec input_activation_backward(vec dx, vec x) {
#if INPUT_ACTIVATION == 1
    return vec_choose((vec)(0.0f), dx, x > (vec)(0.0f));
#elif INPUT_ACTIVATION == 2
    return vec_choose(dx * INPUT_SLOPE, dx, x > (vec)(0.0f));
#elif INPUT_ACTIVATION == 3
    return dx * (1.0f - x * x);
#elif INPUT_ACTIVATION == 4
    return dx * x * (1.0f - x);
#else
    return dx;
#endif
}
