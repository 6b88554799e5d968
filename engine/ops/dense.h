/* How the three products of a dense layer are computed. */
#ifndef US_OPS_DENSE_H
#define US_OPS_DENSE_H

#include "ops/layer.h"

typedef enum us_product_form {
    US_PRODUCT_FORWARD, /* y: outputs x inputs x batch */
    US_PRODUCT_INPUT,   /* dx: inputs x outputs x batch */
    US_PRODUCT_WEIGHT,  /* the weight's gradient: inputs x batch x outputs */
} us_product_form;

enum { US_PRODUCT_FORMS = 3 };

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

/* A dense layer as us_dense_layer.create makes it, with tunings by form; NULL: the defaults. */
unseen_status us_dense_create(const us_layer_plan *plan, const us_product_tuning *tunings,
                              void **layer, unseen_error *error);

#endif
