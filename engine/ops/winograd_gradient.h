/* The kernel of a weight gradient by Winograd's minimal filtering. Twin of
 * cl_kernels/winograd_gradient.cl; an implementation behind ops/weight_gradient.h. */
#ifndef US_OPS_WINOGRAD_GRADIENT_H
#define US_OPS_WINOGRAD_GRADIENT_H

#include "ops/weight_gradient.h"

/* Whether these tiles are possible: as us_winograd_fits; items of whole tiles. */
bool us_winograd_gradient_fits(const us_weight_gradient_spec *spec,
                               const us_weight_gradient_tiles *tiles);

/* For items of about so many small channels and rows, which are phases of large ones; what suits a
 * CPU's registers and caches. One split. */
us_weight_gradient_tiles us_winograd_gradient_tiles(const us_weight_gradient_spec *spec,
                                                    int outputs, int item_small, int item_rows);

/* As us_winograd_default, but for the splits. */
bool us_winograd_gradient_default(const us_weight_gradient_spec *spec,
                                  us_weight_gradient_tiles *tiles);

/* Blocks of work that the splits share. */
size_t us_winograd_gradient_blocks(const us_weight_gradient_spec *spec,
                                   const us_weight_gradient_tiles *tiles);

/* Work-items of a split. */
size_t us_winograd_gradient_items(const us_weight_gradient_spec *spec,
                                  const us_weight_gradient_tiles *tiles);

/* Whether the bias's gradient, if wanted, is computed as well. */
bool us_winograd_gradient_takes_bias(const us_weight_gradient_spec *spec,
                                     const us_weight_gradient_tiles *tiles);

unseen_status us_winograd_gradient_build(const us_weight_gradient_spec *spec,
                                         const us_weight_gradient_tiles *tiles, us_kernel **kernel,
                                         unseen_error *error);

/* With several splits, `to` gets partial sums one after the other for each, of the weights and then
 * of the bias where it is taken. With a single one the gradients go to `to` and `bias` (else
 * unused) and, with `accumulate`, are added to what is there. */
unseen_status us_winograd_gradient_run(const us_weight_gradient_spec *spec, us_kernel *kernel,
                                       const size_t groups[3], us_buffer *large, us_buffer *small,
                                       us_buffer *to, us_buffer *bias, bool accumulate,
                                       unseen_error *error);

#endif
