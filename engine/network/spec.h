/* SPDX-License-Identifier: MIT */
/* A network as the config describes it: layers, shapes and tensors, without any device. */
#ifndef US_NETWORK_SPEC_H
#define US_NETWORK_SPEC_H

#include "ops/layer.h"

enum {
    US_NETWORK_NAME = 48,
    US_NETWORK_MAX_LAYERS = 512, /* nested ones and those that hold them counted */
    US_NETWORK_MAX_DEPTH = 4,    /* of residual layers within each other */
    US_LAYER_PATH = 64,
};

/* In place of a layer's index. */
enum { US_NETWORK_INPUT = -1, US_NO_LAYER = -2 };

typedef struct us_layer_spec {
    const us_layer_type *type;
    void *attributes;
    char path[US_LAYER_PATH]; /* within the network: "3", or nested "3.layers.0", "3.shortcut.0" */
    int input, shortcut;      /* layers whose outputs it reads, or US_NETWORK_INPUT; a shortcut only
                                 where the type has branches, else US_NO_LAYER */
    int parent;               /* the layer it is nested in, or US_NO_LAYER */
    us_shape in, out;         /* of a layer with branches: in is what each of them gives */
    int tensor_count;
    us_tensor_spec tensors[US_LAYER_MAX_TENSORS];
} us_layer_spec;

typedef struct us_network_spec {
    char name[US_NETWORK_NAME];
    us_shape in, out;
    us_layer_spec *layers; /* as they are computed: nested ones before the one that holds them */
    int count;
} us_network_spec;

/* Reads an array of layers, infers every shape from `in`, and completes the JSON with defaults. */
unseen_status us_network_spec_read(us_json *layers, const char *name, us_shape in,
                                   us_network_spec *spec, unseen_error *error);
void us_network_spec_release(us_network_spec *spec);

/* The index of the layer, or of the outermost one that holds it, in the network's list. */
int us_layer_place(const us_layer_spec *layer);

int64_t us_tensor_spec_size(const us_tensor_spec *tensor);
int64_t us_layer_spec_parameters(const us_layer_spec *layer); /* trainable ones */
int64_t us_network_spec_parameters(const us_network_spec *spec);
double us_layer_spec_flops(const us_layer_spec *layer); /* forward, of one image */
double us_network_spec_flops(const us_network_spec *spec);
double us_network_spec_input_flops(const us_network_spec *spec); /* of layers that read its input */

/* "encoder.0.weight": PyTorch's name, each layer being a module of a Sequential, and a layer with
 * branches a module with the members `layers` and `shortcut`, which are Sequentials. */
void us_tensor_name(const us_network_spec *spec, int layer, int tensor, char *name, size_t size);

/* A JSON Schema for an array of layers, which refers to the schema's "$defs", and what belongs in
 * those. NULL: no memory. */
cJSON *us_network_schema(void);
cJSON *us_network_schema_definitions(void);

#endif
