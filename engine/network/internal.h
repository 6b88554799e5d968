/* SPDX-License-Identifier: MIT */
/* Shared by the files of this folder. */
#ifndef US_NETWORK_INTERNAL_H
#define US_NETWORK_INTERNAL_H

#include "network/network.h"
#include "network/plan.h"
#include "ops/residual.h"

/* A stage of the plan on the device. */
typedef struct us_stage {
    const us_layer_spec *spec;
    int index; /* of the layer in the spec */
    void *layer;
    size_t saved_floats;
    us_buffer *tensors[US_LAYER_MAX_TENSORS];
    us_buffer *gradients[US_LAYER_MAX_TENSORS];
    size_t offset[US_LAYER_MAX_TENSORS]; /* bytes into the flat buffer */
    us_buffer *folded[2]; /* weight and bias with the normalisation after it; NULL: never folded */
} us_stage;

struct us_network {
    us_device *device;
    const us_network_spec *spec;
    us_network_options options;
    int batch; /* padded */
    us_network_plan plan;
    us_stage *stages;       /* plan.count */
    us_gradient_sum **sums; /* of the plan's steps, NULL where one is none; NULL before a pass
                               backward is to come */
    size_t floats, statistic_floats;
    us_buffer *parameters, *gradients, *statistics;
    us_gradient_parts *gradient_parts; /* of gradients that are left in parts; NULL: none are */
    size_t first;                      /* the number of its first gradient among those */
    bool shares;                       /* parameters, gradients and parts are not its own */
    bool has_scored;                   /* and no tensor has changed since */
};

/* What passes backward need besides the layers; nothing where it is there already. */
unseen_status us_network_create_sums(us_network *network, unseen_error *error);

/* Bytes that one tensor takes in a flat buffer, and the whole of a network's. */
size_t us_network_tensor_bytes(const us_device_facts *device, const us_tensor_spec *tensor);

#endif
