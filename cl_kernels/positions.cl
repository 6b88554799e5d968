/* SPDX-License-Identifier: MIT */
/* Logits of the positions of a grid over images: their loss beside a mask, and what scores and maps
 * are made of. engine/ops/positions.h has the formulas.
 *
 *     position_loss       dy, and parts[split][n] of the loss
 *     position_loss_sum   losses[slot], one work-group
 *     position_evidence   e[inner position][n]
 *     position_map        map[pixel][n]
 *
 * Logits are [GRID_HEIGHT][GRID_WIDTH][BATCH], masks and maps [HEIGHT][WIDTH][BATCH]. The
 * work-groups but for the sum's are (lane groups, splits), and an item has ROWS positions (pixels
 * of a map) of VECTORS vectors:
 *
 *                      <- VECTORS ->
 *     ROWS positions  | item        |  ->  parts[split][n]
 *     ROWS positions  | item        |  ->  parts[split][n]
 *
 * Options
 *     GRID_HEIGHT, GRID_WIDTH, HEIGHT, WIDTH, BATCH   as above, of the tensors in memory
 *     COVERAGE, POSITIVE_WEIGHT, FOCUSING   see us_position_loss_settings (0.2f, 1.0f, 0.0f)
 *     RIM               positions left out at each edge
 *     VECTORS, ROWS     vectors of the batch (all on CPUs, 1 on GPUs) and positions of an item (32)
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced the logits, see common.cl
 *
 * Twin of engine/ops/positions.c. */

#define SPLITS(count) CEIL_DIV(count, ROWS)
#define POSITIONS (GRID_HEIGHT * GRID_WIDTH)
#define INNER_HEIGHT (GRID_HEIGHT - 2 * RIM)
#define INNER_WIDTH (GRID_WIDTH - 2 * RIM)

/* log(1 + exp(v)), for any v; a NaN stays one. */
static inline vec softplus(vec v) {
    return vec_choose(v, (vec)(0.0f), v < (vec)(0.0f)) + log1p(exp(-fabs(v)));
}

#ifdef COVERAGE

/* The first pixel of position i, and the one behind its last. */
#define FIRST_PIXEL(i, pixels, positions) ((int)((long)(i) * (pixels) / (positions)))
#define END_PIXEL(i, pixels, positions) ((int)CEIL_DIV((long)((i) + 1) * (pixels), positions))

static inline vec target_of(__global const float *mask, int position, int lane) {
    const int i = position / GRID_WIDTH, j = position % GRID_WIDTH;
    const int top = FIRST_PIXEL(i, HEIGHT, GRID_HEIGHT), bottom = END_PIXEL(i, HEIGHT, GRID_HEIGHT);
    const int left = FIRST_PIXEL(j, WIDTH, GRID_WIDTH), right = END_PIXEL(j, WIDTH, GRID_WIDTH);
    vec sum = (vec)(0.0f);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            sum += vec_load(mask + ((size_t)y * WIDTH + x) * BATCH + lane);
    return min(sum / (COVERAGE * ((bottom - top) * (right - left))), (vec)(1.0f));
}

/* -p^FOCUSING log(1 - p) of the logit v, and its derivative. The other half of the loss is the same
 * of -v, with the derivative's sign turned. */
static inline vec half_loss(vec v, vec *slope) {
    const vec p = 1.0f / (1.0f + exp(-v)), l = softplus(v);
    if (FOCUSING == 0.0f) {
        *slope = p;
        return l;
    }
    const vec factor = pow(p, (vec)(FOCUSING));
    *slope = factor * (p + FOCUSING * (1.0f - p) * l);
    return factor * l;
}

