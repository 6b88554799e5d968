# SPDX-License-Identifier: MIT
"""Builds PyTorch networks from the project's JSON configs.

One layer of a config is one module of an nn.Sequential, so that state_dict() has the names of the
tensors in model.safetensors: <network>.<layer index>.<weight, bias, running_mean, running_var>. A
residual layer is a module with the members `layers` and `shortcut`, each an nn.Sequential in turn.
"""

import json
import math

from torch import nn


class ConfigError(Exception):
    """A config that cannot be built; the message names file and JSON Pointer."""


def load_config(path):
    try:
        with open(path, encoding="utf-8") as stream:
            config = json.load(stream)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    for key in ("input", "networks"):
        if key not in config:
            raise ConfigError(f"{path}: /{key}: missing")
    return config


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _expect_rank(shape, rank, layer):
    if len(shape) != rank:
        raise ConfigError(f"{layer} needs an input of {rank} dimensions (without the batch), "
                          f"found {list(shape)}")


def _convolution(layer, shape):
    _expect_rank(shape, 3, "convolution")
    kernel, stride = _pair(layer["kernel"]), _pair(layer.get("stride", 1))
    padding = _pair(layer.get("padding", 0))
    size = [(shape[1 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    module = nn.Conv2d(shape[0], layer["channels"], kernel, stride, padding,
                       bias=layer.get("bias", True))
    return module, (layer["channels"], *size)


def _convolution_transpose(layer, shape):
    _expect_rank(shape, 3, "convolution_transpose")
    kernel, stride = _pair(layer["kernel"]), _pair(layer.get("stride", 1))
    padding, extra = _pair(layer.get("padding", 0)), _pair(layer.get("output_padding", 0))
    size = [(shape[1 + i] - 1) * stride[i] - 2 * padding[i] + kernel[i] + extra[i]
            for i in range(2)]
    module = nn.ConvTranspose2d(shape[0], layer["channels"], kernel, stride, padding, extra,
                                bias=layer.get("bias", True))
    return module, (layer["channels"], *size)


def _dense(layer, shape):
    _expect_rank(shape, 1, "dense")
    module = nn.Linear(shape[0], layer["units"], bias=layer.get("bias", True))
    return module, (layer["units"],)


def _batchnorm(layer, shape):
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return kind(shape[0], layer.get("epsilon", 1e-5), layer.get("momentum", 0.1),
                layer.get("affine", True)), shape


def _pooling(kind):
    def build(layer, shape):
        _expect_rank(shape, 3, layer["layer"])
        kernel = [own or side for own, side in zip(_pair(layer.get("kernel", 0)), shape[1:])]
        stride = [own or side for own, side in zip(_pair(layer.get("stride", 0)), kernel)]
        padding = _pair(layer.get("padding", 0))
        size = [(shape[1 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
        return kind(tuple(kernel), tuple(stride), padding), (shape[0], *size)
    return build


def _reshape(layer, shape):
    if math.prod(layer["shape"]) != math.prod(shape):
        raise ConfigError(f"cannot reshape {list(shape)} to {layer['shape']}")
    return nn.Unflatten(1, layer["shape"]) if len(shape) == 1 else None, tuple(layer["shape"])


def _groupnorm(layer, shape):
    groups = layer.get("groups", 1)
    if shape[0] % groups:
        raise ConfigError(f"{shape[0]} channels cannot be cut into {groups} groups")
    return nn.GroupNorm(groups, shape[0], layer.get("epsilon", 1e-5), layer.get("affine", True)), shape


def _pool(kind):
    """Average or maximum pooling; sizes of 0 stand for the whole image, and for the kernel's size."""
    def build(layer, shape):
        _expect_rank(shape, 3, layer["layer"])
        kernel = [size or shape[1 + i] for i, size in enumerate(_pair(layer.get("kernel", 0)))]
        stride = [size or kernel[i] for i, size in enumerate(_pair(layer.get("stride", 0)))]
        padding = _pair(layer.get("padding", 0))
        size = [(shape[1 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
        return kind(tuple(kernel), tuple(stride), padding), (shape[0], *size)
    return build


class Residual(nn.Module):
    """layers(x) + shortcut(x); without a shortcut, + x."""

    def __init__(self, layers, shortcut):
        super().__init__()
        self.layers, self.shortcut = layers, shortcut

    def forward(self, x):
        return self.layers(x) + self.shortcut(x)


def _residual(layer, shape):
    layers, out = build_network(layer["layers"], shape, "layers")
    shortcut, other = nn.Identity(), shape
    if "shortcut" in layer:
        shortcut, other = build_network(layer["shortcut"], shape, "shortcut")
    if out != other:
        raise ConfigError(f"the layers give {list(out)}, the shortcut {list(other)}")
    return Residual(layers, shortcut), out


LAYERS = {
    "convolution": _convolution,
    "convolution_transpose": _convolution_transpose,
    "dense": _dense,
    "batchnorm": _batchnorm,
    "groupnorm": _groupnorm,
    "average_pool": _pool(nn.AvgPool2d),
    "max_pool": _pool(nn.MaxPool2d),
    "gelu": lambda layer, shape: (nn.GELU(), shape),
    "relu": lambda layer, shape: (nn.ReLU(), shape),
    "leaky_relu": lambda layer, shape: (nn.LeakyReLU(layer.get("slope", 0.01)), shape),
    "tanh": lambda layer, shape: (nn.Tanh(), shape),
    "sigmoid": lambda layer, shape: (nn.Sigmoid(), shape),
    "average_pool": _pooling(nn.AvgPool2d),
    "max_pool": _pooling(nn.MaxPool2d),
    "flatten": lambda layer, shape: (nn.Flatten(), (math.prod(shape),)),
    "reshape": _reshape,
    "residual": _residual,
}


def build_network(layers, shape, where="network"):
    """An nn.Sequential of the layers on inputs of `shape` (without the batch), and its output shape."""
    modules = []
    for index, layer in enumerate(layers):
        pointer = f"{where}/{index}"
        kind = layer.get("layer")
        if kind not in LAYERS:
            raise ConfigError(f"{pointer}/layer: no such layer: {kind!r}; "
                              f"there are {', '.join(sorted(LAYERS))}")
        try:
            module, shape = LAYERS[kind](layer, tuple(shape))
        except KeyError as error:
            raise ConfigError(f"{pointer}: {kind} needs the key {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{pointer}: {error}") from error
        if module is None:
            raise ConfigError(f"{pointer}: reshape needs a flat input; put flatten before it")
        if any(n < 1 for n in shape):
            raise ConfigError(f"{pointer}: {kind} has an empty output {list(shape)}")
        modules.append(module)
    return nn.Sequential(*modules), shape


# Networks that read what another writes, the first there is of those named; every other one reads images.
INPUTS = {"decoder": ("mean", "encoder"), "latent_discriminator": ("encoder",),
          "log_variance": ("encoder",), "mean": ("encoder",), "projection": ("encoder",)}
# The same for a single detector.
INPUTS_OF = {"contrastive": {"classifier": ("encoder",)}}


def build(config, path="config"):
    """All networks of a config in an nn.ModuleDict, and the shapes of their outputs."""
    image = tuple(config["input"][key] for key in ("channels", "height", "width"))
    networks, shapes = nn.ModuleDict(), {}
    inputs = {**INPUTS, **INPUTS_OF.get(config.get("detector", {}).get("type"), {})}
    for name, layers in config["networks"].items():
        sources = inputs.get(name, ())
        source = next((source for source in sources if source in shapes), None)
        if sources and not source:
            raise ConfigError(f"{path}: /networks/{name}: needs the {sources[-1]} before it")
        shape = shapes[source] if source else image
        try:
            networks[name], shapes[name] = build_network(layers, shape, f"/networks/{name}")
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    return networks, shapes


def parameters(module):
    return sum(p.numel() for p in module.parameters())
