/* SPDX-License-Identifier: MIT */
/* Matrix products by CLBlast, where the library was built with it. */
#ifndef US_OPS_CLBLAST_H
#define US_OPS_CLBLAST_H

#include "device/device.h"

bool us_clblast_available(void);

/* UNSEEN_BAD_INPUT where it is not, as the functions below. */
unseen_status us_clblast_check(unseen_error *error);

/* c[m][n] = sum over k of A(m, k) B(k, n), row by row; A is [m][k], or [k][m] where it is
 * transposed, B likewise. */
typedef struct us_clblast_product {
    size_t m, n, k;
    bool a_transposed, b_transposed;
} us_clblast_product;

/* What the product is for; accumulate: added to what c holds. Uses the device's scratch buffer. */
unseen_status us_clblast_multiply(us_device *device, const us_clblast_product *product,
                                  us_label label, us_buffer *a, us_buffer *b, us_buffer *c,
                                  bool accumulate, unseen_error *error);

/* How CLBlast cuts large products (its kernel "Xgemm"); the names are CLBlast's. Within its limits,
 * which it checks when the kernel is built: mwg is a multiple of mdimc * vwm and of mdima * vwm,
 * nwg of ndimc * vwn and of ndimb * vwn, kwg of kwi, of mdimc * ndimc / mdima and of mdimc * ndimc
 * / ndimb. */
typedef struct us_clblast_parameters {
    size_t mwg, nwg, kwg;      /* tile of a work-group */
    size_t mdimc, ndimc;       /* work-items of a work-group */
    size_t mdima, ndimb;       /* the same, as they load A and B */
    size_t kwi, vwm, vwn;      /* unrolling along k, vector widths */
    size_t strm, strn, sa, sb; /* strided access; A and B in local memory */
} us_clblast_parameters;

/* Takes the place of CLBlast's own parameters for all later products on this device. */
unseen_status us_clblast_override(us_device *device, const us_clblast_parameters *parameters,
                                  unseen_error *error);

#endif
