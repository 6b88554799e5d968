/* Dense layers: y[o] = a(sum over i of weight[i][o] x[i] + bias[o]). All three passes are one
 * product, described in cl_kernels/dense.cl. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/tuning.h"
#include "ops/activation.h"
#include "ops/attributes.h"
#include "ops/dense.h"
#include "ops/reference.h"

typedef enum us_product_form { FORWARD, INPUT, WEIGHT } us_product_form;

/* What is computed: a product for a layer of these sizes. */
typedef struct us_product_spec {
    us_device *device;
    us_product_form form;
    int in, out, batch; /* padded */
    bool bias;
    us_activation activation, input_activation;
} us_product_spec;

/* How a product is cut; see cl_kernels/dense.cl. In the order of the tunable's parameters. */
typedef struct us_product_tuning {
    int tile_rows, tile_vectors, item_tiles, item_columns, block, slice;
} us_product_tuning;

typedef struct us_product {
    us_product_form form;
    int rows, terms, width, columns; /* M, R, WIDTH, COLUMNS */
    us_product_tuning tuning;
    us_kernel *multiply, *combine;
    size_t groups[3], combine_groups[3];
    size_t slices_bytes, panels_bytes; /* of scratch; 0: none */
} us_product;

typedef struct us_dense {
    us_device *device;
    bool bias, bias_gradient_is_zero;
    us_product products[3]; /* by form; those of backward are made when first needed */
    us_kernel *panels, *bias_gradient;
    size_t panel_groups, bias_groups;
    us_product_form trial; /* of a trial, which has one product alone */
} us_dense;

static int smaller(int64_t a, int64_t b) {
    return (int)(a < b ? a : b);
}

static int divide_up(int64_t a, int64_t b) {
    return (int)((a + b - 1) / b);
}

enum {
    VECTOR_BLOCK = 256,   /* terms: with the columns below, what a core's cache keeps of B */
    VECTOR_COLUMNS = 256, /* columns of an item */
    VECTOR_ITEM_ROWS = 128,
    VECTOR_SLICE = 512, /* terms worth an item of their own */
    ITEMS_PER_UNIT = 4, /* work-groups per core, so that none waits long for the last */
    LANES_TILE_ROWS = 8,
    LANES_ITEMS = 1024, /* work-items per compute unit of a GPU, to hide its latencies */
    LANES_SLICE = 64,
    BIAS_ROWS = 32,
};

/* A tile's count of rows, at most `most` and not much below, that leaves the fewest of a last tile
 * unused; a tile costs as much as its rows and one more. */
