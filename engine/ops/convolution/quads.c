/* SPDX-License-Identifier: MIT */
/* The definition of a convolution for few channels on GPUs: an item keeps all outputs, or many of
 * them, of four images of a pixel in registers. Twin of cl_kernels/convolution_quads.cl. */
#include "ops/tiles.h"

#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/activation.h"
#include "ops/convolution/channel_sums.h"

typedef struct quads {
    int channels; /* output channels of an item, at most all */
    int phases;   /* of an item, if it has all channels, else 1; at most all */
    int quads;    /* of the batch of a work-group, which divide those of the batch */
    int pixels;   /* of a work-group (up: cells of one pixel of each phase) */
    int tiles;    /* of channels and phases of a work-group */
    int slices;   /* of the input channels of a work-group */
    int inputs;   /* input channels of a slice at a time */
    int staged;   /* 1: weights are first copied to local memory */
} quads;

enum {
    IMAGES = 4,
    MOST_SUMS = 24,
    MOST_QUADS = 64,
    MOST_SLICES = 64,
    MOST_TILES = 16,
    MOST_INPUTS = 16
};

typedef struct state {
    us_build build;
    us_convolution_problem problem;
    quads quads;
    us_kernel *kernel, *summing; /* with channel sums; each is NULL until it is needed, but one */
    size_t groups, items;
    us_channel_sums sums;
} state;

/* ---- how the work is cut ---- */

static bool is_gather(const us_convolution_problem *problem) {
    return problem->pass != US_CONVOLUTION_WEIGHTS;
}

static int count_phases(const us_convolution_problem *p, int axis) {
    return p->pass == US_CONVOLUTION_UP ? p->stride[axis] : 1;
}

static int count_taps(const us_convolution_problem *p, int axis) {
    return us_divide_up(p->kernel[axis], count_phases(p, axis));
}

/* The first cell of an axis that has output pixels, and how many have. */
static int first_cell(const us_convolution_problem *p, int axis) {
    return p->padding[axis] / count_phases(p, axis) * (p->pass == US_CONVOLUTION_UP);
}
static int count_cells(const us_convolution_problem *p, int axis) {
    const us_shape out = us_convolution_out(p);
    int size = axis == 0 ? out.height : out.width;
    if (p->pass != US_CONVOLUTION_UP) return size;
    return (size - 1 + p->padding[axis]) / p->stride[axis] + 1 - first_cell(p, axis);
}

static int batch_quads(const us_device_facts *device, const us_convolution_problem *p) {
    return us_device_occupied(device, p->batch) / IMAGES;
}

static int group_items(const quads *q) {
    return q->quads * q->pixels * q->tiles * q->slices;
}

static size_t count_tiles(const us_convolution_problem *p, const quads *q) {
    int phases = count_phases(p, 0) * count_phases(p, 1);
    return (size_t)us_divide_up(us_convolution_out(p).channels, q->channels) *
           (size_t)us_divide_up(phases, q->phases);
}

static size_t count_groups(const us_device_facts *device, const us_convolution_problem *p,
                           const quads *q) {
    size_t cells = (size_t)count_cells(p, 0) * (size_t)count_cells(p, 1);
    return (size_t)us_divide_up((int64_t)count_tiles(p, q), q->tiles) *
           (size_t)(batch_quads(device, p) / q->quads) *
           ((cells + (size_t)q->pixels - 1) / (size_t)q->pixels);
}

/* As LOCAL_QUADS in the kernel. */
static size_t local_bytes(const us_convolution_problem *p, const quads *q) {
    size_t tile = (size_t)us_divide_up(q->channels * q->phases, IMAGES);
    size_t channel = (size_t)(count_taps(p, 0) * count_taps(p, 1)) * tile + 1;
    size_t weights = q->staged ? (size_t)(q->tiles * q->slices * q->inputs) * channel : 1;
    size_t sums = q->slices > 1 ? (size_t)q->slices * (size_t)group_items(q) : 0;
    return (weights > sums ? weights : sums) * IMAGES * sizeof(float);
}

/* What channel sums take: parts, and bytes of local memory in all. As in the kernel. */
typedef struct sums_cost {
    int64_t parts;
    size_t local_bytes;
} sums_cost;

