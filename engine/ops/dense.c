/* Dense layers: y[o] = a(sum over i of weight[i][o] x[i] + bias[o]). All three passes are one
 * product, described in cl_kernels/dense.cl. */
#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/activation.h"
#include "ops/attributes.h"
#include "ops/clblast.h"
#include "ops/dense.h"

typedef struct us_product {
    us_product_form form;
    int rows, terms, width, columns; /* M, R, WIDTH, COLUMNS */
    int row;                         /* C_ROW */
    us_product_tuning tuning;
    us_kernel *multiply; /* NULL: by CLBlast */
    us_clblast_product clblast;
    us_kernel
        *combine; /* adds slices up and finishes the sums, or finishes CLBlast's; NULL: neither */
    size_t groups[3], combine_groups[3];
    size_t slices_bytes; /* of scratch; 0: none */
    us_errors errors;    /* of comparisons; none: it makes none */
} us_product;

typedef struct us_dense {
    us_device *device;
    bool bias, is_normalized;
    us_product products[3]; /* by form */
    us_kernel
        *panels; /* of LANES: turns dy for the weight's gradient, and adds it up for the bias's */
    us_kernel *bias_gradient; /* where CLBlast computes the weight's */
    size_t panel_groups, panels_bytes, bias_groups;
} us_dense;

static int larger(int64_t a, int64_t b) {
    return (int)(a > b ? a : b);
}

enum {
    VECTOR_BLOCK = 128,         /* terms: a tile's of B stay in the L1 cache */
    VECTOR_COLUMNS = 256,       /* columns of an item */
    VECTOR_CHUNK_ROWS = 128,    /* with the block, what the L2 cache keeps of A */
    VECTOR_SLICE = 512,         /* terms worth an item of their own */
    VECTOR_ITEM_WORK = 1 << 18, /* multiply-adds worth an item of their own */
    ITEMS_PER_UNIT = 8,         /* work-groups per core, so that none waits long for the last */
    LANES_TILE_ROWS = 8,
    LANES_ITEMS = 1024, /* work-items per compute unit of a GPU, to hide its latencies */
    LANES_SLICE = 64,
    CLBLAST_WORK = 1 << 22, /* multiply-adds for which CLBlast's several launches pay */
    BIAS_ROWS = 32,
};

/* A tile's count of rows, at most `most` and not much below, that leaves the fewest of a last tile
 * unused; a tile costs as much as its rows and one more. */
