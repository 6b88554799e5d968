/* Tuning of a dense layer's products: see dense.h for what is computed, cl_kernels/dense.cl for
 * what the numbers mean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "device/tuning.h"
#include "ops/activation.h"
#include "ops/clblast.h"
#include "ops/dense.h"
#include "ops/activation.h"

enum {
    IMPLEMENTATION,
    TILE_ROWS,
    TILE_VECTORS,
    SLICE,
    ITEM_COLUMNS,
    ITEM_CHUNKS,
    CHUNK_TILES,
    BLOCK,
    PARAMETERS
};
enum { A, B, EXTRA, C, BIAS }; /* EXTRA: the bias, or x; BIAS: its gradient */
enum { MOST_SUMS = 48, MOST_ROWS = 24, MOST_VECTORS = 6, LEAST_SLICE = 32 };

static us_product_tuning tuning_of(const int *values) {
    return (us_product_tuning){
        .implementation = (us_product_implementation)values[IMPLEMENTATION],
        .tile_rows = values[TILE_ROWS],
        .tile_vectors = values[TILE_VECTORS],
        .slice = values[SLICE],
        .item_columns = values[ITEM_COLUMNS],
        .item_chunks = values[ITEM_CHUNKS],
        .chunk_tiles = values[CHUNK_TILES],
        .block = values[BLOCK],
    };
}

/* CLBlast cuts products by itself, so its numbers are all the same: one candidate, not many. */
static const int by_clblast[PARAMETERS] = {US_PRODUCT_CLBLAST, 1, 1, 1, 1, 1, 1, 1};

static void values_of(us_product_tuning tuning, int *values) {
    if (tuning.implementation == US_PRODUCT_CLBLAST) {
        memcpy(values, by_clblast, sizeof by_clblast);
        return;
    }
    values[IMPLEMENTATION] = (int)tuning.implementation;
    values[TILE_ROWS] = tuning.tile_rows;
    values[TILE_VECTORS] = tuning.tile_vectors;
    values[SLICE] = tuning.slice;
    values[ITEM_COLUMNS] = tuning.item_columns;
    values[ITEM_CHUNKS] = tuning.item_chunks;
    values[CHUNK_TILES] = tuning.chunk_tiles;
    values[BLOCK] = tuning.block;
}

unseen_status us_product_choose(const us_product_spec *spec, us_product_tuning *tuning,
                                unseen_error *error) {
    int values[US_TUNABLE_PARAMETERS];
    US_TRY(us_tuning_choose(&us_dense_tunable, spec, values, error));
    *tuning = tuning_of(values);
    return UNSEEN_OK;
}

static void key(const void *spec, char text[US_TUNABLE_TEXT]) {
    const us_product_spec *s = spec;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, s->activation, s->input_activation);
    snprintf(text, US_TUNABLE_TEXT, "-DFORM=%d -DIN=%d -DOUT=%d -DBATCH=%d -DBIAS=%d %s", s->form,
             s->in, s->out, s->batch, s->bias, activations);
}

static void label(const void *spec, char text[US_TUNABLE_TEXT]) {
    static const char *const forms[] = {"forward", "input gradient", "weight gradient"};
    const us_product_spec *s = spec;
    snprintf(text, US_TUNABLE_TEXT, "%s, %d to %d, batch %d", forms[s->form], s->in, s->out,
             s->batch);
}

static us_product_tuning default_of(const us_product_spec *spec) {
    int rows, terms, width;
    us_product_sizes(spec, &rows, &terms, &width);
    return us_product_tuning_default(spec->device, spec->form, rows, terms, width);
}

static void defaults(const void *spec, int *values) {
    values_of(default_of(spec), values);
}

/* ---- which ways there are ---- */

/* Vectors, or lanes of a work-group, in a row of C. */
static int row_vectors(const us_product_spec *spec, int width) {
    return us_tiles_count(width, us_device_lanes(spec->device));
}

static bool valid_tile(const us_product_spec *spec, const int *values, int rows, int width) {
    const int tile_rows = values[TILE_ROWS], vectors = values[TILE_VECTORS];
    if (tile_rows < 1 || tile_rows > MOST_ROWS || tile_rows > rows || vectors < 1 ||
        vectors > MOST_VECTORS || tile_rows * vectors > MOST_SUMS)
        return false;
    /* Only the weights' gradients may end within a tile. */
    return spec->form == US_PRODUCT_WEIGHT || row_vectors(spec, width) % vectors == 0;
}

static bool valid_slice(const us_product_spec *spec, int slice, int rows, int terms, int width) {
    if (slice < 1 || slice > terms) return false;
    if (spec->form == US_PRODUCT_WEIGHT) return slice == terms; /* they are not combined */
    const uint64_t slices = (uint64_t)us_tiles_count(terms, slice);
    return slices == 1 || slices * (uint64_t)rows * (uint64_t)width * sizeof(float) <=
                              spec->device->largest_allocation_bytes / 4;
}