static sums_cost sums_of(const us_device_facts *device, const us_convolution_problem *p,
                         const quads *q) {
    enum { SUMMED = 4, PAIR = 2 * sizeof(float) };
    const int items = q->quads * q->pixels;
    const int runs = (q->slices > 1 ? q->slices : SUMMED) * q->tiles;
    const int leaders = items >= 128 ? 16 : items >= 32 ? 8 : items >= 8 ? 4 : 1;
    const int64_t cells = (int64_t)count_cells(p, 0) * count_cells(p, 1);
    const size_t work = local_bytes(p, q), pairs = (size_t)runs * (size_t)items * PAIR;
    return (sums_cost){
        .parts = us_divide_up(cells, q->pixels) * (int64_t)(batch_quads(device, p) / q->quads) *
                 count_phases(p, 0) * count_phases(p, 1),
        .local_bytes =
            (work > pairs ? work : pairs) + (size_t)runs * ((size_t)leaders * PAIR + sizeof(float)),
    };
}

/* Whether the kernel can read weights 128 bits at a time where they lie. */
static bool are_aligned(const us_convolution_problem *p, int channels) {
    return us_convolution_out_stride(p) == 1 && channels % IMAGES == 0 &&
           us_convolution_out(p).channels % channels == 0 && p->tap_stride % IMAGES == 0 &&
           us_convolution_in_stride(p) % IMAGES == 0;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const quads *q = parameters;
    if (!is_gather(p)) return false;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    const int all = us_device_occupied(device, p->batch), phases = p->stride[0] * p->stride[1];
    if (all % IMAGES != 0 || p->batch % IMAGES != 0) return false;
    if (q->channels < 1 || q->channels > out.channels || q->channels > MOST_SUMS) return false;
    if (q->phases < 1 || q->phases > MOST_SUMS / q->channels) return false;
    if (q->phases > 1 &&
        (p->pass != US_CONVOLUTION_UP || q->channels != out.channels || q->phases > phases))
        return false;
    if (q->quads < 1 || q->quads > MOST_QUADS || all / IMAGES % q->quads != 0) return false;
    if (q->pixels < 1 || q->pixels > MOST_QUADS) return false;
    if (q->tiles < 1 || q->tiles > MOST_TILES) return false;
    if (q->inputs < 1 || q->inputs > MOST_INPUTS || q->inputs > in.channels) return false;
    if (q->slices < 1 || q->slices > MOST_SLICES || q->slices > in.channels) return false;
    if (q->staged < 0 || q->staged > 1) return false;
    if (!q->staged && (q->phases > 1 || !are_aligned(p, q->channels) ||
                       in.channels % (q->slices * q->inputs) != 0))
        return false;
    return (size_t)group_items(q) <= device->max_group_size &&
           local_bytes(p, q) <= device->local_bytes;
}

/* ---- defaults ---- */

/* What a compute unit does, by those who make it: multiply-adds at a time, work-items of such a
 * kernel, of about 96 registers, that it holds, those that hide each other's waiting, and bytes
 * that it reads at a time from a cache that all share. Others are taken for small. The constants of
 * the functions below were fitted to measurements on an NVIDIA H200, where weights were still
 * copied one by one, which was dearer: those of copying are an estimate. */
typedef struct unit {
    int lanes, items, busy, bytes;
    double turn; /* cycles of an item's instruction */
} unit;

static unit unit_of(const us_device_facts *device) {
    switch (device->vendor) {
    case US_VENDOR_NVIDIA:
        return (unit){128, 640, 512, 16, us_instruction_cycles(device)};
    case US_VENDOR_AMD:
        return (unit){64, 1024, 512, 32, us_instruction_cycles(device)};
    case US_VENDOR_INTEL:
        return (unit){8, 56, 48, 4, us_instruction_cycles(device)};
    default:
        return (unit){8, 64, 32, 4, us_instruction_cycles(device)};
    }
}

/* Cache lines that 32 neighbouring items read at a time: each takes its turn. */
static int count_lines(const quads *q) {
    enum { ITEMS = 32, LINE_QUADS = 8 };
    return ITEMS / us_smaller(q->quads, LINE_QUADS);
}

/* Instructions of an item, apart from those of waiting. A weight that is copied costs many, for
 * where it comes from and goes to, as does an output. */
