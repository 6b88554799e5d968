/* A network as the config describes it: layers, shapes and tensors, without any device. */
#ifndef US_NETWORK_SPEC_H
#define US_NETWORK_SPEC_H

#include "ops/layer.h"

enum { US_NETWORK_NAME = 48, US_NETWORK_MAX_LAYERS = 512 };

typedef struct us_layer_spec {
    const us_layer_type *type;
    void *attributes;
    us_shape in, out;
    int tensor_count;
    us_tensor_spec tensors[US_LAYER_MAX_TENSORS];
} us_layer_spec;

typedef struct us_network_spec {
    char name[US_NETWORK_NAME];
    us_shape in, out;
    us_layer_spec *layers;
    int count;
} us_network_spec;

/* Reads an array of layers, infers every shape from `in`, and completes the JSON with defaults. */
unseen_status us_network_spec_read(us_json *layers, const char *name, us_shape in,
                                   us_network_spec *spec, unseen_error *error);
void us_network_spec_release(us_network_spec *spec);

int64_t us_tensor_spec_size(const us_tensor_spec *tensor);
int64_t us_layer_spec_parameters(const us_layer_spec *layer); /* trainable ones */
int64_t us_network_spec_parameters(const us_network_spec *spec);
double us_layer_spec_flops(const us_layer_spec *layer); /* forward, of one image */
double us_network_spec_flops(const us_network_spec *spec);

/* "encoder.0.weight": PyTorch's name, each layer being a module of a Sequential. */
void us_tensor_name(const us_network_spec *spec, int layer, int tensor, char *name, size_t size);

/* A JSON Schema for an array of layers; NULL: no memory. */
cJSON *us_network_schema(void);

#endif
