/* Adds one tensor to another: gradients, where one value went two ways. */
#ifndef US_OPS_ADD_H
#define US_OPS_ADD_H

#include "ops/layer.h"

typedef struct us_add us_add;

unseen_status us_add_create(us_device *device, us_shape shape, int batch, us_add **add,
                            unseen_error *error);
void us_add_destroy(us_add *add);

/* to += from, both [shape][batch], padded lanes too. */
unseen_status us_add_run(us_add *add, us_buffer *from, us_buffer *to, unseen_error *error);

#endif