static int rows_per_tile(int rows, int most) {
    if (rows <= most) return rows;
    int best = most;
    int64_t best_cost = INT64_MAX;
    for (int i = most; 3 * i > 2 * most; i--) {
        const int64_t cost = (int64_t)divide_up(rows, i) * (i + 1);
        if (cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best;
}

/* The terms of a slice, so that there are `wanted` times as many items, each of at least `least`.
 */
static int cut_terms(int terms, int64_t wanted, int least) {
    const int slice = divide_up(terms, wanted > 1 ? wanted : 1);
    return smaller(terms, slice > least ? slice : least);
}

static us_product_tuning tune_lanes(const us_device *device, us_product_form form, int rows,
                                    int terms, int width) {
    us_product_tuning t = {.tile_vectors = 1, .item_tiles = 1, .item_columns = 1, .slice = terms};
    t.tile_rows = rows_per_tile(rows, LANES_TILE_ROWS);
    const int64_t items = (int64_t)divide_up(rows, t.tile_rows) * width;
    if (form != WEIGHT)
        t.slice =
            cut_terms(terms, (int64_t)device->compute_units * LANES_ITEMS / items, LANES_SLICE);
    t.block = t.slice;
    return t;
}

/* M, R and WIDTH. */
static void set_sizes(const us_product_spec *spec, int *rows, int *terms, int *width) {
    *rows = spec->form == FORWARD ? spec->out : spec->in;
    *terms = spec->form == FORWARD ? spec->in : spec->form == INPUT ? spec->out : spec->batch;
    *width = spec->form == WEIGHT ? spec->out : spec->batch;
}

static us_product_tuning product_tuning_default(const us_product_spec *spec) {
    const us_device *device = spec->device;
    const us_product_form form = spec->form;
    int rows, terms, width;
    set_sizes(spec, &rows, &terms, &width);
    if (device->execution == US_EXECUTION_LANES)
        return tune_lanes(device, form, rows, terms, width);
    us_product_tuning t = {.slice = terms, .block = smaller(VECTOR_BLOCK, terms)};
    /* Most rows for which the sums of a tile fit into 32 registers, and measured to be best. */
    static const int tile_rows[] = {0, 8, 6, 7, 6};
    const int vectors = divide_up(width, device->vector_width);
    t.tile_vectors = vectors % 4 == 0 ? 4 : vectors % 3 == 0 ? 3 : vectors % 2 == 0 ? 2 : 1;
    t.tile_rows = rows_per_tile(rows, tile_rows[t.tile_vectors]);
    t.item_tiles = smaller(divide_up(VECTOR_ITEM_ROWS, t.tile_rows), divide_up(rows, t.tile_rows));
    const int columns = t.tile_vectors * device->vector_width;
    t.item_columns =
        form == WEIGHT ? 1 : smaller(divide_up(VECTOR_COLUMNS, columns), divide_up(width, columns));
    /* Where rows and columns make too few items, the sums are cut as well. */
    const int64_t items = (int64_t)divide_up(rows, (int64_t)t.item_tiles * t.tile_rows) *
                          divide_up(width, (int64_t)t.item_columns * columns);
    if (form != WEIGHT)
        t.slice = cut_terms(
            terms, divide_up((int64_t)device->compute_units * ITEMS_PER_UNIT, items), VECTOR_SLICE);
    return t;
}

/* Sizes and build options of a product. */
static void plan_product(us_product *product, const us_product_spec *spec,
                         const us_product_tuning t) {
    const us_device *device = spec->device;
    const us_product_form form = spec->form;
    product->form = form;
    set_sizes(spec, &product->rows, &product->terms, &product->width);
    product->tuning = t;
    const int tile_width = t.tile_vectors * us_device_lanes(device);
    product->columns = divide_up(product->width, tile_width) * tile_width;
    product->groups[0] = (size_t)divide_up(product->columns / tile_width, t.item_columns);
    product->groups[1] = (size_t)divide_up(product->rows, (int64_t)t.item_tiles * t.tile_rows);
    product->groups[2] = (size_t)divide_up(product->terms, t.slice);
    product->combine_groups[0] = device->execution == US_EXECUTION_VECTOR
                                     ? 1
                                     : (size_t)(product->columns / us_device_lanes(device));
    product->combine_groups[1] = (size_t)product->rows;
    product->combine_groups[2] = 1;
    if (product->groups[2] > 1)
        product->slices_bytes =
            product->groups[2] * (size_t)product->rows * (size_t)product->columns * sizeof(float);
    if (form == WEIGHT)
        product->panels_bytes = (size_t)product->terms * (size_t)product->columns * sizeof(float);
}

static unseen_status create_kernel(const us_product *product, const us_layer_plan *plan,
                                   const char *name, us_kernel **kernel, unseen_error *error) {
    const us_product_tuning *t = &product->tuning;
    const us_dense_attributes *attributes = plan->attributes;
    const us_product_form form = product->form;
    const int out = plan->out.channels;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, plan->activation, plan->input_activation);
    /* weight is [in][out]; x of the weight's gradient [in][batch] */
    const int a_row = form == FORWARD ? 1 : form == INPUT ? out : plan->batch;
    const int a_step = form == FORWARD ? out : 1;
    const int vectors = product->columns / us_device_lanes(plan->device);
    return us_kernel_create(
        plan->device, "dense", name, kernel, error,
        "-DFORM=%d -DM=%d -DR=%d -DCOLUMNS=%d -DWIDTH=%d -DA_ROW=%d -DA_STEP=%d -DBIAS=%d "
        "-DTILE_ROWS=%d -DTILE_VECTORS=%d -DITEM_TILES=%d -DITEM_COLUMNS=%d -DBLOCK=%d -DSLICE=%d "
        "-DITEM_VECTORS=%d -DBIAS_ROWS=%d %s",
        form, product->rows, product->terms, product->columns, product->width, a_row, a_step,
        attributes->bias, t->tile_rows, t->tile_vectors, t->item_tiles, t->item_columns, t->block,
        t->slice, plan->device->execution == US_EXECUTION_VECTOR ? vectors : 1, BIAS_ROWS,
        activations);
}

static unseen_status choose_tuning(const us_product_spec *spec, us_product_tuning *tuning,
                                   unseen_error *error) {
    int values[US_TUNABLE_PARAMETERS];
    US_TRY(us_tuning_choose(&us_dense_tunable, spec, values, error));
    memcpy(tuning, values, sizeof *tuning);
    return UNSEEN_OK;
}

static void destroy(void *pointer) {
    us_dense *layer = pointer;
    if (!layer) return;
    for (int form = 0; form < 3; form++) {
        us_kernel_destroy(layer->products[form].multiply);
        us_kernel_destroy(layer->products[form].combine);
    }
    us_kernel_destroy(layer->panels);
    us_kernel_destroy(layer->bias_gradient);
    free(layer);
}

static unseen_status create_product(us_dense *layer, const us_layer_plan *plan,
                                    us_product_form form, const us_product_tuning *tuning,
                                    unseen_error *error) {
    us_product *product = &layer->products[form];
    const us_product_spec spec = {
        .device = plan->device,
        .form = form,
        .in = plan->in.channels,
        .out = plan->out.channels,
        .batch = plan->batch,
        .bias = ((const us_dense_attributes *)plan->attributes)->bias,
        .activation = plan->activation,
        .input_activation = plan->input_activation,
    };
    us_product_tuning chosen;
    if (tuning)
        chosen = *tuning;
    else
        US_TRY(choose_tuning(&spec, &chosen, error));
    plan_product(product, &spec, chosen);
    us_buffer *scratch;
    const size_t bytes = product->slices_bytes + product->panels_bytes;
    if (bytes) US_TRY(us_device_scratch(layer->device, bytes, &scratch, error));
    US_TRY(create_kernel(product, plan, "product", &product->multiply, error));
    if (product->slices_bytes)
        US_TRY(create_kernel(product, plan, "combine", &product->combine, error));
    return UNSEEN_OK;
}

/* What the weights' gradient needs besides its product. */
static unseen_status create_panels(us_dense *layer, const us_layer_plan *plan,
                                   unseen_error *error) {
    const us_product *weight = &layer->products[WEIGHT];
    layer->panel_groups = (size_t)(weight->columns / us_device_lanes(plan->device));
    return create_kernel(weight, plan, "panels", &layer->panels, error);
}

static unseen_status create(const us_layer_plan *plan, void **out, unseen_error *error) {
    *out = NULL;
    us_dense *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "a dense layer");
    layer->device = plan->device;
    layer->bias = ((const us_dense_attributes *)plan->attributes)->bias;
    layer->bias_gradient_is_zero = plan->bias_gradient_is_zero;
    unseen_status status;
    for (us_product_form form = FORWARD; form <= WEIGHT; form++)
        US_CHECK(create_product(layer, plan, form, NULL, error));
    layer->bias_groups = (size_t)divide_up(plan->out.channels, BIAS_ROWS);
    US_CHECK(create_panels(layer, plan, error));
    US_CHECK(create_kernel(&layer->products[WEIGHT], plan, "bias_gradient", &layer->bias_gradient,
                           error));
    *out = layer;
    return UNSEEN_OK;

done:
    destroy(layer);
    return status;
}

