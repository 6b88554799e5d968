/* Times the kernels of convolutions and dense layers one by one:
 *
 *   bench_ops [-ce] [-d DEVICE] [-b BATCH] [-r SECONDS] [SIDE [-a SIDE]...] LAYER...
 *
 * LAYER is c or t (transposed), then CHANNELSxPIXELS-CHANNELS, kKERNEL, sSTRIDE, pPADDING, as in
 * c3x64-12k4s2p1; or d (dense), then INPUTS-OUTPUTS.
 *
 * SIDE is [-k FOLDER] [-g TILES] [-w TILES]: -k takes the kernels from a folder, as
 * UNSEEN_KERNEL_DIR does, -g gives the tiles of the gathers
 * (channels,vectors,run,staged,outputs), -w those of the weight gradient (small,large,taps,splits
 * and, by Winograd, outputs,item_small,item_large,vectors); otherwise the defaults are timed. Each
 * number is the lower quartile of launches over SECONDS (default 0.5), with its share of the rate
 * of bare multiply-adds measured just after. -c counts processor time rather than time, without
 * that share: on a busy machine it says more about a CPU device, as if its compute units had been
 * free. -e empties the caches before each launch, as the layers between do in a training step.
 *
 * The launches of several sides take turns, so that what other programs take from the machine is
 * taken from all of them. The times are then the first side's, followed for each other side by the
 * median of the first's time over its own: above 1 is faster than the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ops/attributes.h"
#include "ops/convolution.h"
#include "ops/gather.h"
#include "ops/peak.h"
#include "ops/weight_gradient.h"

static us_device *device;
static unseen_error failure;
static double seconds = 0.5;
static bool processor_time, empties_caches;

static void check(unseen_status status) {
    if (status == UNSEEN_OK) return;
    fprintf(stderr, "%s\n", failure.message);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double spent(void) {
    if (!processor_time) return now();
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / device->compute_units;
}

/* One operator with what it runs on: a gather, a weight gradient or a pass of a dense layer. */
typedef struct operation {
    void *dense;
    us_layer_forward forward; /* where its y is given, else */
    us_layer_backward backward;
    us_gather *gather;
    us_weight_gradient *gradient;
    us_buffer *x, *y, *weights, *bias;
} operation;

static void launch(const operation *op) {
    if (op->dense && op->forward.y) {
        check(us_dense_layer.forward(op->dense, &op->forward, &failure));
    } else if (op->dense) {
        check(us_dense_layer.backward(op->dense, &op->backward, &failure));
    } else if (op->gather) {
        us_gather_args args = {
            .x = op->x, .weights = op->weights, .bias = op->bias, .input = op->y, .y = op->y};
        check(us_gather_run(op->gather, &args, &failure));
    } else {
        check(us_weight_gradient_run(op->gradient, op->x, op->y, op->weights, op->bias, false,
                                     &failure));
    }
    check(us_device_finish(device, &failure));
}

/* Of the host, and so of a CPU device: reads and writes more than they hold. */
static void empty_caches(void) {
    enum { BYTES = 64 << 20 };
    static unsigned char *other;
    if (!other) other = calloc(1, BYTES);
    if (!other) exit(1);
    for (size_t i = 0; i < BYTES; i += 64)
        other[i]++;
}

/* What is compared. */
typedef struct side {
    const char *folder; /* of kernels; NULL: the program's own */
    us_gather_tiles gather;
    us_weight_gradient_tiles gradient;
    bool gather_given, gradient_given;
} side;

enum { MOST_LAUNCHES = 1000, MOST_SIDES = 8 };
static side sides[MOST_SIDES];
static int side_count = 1;

/* What is created next has the side's kernels. */
static void use_side(int i) {
    if (sides[i].folder ? setenv("UNSEEN_KERNEL_DIR", sides[i].folder, 1) != 0
                        : unsetenv("UNSEEN_KERNEL_DIR") != 0)
        exit(1);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value that a share of them is below; sorts them. */
static double quantile(double *values, int count, double share) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[(int)(count * share)];
}

/* Seconds of a fast launch of the first side: the lower quartile, as single ones are now and then
 * timed too short. ratios: of the first side's times to each one's. */
static double fast(const operation *ops, double during, double *ratios) {
    static double taken[MOST_SIDES][MOST_LAUNCHES];
    for (int i = 0; i < side_count; i++)
        launch(&ops[i]);
    double end = now() + during * side_count;
    int count = 0;
    for (; count < MOST_LAUNCHES && (count < 3 || now() < end); count++)
        for (int i = 0; i < side_count; i++) {
            if (empties_caches) empty_caches();
            double start = spent();
            launch(&ops[i]);
            taken[i][count] = spent() - start;
        }
    for (int i = 1; i < side_count; i++) {
        for (int j = 0; j < count; j++)
            taken[i][j] = taken[0][j] / taken[i][j];
        ratios[i] = quantile(taken[i], count, 0.5);
    }
    return quantile(taken[0], count, 0.25);
}