/* dy may be NULL. */
__kernel GROUP_ATTRIBUTE void position_loss(__global const float *restrict y,
                                            __global const float *restrict mask,
                                            __global float *restrict dy,
                                            __global float *restrict parts, int n, float scale) {
    const int first = LANE_BASE(get_group_id(0), VECTORS), split = (int)get_group_id(1);
    const int first_row = split * ROWS, end_row = min(first_row + ROWS, POSITIONS);
    for (int j = 0; j < VECTORS; j++) {
        const int lane = first + j * LANE_STRIDE;
        vec sum = (vec)(0.0f);
        for (int p = first_row; p < end_row; p++) {
            const size_t at = (size_t)p * BATCH + lane;
            const vec value = vec_load(y + at), t = target_of(mask, p, lane);
            vec present, absent;
            const vec loss = POSITIVE_WEIGHT * t * half_loss(-value, &present) +
                             (1.0f - t) * half_loss(value, &absent);
            sum += vec_mask(loss, lane, n);
            if (!dy) continue;
            const vec d = scale * ((1.0f - t) * absent - POSITIVE_WEIGHT * t * present);
            vec_store(vec_mask(input_activation_backward(d, value), lane, n), dy + at);
        }
        vec_store(sum, parts + (size_t)split * BATCH + lane);
    }
}

/* One work-group. */
__kernel GROUP_ATTRIBUTE void position_loss_sum(__global const float *restrict parts,
                                                __global float *restrict losses, int slot, int n,
                                                float scale) {
    __local float room[GROUP_SIZE];
    float sum = 0.0f;
    for (int s = 0; s < SPLITS(POSITIONS); s++)
        for (int lane = (int)get_local_id(0); lane < n; lane += GROUP_SIZE)
            sum += parts[(size_t)s * BATCH + lane];
    sum = group_sum(sum, room);
    if (get_local_id(0) == 0) losses[slot] = scale * sum;
}

#else

__kernel GROUP_ATTRIBUTE void position_evidence(__global const float *restrict y,
                                                __global float *restrict evidence) {
    const int first = LANE_BASE(get_group_id(0), VECTORS), first_row = (int)get_group_id(1) * ROWS;
    const int end_row = min(first_row + ROWS, INNER_HEIGHT * INNER_WIDTH);
    for (int p = first_row; p < end_row; p++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = first + j * LANE_STRIDE;
            vec sum = (vec)(0.0f);
            for (int v = -1; v <= 1; v++)
                for (int u = -1; u <= 1; u++) {
                    const int i = RIM + clamp(p / INNER_WIDTH + v, 0, INNER_HEIGHT - 1),
                              k = RIM + clamp(p % INNER_WIDTH + u, 0, INNER_WIDTH - 1);
                    sum += vec_load(y + ((size_t)i * GRID_WIDTH + k) * BATCH + lane);
                }
            vec_store(softplus(sum / 9.0f), evidence + (size_t)p * BATCH + lane);
        }
}

/* Where the middle of pixel i lies among `inner` positions of `positions`. */
static inline float place_of(int i, int pixels, int positions, int inner) {
    const float place = ((float)i + 0.5f) * (float)positions / (float)pixels - 0.5f - (float)RIM;
    return clamp(place, 0.0f, (float)(inner - 1));
}

__kernel GROUP_ATTRIBUTE void position_map(__global const float *restrict evidence,
                                           __global float *restrict map) {
    const int first = LANE_BASE(get_group_id(0), VECTORS), first_row = (int)get_group_id(1) * ROWS;
    const int end_row = min(first_row + ROWS, HEIGHT * WIDTH);
    for (int p = first_row; p < end_row; p++) {
        const float y = place_of(p / WIDTH, HEIGHT, GRID_HEIGHT, INNER_HEIGHT),
                    x = place_of(p % WIDTH, WIDTH, GRID_WIDTH, INNER_WIDTH);
        const int y0 = (int)y, x0 = (int)x, y1 = min(y0 + 1, INNER_HEIGHT - 1),
                  x1 = min(x0 + 1, INNER_WIDTH - 1);
        const float down = y - (float)y0, across = x - (float)x0;
        for (int j = 0; j < VECTORS; j++) {
            const int lane = first + j * LANE_STRIDE;
            __global const float *e = evidence + lane;
            const vec a = vec_load(e + ((size_t)y0 * INNER_WIDTH + x0) * BATCH),
                      b = vec_load(e + ((size_t)y0 * INNER_WIDTH + x1) * BATCH),
                      c = vec_load(e + ((size_t)y1 * INNER_WIDTH + x0) * BATCH),
                      d = vec_load(e + ((size_t)y1 * INNER_WIDTH + x1) * BATCH);
            const vec above = a + across * (b - a), under = c + across * (d - c);
            vec_store(above + down * (under - above), map + (size_t)p * BATCH + lane);
        }
    }
}

#endif
