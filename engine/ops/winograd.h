/* A gather by Winograd's minimal filtering, which saves multiplications: 2.6 times fewer with tiles
 * of 4 x 4 outputs for a kernel of 4 x 4 and stride 2, 3.2 times with 3 x 3 for one of 3 x 3. Twin
 * of cl_kernels/winograd.cl; an implementation behind ops/gather.h. */
#ifndef US_OPS_WINOGRAD_H
#define US_OPS_WINOGRAD_H

#include "ops/gather.h"

typedef struct us_winograd us_winograd;

/* Whether these tiles are possible: a square kernel, stride and padding; 3 to 5 points, that is
 * tiles->outputs plus the kernel's taps of a phase less 1; a device that works on vectors, and
 * whose local memory holds a work-item's intermediate values. */
bool us_winograd_fits(const us_gather_spec *spec, const us_gather_tiles *tiles);

/* The outputs of a tile, along one side, that take the fewest products for rows x columns outputs
 * of a square kernel (of one phase of its transpose), and by how many times these are fewer than
 * the definition's. 0: Winograd's filtering is not possible. */
int us_winograd_outputs(int kernel, int stride, int rows, int columns, double *savings);

/* Tiles that suit a CPU's registers and caches; false where Winograd's filtering is not possible.
 */
bool us_winograd_tiles(const us_gather_spec *spec, int outputs, us_gather_tiles *tiles);

/* The same with the best outputs; false also where multiplications saved would not pay for the
 * transforms. */
bool us_winograd_default(const us_gather_spec *spec, us_gather_tiles *tiles);

unseen_status us_winograd_create(const us_gather_spec *spec, const us_gather_tiles *tiles,
                                 us_winograd **winograd, unseen_error *error);
void us_winograd_destroy(us_winograd *winograd); /* NULL is fine */

/* Enqueues: the weights as us_winograd_run reads them. */
size_t us_winograd_packed_bytes(const us_winograd *winograd);
unseen_status us_winograd_pack(us_winograd *winograd, us_buffer *weights, us_buffer *packed,
                               unseen_error *error);

/* As us_gather_run, with packed weights. */
unseen_status us_winograd_run(us_winograd *winograd, us_buffer *packed, const us_gather_args *args,
                              unseen_error *error);

#endif