static us_buffer *buffer(size_t floats) {
    us_buffer *made;
    check(us_buffer_create(device, floats * sizeof(float), "operand", &made, &failure));
    float *values = malloc(floats * sizeof(float));
    if (!values) exit(1);
    for (size_t i = 0; i < floats; i++)
        values[i] = (float)((i * 2654435761u >> 8 & 255) + 1) / 256.0f - 0.5f;
    check(us_buffer_write(made, 0, values, floats * sizeof(float), &failure));
    free(values);
    return made;
}

/* ops: one of each side. */
static void report(const char *what, const operation *ops, double flops) {
    double ratios[MOST_SIDES], taken = fast(ops, seconds, ratios);
    printf("  %s %7.1f", what, flops / taken * 1e-9);
    if (!processor_time) {
        double top;
        check(us_peak_measure(device, &top, &failure));
        printf(" (%3.0f%%)", flops / taken / top * 100);
    }
    printf(" %8.3f ms", taken * 1e3);
    for (int i = 1; i < side_count; i++)
        printf(" %5.3f", ratios[i]);
    fflush(stdout);
}

typedef struct layer {
    bool transposed;
    us_shape large, small;
    us_convolution_attributes attributes;
    int batch;
} layer;

/* on: the buffers. */
static void bench_gather(const layer *l, bool up, bool backward, const operation *on,
                         double flops) {
    operation ops[MOST_SIDES];
    const us_convolution_attributes *a = &l->attributes;
    us_shape out = l->transposed ? l->large : l->small;
    size_t stride = (size_t)a->kernel[0] * (size_t)a->kernel[1] * (size_t)out.channels;
    us_gather_spec spec = {
        .device = device,
        .up = up,
        .in = up ? l->small : l->large,
        .out = up ? l->large : l->small,
        .batch = l->batch,
        .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]},
        .padding = {a->padding[0], a->padding[1]},
        .in_stride = backward ? 1 : stride,
        .tap_stride = (size_t)out.channels,
        .out_stride = backward ? stride : 1,
        .bias = !backward,
        .activation = {backward ? US_ACTIVATION_NONE : US_ACTIVATION_RELU, 0},
        .input_activation = {backward ? US_ACTIVATION_RELU : US_ACTIVATION_NONE, 0},
    };
    for (int i = 0; i < side_count; i++) {
        const us_gather_tiles *tiles = sides[i].gather_given ? &sides[i].gather : NULL;
        ops[i] = *on;
        use_side(i);
        check(us_gather_create(&spec, tiles, &ops[i].gather, &failure));
    }
    report(backward ? "dx" : "forward", ops, flops);
    for (int i = 0; i < side_count; i++)
        us_gather_destroy(ops[i].gather);
}

static void bench_gradient(const us_weight_gradient_spec *spec, const operation *on, double flops) {
    operation ops[MOST_SIDES];
    for (int i = 0; i < side_count; i++) {
        const us_weight_gradient_tiles *tiles = sides[i].gradient_given ? &sides[i].gradient : NULL;
        ops[i] = *on;
        use_side(i);
        check(us_weight_gradient_create(spec, tiles, &ops[i].gradient, &failure));
    }
    report(spec->bias ? "dw+db" : "dw", ops, flops);
    for (int i = 0; i < side_count; i++)
        us_weight_gradient_destroy(ops[i].gradient);
}

static void bench_layer(const char *text, int batch) {
    int in, size, out, kernel, stride, padding;
    if ((*text != 'c' && *text != 't') ||
        sscanf(text + 1, "%dx%d-%dk%ds%dp%d", &in, &size, &out, &kernel, &stride, &padding) != 6) {
        fprintf(stderr, "%s: not a layer\n", text);
        exit(2);
    }
    layer l = {
        .transposed = *text == 't',
        .attributes = {.channels = out,
                       .kernel = {kernel, kernel},
                       .stride = {stride, stride},
                       .padding = {padding, padding},
                       .bias = true},
        .batch = us_device_pad(device, batch),
    };
    const us_layer_type *type =
        l.transposed ? &us_convolution_transpose_layer : &us_convolution_layer;
    us_shape from = {in, size, size}, to;
    check(type->infer(&l.attributes, from, &to, &failure));
    l.large = l.transposed ? to : from;
    l.small = l.transposed ? from : to;
    double flops = type->flops(&l.attributes, from, to) * l.batch;
    operation op = {
        .x = buffer(us_shape_size(l.large) * (size_t)l.batch),
        .y = buffer(us_shape_size(l.small) * (size_t)l.batch),
        .weights = buffer((size_t)in * (size_t)out * (size_t)kernel * (size_t)kernel),
        .bias = buffer((size_t)out),
    };
    operation swapped = op;
    swapped.x = op.y;
    swapped.y = op.x;
    printf("%-18s", text);
    bench_gather(&l, l.transposed, false, l.transposed ? &swapped : &op, flops);
    bench_gather(&l, !l.transposed, true, l.transposed ? &op : &swapped, flops);
    us_weight_gradient_spec spec = {
        .device = device,
        .large = l.large,
        .small = l.small,
        .batch = l.batch,
        .kernel = {kernel, kernel},
        .stride = {stride, stride},
        .padding = {padding, padding},
        .large_stride = l.transposed ? 1 : (size_t)(kernel * kernel * out),
        .tap_stride = (size_t)out,
        .small_stride = l.transposed ? (size_t)(kernel * kernel * out) : 1,
        .bias_of_large = l.transposed,
    };
    bench_gradient(&spec, &op, flops);
    spec.bias = true;
    bench_gradient(&spec, &op, flops);
    printf("\n");
    us_buffer_destroy(op.x);
    us_buffer_destroy(op.y);
    us_buffer_destroy(op.weights);
    us_buffer_destroy(op.bias);
}

