/* How the three products of a dense layer are computed. */
#ifndef US_OPS_DENSE_H
#define US_OPS_DENSE_H

#include "device/tunable.h"
#include "ops/layer.h"

typedef enum us_product_form {
    US_PRODUCT_FORWARD, /* y: outputs x inputs x batch */
    US_PRODUCT_INPUT,   /* dx: inputs x outputs x batch */
    US_PRODUCT_WEIGHT,  /* the weight's gradient: inputs x batch x outputs */
} us_product_form;

enum { US_PRODUCT_FORMS = 3 };

/* What is computed; what does not matter to the form is zero. */
typedef struct us_product_spec {
    us_device *device;
    us_product_form form;
    int in, out, batch;             /* padded */
    bool bias;                      /* added (FORWARD); its gradient is computed as well (WEIGHT) */
    us_activation activation;       /* of FORWARD */
    us_activation input_activation; /* of INPUT */
} us_product_spec;

/* It is a product of rows x terms by terms x width. */
void us_product_sizes(const us_product_spec *spec, int *rows, int *terms, int *width);

typedef enum us_product_implementation {
    US_PRODUCT_OWN, /* cl_kernels/dense.cl */
    US_PRODUCT_CLBLAST,
} us_product_implementation;

/* The numbers are of OWN; see cl_kernels/dense.cl. */
typedef struct us_product_tuning {
    us_product_implementation implementation;
    int tile_rows, tile_vectors, slice;
    int item_columns, item_chunks, chunk_tiles, block; /* of CPUs */
} us_product_tuning;

/* Of a product of rows x terms by terms x width. */
us_product_tuning us_product_tuning_default(const us_device *device, us_product_form form, int rows,
                                            int terms, int width);

/* On CPUs: whether OWN's copies of the operands fit into local memory. */
bool us_product_fits(const us_product_spec *spec, us_product_tuning tuning);

/* A dense layer as us_dense_layer.create makes it, with tunings by form; NULL: those of
 * us_product_choose. */
unseen_status us_dense_create(const us_layer_plan *plan, const us_product_tuning *tunings,
                              void **layer, unseen_error *error);

/* One that can compute this product alone. On failure *layer is NULL or to be destroyed all the
 * same. */
unseen_status us_dense_create_product(const us_product_spec *spec, const us_product_tuning *tuning,
                                      void **layer, unseen_error *error);

/* ---- dense_tunable.c ---- */

extern const us_tunable us_dense_tunable;

/* The device's winner for the product, or else the default. */
unseen_status us_product_choose(const us_product_spec *spec, us_product_tuning *tuning,
                                unseen_error *error);

#endif