/* c = a b, finished with `extra`. */
static unseen_status multiply(us_dense *layer, us_product_form form, us_buffer *a, us_buffer *b,
                              us_buffer *extra, us_buffer *c, bool accumulate,
                              unseen_error *error) {
    us_product *product = &layer->products[form];
    us_buffer *slices = NULL;
    if (product->slices_bytes)
        US_TRY(us_device_scratch(layer->device, product->slices_bytes, &slices, error));
    US_TRY(us_kernel_run(product->multiply, product->groups, error, "bbbbbi", a, b, extra, c,
                         slices, accumulate));
    if (!slices) return UNSEEN_OK;
    return us_kernel_run(product->combine, product->combine_groups, error, "bbb", slices, extra, c);
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    us_dense *layer = pointer;
    return multiply(layer, FORWARD, args->tensors[0], args->x,
                    layer->bias ? args->tensors[1] : NULL, args->y, false, error);
}

static unseen_status backward_weight(us_dense *layer, const us_layer_backward *args,
                                     unseen_error *error) {
    us_buffer *panels;
    US_TRY(us_device_scratch(layer->device, layer->products[WEIGHT].panels_bytes, &panels, error));
    US_TRY(us_kernel_run(layer->panels, (size_t[]){layer->panel_groups, 1, 1}, error, "bb",
                         args->dy, panels));
    return multiply(layer, WEIGHT, args->x, panels, NULL, args->gradients[0], args->accumulate,
                    error);
}