static void bench_dense(const char *text, int batch) {
    us_dense_attributes attributes = {.bias = true};
    us_layer_plan plan = {.device = device,
                          .attributes = &attributes,
                          .in = {0, 1, 1},
                          .batch = us_device_pad(device, batch),
                          .activation = {US_ACTIVATION_RELU, 0},
                          .input_activation = {US_ACTIVATION_RELU, 0}};
    if (sscanf(text, "d%d-%d", &plan.in.channels, &attributes.units) != 2) {
        fprintf(stderr, "%s: not a layer\n", text);
        exit(2);
    }
    check(us_dense_layer.infer(&attributes, plan.in, &plan.out, &failure));
    size_t in = (size_t)plan.in.channels, out = (size_t)plan.out.channels;
    size_t lanes = (size_t)plan.batch;
    us_buffer *x = buffer(in * lanes), *dx = buffer(in * lanes), *y = buffer(out * lanes);
    us_buffer *tensors[] = {buffer(in * out), buffer(out)};
    us_buffer *gradients[] = {buffer(in * out), buffer(out)};
    operation ops[MOST_SIDES];
    for (int i = 0; i < side_count; i++) {
        ops[i] = (operation){.forward = {.x = x, .y = y, .tensors = tensors, .n = plan.batch}};
        use_side(i);
        check(us_dense_layer.create(&plan, &ops[i].dense, &failure));
    }
    double flops = us_dense_layer.flops(&attributes, plan.in, plan.out) * plan.batch;
    printf("%-18s", text);
    report("forward", ops, flops);
    for (int i = 0; i < side_count; i++) {
        ops[i].forward.y = NULL;
        ops[i].backward = (us_layer_backward){
            .x = x, .y = y, .dy = y, .dx = dx, .tensors = tensors, .n = plan.batch};
    }
    report("dx", ops, flops);
    for (int i = 0; i < side_count; i++) {
        ops[i].backward.dx = NULL;
        ops[i].backward.gradients = gradients;
    }
    report("dw+db", ops, flops);
    printf("\n");
    for (int i = 0; i < side_count; i++)
        us_dense_layer.destroy(ops[i].dense);
    us_buffer *buffers[] = {x, dx, y, tensors[0], tensors[1], gradients[0], gradients[1]};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        us_buffer_destroy(buffers[i]);
}

static bool read_gather(const char *text, us_gather_tiles *t) {
    return sscanf(text, "%d,%d,%d,%d,%d", &t->channels, &t->vectors, &t->run, &t->staged,
                  &t->outputs) == 5;
}

static bool read_gradient(const char *text, us_weight_gradient_tiles *t) {
    return sscanf(text, "%d,%d,%d,%d,%d,%d,%d,%d", &t->small, &t->large, &t->taps, &t->splits,
                  &t->outputs, &t->item_small, &t->item_large, &t->vectors) >= 4;
}

static int refuse(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n", text, what);
    return 2;
}

int main(int argc, char **argv) {
    const char *selector = NULL;
    int batch = 128;
    side *last = sides;
    for (int option; (option = getopt(argc, argv, "ced:b:r:ak:g:w:")) != -1;) {
        if (option == 'c') processor_time = true;
        if (option == 'e') empties_caches = true;
        if (option == 'd') selector = optarg;
        if (option == 'b') batch = atoi(optarg);
        if (option == 'r') seconds = atof(optarg);
        if (option == 'a' && side_count == MOST_SIDES) return refuse("too many sides", "-a");
        if (option == 'a') last = &sides[side_count++];
        if (option == 'k') last->folder = optarg;
        if (option == 'g') last->gather_given = read_gather(optarg, &last->gather);
        if (option == 'w') last->gradient_given = read_gradient(optarg, &last->gradient);
        if ((option == 'g' && !last->gather_given) || (option == 'w' && !last->gradient_given))
            return refuse("not tiles", optarg);
        if (option == '?') return 2;
    }
    check(us_device_open(selector, &device, &failure));
    printf("%s, GFLOP/s:\n", device->name);
    for (int i = optind; i < argc; i++)
        if (*argv[i] == 'd')
            bench_dense(argv[i], batch);
        else
            bench_layer(argv[i], batch);
    us_device_close(device);
    return 0;
}
