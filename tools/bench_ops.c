/* SPDX-License-Identifier: MIT */
/* Times the kernels of convolutions and dense layers one by one:
 *
 *   bench_ops [-ce] [-d DEVICE] [-b BATCH] [-p PRECISION] [-r SECONDS] [SIDE [-a SIDE]...] LAYER...
 *
 * LAYER is c or t (transposed), then CHANNELSxPIXELS-CHANNELS, kKERNEL, sSTRIDE, pPADDING, as in
 * c3x64-12k4s2p1; or d (dense), then INPUTS-OUTPUTS. PRECISION is that of convolutions on matrix
 * units: fp32, tf32 or bf16.
 *
 * SIDE is [-k FOLDER] [-g CHOICE] [-w CHOICE]: -k takes the kernels from a folder, as
 * UNSEEN_KERNEL_DIR does, -g gives the algorithm and its parameters of a convolution's forward pass
 * and input gradient, -w those of its weight gradient, in the order in which `unseen tune` prints
 * them (winograd:4,6,2,2,24); otherwise the defaults are timed. Each number is the lower quartile
 * of launches over SECONDS (default 0.5), with its share of the rate of bare multiply-adds measured
 * just after. -c counts processor time rather than time, without that share: on a busy machine it
 * says more about a CPU device, as if its compute units had been free. -e empties the caches before
 * each launch, as the layers between do in a training step.
 *
 * The launches of several sides alternate, so that what other programs take from the machine is
 * taken from all of them. The times are then the first side's, followed for each other side by the
 * median of the first's time over its own: above 1 is faster than the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ops/attributes.h"
#include "ops/convolution/layer.h"
#include "ops/convolution/table.h"
#include "ops/peak.h"

static us_device *device;
static unseen_error failure;
static double seconds = 0.5;
static bool processor_time, empties_caches;
static us_precision precision;

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
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / device->facts.compute_units;
}

/* One operator with what it runs on: a pass of a convolution or of a dense layer. */
typedef struct operation {
    void *dense;
    us_layer_forward forward; /* where its y is given, else */
    us_layer_backward backward;
    us_convolution *convolution;
    us_convolution_args pass; /* of a convolution */
} operation;

