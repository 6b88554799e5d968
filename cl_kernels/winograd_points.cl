/* The points of Winograd's minimal filtering: values of polynomials at 0, 1 and infinity (3
 * points), -1 (4), 2 (5). */
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
