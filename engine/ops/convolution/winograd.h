/* SPDX-License-Identifier: MIT */
/* What Winograd's algorithms share, whatever they compute. */
#ifndef US_OPS_CONVOLUTION_WINOGRAD_H
#define US_OPS_CONVOLUTION_WINOGRAD_H

/* Along one side, the outputs of a tile that take the fewest products for rows x columns outputs of
 * a square kernel (of one phase of its transpose), and by how many times these are fewer than the
 * definition's. 0: Winograd's filtering is not possible. */
int us_winograd_outputs(int kernel, int stride, int rows, int columns, double *savings);

#endif