static double count_instructions(const us_convolution_problem *p, const quads *q) {
    enum { COPY = 60, OUTPUT = 88, EXCHANGE = 16, OUTPUT_OF_SLICES = 220 };
    const double line = 1.5;
    const int tile = q->channels * q->phases, taps = count_taps(p, 0) * count_taps(p, 1);
    const int tile_quads = us_divide_up(tile, IMAGES), block = q->inputs * q->slices;
    const int blocks = us_divide_up(us_convolution_in(p).channels, block);
    const double tap = q->inputs * (IMAGES * tile + line * count_lines(q));
    const double copied =
        us_divide_up((int64_t)q->tiles * block * taps * tile_quads * IMAGES, group_items(q));
    const double end = q->slices == 1
                           ? OUTPUT * tile
                           : EXCHANGE * tile + OUTPUT_OF_SLICES * us_divide_up(tile, q->slices);
    return blocks * (taps * tap + (q->staged ? COPY * copied : 0)) + end;
}

/* What a group reads of the input, if its own cache keeps what its items share. */
static double input_bytes(const us_convolution_problem *p, const quads *q) {
    const bool up = p->pass == US_CONVOLUTION_UP;
    const double columns =
        up ? q->pixels + count_taps(p, 1) - 1 : (q->pixels - 1) * p->stride[1] + p->kernel[1];
    const double most = (double)q->pixels * count_taps(p, 1);
    return (columns < most ? columns : most) * count_taps(p, 0) * us_convolution_in(p).channels *
           q->quads * IMAGES * sizeof(float);
}

/* The time that so many groups take together on a compute unit, in cycles: as long as the unit has
 * work, but no less than one of them takes, which waits for inputs and for weights to be copied. */
static double round_time(const us_convolution_problem *p, const quads *q, unit by, double groups) {
    enum { TAP_WAIT = 180, STAGE_WAIT = 2000 };
    const double share = 0.75; /* of the cycles in which an instruction can start */
    const int taps = count_taps(p, 0) * count_taps(p, 1);
    const int blocks = us_divide_up(us_convolution_in(p).channels, q->inputs * q->slices);
    const double instructions = count_instructions(p, q), items = group_items(q);
    const double waits = blocks * ((double)taps * TAP_WAIT + (q->staged ? STAGE_WAIT : 0));
    const double alone = waits + instructions * fmax(by.turn, items / by.lanes) / share;
    const double hidden = fmin(1, sqrt(groups * items / by.busy));
    const double work = groups * items * instructions / by.lanes / share / hidden;
    const double reading = groups * input_bytes(p, q) / by.bytes;
    return fmax(alone, fmax(work, reading));
}

/* Groups come in rounds of as many as a compute unit holds. */
static double estimate(const us_device_facts *device, const us_convolution_problem *p,
                       const quads *q) {
    const unit by = unit_of(device);
    const int held = by.items > group_items(q) ? by.items / group_items(q) : 1;
    const int groups = us_divide_up((int64_t)count_groups(device, p, q), device->compute_units);
    double time = groups / held * round_time(p, q, by, held);
    if (groups % held > 0) time += round_time(p, q, by, groups % held);
    return time;
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    return estimate(device, problem, parameters);
}

/* Output channels, and phases, whose sums fit into registers: 12 to 16 of four images. Intel's have
 * room for fewer. */
static void choose_sums(const us_device_facts *device, const us_convolution_problem *p, quads *q) {
    const int out = us_convolution_out(p).channels,
              most = device->vendor == US_VENDOR_INTEL ? 8 : 12;
    const int phases = count_phases(p, 0) * count_phases(p, 1);
    q->channels = us_tiles_even(out, most);
    /* Multiples of a quad waste no part of one. */
    if (q->channels % IMAGES != 0 && q->channels < out) {
        int rounded = us_divide_up(q->channels, IMAGES) * IMAGES;
        if (rounded <= out) q->channels = rounded;
    }
    q->phases = q->channels == out && phases > 1 ? us_tiles_even(phases, most / out) : 1;
    if (q->phases < 1) q->phases = 1;
    q->staged = q->phases > 1 || !are_aligned(p, q->channels);
}

