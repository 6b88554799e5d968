/* SPDX-License-Identifier: MIT */
#include "ops/dense/product.h"

#include <stdlib.h>

/* Where nothing was tuned, the first one that has defaults for a problem computes it. */
const us_algorithm *const us_product_algorithms[] = {
    &us_product_clblast,
    &us_product_lanes,
    &us_product_blocks,
    NULL,
};

struct us_product {
    const us_product_implementation *by;
    void *state;
};

us_product_size us_product_sizes(const us_device_facts *device, const us_product_problem *problem) {
    const int lanes = us_device_occupied(device, problem->batch);
    switch (problem->form) {
    case US_PRODUCT_FORWARD:
        return (us_product_size){problem->out, problem->in, lanes};
    case US_PRODUCT_INPUT:
        return (us_product_size){problem->in, problem->out, lanes};
    default:
        return (us_product_size){problem->in, lanes, problem->out};
    }
}

unseen_status us_product_create(const us_build *build, const us_product_problem *problem,
                                const us_choice *choice, us_product **product,
                                unseen_error *error) {
    *product = NULL;
    us_product *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a dense layer");
    made->by = us_product_algorithms[choice->algorithm]->implementation;
    unseen_status status =
        made->by->create(build, problem, choice->parameters, &made->state, error);
    if (status == UNSEEN_OK)
        *product = made;
    else
        us_product_destroy(made);
    return status;
}

void us_product_destroy(us_product *product) {
    if (!product) return;
    product->by->destroy(product->state);
    free(product);
}

unseen_status us_product_run(us_product *product, const us_product_args *args,
                             unseen_error *error) {
    return product->by->run(product->state, args, error);
}
