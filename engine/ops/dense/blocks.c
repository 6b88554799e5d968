/* SPDX-License-Identifier: MIT */
/* Dense products on CPUs: an item copies blocks of the operands to where they lie side by side, and
 * computes tiles of the product from them. Twin of cl_kernels/dense.cl. */
#include "base/arithmetic.h"
#include "ops/dense/kernels.h"

typedef struct blocks {
    int tile_rows, tile_vectors; /* of the product, whose sums registers hold */
    int slice;                   /* terms of the sums that an item adds up, at most all */
    int item_columns;            /* tiles of an item along the columns */
    int item_chunks;             /* chunks of an item along the rows */
    int chunk_tiles;             /* tiles of a chunk along the rows */
    int block;                   /* terms of the sums taken at a time */
} blocks;

static int larger(int64_t a, int64_t b) {
    return (int)(a > b ? a : b);
}

/* Most sums, and so chains of multiply-adds, for which a tile fits into a CPU's registers: 32 where
 * vectors are of 16 floats, else 16. */
static void set_tile(blocks *b, int vector_width, int rows, int vectors) {
    static const int rows_of_32[] = {0, 12, 12, 8, 6}, rows_of_16[] = {0, 12, 6, 4};
    if (vector_width == 16) {
        b->tile_vectors = vectors % 4 == 0 ? 4 : vectors % 3 == 0 ? 3 : vectors % 2 == 0 ? 2 : 1;
        b->tile_rows = us_product_rows_per_tile(rows, rows_of_32[b->tile_vectors]);
    } else {
        b->tile_vectors = vectors % 2 == 0 ? 2 : vectors % 3 == 0 ? 3 : 1;
        b->tile_rows = us_product_rows_per_tile(rows, rows_of_16[b->tile_vectors]);
    }
}

/* Bytes of local memory for the copies of A and B. */
static size_t copied_bytes(const blocks *b, us_convolution_pass pass, int vector_width) {
    const size_t rows = (size_t)b->chunk_tiles * (size_t)(b->block * b->tile_rows + vector_width);
    const size_t columns = (size_t)b->item_columns *
                           (size_t)(b->block * b->tile_vectors * vector_width + US_CACHE_LINE);
    return (rows + (pass == US_CONVOLUTION_WEIGHTS ? columns : 0) + US_CACHE_LINE) * sizeof(float);
}

/* Clamps counts to the size of the problem. */
static void clamp_to(blocks *b, int vector_width, us_product_size size) {
    b->item_columns =
        us_smaller(b->item_columns, us_divide_up(size.width, b->tile_vectors * vector_width));
    b->chunk_tiles = us_smaller(b->chunk_tiles, us_divide_up(size.rows, b->tile_rows));
    b->block = us_smaller(b->block, (int64_t)us_divide_up(size.terms, vector_width) * vector_width);
}

/* Chunks that caches keep, halved until the copies fit into local memory. */
static void set_chunks(const us_device_facts *device, us_convolution_pass pass,
                       us_product_size size, blocks *b) {
    enum {
        BLOCK = 128,     /* terms: a tile's of B stay in the L1 cache */
        COLUMNS = 256,   /* columns of an item */
        CHUNK_ROWS = 128 /* with the block, what the L2 cache keeps of A */
    };
    const int width = device->vector_width;
    b->block = BLOCK;
    b->item_columns = larger(1, COLUMNS / (b->tile_vectors * width));
    b->chunk_tiles = larger(1, CHUNK_ROWS / b->tile_rows);
    clamp_to(b, width, size);
    while (copied_bytes(b, pass, width) > device->local_bytes) {
        if (b->chunk_tiles > 1 || b->item_columns > 1) {
            b->chunk_tiles = us_divide_up(b->chunk_tiles, 2);
            b->item_columns = us_divide_up(b->item_columns, 2);
        } else if (b->block > width) {
            b->block = us_divide_up(b->block / width, 2) * width;
        } else {
            break;
        }
    }
}

static bool is_possible(const us_device_facts *device, const us_convolution_problem *problem) {
    return device->execution == US_EXECUTION_VECTOR && us_convolution_is_product(problem);
}

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum {
        SLICE = 512,         /* terms worth an item of their own */
        ITEM_WORK = 1 << 18, /* multiply-adds worth an item of their own */
        ITEMS_PER_UNIT = 8   /* so that no core waits long for the last one */
    };
    const us_convolution_problem *p = problem;
    blocks *b = parameters;
    if (!is_possible(device, p)) return false;
    const us_product_size size = us_product_sizes(device, p);
    set_tile(b, device->vector_width, size.rows, us_divide_up(size.width, device->vector_width));
    set_chunks(device, p->pass, size, b);
    b->slice = size.terms;
    const int columns = b->tile_vectors * device->vector_width;
    const int row_tiles = us_divide_up(size.rows, b->tile_rows);
    const int across = us_divide_up(size.width, (int64_t)columns * b->item_columns);
    int down = us_divide_up(row_tiles, b->chunk_tiles);
    const int64_t work = (int64_t)size.rows * size.terms * size.width;
    const int wanted =
        larger(1, us_smaller((int64_t)device->compute_units * ITEMS_PER_UNIT, work / ITEM_WORK));
    /* If rows and columns make too few items, cut the sums as well, or else the rows again. */
    if (p->pass != US_CONVOLUTION_WEIGHTS && across * down < wanted && size.terms >= 2 * SLICE) {
        const int slices = us_smaller(us_divide_up(wanted, across * down), size.terms / SLICE);
        b->slice = us_divide_up(us_divide_up(size.terms, slices), b->block) * b->block;
    } else if (across * down < wanted) {
        down = us_smaller(row_tiles, us_divide_up(wanted, across));
    }
    b->chunk_tiles = us_divide_up(row_tiles, down);
    b->item_chunks = larger(1, us_smaller(down, (int64_t)across * down / wanted));
    return true;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    if (!is_possible(device, p)) return false;
    const us_product_size size = us_product_sizes(device, p);
    const int width = device->vector_width;
    blocks b = *(const blocks *)parameters;
    if (!us_product_valid_tile(device, p, b.tile_rows, b.tile_vectors) ||
        !us_product_valid_slice(device, p, b.slice))
        return false;
    if (b.item_columns < 1 || b.item_columns > us_product_row_vectors(device, size.width) ||
        b.chunk_tiles < 1 || b.chunk_tiles > size.rows || b.item_chunks < 1 ||
        b.item_chunks > size.rows)
        return false;
    if ((int64_t)b.item_chunks * b.chunk_tiles * b.tile_rows > INT32_MAX / 2) return false;
    if (b.block < width || b.block % width != 0 ||
        b.block / width > us_divide_up(size.terms, width))
        return false;
    clamp_to(&b, width, size);
    return copied_bytes(&b, p->pass, width) <= device->local_bytes;
}