/* The quads of a work-group: as many of at most 32 as the batch is made of. */
static int choose_quads(const us_device_facts *device, const us_convolution_problem *p) {
    int most = 32;
    while (batch_quads(device, p) % most != 0)
        most /= 2;
    return most;
}

/* Input channels at a time. AMD's compilers load ahead until registers spill. */
static int choose_inputs(const us_device_facts *device, int in, const quads *q) {
    const int most = device->vendor == US_VENDOR_AMD ? 3 : 4, share = us_divide_up(in, q->slices);
    int inputs = us_tiles_even(share, most);
    while (!q->staged && share % inputs != 0)
        inputs--;
    return inputs;
}

/* Fills what best suits a device. Larger work-groups would leave an item too few registers on some;
 * of those that take as long, more pixels share more inputs. */
static void choose(const us_device_facts *device, const us_convolution_problem *p, quads *q) {
    enum { MOST_ITEMS = 256 };
    const int in = us_convolution_in(p).channels;
    choose_sums(device, p, q);
    quads best = {0};
    double least = 0;
    for (q->quads = choose_quads(device, p); q->quads >= 1; q->quads /= 2)
        for (q->slices = 1; q->slices <= us_smaller(in, MOST_SLICES); q->slices++)
            for (q->tiles = us_smaller((int64_t)count_tiles(p, q), 4); q->tiles >= 1; q->tiles--)
                for (q->pixels = MOST_QUADS; q->pixels >= 1; q->pixels /= 2) {
                    q->inputs = choose_inputs(device, in, q);
                    if (group_items(q) % device->group_size != 0 || group_items(q) > MOST_ITEMS ||
                        !valid(device, p, q))
                        continue;
                    double time = estimate(device, p, q);
                    if (best.channels > 0 && time >= least) continue;
                    best = *q;
                    least = time;
                }
    *q = best;
}

/* Fills the parameters; false: the device cannot compute it so. */
static bool choose_valid(const us_device_facts *device, const us_convolution_problem *p, quads *q) {
    if (!is_gather(p)) return false;
    choose(device, p, q);
    return valid(device, p, q);
}

/* Products of more work are not bound by how long one item takes, which slices shorten. */
static bool is_small(const us_device_facts *device, const us_convolution_problem *p) {
    enum { MOST_WORK = 1 << 24 }; /* multiply-adds */
    return (double)us_convolution_weights(p) * us_device_occupied(device, p->batch) <= MOST_WORK;
}

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { MOST_OUTPUTS = 64 };
    const us_convolution_problem *p = problem;
    const bool suits = us_convolution_is_product(p)
                           ? is_small(device, p)
                           : us_convolution_out(p).channels <= MOST_OUTPUTS;
    return us_device_is_gpu(device) && suits && choose_valid(device, p, parameters);
}

/* The default's kind of cut, also where another algorithm is to be the default. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    const us_convolution_problem *p = problem;
    if (index > 0 || !is_gather(p) || !us_device_is_gpu(device)) return false;
    choose(device, p, parameters);
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const us_convolution_problem *p = problem;
    const quads *q = parameters;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    int count = 0;
    switch (offset) {
    case offsetof(quads, channels):
        return us_tiles_choices(out.channels, MOST_SUMS, list);
    case offsetof(quads, phases):
        return us_tiles_choices(count_phases(p, 0) * count_phases(p, 1),
                                us_smaller(MOST_SUMS / q->channels, US_TUNABLE_CHOICES), list);
    case offsetof(quads, quads):
        for (int most = 1; most <= MOST_QUADS; most *= 2)
            if (batch_quads(device, p) % most == 0) count = us_choices_add(list, count, most);
        return count;
    case offsetof(quads, pixels):
        return us_powers_choices(MOST_QUADS, list);
    case offsetof(quads, tiles):
        return us_tiles_choices((int)count_tiles(p, q), MOST_TILES, list);
    case offsetof(quads, slices):
        return us_tiles_choices(in.channels, us_smaller(MOST_SLICES, US_TUNABLE_CHOICES), list);
    case offsetof(quads, inputs):
        return us_tiles_choices(us_divide_up(in.channels, q->slices), MOST_INPUTS, list);
    default:
        list[0] = 0;
        list[1] = 1;
        return 2;
    }
}

/* ---- kernel ---- */

