# SPDX-License-Identifier: MIT
"""Golden cases of the layers: forward and backward over odd sizes.

Tensors of a case (PyTorch's layouts, batch first): x, y, dy, dx, the parameters under their names,
their gradients as d<name>, and for BatchNorm running_mean and running_var before, and after_running_mean
and after_running_var after, the forward pass.

Where a case has `activation`, y = activation(layer(x)) and dy is with respect to the layer's value
before that activation; to a layer that is itself an activation, that value is x. Where it has
`input_activation`, x is that activation's output, and dx is with respect to the activation's input.
This is how the engine folds activations (engine/ops/layer.h).
"""

import itertools
import math
import zlib

import numpy as np
import torch
from torch import nn

import model

ACTIVATIONS = {
    None: lambda v: v,
    "relu": torch.relu,
    "leaky_relu": lambda v: nn.functional.leaky_relu(v, 0.2),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
SLOPE = 0.2


def generator(name):
    """A generator of a case's own numbers, so that adding a case leaves the others alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def normals(random, *shape):
    """float32 numbers in a float64 tensor: what the file stores is exactly what was used."""
    return torch.from_numpy(random.standard_normal(shape).astype(np.float32).astype(np.float64))


def rounded(tensor):
    return tensor.detach().float().double()


def _dimensions(value):
    return f"{value}" if isinstance(value, int) else "x".join(str(v) for v in value)


def case_name(case):
    layer = case["layer"]
    parts = [layer["layer"]]
    for key, letter in (("kernel", "k"), ("stride", "s"), ("padding", "p"), ("output_padding", "o"),
                        ("units", "u")):
        if key in layer:
            parts.append(letter + _dimensions(layer[key]))
    if "channels" in layer:
        parts.append(f"c{case['input'][0]}to{layer['channels']}")
        parts.append(_dimensions(case["input"][1:]))
    else:
        parts.append(_dimensions(case["input"]))
    parts.append(f"n{case['batch']}")
    if not layer.get("bias", True):
        parts.append("nobias")
    if not layer.get("affine", True):
        parts.append("noaffine")
    if layer["layer"] == "batchnorm":
        parts.append("training" if case["training"] else "eval")
    if case.get("activation"):
        parts.append(case["activation"])
    if case.get("input_activation"):
        parts.append("after_" + case["input_activation"])
    return "_".join(parts)


def compute(case):
    """The tensors of a case."""
    random = generator(case["name"])
    network, _ = model.build_network([case["layer"]], case["input"])
    layer = network[0].double()
    layer.train(case.get("training", True))
    tensors = {}
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            scale = 1.0
            if parameter.dim() > 1:
                scale = float(np.sqrt(1 / max(1, parameter[0].numel())))
            offset = 1.0 if name == "weight" and parameter.dim() == 1 else 0.0
            parameter.copy_(rounded(normals(random, *parameter.shape) * scale + offset))
            tensors[name] = parameter.detach().clone()
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.running_mean.copy_(normals(random, *layer.running_mean.shape))
            layer.running_var.copy_(rounded(normals(random, *layer.running_var.shape).abs() + 0.5))
            tensors["running_mean"] = layer.running_mean.clone()
            tensors["running_var"] = layer.running_var.clone()

    before = normals(random, case["batch"], *case["input"])
    if case.get("input_activation") in ("tanh", "sigmoid"):
        # float32 rounding of x must not matter, so find the argument of the rounded output.
        inverse = {"tanh": torch.atanh, "sigmoid": torch.logit}[case["input_activation"]]
        before = inverse(rounded(ACTIVATIONS[case["input_activation"]](before)))
    before.requires_grad_(True)
    x = ACTIVATIONS[case.get("input_activation")](before)
    if case["layer"]["layer"] in ACTIVATIONS:
        value, y = x, layer(x)
    else:
        value = layer(x)
        y = ACTIVATIONS[case.get("activation")](value)
    tensors.update(x=x, y=y)
    if case.get("backward", True):
        dy = normals(random, *value.shape)
        value.backward(dy)  # with respect to `before` and the parameters
        tensors.update(dy=dy, dx=before.grad)
        for name, parameter in layer.named_parameters():
            tensors["d" + name] = parameter.grad
    if case["layer"]["layer"] == "batchnorm" and case["training"]:
        tensors["after_running_mean"] = layer.running_mean
        tensors["after_running_var"] = layer.running_var
    return {name: tensor.detach().numpy().astype(np.float32) for name, tensor in tensors.items()}


IMAGES = ((7, 5), (6, 6), (1, 1), (9, 8))


def _convolution(channels, image, batch, out, kernel, stride, padding, extra=None, **more):
    transposed = extra is not None
    layer = {"layer": "convolution_transpose" if transposed else "convolution", "channels": out,
             "kernel": kernel, "stride": stride, "padding": padding}
    if extra:
        layer["output_padding"] = extra
    if not more.pop("bias", True):
        layer["bias"] = False
    return {"layer": layer, "input": [channels, *image], "batch": batch, **more}


def _fits(case):
    """Whether the output is neither empty nor so large that the file would be."""
    try:
        _, shape = model.build_network([case["layer"]], case["input"])
    except model.ConfigError:
        return False
    return math.prod(shape) * case["batch"] <= 10000


def _grid(transposed):
    """Every kernel 1..5 with every stride 1..3; the rest goes round so that all values are met."""
    count = itertools.count()
    for kernel, stride in itertools.product(range(1, 6), range(1, 4)):
        i = next(count)
        for turn in range(12):
            image = IMAGES[(i + turn) % 4]
            padding = (i + turn // 4) % 3
            extra = (i % stride) if transposed else None
            case = _convolution((1, 3, 5)[i % 3], image, (1, 5, 17)[(i // 3 + i) % 3],
                                (4, 1, 7, 3)[i % 4], kernel, stride, padding, extra)
            if _fits(case):
                yield case
                break


def convolutions():
    yield from _grid(transposed=False)
    c = _convolution
    yield c(3, (7, 5), 5, 4, [3, 2], [2, 1], [1, 0])
    yield c(3, (9, 8), 1, 2, [1, 5], [1, 3], [0, 2], bias=False)
    yield c(1, (6, 6), 17, 3, [4, 3], [3, 2], [2, 1])
    yield c(5, (9, 8), 1, 13, [2, 4], 2, [0, 1])
    yield c(3, (6, 6), 5, 25, 3, 1, 1, activation="relu")
    yield c(3, (16, 16), 5, 12, 4, 2, 1, activation="relu")
    yield c(12, (8, 8), 3, 24, 4, 2, 1, input_activation="relu")
    yield c(24, (4, 4), 3, 48, 4, 2, 1, activation="relu", input_activation="relu")
    yield c(3, (8, 8), 5, 6, 5, 2, 2, activation="leaky_relu", input_activation="tanh")
    yield c(6, (8, 6), 5, 9, 5, 2, 2, activation="sigmoid", input_activation="leaky_relu", bias=False)
    yield c(7, (4, 4), 17, 1, 4, 1, 0, activation="sigmoid", input_activation="leaky_relu")
    yield c(2, (5, 5), 40, 5, 3, 2, 1, activation="tanh", input_activation="sigmoid")


def convolution_transposes():
    yield from _grid(transposed=True)
    c = _convolution
    yield c(3, (7, 5), 5, 4, [3, 2], [2, 1], [1, 0], [1, 0])
    yield c(3, (5, 3), 1, 2, [1, 5], [1, 3], [0, 2], [0, 2], bias=False)
    yield c(1, (6, 6), 5, 3, [4, 3], [3, 2], [2, 1], [2, 1])
    yield c(5, (4, 6), 1, 13, [2, 4], 2, [0, 1], 0)
    yield c(3, (3, 3), 5, 25, 3, 2, 1, 1, activation="relu")
    yield c(24, (2, 2), 5, 12, 4, 2, 1, 0, activation="relu")
    yield c(12, (4, 4), 5, 3, 4, 2, 1, 0, activation="tanh", input_activation="relu")
    yield c(48, (2, 2), 3, 24, 4, 2, 1, 0, input_activation="relu")
    yield c(6, (3, 4), 5, 5, 5, 2, 2, 1, activation="leaky_relu", input_activation="tanh", bias=False)
    yield c(9, (1, 1), 17, 5, 4, 1, 0, 0, activation="sigmoid", input_activation="sigmoid")
    yield c(2, (3, 3), 40, 3, 3, 2, 1, 1, activation="relu", input_activation="leaky_relu")


def denses():
    for features, units, batch, more in (
            (1, 1, 1, {}), (3, 5, 5, {}), (5, 3, 17, {"activation": "relu"}), (64, 12, 5, {}),
            (12, 3, 40, {"input_activation": "relu"}), (37, 29, 17, {"activation": "tanh"}),
            (128, 64, 3, {"activation": "relu", "input_activation": "relu"}),
            (7, 130, 5, {"activation": "sigmoid", "input_activation": "tanh"}),
            (130, 7, 17, {"activation": "leaky_relu", "input_activation": "sigmoid"}),
            (10, 9, 17, {"bias": False, "input_activation": "leaky_relu"})):
        layer = {"layer": "dense", "units": units}
        if not more.pop("bias", True):
            layer["bias"] = False
        yield {"layer": layer, "input": [features], "batch": batch, **more}


def batchnorms():
    for shape, batch, more in (
            ([3, 7, 5], 1, {}), ([5, 6, 6], 5, {}), ([1, 9, 8], 17, {}), ([3, 1, 1], 5, {}),
            ([7], 17, {}), ([5], 5, {"activation": "relu"}), ([3, 9, 8], 5, {"activation": "relu"}),
            ([12, 4, 4], 17, {"activation": "leaky_relu"}), ([2, 3, 3], 40, {"activation": "tanh"}),
            ([5, 6, 6], 3, {"input_activation": "relu"}), ([4, 3, 3], 5, {"affine": False}),
            ([3, 7, 5], 5, {"activation": "sigmoid", "input_activation": "leaky_relu"})):
        layer = {"layer": "batchnorm"}
        if not more.pop("affine", True):
            layer["affine"] = False
        for training in (True, False):
            # In eval mode BatchNorm is run for scoring alone.
            yield {"layer": layer, "input": shape, "batch": batch, "training": training,
                   "backward": training, **more}
    yield {"layer": {"layer": "batchnorm", "momentum": 0.3, "epsilon": 0.01}, "input": [3, 6, 6],
           "batch": 5, "training": True, "suffix": "momentum0.3_epsilon0.01"}


def groupnorms():
    for shape, batch, groups, more in (
            ([4, 7, 5], 5, 2, {}), ([12, 1, 1], 17, 3, {"activation": "relu"}),
            ([3, 9, 8], 1, 1, {"input_activation": "relu"}), ([5, 6, 6], 5, 5, {"affine": False}),
            ([12], 17, 4, {"activation": "tanh", "input_activation": "leaky_relu"}),
            ([8, 3, 3], 40, 2, {"activation": "leaky_relu"})):
        layer = {"layer": "groupnorm", "groups": groups}
        if not more.pop("affine", True):
            layer["affine"] = False
        yield {"layer": layer, "input": shape, "batch": batch, "suffix": f"groups{groups}", **more}
    yield {"layer": {"layer": "groupnorm", "epsilon": 0.01}, "input": [3, 6, 6], "batch": 5,
           "suffix": "epsilon0.01"}


def pools():
    for kind in ("average_pool", "max_pool"):
        for shape, batch, layer, more in (
                ([3, 7, 5], 5, {}, {"input_activation": "leaky_relu"}), ([5, 1, 1], 17, {}, {}),
                ([3, 8, 6], 17, {"kernel": 2}, {"input_activation": "tanh"}),
                ([1, 9, 8], 1, {"kernel": 3, "stride": 2, "padding": 1}, {}),
                ([5, 7, 5], 5, {"kernel": [3, 2], "stride": [1, 3], "padding": [1, 0]}, {})):
            yield {"layer": {"layer": kind, **layer}, "input": shape, "batch": batch, **more}


def gelus():
    for shape, batch, more in (([3, 7, 5], 5, {"input_activation": "tanh"}), ([1, 1, 1], 1, {}),
                               ([5], 17, {"input_activation": "leaky_relu"}), ([2, 9, 8], 17, {})):
        yield {"layer": {"layer": "gelu"}, "input": shape, "batch": batch, **more}


def activations():
    for kind in ("relu", "leaky_relu", "tanh", "sigmoid"):
        layer = {"layer": kind, **({"slope": SLOPE} if kind == "leaky_relu" else {})}
        for shape, batch, more in (([3, 7, 5], 5, {"input_activation": "tanh"}), ([1, 1, 1], 1, {}),
                                   ([5], 17, {"input_activation": "leaky_relu"})):
            yield {"layer": layer, "input": shape, "batch": batch, **more}


def cases():
    """{case name: (attributes, tensors)}"""
    result = {}
    for case in itertools.chain(convolutions(), convolution_transposes(), denses(), batchnorms(),
                                activations(), groupnorms(), pools(), gelus()):
        case["name"] = "_".join(filter(None, (case_name(case), case.pop("suffix", ""))))
        assert case["name"] not in result, case["name"]
        result[case["name"]] = (case, compute(case))
    return result