static void launch(const operation *op) {
    if (op->dense && op->forward.y) {
        check(us_dense_layer.forward(op->dense, &op->forward, &failure));
    } else if (op->dense) {
        check(us_dense_layer.backward(op->dense, &op->backward, &failure));
    } else {
        check(us_convolution_run(op->convolution, &op->pass, &failure));
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
    us_choice gather, gradient;
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

/* on: the buffers. */
static void bench_pass(const char *what, const us_convolution_problem *problem,
                       const us_convolution_args *on, double flops) {
    operation ops[MOST_SIDES];
    bool gradient = problem->pass == US_CONVOLUTION_WEIGHTS;
    for (int i = 0; i < side_count; i++) {
        us_choice choice = gradient ? sides[i].gradient : sides[i].gather;
        if (!(gradient ? sides[i].gradient_given : sides[i].gather_given))
            choice = us_tunable_default(&us_convolution_tunable, &device->facts, problem);
        ops[i] = (operation){.pass = *on};
        use_side(i);
        check(us_convolution_create(&(us_build){.device = device}, problem, &choice,
                                    &ops[i].convolution, &failure));
    }
    report(what, ops, flops);
    for (int i = 0; i < side_count; i++)
        us_convolution_destroy(ops[i].convolution);
}

static void bench_layer(const char *text, int batch) {
    int in, size, out, kernel, stride, padding;
    if ((*text != 'c' && *text != 't') ||
        sscanf(text + 1, "%dx%d-%dk%ds%dp%d", &in, &size, &out, &kernel, &stride, &padding) != 6) {
        fprintf(stderr, "%s: not a layer\n", text);
        exit(2);
    }
    const bool transposed = *text == 't';
    us_convolution_attributes attributes = {.channels = out,
                                            .kernel = {kernel, kernel},
                                            .stride = {stride, stride},
                                            .padding = {padding, padding},
                                            .bias = true};
    const us_layer_type *type =
        transposed ? &us_convolution_transpose_layer : &us_convolution_layer;
    us_shape from = {in, size, size}, to;
    check(type->infer(&attributes, from, &to, &failure));
    const size_t channel = (size_t)kernel * (size_t)kernel * (size_t)out;
    us_convolution_problem gradient = {
        .pass = US_CONVOLUTION_WEIGHTS,
        .large = transposed ? to : from,
        .small = transposed ? from : to,
        .batch = us_device_pad(&device->facts, batch),
        .precision = us_precision_on(&device->facts, precision),
        .kernel = {kernel, kernel},
        .stride = {stride, stride},
        .padding = {padding, padding},
        .large_stride = transposed ? 1 : channel,
        .tap_stride = (size_t)out,
        .small_stride = transposed ? channel : 1,
        .bias_of_large = transposed,
    };
    us_convolution_problem forward = gradient, backward = gradient;
    forward.pass = transposed ? US_CONVOLUTION_UP : US_CONVOLUTION_DOWN;
    forward.bias = true;
    forward.activation.kind = US_ACTIVATION_RELU;
    backward.pass = transposed ? US_CONVOLUTION_DOWN : US_CONVOLUTION_UP;
    backward.input_activation.kind = US_ACTIVATION_RELU;
    const size_t lanes = (size_t)gradient.batch;
    us_convolution_args on = {.large = buffer(us_shape_size(gradient.large) * lanes),
                              .small = buffer(us_shape_size(gradient.small) * lanes),
                              .weights = buffer((size_t)in * channel),
                              .bias = buffer((size_t)out)};
    on.input = transposed ? on.small : on.large;
    double flops = type->flops(&attributes, from, to) * gradient.batch;
    printf("%-18s", text);
    bench_pass("forward", &forward, &on, flops);
    bench_pass("dx", &backward, &on, flops);
    bench_pass("dw", &gradient, &on, flops);
    gradient.bias = true;
    bench_pass("dw+db", &gradient, &on, flops);
    printf("\n");
    us_buffer *buffers[] = {on.large, on.small, on.weights, on.bias};
    for (int i = 0; i < 4; i++)
        us_buffer_destroy(buffers[i]);
}

static void bench_dense(const char *text, int batch) {
    us_dense_attributes attributes = {.bias = true};
    us_layer_plan plan = {.device = device,
                          .attributes = &attributes,
                          .in = {0, 1, 1},
                          .batch = us_device_pad(&device->facts, batch),
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

/* ALGORITHM:PARAMETER,.. */
static bool read_choice(const char *text, us_choice *choice) {
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    for (int a = 0; us_convolution_algorithms[a]; a++) {
        const us_algorithm *by = us_convolution_algorithms[a];
        if (strlen(by->name) != length || strncmp(by->name, text, length) != 0) continue;
        choice->algorithm = a;
        const us_parameter *p = by->parameters;
        for (const char *at = colon; at && p->name; p++) {
            *us_parameter_in(p, choice->parameters) = atoi(at + 1);
            at = strchr(at + 1, ',');
        }
        return !p->name;
    }
    return false;
}

static bool read_precision(const char *text) {
    for (int i = 0; us_precision_names[i]; i++)
        if (strcmp(text, us_precision_names[i]) == 0) {
            precision = (us_precision)i;
            return true;
        }
    return false;
}

static int refuse(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n", text, what);
    return 2;
}

int main(int argc, char **argv) {
    const char *selector = NULL;
    int batch = 128;
    side *last = sides;
    for (int option; (option = getopt(argc, argv, "ced:b:p:r:ak:g:w:")) != -1;) {
        if (option == 'c') processor_time = true;
        if (option == 'e') empties_caches = true;
        if (option == 'd') selector = optarg;
        if (option == 'b') batch = atoi(optarg);
        if (option == 'p' && !read_precision(optarg)) return refuse("not a precision", optarg);
        if (option == 'r') seconds = atof(optarg);
        if (option == 'a' && side_count == MOST_SIDES) return refuse("too many sides", "-a");
        if (option == 'a') last = &sides[side_count++];
        if (option == 'k') last->folder = optarg;
        if (option == 'g') last->gather_given = read_choice(optarg, &last->gather);
        if (option == 'w') last->gradient_given = read_choice(optarg, &last->gradient);
        if ((option == 'g' && !last->gather_given) || (option == 'w' && !last->gradient_given))
            return refuse("not an algorithm with its parameters", optarg);
        if (option == '?') return 2;
    }
    check(us_device_open(selector, &device, &failure));
    printf("%s, GFLOP/s:\n", device->facts.name);
    for (int i = optind; i < argc; i++)
        if (*argv[i] == 'd')
            bench_dense(argv[i], batch);
        else
            bench_layer(argv[i], batch);
    us_device_close(device);
    return 0;
}
