/* SPDX-License-Identifier: MIT */
#include "device/matrix_units.h"

enum { LINES = 16, TERMS = 8, FACTOR = LINES * TERMS, PRODUCT = LINES * LINES, ITEMS = 32 };

/* Small integers, which every precision has exactly; not symmetric in any way. */
static void fill(float factors[2 * FACTOR]) {
    for (int i = 0; i < 2 * FACTOR; i++)
        factors[i] = (float)((i * 7 + i / TERMS * 5 + i / FACTOR * 3) % 13 - 6);
}

static bool is_product(const float factors[2 * FACTOR], const float product[PRODUCT]) {
    for (int i = 0; i < PRODUCT; i++) {
        const float *left = factors + i / LINES * TERMS;
        const float *right = factors + FACTOR + i % LINES * TERMS;
        float sum = 0;
        for (int k = 0; k < TERMS; k++)
            sum += left[k] * right[k];
        if (product[i] != sum) return false;
    }
    return true;
}

static unseen_status multiply(us_device *device, us_kernel *kernel, const float factors[2 * FACTOR],
                              float product[PRODUCT]) {
    us_buffer *from = NULL, *to = NULL;
    unseen_status status;
    US_CHECK(us_buffer_create(device, 2 * FACTOR * sizeof(float), "a trial", &from, NULL));
    US_CHECK(us_buffer_create(device, PRODUCT * sizeof(float), "a trial", &to, NULL));
    US_CHECK(us_buffer_write(from, 0, factors, 2 * FACTOR * sizeof(float), NULL));
    US_CHECK(us_kernel_run_groups(kernel, (const size_t[3]){1, 1, 1}, ITEMS, NULL, "bb", from, to));
    US_CHECK(us_buffer_read(to, 0, product, PRODUCT * sizeof(float), NULL));
done:
    us_buffer_destroy(from);
    us_buffer_destroy(to);
    return status;
}

bool us_matrix_units_compute(us_device *device, us_matrix_units units) {
    float factors[2 * FACTOR], product[PRODUCT];
    us_kernel *kernel = NULL;
    fill(factors);
    unseen_status status =
        us_kernel_create(&(us_build){.device = device}, "matrix_unit_trial", "matrix_unit_trial",
                         &kernel, NULL, "-DMATRIX_UNITS=%d", units == US_MATRIX_UNITS_NVIDIA);
    if (status == UNSEEN_OK) status = multiply(device, kernel, factors, product);
    us_kernel_destroy(kernel);
    return status == UNSEEN_OK && is_product(factors, product);
}

const char *us_matrix_units_name(us_matrix_units units) {
    static const char *const names[] = {
        [US_MATRIX_UNITS_NONE] = "none", [US_MATRIX_UNITS_NVIDIA] = "mma.sync"};
    return names[units];
}
