/* SPDX-License-Identifier: MIT */
/* The three products of a dense layer as operators: each is computed by one of a table of
 * algorithms. A new one is a constant of us_algorithm in a .c file of its own, its kernel file in
 * cl_kernels/, a line in product.c, and its cases in tests/device/test_dense_tiles.c. */
#ifndef US_OPS_DENSE_PRODUCT_H
#define US_OPS_DENSE_PRODUCT_H

#include "ops/layer.h"
#include "tuning/tunable.h"

typedef enum us_product_form {
    US_PRODUCT_FORWARD, /* y: outputs x inputs x batch */
    US_PRODUCT_INPUT,   /* dx: inputs x outputs x batch */
    US_PRODUCT_WEIGHT,  /* the weight's gradient: inputs x batch x outputs */
} us_product_form;

enum { US_PRODUCT_FORMS = 3 };

/* What is computed; what does not matter to the form is zero. */
typedef struct us_product_problem {
    us_product_form form;
    int in, out, batch;             /* padded */
    bool bias;                      /* added (FORWARD); its gradient is computed as well (WEIGHT) */
    us_activation activation;       /* FORWARD: applied to y */
    us_activation input_activation; /* INPUT: dx is multiplied by its derivative at x */
    bool compared;                  /* FORWARD: y may be, with a us_target */
} us_product_problem;

/* FORWARD writes y (out) from x (in), INPUT dx (in) from dy (out), WEIGHT the gradients of weight
 * and bias from x (in) and dy (out). */
typedef struct us_product_args {
    us_buffer *in, *out, *weight;
    us_buffer *bias;   /* used only with problem.bias */
    us_buffer *x;      /* read only with problem.input_activation */
    int n;             /* images in the batch */
    bool accumulate;   /* WEIGHT: gradients are added to what is there */
    us_target *target; /* NULL; or with problem.compared, its errors set where y was compared */
} us_product_args;

/* It is a product of rows x terms by terms x width. */
typedef struct us_product_size {
    int rows, terms, width;
} us_product_size;
us_product_size us_product_sizes(const us_device_facts *device, const us_product_problem *problem);

/* What us_algorithm.implementation points to; as us_convolution_implementation. */
typedef struct us_product_implementation {
    unseen_status (*create)(const us_build *build, const us_product_problem *problem,
                            const void *parameters, void **state, unseen_error *error);
    void (*destroy)(void *state); /* NULL is fine */
    unseen_status (*run)(void *state, const us_product_args *args, unseen_error *error);
} us_product_implementation;

extern const us_algorithm us_product_clblast;
extern const us_algorithm us_product_lanes;
extern const us_algorithm us_product_blocks;

extern const us_algorithm *const us_product_algorithms[]; /* NULL ends */

typedef struct us_product us_product;

unseen_status us_product_create(const us_build *build, const us_product_problem *problem,
                                const us_choice *choice, us_product **product, unseen_error *error);
void us_product_destroy(us_product *product); /* NULL is fine */

/* Enqueues. Uses the device's scratch. */
unseen_status us_product_run(us_product *product, const us_product_args *args, unseen_error *error);

/* ---- tunable.c ---- */

extern const us_tunable us_product_tunable;

/* ---- layer.c ---- */

/* A dense layer as us_dense_layer.create makes it, with choices by form. */
unseen_status us_dense_create(const us_layer_plan *plan, const us_choice *choices, void **layer,
                              unseen_error *error);

#endif
