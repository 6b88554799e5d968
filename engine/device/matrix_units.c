/* SPDX-License-Identifier: MIT */
#include "device/matrix_units.h"

enum {
    WORDS = 8, /* of a step */
    MOST_LINES = 32,
    MOST_FACTOR = MOST_LINES * WORDS * 2,
    MOST_PRODUCT = MOST_LINES * MOST_LINES
};

static const us_matrix_unit units_known[US_MATRIX_UNITS_COUNT] = {
    [US_MATRIX_UNITS_NONE] = {.name = "none"},
    [US_MATRIX_UNITS_MMA] = {"mma.sync", 8, 4, 16, true},
    [US_MATRIX_UNITS_WMMA] = {"wmma", 16, 2, 16, false},
    [US_MATRIX_UNITS_MFMA] = {"mfma", 32, 2, 32, true},
    [US_MATRIX_UNITS_DPAS] = {"dpas", 8, 1, 8, false},
    [US_MATRIX_UNITS_DPAS16] = {"dpas16", 16, 1, 16, true},
};

const us_matrix_unit *us_matrix_unit_of(us_matrix_units units) {
    return &units_known[units];
}

/* A product of lines x terms by terms x lines. */
typedef struct trial {
    int lines, terms;
    float factors[2 * MOST_FACTOR], product[MOST_PRODUCT];
} trial;

/* Small integers, which every precision has exactly; not symmetric in any way. */
static void fill(trial *t) {
    const int factor = t->lines * t->terms;
    for (int i = 0; i < 2 * factor; i++)
        t->factors[i] = (float)((i * 7 + i / t->terms * 5 + i / factor * 3) % 13 - 6);
}

static bool is_product(const trial *t) {
    for (int i = 0; i < t->lines * t->lines; i++) {
        const float *left = t->factors + i / t->lines * t->terms;
        const float *right = t->factors + (t->lines + i % t->lines) * t->terms;
        float sum = 0;
        for (int k = 0; k < t->terms; k++)
            sum += left[k] * right[k];
        if (t->product[i] != sum) return false;
    }
    return true;
}

static unseen_status multiply(us_device *device, us_kernel *kernel, size_t items, trial *t) {
    const size_t factors = 2 * (size_t)t->lines * (size_t)t->terms * sizeof(float);
    const size_t product = (size_t)t->lines * (size_t)t->lines * sizeof(float);
    us_buffer *from = NULL, *to = NULL;
    unseen_status status;
    US_CHECK(us_buffer_create(device, factors, "a trial", &from, NULL));
    US_CHECK(us_buffer_create(device, product, "a trial", &to, NULL));
    US_CHECK(us_buffer_write(from, 0, t->factors, factors, NULL));
    US_CHECK(us_kernel_run_groups(kernel, (const size_t[3]){1, 1, 1}, items, NULL, "bb", from, to));
    US_CHECK(us_buffer_read(to, 0, t->product, product, NULL));
done:
    us_buffer_destroy(from);
    us_buffer_destroy(to);
    return status;
}

/* precision: the option of that name. */
static bool computes(us_device *device, us_matrix_units units, bool emulated, int precision) {
    const us_matrix_unit *unit = us_matrix_unit_of(units);
    trial t = {.lines = unit->lines, .terms = WORDS * (precision == 2 ? 2 : 1)};
    us_kernel *kernel = NULL;
    fill(&t);
    unseen_status status = us_kernel_create(
        &(us_build){.device = device}, "matrix_unit_trial", "matrix_unit_trial", &kernel, NULL,
        "-DMATRIX_UNITS=%d -DMATRIX_EMULATED=%d -DPRECISION=%d", units, emulated, precision);
    if (status == UNSEEN_OK)
        status = multiply(device, kernel, (size_t)(unit->items_high * unit->items_wide), &t);
    us_kernel_destroy(kernel);
    return status == UNSEEN_OK && is_product(&t);
}

bool us_matrix_units_compute(us_device *device, us_matrix_units units, bool emulated) {
    enum { OF_WORDS = 1, OF_BF16 = 2 };
    return (!us_matrix_unit_of(units)->has_words || computes(device, units, emulated, OF_WORDS)) &&
           computes(device, units, emulated, OF_BF16);
}