/* What an item of a CPU does. */
static bool valid_item(const us_product_spec *spec, const int *values, int rows, int terms,
                       int width) {
    const int vector_width = spec->device->vector_width, block = values[BLOCK];
    if (values[ITEM_COLUMNS] < 1 || values[ITEM_COLUMNS] > row_vectors(spec, width) ||
        values[CHUNK_TILES] < 1 || values[CHUNK_TILES] > rows || values[ITEM_CHUNKS] < 1 ||
        values[ITEM_CHUNKS] > rows)
        return false;
    if ((int64_t)values[ITEM_CHUNKS] * values[CHUNK_TILES] * values[TILE_ROWS] > INT32_MAX / 2)
        return false;
    return block >= vector_width && block % vector_width == 0 &&
           block / vector_width <= us_tiles_count(terms, vector_width) &&
           us_product_fits(spec, tuning_of(values));
}

static bool valid(const void *spec, const int *values) {
    const us_product_spec *s = spec;
    int rows, terms, width;
    us_product_sizes(s, &rows, &terms, &width);
    if (values[IMPLEMENTATION] == US_PRODUCT_CLBLAST)
        return us_clblast_available() && memcmp(values, by_clblast, sizeof by_clblast) == 0;
    if (values[IMPLEMENTATION] != US_PRODUCT_OWN || !valid_tile(s, values, rows, width) ||
        !valid_slice(s, values[SLICE], rows, terms, width))
        return false;
    if (s->device->execution == US_EXECUTION_VECTOR)
        return valid_item(s, values, rows, terms, width);
    return values[ITEM_COLUMNS] == 0 && values[ITEM_CHUNKS] == 0 && values[CHUNK_TILES] == 0 &&
           values[BLOCK] == 0;
}

static int slice_choices(const us_product_spec *spec, int terms, int *choices) {
    int count = us_choices_add(choices, 0, terms);
    for (int parts = 2; spec->form != US_PRODUCT_WEIGHT && parts <= 64; parts *= 2)
        if (terms / parts >= LEAST_SLICE)
            count = us_choices_add(choices, count, us_tiles_count(terms, parts));
    return count;
}

static int block_choices(const us_product_spec *spec, int terms, int *choices) {
    const int vector_width = spec->device->vector_width;
    const int count = us_powers_choices(us_tiles_count(terms, vector_width), choices);
    for (int i = 0; i < count; i++)
        choices[i] *= vector_width;
    return count;
}

/* From one implementation to the other no parameter leads: both are among the starts. */
static int choices_of(const void *spec, const int *values, int parameter,
                      int choices[US_TUNABLE_CHOICES]) {
    const us_product_spec *s = spec;
    int rows, terms, width;
    us_product_sizes(s, &rows, &terms, &width);
    const int row_tiles = us_tiles_count(rows, values[TILE_ROWS]);
    const bool lanes = s->device->execution == US_EXECUTION_LANES;
    if (values[IMPLEMENTATION] == US_PRODUCT_CLBLAST || (lanes && parameter >= ITEM_COLUMNS))
        return us_choices_add(choices, 0, values[parameter]);
    switch (parameter) {
    case TILE_ROWS:
        return us_tiles_choices(rows, MOST_ROWS, choices);
    case TILE_VECTORS:
        return us_tiles_choices(row_vectors(s, width), MOST_VECTORS, choices);
    case SLICE:
        return slice_choices(s, terms, choices);
    case ITEM_COLUMNS:
        return us_powers_choices(us_tiles_count(row_vectors(s, width), values[TILE_VECTORS]),
                                 choices);
    case ITEM_CHUNKS:
        return us_powers_choices(us_tiles_count(row_tiles, values[CHUNK_TILES]), choices);
    case CHUNK_TILES:
        return us_powers_choices(row_tiles, choices);
    case BLOCK:
        return block_choices(s, terms, choices);
    default:
        return us_choices_add(choices, 0, values[parameter]);
    }
}

/* The default's chunks with tiles of other shapes. */
static us_product_tuning reshape(const us_product_spec *spec, us_product_tuning t, int tile_rows,
                                 int tile_vectors) {
    const int chunk_rows = t.chunk_tiles * t.tile_rows, columns = t.item_columns * t.tile_vectors;
    int rows, terms, width;
    us_product_sizes(spec, &rows, &terms, &width);
    t.tile_rows = us_tiles_even(rows, tile_rows);
    t.tile_vectors = us_tiles_even(row_vectors(spec, width), tile_vectors);
    if (spec->device->execution == US_EXECUTION_LANES) return t;
    t.chunk_tiles = us_smaller(us_tiles_count(chunk_rows, t.tile_rows), rows);
    t.item_columns = us_tiles_count(columns, t.tile_vectors);
    return t;
}

/* Each implementation, then shapes of tiles that are good on some device or other. */
static bool start(const void *spec, int index, int *values) {
    enum { CLBLAST, OWN, TILES };
    static const int tiles[][2] = {{12, 2}, {8, 3}, {6, 4}, {8, 1}};
    us_product_tuning tuning = default_of(spec);
    if (!us_clblast_available()) index++;
    tuning.implementation = index == CLBLAST ? US_PRODUCT_CLBLAST : US_PRODUCT_OWN;
    if (index >= TILES) {
        if (index - TILES >= (int)(sizeof tiles / sizeof *tiles)) return false;
        tuning = reshape(spec, tuning, tiles[index - TILES][0], tiles[index - TILES][1]);
    }
    values_of(tuning, values);
    return true;
}