static int rows_per_tile(int rows, int most) {
    if (rows <= most) return rows;
    int best = most;
    int64_t best_cost = INT64_MAX;
    for (int i = most; 3 * i > 2 * most; i--) {
        const int64_t cost = (int64_t)us_divide_up(rows, i) * (i + 1);
        if (cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best;
}

static us_product_tuning tune_lanes(const us_device *device, us_product_form form, int rows,
                                    int terms, int width) {
    us_product_tuning t = {.tile_vectors = 1, .slice = terms};
    t.tile_rows = rows_per_tile(rows, LANES_TILE_ROWS);
    const int64_t items = (int64_t)us_divide_up(rows, t.tile_rows) * width;
    if (form == US_PRODUCT_WEIGHT) return t;
    /* Where rows and columns make too few items, the sums are cut. */
    const int slices = larger(1, (int64_t)device->compute_units * LANES_ITEMS / items);
    t.slice = us_smaller(terms, larger(us_divide_up(terms, slices), LANES_SLICE));
    return t;
}

/* Most sums, and so chains of multiply-adds, for which a tile fits into a CPU's registers: 32 where
 * vectors are of 16 floats, else 16. */
static void tune_tile(us_product_tuning *t, int vector_width, int rows, int vectors) {
    static const int rows_of_32[] = {0, 12, 12, 8, 6}, rows_of_16[] = {0, 12, 6, 4};
    if (vector_width == 16) {
        t->tile_vectors = vectors % 4 == 0 ? 4 : vectors % 3 == 0 ? 3 : vectors % 2 == 0 ? 2 : 1;
        t->tile_rows = rows_per_tile(rows, rows_of_32[t->tile_vectors]);
    } else {
        t->tile_vectors = vectors % 2 == 0 ? 2 : vectors % 3 == 0 ? 3 : 1;
        t->tile_rows = rows_per_tile(rows, rows_of_16[t->tile_vectors]);
    }
}

/* Of local memory, for the copies of A and B. */
static size_t copied_bytes(const us_product_tuning *t, us_product_form form, int vector_width) {
    const size_t rows = (size_t)t->chunk_tiles * (size_t)(t->block * t->tile_rows + vector_width);
    const size_t columns = (size_t)t->item_columns *
                           (size_t)(t->block * t->tile_vectors * vector_width + US_CACHE_LINE);
    return (rows + (form == US_PRODUCT_WEIGHT ? columns : 0) + US_CACHE_LINE) * sizeof(float);
}

/* Not more of anything than there is. */
static void limit_to(us_product_tuning *t, int vector_width, int rows, int terms, int width) {
    t->item_columns =
        us_smaller(t->item_columns, us_divide_up(width, t->tile_vectors * vector_width));
    t->chunk_tiles = us_smaller(t->chunk_tiles, us_divide_up(rows, t->tile_rows));
    t->block = us_smaller(t->block, (int64_t)us_divide_up(terms, vector_width) * vector_width);
}

static us_product_tuning tune_vectors(const us_device *device, us_product_form form, int rows,
                                      int terms, int width) {
    us_product_tuning t = {.slice = terms};
    tune_tile(&t, device->vector_width, rows, us_divide_up(width, device->vector_width));
    const int columns = t.tile_vectors * device->vector_width;
    t.block = VECTOR_BLOCK;
    t.item_columns = larger(1, VECTOR_COLUMNS / columns);
    t.chunk_tiles = larger(1, VECTOR_CHUNK_ROWS / t.tile_rows);
    limit_to(&t, device->vector_width, rows, terms, width);
    while (copied_bytes(&t, form, device->vector_width) > device->local_bytes) {
        if (t.chunk_tiles > 1 || t.item_columns > 1) {
            t.chunk_tiles = us_divide_up(t.chunk_tiles, 2);
            t.item_columns = us_divide_up(t.item_columns, 2);
        } else if (t.block > device->vector_width) {
            t.block = us_divide_up(t.block / device->vector_width, 2) * device->vector_width;
        } else {
            break;
        }
    }
    const int row_tiles = us_divide_up(rows, t.tile_rows);
    const int across = us_divide_up(width, (int64_t)columns * t.item_columns);
    int down = us_divide_up(row_tiles, t.chunk_tiles);
    const int64_t work = (int64_t)rows * terms * width;
    const int wanted = larger(
        1, us_smaller((int64_t)device->compute_units * ITEMS_PER_UNIT, work / VECTOR_ITEM_WORK));
    /* Where rows and columns make too few items, the sums are cut as well, or else the rows again.
     */
    if (form != US_PRODUCT_WEIGHT && across * down < wanted && terms >= 2 * VECTOR_SLICE) {
        const int slices = us_smaller(us_divide_up(wanted, across * down), terms / VECTOR_SLICE);
        t.slice = us_divide_up(us_divide_up(terms, slices), t.block) * t.block;
    } else if (across * down < wanted) {
        down = us_smaller(row_tiles, us_divide_up(wanted, across));
    }
    t.chunk_tiles = us_divide_up(row_tiles, down);
    t.item_chunks = larger(1, us_smaller(down, (int64_t)across * down / wanted));
    return t;
}

/* On GPUs CLBlast stages both operands in local memory, which our kernel for them does not. */
us_product_tuning us_product_tuning_default(const us_device *device, us_product_form form, int rows,
                                            int terms, int width) {
    us_product_tuning t = (device->execution == US_EXECUTION_LANES ? tune_lanes : tune_vectors)(
        device, form, rows, terms, width);
    const int64_t work = (int64_t)rows * terms * width;
    if (us_clblast_available() && !device->is_cpu && work >= CLBLAST_WORK)
        t.implementation = US_PRODUCT_CLBLAST;
    return t;
}

static void plan_groups(us_product *product, const us_device *device) {
    const us_product_tuning *t = &product->tuning;
    const int tiles = product->columns / (t->tile_vectors * us_device_lanes(device));
    const bool lanes = device->execution == US_EXECUTION_LANES;
    const int64_t rows =
        lanes ? t->tile_rows : (int64_t)t->tile_rows * t->chunk_tiles * t->item_chunks;
    product->groups[0] = (size_t)(lanes ? tiles : us_divide_up(tiles, t->item_columns));
    product->groups[1] = (size_t)us_divide_up(product->rows, rows);
    product->groups[2] = (size_t)us_divide_up(product->terms, t->slice);
    product->combine_groups[0] = lanes ? (size_t)(product->columns / us_device_lanes(device)) : 1;
    product->combine_groups[1] = (size_t)product->rows;
    product->combine_groups[2] = 1;
    if (product->groups[2] > 1)
        product->slices_bytes =
            product->groups[2] * (size_t)product->rows * (size_t)product->row * sizeof(float);
}

void us_product_sizes(const us_product_spec *spec, int *rows, int *terms, int *width) {
    const us_product_form form = spec->form;
    const int lanes = us_device_occupied(spec->device, spec->batch);
    *rows = form == US_PRODUCT_FORWARD ? spec->out : spec->in;
    *terms = form == US_PRODUCT_FORWARD ? spec->in : form == US_PRODUCT_INPUT ? spec->out : lanes;
    *width = form == US_PRODUCT_WEIGHT ? spec->out : lanes;
}

bool us_product_fits(const us_product_spec *spec, us_product_tuning tuning) {
    const us_device *device = spec->device;
    int rows, terms, width;
    us_product_sizes(spec, &rows, &terms, &width);
    limit_to(&tuning, device->vector_width, rows, terms, width);
    return copied_bytes(&tuning, spec->form, device->vector_width) <= device->local_bytes;
}

/* Sizes of a product, and how it is cut. */
static void plan_product(us_product *product, const us_product_spec *spec,
                         const us_product_tuning *tuning) {
    const us_device *device = spec->device;
    const us_product_form form = spec->form;
    product->form = form;
    us_product_sizes(spec, &product->rows, &product->terms, &product->width);
    product->tuning = *tuning;
    if (device->execution == US_EXECUTION_VECTOR)
        limit_to(&product->tuning, device->vector_width, product->rows, product->terms,
                 product->width);
    if (product->tuning.implementation == US_PRODUCT_CLBLAST)
        product->tuning.slice = product->terms;
    /* CLBlast takes all lanes: dy is zero in those that hold no image. */
    const bool weight = form == US_PRODUCT_WEIGHT;
    product->clblast = (us_clblast_product){.m = (size_t)product->rows,
                                            .n = (size_t)(weight ? spec->out : spec->batch),
                                            .k = (size_t)(weight ? spec->batch : product->terms),
                                            .a_transposed = form == US_PRODUCT_FORWARD,
                                            .b_transposed = weight};
    const int tile_width = product->tuning.tile_vectors * us_device_lanes(device);
    product->columns = us_divide_up(product->width, tile_width) * tile_width;
    product->row = weight ? product->width : spec->batch;
    plan_groups(product, device);
}

static unseen_status create_kernel(const us_product *product, const us_layer_plan *plan,
                                   const char *name, us_kernel **kernel, unseen_error *error) {
    const us_product_tuning *t = &product->tuning;
    const us_dense_attributes *attributes = plan->attributes;
    const us_product_form form = product->form;
    const int out = plan->out.channels;
    const bool compared = product->errors.count > 0;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, plan->activation,
                          compared ? plan->activation : plan->input_activation);
    /* weight is [in][out]; x of the weight's gradient [in][batch] */
    const int a_row = form == US_PRODUCT_FORWARD ? 1 : form == US_PRODUCT_INPUT ? out : plan->batch;
    const int a_step = form == US_PRODUCT_FORWARD ? out : 1;
    const int vectors = product->columns / us_device_lanes(plan->device);
    return us_kernel_create(
        plan->device, "dense", name, kernel, error,
        "-DFORM=%d -DM=%d -DR=%d -DCOLUMNS=%d -DWIDTH=%d -DBATCH=%d -DA_ROW=%d -DA_STEP=%d "
        "-DBIAS=%d -DTILE_ROWS=%d -DTILE_VECTORS=%d -DSLICE=%d -DITEM_COLUMNS=%d "
        "-DITEM_CHUNKS=%d -DCHUNK_TILES=%d -DBLOCK=%d -DITEM_VECTORS=%d -DBIAS_ROWS=%d "
        "-DCOMPARED=%d %s",
        form, product->rows, product->terms, product->columns, product->width, plan->batch, a_row,
        a_step, attributes->bias, t->tile_rows, t->tile_vectors, t->slice, t->item_columns,
        t->item_chunks, t->chunk_tiles, t->block,
        plan->device->execution == US_EXECUTION_VECTOR ? vectors : 1, BIAS_ROWS, compared,
        activations);
}

static void destroy(void *pointer) {
    us_dense *layer = pointer;
    if (!layer) return;
    for (int form = 0; form < 3; form++) {
        us_kernel_destroy(layer->products[form].multiply);
        us_kernel_destroy(layer->products[form].combine);
        us_buffer_destroy(layer->products[form].errors.buffer);
    }
    us_kernel_destroy(layer->panels);
    us_kernel_destroy(layer->bias_gradient);
    free(layer);
}

static bool by_clblast(const us_product *product) {
    return product->tuning.implementation == US_PRODUCT_CLBLAST;
}

/* Whether a kernel after the product has something to do. */
static bool needs_combine(const us_product *product, const us_layer_plan *plan) {
    if (product->slices_bytes) return true;
    if (!by_clblast(product) || product->form == US_PRODUCT_WEIGHT) return false;
    if (product->form == US_PRODUCT_INPUT) return plan->input_activation.kind != US_ACTIVATION_NONE;
    return plan->activation.kind != US_ACTIVATION_NONE ||
           ((const us_dense_attributes *)plan->attributes)->bias;
}

static unseen_status create_multiply(us_product *product, const us_layer_plan *plan,
                                     unseen_error *error) {
    const us_device *device = plan->device;
    const size_t copied = copied_bytes(&product->tuning, product->form, device->vector_width);
    if (device->execution == US_EXECUTION_VECTOR && copied > device->local_bytes)
        return us_fail(error, UNSEEN_FAILURE,
                       "%s: a dense layer's blocks take %zu bytes of local memory, which has %zu",
                       device->name, copied, (size_t)device->local_bytes);
    return create_kernel(product, plan, "product", &product->multiply, error);
}

/* Only what matters to the product, so that equal ones are tuned once. */
static us_product_spec product_spec(const us_layer_plan *plan, us_product_form form) {
    const bool bias = ((const us_dense_attributes *)plan->attributes)->bias;
    us_product_spec spec = {.device = plan->device,
                            .form = form,
                            .in = plan->in.channels,
                            .out = plan->out.channels,
                            .batch = plan->batch};
    if (form == US_PRODUCT_FORWARD) {
        spec.bias = bias;
        spec.activation = plan->activation;
    } else if (form == US_PRODUCT_INPUT) {
        spec.input_activation = plan->input_activation;
    } else {
        spec.bias = bias && !plan->is_normalized;
    }
    return spec;
}

/* Sums that are whole in registers can be compared there: see dense.cl. */
static unseen_status create_errors(us_product *product, const us_layer_plan *plan,
                                   unseen_error *error) {
    const us_product_tuning *t = &product->tuning;
    if (!plan->compared || product->form != US_PRODUCT_FORWARD || by_clblast(product) ||
        plan->device->execution != US_EXECUTION_VECTOR || product->slices_bytes > 0 ||
        t->block < product->terms)
        return UNSEEN_OK;
    product->errors.count = (int)product->groups[1];
    return us_buffer_create(plan->device, product->groups[1] * (size_t)plan->batch * sizeof(float),
                            "errors of a comparison", &product->errors.buffer, error);
}

/* tuning NULL: the one that us_product_choose says. */
static unseen_status create_product(us_dense *layer, const us_layer_plan *plan,
                                    us_product_form form, const us_product_tuning *tuning,
                                    unseen_error *error) {
    us_product *product = &layer->products[form];
    const us_product_spec spec = product_spec(plan, form);
    us_product_tuning chosen;
    us_buffer *scratch;
    if (!tuning) {
        US_TRY(us_product_choose(&spec, &chosen, error));
        tuning = &chosen;
    }
    plan_product(product, &spec, tuning);
    US_TRY(create_errors(product, plan, error));
    if (by_clblast(product))
        US_TRY(us_clblast_check(error));
    else
        US_TRY(create_multiply(product, plan, error));
    if (product->slices_bytes)
        US_TRY(us_device_scratch(layer->device, product->slices_bytes, &scratch, error));
    if (!needs_combine(product, plan)) return UNSEEN_OK;
    return create_kernel(product, plan, "combine", &product->combine, error);
}

/* What goes with the product for the weight's gradient. */
static unseen_status create_dy_kernels(us_dense *layer, const us_layer_plan *plan,
                                       unseen_error *error) {
    const us_product *weight = &layer->products[US_PRODUCT_WEIGHT];
    us_buffer *scratch;
    layer->bias_groups = (size_t)us_divide_up(plan->out.channels, BIAS_ROWS);
    if (by_clblast(weight))
        return create_kernel(weight, plan, "bias_gradient", &layer->bias_gradient, error);
    if (plan->device->execution == US_EXECUTION_VECTOR) return UNSEEN_OK;
    layer->panel_groups = (size_t)(weight->columns / us_device_lanes(plan->device));
    layer->panels_bytes = (size_t)weight->terms * (size_t)weight->columns * sizeof(float);
    US_TRY(us_device_scratch(layer->device, layer->panels_bytes, &scratch, error));
    return create_kernel(weight, plan, "panels", &layer->panels, error);
}

static us_dense *allocate(const us_layer_plan *plan) {
    us_dense *layer = calloc(1, sizeof *layer);
    if (!layer) return NULL;
    layer->device = plan->device;
    layer->bias = ((const us_dense_attributes *)plan->attributes)->bias;
    layer->is_normalized = plan->is_normalized;
    return layer;
}

unseen_status us_dense_create(const us_layer_plan *plan, const us_product_tuning *tunings,
                              void **out, unseen_error *error) {
    *out = NULL;
    us_dense *layer = allocate(plan);
    if (!layer) return us_fail_memory(error, "a dense layer");
    unseen_status status = UNSEEN_OK;
    for (int form = 0; form < US_PRODUCT_FORMS; form++)
        US_CHECK(create_product(layer, plan, form, tunings ? &tunings[form] : NULL, error));
    US_CHECK(create_dy_kernels(layer, plan, error));
    *out = layer;
    return UNSEEN_OK;

done:
    destroy(layer);
    return status;
}

unseen_status us_dense_create_product(const us_product_spec *spec, const us_product_tuning *tuning,
                                      void **out, unseen_error *error) {
    const us_dense_attributes attributes = {.units = spec->out, .bias = spec->bias};
    const us_layer_plan plan = {.device = spec->device,
                                .attributes = &attributes,
                                .in = {spec->in, 1, 1},
                                .out = {spec->out, 1, 1},
                                .batch = spec->batch,
                                .activation = spec->activation,
                                .input_activation = spec->input_activation};
    us_dense *layer = allocate(&plan);
    *out = layer;
    if (!layer) return us_fail_memory(error, "a dense layer");
    US_TRY(create_product(layer, &plan, spec->form, tuning, error));
    return spec->form == US_PRODUCT_WEIGHT ? create_dy_kernels(layer, &plan, error) : UNSEEN_OK;
}

static unseen_status create(const us_layer_plan *plan, void **out, unseen_error *error) {
    return us_dense_create(plan, NULL, out, error);
}

/* c = a b, finished with `extra`, and compared with `target`, which may be NULL. */
static unseen_status multiply(us_dense *layer, us_product_form form, us_buffer *a, us_buffer *b,
                              us_buffer *extra, us_buffer *c, us_target *target, int n,
                              unseen_error *error) {
    us_product *product = &layer->products[form];
    us_target none = {0};
    if (target && target->image && product->errors.count > 0) {
        target->errors = product->errors;
        c = target->dy;
    } else {
        target = &none;
    }
    us_buffer *sums = c;
    if (!product->multiply) {
        US_TRY(us_clblast_multiply(layer->device, &product->clblast, a, b, c, false, error));
    } else {
        us_buffer *slices = NULL;
        if (product->slices_bytes) {
            US_TRY(us_device_scratch(layer->device, product->slices_bytes, &slices, error));
            sums = slices;
        }
        US_TRY(us_kernel_run(product->multiply, product->groups, error, "bbbbbbibbfi", a, b, extra,
                             c, slices, NULL, false, target->image, target->errors.buffer,
                             target->scale, n));
    }
    if (!product->combine) return UNSEEN_OK;
    return us_kernel_run(product->combine, product->combine_groups, error, "bbb", sums, extra, c);
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    us_dense *layer = pointer;
    return multiply(layer, US_PRODUCT_FORWARD, args->tensors[0], args->x,
                    layer->bias ? args->tensors[1] : NULL, args->y, args->target, args->n, error);
}

static unseen_status backward_parameters(us_dense *layer, const us_layer_backward *args,
                                         unseen_error *error) {
    us_buffer *bias = layer->bias && !layer->is_normalized ? args->gradients[1] : NULL;
    us_buffer *dy = args->dy;
    us_product *product = &layer->products[US_PRODUCT_WEIGHT];
    if (!product->multiply) {
        if (bias)
            US_TRY(us_kernel_run(layer->bias_gradient, (size_t[]){layer->bias_groups, 1, 1}, error,
                                 "bbi", dy, bias, args->accumulate));
        return us_clblast_multiply(layer->device, &product->clblast, args->x, dy,
                                   args->gradients[0], args->accumulate, error);
    }
    if (layer->panels) {
        US_TRY(us_device_scratch(layer->device, layer->panels_bytes, &dy, error));
        US_TRY(us_kernel_run(layer->panels, (size_t[]){layer->panel_groups, 1, 1}, error, "bbbi",
                             args->dy, dy, bias, args->accumulate));
    }
    return us_kernel_run(product->multiply, product->groups, error, "bbbbbbibbfi", args->x, dy,
                         NULL, args->gradients[0], NULL, bias, args->accumulate, NULL, NULL, 0.0,
                         0);
}

static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    us_dense *layer = pointer;
    layer->device->label.pass = US_PASS_INPUT_GRADIENT;
    if (args->dx) /* first, as the layer before waits for it */
        US_TRY(multiply(layer, US_PRODUCT_INPUT, args->tensors[0], args->dy, args->x, args->dx,
                        NULL, 0, error));
    layer->device->label.pass = US_PASS_WEIGHT_GRADIENT;
    return args->gradients ? backward_parameters(layer, args, error) : UNSEEN_OK;
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
