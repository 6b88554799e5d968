/* SPDX-License-Identifier: MIT */
/* Included by the kernels for Winograd's minimal filtering: the points at which polynomials are
 * evaluated, 0, 1 and infinity (POINTS 3), also -1 (4), also 2 (5).
 *
 * Options
 *     TAPS       weights along a side (2)
 *     OUTPUTS    pixels of a tile along a side (2 to 4); TAPS + OUTPUTS is 4 to 6 */
#define POINTS (OUTPUTS + TAPS - 1)
#define PRODUCTS (POINTS * POINTS)

/* The finite points and, for each, 1 / product of its differences from the others. */
#if POINTS == 3
__constant float point_values[] = {0.0f, 1.0f};
__constant float point_scales[] = {-1.0f, 1.0f, 1.0f};
#elif POINTS == 4
__constant float point_values[] = {0.0f, 1.0f, -1.0f};
__constant float point_scales[] = {-1.0f, 0.5f, 0.5f, 1.0f};
#else
__constant float point_values[] = {0.0f, 1.0f, -1.0f, 2.0f};
__constant float point_scales[] = {0.5f, -0.5f, -1.0f / 6.0f, 1.0f / 6.0f, 1.0f};
#endif
