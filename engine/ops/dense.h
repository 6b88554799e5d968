/* Tuning of a dense layer's products; the layer itself is us_dense_layer. */
#ifndef US_OPS_DENSE_H
#define US_OPS_DENSE_H

#include "device/tunable.h"

extern const us_tunable us_dense_tunable;

#endif