/* The default, and its chunks with tiles of shapes that are good on some device or other. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    static const int tiles[][2] = {{12, 2}, {8, 3}, {6, 4}, {8, 1}};
    blocks *b = parameters;
    if (index > (int)(sizeof tiles / sizeof *tiles) || !defaults(device, problem, parameters))
        return false;
    if (index == 0) return true;
    const us_product_size size = us_product_sizes(device, problem);
    const int rows = b->chunk_tiles * b->tile_rows, columns = b->item_columns * b->tile_vectors;
    b->tile_rows = us_tiles_even(size.rows, tiles[index - 1][0]);
    b->tile_vectors =
        us_tiles_even(us_product_row_vectors(device, size.width), tiles[index - 1][1]);
    b->chunk_tiles = us_smaller(us_divide_up(rows, b->tile_rows), size.rows);
    b->item_columns = us_divide_up(columns, b->tile_vectors);
    return true;
}

static int block_choices(const us_device_facts *device, int terms, int *list) {
    const int count = us_powers_choices(us_divide_up(terms, device->vector_width), list);
    for (int i = 0; i < count; i++)
        list[i] *= device->vector_width;
    return count;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const blocks *b = parameters;
    const us_product_size size = us_product_sizes(device, problem);
    const int vectors = us_product_row_vectors(device, size.width);
    const int row_tiles = us_divide_up(size.rows, b->tile_rows);
    switch (offset) {
    case offsetof(blocks, tile_rows):
        return us_tiles_choices(size.rows, US_PRODUCT_MOST_ROWS, list);
    case offsetof(blocks, tile_vectors):
        return us_tiles_choices(vectors, US_PRODUCT_MOST_VECTORS, list);
    case offsetof(blocks, slice):
        return us_product_slice_choices(problem, size.terms, list);
    case offsetof(blocks, item_columns):
        return us_powers_choices(us_divide_up(vectors, b->tile_vectors), list);
    case offsetof(blocks, item_chunks):
        return us_powers_choices(us_divide_up(row_tiles, b->chunk_tiles), list);
    case offsetof(blocks, chunk_tiles):
        return us_powers_choices(row_tiles, list);
    default:
        return block_choices(device, size.terms, list);
    }
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_product_size size = us_product_sizes(device, problem);
    blocks b = *(const blocks *)parameters;
    *state = NULL;
    clamp_to(&b, device->vector_width, size);
    const size_t copied = copied_bytes(&b, problem->pass, device->vector_width);
    if (copied > device->local_bytes)
        return us_fail(error, UNSEEN_FAILURE,
                       "%s: a dense layer's blocks take %zu bytes of local memory, which has %zu",
                       device->name, copied, (size_t)device->local_bytes);
    us_product_launch launch = {
        .cut = {.tile_rows = b.tile_rows,
                .tile_vectors = b.tile_vectors,
                .slice = b.slice,
                .item_columns = b.item_columns,
                .item_chunks = b.item_chunks,
                .chunk_tiles = b.chunk_tiles,
                .block = b.block},
        .columns = (size_t)us_divide_up(
            us_divide_up(us_product_row_vectors(device, size.width), b.tile_vectors),
            b.item_columns),
        .rows =
            (size_t)us_divide_up(size.rows, (int64_t)b.tile_rows * b.chunk_tiles * b.item_chunks),
    };
    /* Sums that are whole in registers can be compared there: see dense.cl. */
    if (problem->compared && b.slice >= size.terms && b.block >= size.terms)
        launch.error_parts = (int)launch.rows;
    return us_product_kernels_create(build, problem, &launch, state, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_product_kernels_destroy,
    .run = us_product_kernels_run,
};

const us_algorithm us_product_blocks = {
    .name = "blocks",
    .sources = {"dense"},
    .parameters = {US_PARAMETER(blocks, tile_rows), US_PARAMETER(blocks, tile_vectors),
                   US_PARAMETER(blocks, slice), US_PARAMETER(blocks, item_columns),
                   US_PARAMETER(blocks, item_chunks), US_PARAMETER(blocks, chunk_tiles),
                   US_PARAMETER(blocks, block)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .implementation = &implementation,
};