/* ---- trials ---- */

static void operands(const void *spec, us_operand operands[US_TUNABLE_OPERANDS]) {
    const us_product_spec *s = spec;
    const size_t in = (size_t)s->in, out = (size_t)s->out, batch = (size_t)s->batch;
    switch (s->form) {
    case US_PRODUCT_FORWARD:
        operands[A].floats = in * out;
        operands[B] = (us_operand){in * batch, false, s->batch};
        operands[EXTRA].floats = s->bias ? out : 0;
        operands[C] = (us_operand){out * batch, true, s->batch};
        break;
    case US_PRODUCT_INPUT:
        operands[A].floats = in * out;
        operands[B] = (us_operand){out * batch, false, s->batch};
        operands[EXTRA] = (us_operand){in * batch, false, s->batch};
        operands[C] = (us_operand){in * batch, true, s->batch};
        break;
    case US_PRODUCT_WEIGHT:
        operands[A] = (us_operand){in * batch, false, s->batch};
        operands[B] = (us_operand){out * batch, false, s->batch};
        operands[C] = (us_operand){in * out, true, 0};
        operands[BIAS] = (us_operand){s->bias ? out : 0, true, 0};
        break;
    }
}

/* Of two runs of floats, their steps apart. b NULL: ones. */
static double dot(const float *a, size_t a_step, const float *b, size_t b_step, int count) {
    double sum = 0;
    for (size_t i = 0; i < (size_t)count; i++)
        sum += (double)a[i * a_step] * (b ? (double)b[i * b_step] : 1);
    return sum;
}

static double expected(const void *spec, const float *const *operands, int output, size_t index) {
    const us_product_spec *s = spec;
    const float *a = operands[A], *b = operands[B];
    const size_t out = (size_t)s->out, batch = (size_t)s->batch;
    const size_t columns = s->form == US_PRODUCT_WEIGHT ? out : batch;
    const size_t row = index / columns, column = index % columns;
    if (output == BIAS) return dot(b + index * batch, 1, NULL, 0, s->batch);
    if (s->form == US_PRODUCT_WEIGHT)
        return dot(a + row * batch, 1, b + column * batch, 1, s->batch);
    if (s->form == US_PRODUCT_INPUT)
        return dot(a + row * out, 1, b + column, batch, s->out) *
               us_activation_slope(s->input_activation, (double)operands[EXTRA][index]);
    return us_activate(s->activation, dot(a + row, out, b + column, batch, s->in) +
                                          (s->bias ? (double)operands[EXTRA][row] : 0));
}

/* A layer with the one product, and how to run it. */
typedef struct operation {
    us_product_form form;
    void *layer;
} operation;

static unseen_status create(const void *spec, const int *values, void **made, unseen_error *error) {
    const us_product_tuning tuning = tuning_of(values);
    operation *op = calloc(1, sizeof *op);
    *made = op;
    if (!op) return us_fail_memory(error, "a trial");
    op->form = ((const us_product_spec *)spec)->form;
    return us_dense_create_product(spec, &tuning, &op->layer, error);
}

static unseen_status run(void *made, us_buffer *const *on, unseen_error *error) {
    operation *op = made;
    us_buffer *tensors[] = {on[A], on[EXTRA]}, *gradients[] = {on[C], on[BIAS]};
    if (op->form == US_PRODUCT_FORWARD) {
        const us_layer_forward args = {.x = on[B], .y = on[C], .tensors = tensors};
        return us_dense_layer.forward(op->layer, &args, error);
    }
    us_layer_backward args = {.dy = on[B]};
    if (op->form == US_PRODUCT_INPUT) {
        args.x = on[EXTRA];
        args.dx = on[C];
        args.tensors = tensors;
    } else {
        args.x = on[A];
        args.gradients = gradients;
    }
    return us_dense_layer.backward(op->layer, &args, error);
}

static void destroy(void *made) {
    operation *op = made;
    if (!op) return;
    us_dense_layer.destroy(op->layer);
    free(op);
}

const us_tunable us_dense_tunable = {
    .name = "dense",
    .sources = {"dense"},
    .parameters = {[IMPLEMENTATION] = "implementation",
                   [TILE_ROWS] = "tile_rows",
                   [TILE_VECTORS] = "tile_vectors",
                   [SLICE] = "slice",
                   [ITEM_COLUMNS] = "item_columns",
                   [ITEM_CHUNKS] = "item_chunks",
                   [CHUNK_TILES] = "chunk_tiles",
                   [BLOCK] = "block"},
    .spec_size = sizeof(us_product_spec),
    .key = key,
    .label = label,
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices_of,
    .operands = operands,
    .expected = expected,
    .create = create,
    .run = run,
    .destroy = destroy,
};