static unseen_status create_kernel(const state *made, bool sums, us_kernel **kernel,
                                   unseen_error *error) {
    const us_device_facts *device = &made->build.device->facts;
    const us_convolution_problem *p = &made->problem;
    const quads *q = &made->quads;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, p->activation, p->input_activation);
    return us_kernel_create(
        &made->build, "convolution_quads", "convolution_quads", kernel, error,
        "-DUP=%d -DIN_CHANNELS=%d -DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_CHANNELS=%d -DOUT_HEIGHT=%d "
        "-DOUT_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d -DSTRIDE_Y=%d "
        "-DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DIN_STRIDE=%zu -DTAP_STRIDE=%zu "
        "-DOUT_STRIDE=%zu -DBIAS=%d %s -DCELLS_Y=%d -DCELLS_X=%d -DFIRST_CELL_Y=%d "
        "-DFIRST_CELL_X=%d -DTILE_CHANNELS=%d -DTILE_PHASES=%d -DQUADS=%d -DPIXELS=%d "
        "-DGROUP_TILES=%d "
        "-DSLICES=%d "
        "-DSLICE_CHANNELS=%d -DSTAGED=%d -DFEW_REGISTERS=%d -DCHANNEL_SUMS=%d",
        p->pass == US_CONVOLUTION_UP, in.channels, in.height, in.width, out.channels, out.height,
        out.width, p->batch, us_device_occupied(device, p->batch), p->kernel[0], p->kernel[1],
        p->stride[0], p->stride[1], p->padding[0], p->padding[1], us_convolution_in_stride(p),
        p->tap_stride, us_convolution_out_stride(p), p->bias, activations, count_cells(p, 0),
        count_cells(p, 1), first_cell(p, 0), first_cell(p, 1), q->channels, q->phases, q->quads,
        q->pixels, q->tiles, q->slices, q->inputs, q->staged,
        device->vendor == US_VENDOR_AMD /* whose compiler reads far ahead */, sums);
}

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state_pointer, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const quads *q = parameters;
    state *made = calloc(1, sizeof *made);
    *state_pointer = made;
    if (!made) return us_fail_memory(error, "a convolution");
    made->build = *build;
    made->problem = *p;
    made->quads = *q;
    made->groups = count_groups(device, p, q);
    made->items = (size_t)group_items(q);
    const sums_cost cost = sums_of(device, p, q);
    us_channel_sums_plan(device, p, cost.parts, cost.local_bytes, &made->sums);
    const bool sums = made->sums.parts.stride > 0;
    return create_kernel(made, sums, sums ? &made->summing : &made->kernel, error);
}

static void destroy(void *pointer) {
    state *s = pointer;
    if (!s) return;
    us_kernel_destroy(s->kernel);
    us_kernel_destroy(s->summing);
    us_channel_sums_release(&s->sums);
    free(s);
}

static unseen_status run(void *pointer, us_buffer *weights, const us_convolution_args *args,
                         unseen_error *error) {
    state *s = pointer;
    us_channel_sums_args sums;
    US_TRY(us_channel_sums_take(&s->sums, s->build.device, &s->problem, args, &sums, error));
    us_kernel **kernel = sums.parts ? &s->summing : &s->kernel;
    if (!*kernel) US_TRY(create_kernel(s, sums.parts, kernel, error));
    const size_t groups[3] = {s->groups, 1, 1};
    return us_kernel_run_groups(*kernel, groups, s->items, error, "bbbbb" US_CHANNEL_SUMS_TYPES,
                                us_convolution_x(&s->problem, args), weights, args->bias,
                                args->input, us_convolution_y(&s->problem, args),
                                US_CHANNEL_SUMS(sums));
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = destroy,
    .run = run,
};

const us_algorithm us_convolution_quads = {
    .name = "quads",
    .sources = {"convolution_quads"},
    .parameters = {US_PARAMETER(quads, channels), US_PARAMETER(quads, phases),
                   US_PARAMETER(quads, quads), US_PARAMETER(quads, pixels),
                   US_PARAMETER(quads, tiles), US_PARAMETER(quads, slices),
                   US_PARAMETER(quads, inputs), US_PARAMETER(quads, staged)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