static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    us_dense *layer = pointer;
    layer->device->label.pass = US_PASS_WEIGHT_GRADIENT;
    if (args->gradients && args->gradients[0]) US_TRY(backward_weight(layer, args, error));
    if (args->gradients && layer->bias && args->gradients[1] && !layer->bias_gradient_is_zero)
        US_TRY(us_kernel_run(layer->bias_gradient, (size_t[]){layer->bias_groups, 1, 1}, error,
                             "bbi", args->dy, args->gradients[1], args->accumulate));
    if (!args->dx) return UNSEEN_OK;
    layer->device->label.pass = US_PASS_INPUT_GRADIENT;
    return multiply(layer, INPUT, args->tensors[0], args->dy, args->x, args->dx, false, error);
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    const us_dense_attributes *dense = attributes;
    if (in.height != 1 || in.width != 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a dense layer takes one row of features: put {\"layer\": \"flatten\"} "
                       "before it");
    if ((int64_t)in.channels * dense->units > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%d x %d weights are more than a layer can have",
                       in.channels, dense->units);
    *out = (us_shape){dense->units, 1, 1};
    return UNSEEN_OK;
}

/* torch.nn.Linear's: uniform within 1 / sqrt(inputs), weight and bias alike. */
static int tensors(const void *attributes, us_shape in,
                   us_tensor_spec specs[US_LAYER_MAX_TENSORS]) {
    const us_dense_attributes *dense = attributes;
    const float bound = (float)(1 / sqrt((double)in.channels));
    specs[0] = (us_tensor_spec){
        .name = "weight",
        .rank = 2,
        .dims = {dense->units, in.channels},
        .order = {1, 0},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    specs[1] = (us_tensor_spec){
        .name = "bias",
        .rank = 1,
        .dims = {dense->units},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    return dense->bias ? 2 : 1;
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    (void)attributes;
    return 2.0 * in.channels * out.channels;
}

static const us_key keys[] = {
    {.name = "units",
     .kind = US_KEY_INT,
     .offset = offsetof(us_dense_attributes, units),
     .required = true,
     .minimum = 1,
     .maximum = 1 << 24,
     .help = "Features of the output."},
    {.name = "bias",
     .kind = US_KEY_BOOL,
     .offset = offsetof(us_dense_attributes, bias),
     .fallback = {1},
     .help = "Whether a number per output is added."},
    {.kind = US_KEY_END},
};

const us_layer_type us_dense_layer = {
    .name = "dense",
    .help = "Every output is a weighted sum of all inputs.",
    .keys = keys,
    .attributes_size = sizeof(us_dense_attributes),
    .infer = infer,
    .tensors = tensors,
    .flops = flops,
    .folds_activation = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};

/* ---- tuning ---- */

enum { TILE_ROWS, TILE_VECTORS, ITEM_TILES, ITEM_COLUMNS, BLOCK, SLICE };
enum { A, B, EXTRA, C }; /* as `multiply` has them, and dy instead of its panels */
enum { MOST_SUMS = 48, MOST_ROWS = 24, MOST_VECTORS = 6, MOST_ITEM = 256 };

static void tuning_key(const void *spec, char text[US_TUNABLE_TEXT]) {
    const us_product_spec *s = spec;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, s->activation, s->input_activation);
    snprintf(text, US_TUNABLE_TEXT, "-DFORM=%d -DIN=%d -DOUT=%d -DBATCH=%d -DBIAS=%d %s", s->form,
             s->in, s->out, s->batch, s->bias, activations);
}

static void tuning_label(const void *spec, char text[US_TUNABLE_TEXT]) {
    static const char *const forms[] = {"forward", "input gradient", "weight gradient"};
    const us_product_spec *s = spec;
    snprintf(text, US_TUNABLE_TEXT, "%s, %d to %d, batch %d", forms[s->form], s->in, s->out,
             s->batch);
}

static void tuning_defaults(const void *spec, int *values) {
    us_product_tuning tuning = product_tuning_default(spec);
    memcpy(values, &tuning, sizeof tuning);
}

static bool tuning_valid(const void *spec, const int *values) {
    const us_product_spec *s = spec;
    int rows, terms, width;
    set_sizes(s, &rows, &terms, &width);
    if (values[TILE_ROWS] < 1 || values[TILE_ROWS] > MOST_ROWS || values[TILE_ROWS] > rows ||
        values[TILE_VECTORS] < 1 || values[TILE_VECTORS] > MOST_VECTORS ||
        values[TILE_ROWS] * values[TILE_VECTORS] > MOST_SUMS)
        return false;
    if (values[ITEM_TILES] < 1 || values[ITEM_TILES] > MOST_ITEM || values[ITEM_COLUMNS] < 1 ||
        values[ITEM_COLUMNS] > MOST_ITEM || values[SLICE] < 1 || values[SLICE] > terms ||
        values[BLOCK] < 1 || values[BLOCK] > values[SLICE])
        return false;
    /* Weights' gradients have panels as wide as a tile, and their slices are not combined. */
    if (s->form == WEIGHT) return values[SLICE] == terms;
    const int64_t slices = divide_up(terms, values[SLICE]);
    return width / us_device_lanes(s->device) % values[TILE_VECTORS] == 0 &&
           (slices == 1 || (uint64_t)(slices * rows) * (uint64_t)width * sizeof(float) <=
                               s->device->largest_allocation_bytes / 4);
}

static int halves(int size, int least, int *choices) {
    int count = us_choices_add(choices, 0, size);
    for (int parts = 2; parts < 64 && size / parts >= least; parts *= 2)
        count = us_choices_add(choices, count, divide_up(size, parts));
    return count;
}

static int tuning_choices(const void *spec, const int *values, int parameter,
                          int choices[US_TUNABLE_CHOICES]) {
    const us_product_spec *s = spec;
    int rows, terms, width;
    set_sizes(s, &rows, &terms, &width);
    const int columns = values[TILE_VECTORS] * us_device_lanes(s->device);
    switch (parameter) {
    case TILE_ROWS:
        return us_tiles_choices(rows, MOST_ROWS, choices);
    case TILE_VECTORS:
        return us_tiles_choices(divide_up(width, us_device_lanes(s->device)), MOST_VECTORS,
                                choices);
    case ITEM_TILES:
        return us_powers_choices(smaller(divide_up(rows, values[TILE_ROWS]), MOST_ITEM), choices);
    case ITEM_COLUMNS:
        return us_powers_choices(smaller(divide_up(width, columns), MOST_ITEM), choices);
    case BLOCK:
        return halves(values[SLICE], 32, choices);
    default:
        return halves(terms, 32, choices);
    }
}

/* Other shapes of the block of sums in an item of the default's size. */
static bool tuning_start(const void *spec, int index, int *values) {
    static const int sums[][2] = {{8, 1}, {6, 4}, {8, 3}, {12, 2}, {8, 2}, {4, 4}, {16, 1}};
    if (index >= (int)(sizeof sums / sizeof *sums)) return false;
    const us_product_spec *s = spec;
    us_product_tuning t = product_tuning_default(s);
    const int item_rows = t.item_tiles * t.tile_rows, item_width = t.item_columns * t.tile_vectors;
    int rows, terms, width;
    set_sizes(s, &rows, &terms, &width);
    t.tile_rows = us_tiles_even(rows, sums[index][0]);
    t.tile_vectors = us_tiles_even(divide_up(width, us_device_lanes(s->device)), sums[index][1]);
    t.item_tiles = divide_up(item_rows, t.tile_rows);
    t.item_columns = divide_up(item_width, t.tile_vectors);
    memcpy(values, &t, sizeof t);
    return true;
}

static void tuning_operands(const void *spec, us_operand operands[US_TUNABLE_OPERANDS]) {
    const us_product_spec *s = spec;
    const size_t in = (size_t)s->in, out = (size_t)s->out, batch = (size_t)s->batch;
    operands[A].floats = s->form == WEIGHT ? in * batch : in * out;
    operands[B].floats = s->form == FORWARD ? in * batch : out * batch;
    operands[EXTRA].floats = s->form == INPUT                ? in * batch
                             : s->form == FORWARD && s->bias ? out
                                                             : 0;
    operands[C].floats = s->form == FORWARD ? out * batch
                         : s->form == INPUT ? in * batch
                                            : in * out;
    operands[C].output = true;
}

static double tuning_expected(const void *spec, const float *const *operands, int output,
                              size_t index) {
    const us_product_spec *s = spec;
    const size_t in = (size_t)s->in, out = (size_t)s->out, batch = (size_t)s->batch;
    const size_t columns = s->form == WEIGHT ? out : batch;
    const size_t row = index / columns, column = index % columns;
    double sum = 0;
    (void)output;
    if (s->form == WEIGHT) {
        for (size_t n = 0; n < batch; n++)
            sum += (double)operands[A][row * batch + n] * (double)operands[B][column * batch + n];
        return sum;
    }
    if (s->form == INPUT) {
        for (size_t o = 0; o < out; o++)
            sum += (double)operands[A][row * out + o] * (double)operands[B][o * batch + column];
        return sum *
               us_reference_activation_slope(s->input_activation, (double)operands[EXTRA][index]);
    }
    for (size_t i = 0; i < in; i++)
        sum += (double)operands[A][i * out + row] * (double)operands[B][i * batch + column];
    if (s->bias) sum += (double)operands[EXTRA][row];
    return us_reference_activate(s->activation, sum);
}

/* A layer with the one product alone. */
static unseen_status tuning_create(const void *spec, const int *values, void **operation,
                                   unseen_error *error) {
    const us_product_spec *s = spec;
    const us_dense_attributes attributes = {.units = s->out, .bias = s->bias};
    const us_layer_plan plan = {
        .device = s->device,
        .attributes = &attributes,
        .in = {s->in, 1, 1},
        .out = {s->out, 1, 1},
        .batch = s->batch,
        .activation = s->activation,
        .input_activation = s->input_activation,
    };
    us_product_tuning tuning;
    memcpy(&tuning, values, sizeof tuning);
    *operation = NULL;
    us_dense *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "a dense layer");
    layer->device = s->device;
    layer->bias = s->bias;
    *operation = layer;
    layer->trial = s->form;
    US_TRY(create_product(layer, &plan, s->form, &tuning, error));
    return s->form == WEIGHT ? create_panels(layer, &plan, error) : UNSEEN_OK;
}

static unseen_status tuning_run(void *operation, us_buffer *const *operands, unseen_error *error) {
    us_dense *layer = operation;
    if (layer->trial != WEIGHT)
        return multiply(layer, layer->trial, operands[A], operands[B], operands[EXTRA], operands[C],
                        false, error);
    us_buffer *gradients[] = {operands[C]};
    const us_layer_backward args = {.x = operands[A], .dy = operands[B], .gradients = gradients};
    return backward_weight(layer, &args, error);
}

const us_tunable us_dense_tunable = {
    .name = "dense",
    .sources = {"dense"},
    .parameters = {[TILE_ROWS] = "tile_rows",
                   [TILE_VECTORS] = "tile_vectors",
                   [ITEM_TILES] = "item_tiles",
                   [ITEM_COLUMNS] = "item_columns",
                   [BLOCK] = "block",
                   [SLICE] = "slice"},
    .spec_size = sizeof(us_product_spec),
    .key = tuning_key,
    .label = tuning_label,
    .defaults = tuning_defaults,
    .valid = tuning_valid,
    .start = tuning_start,
    .choices = tuning_choices,
    .operands = tuning_operands,
    .expected = tuning_expected,
    .create = tuning_create,
    .run = tuning_run,
    .destroy = destroy,
};
