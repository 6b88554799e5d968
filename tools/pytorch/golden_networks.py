# SPDX-License-Identifier: MIT
"""Golden cases of whole networks, forward and backward: how layers are joined, residual layers above all.

Tensors of a case (PyTorch's layouts, batch first): x, dy, y of a training pass forward, dx, and
y_scoring of a pass in evaluation mode after it. Parameters and statistics before it are named
net.NAME, with NAME as in state_dict(), statistics after it after.net.NAME, gradients
gradients.net.NAME.

Where a network ends in an activation, dy is with respect to the value before it. `input_activation`
and how the numbers are made: golden_layers.py. A case with `logits` leaves its final sigmoid out.
"""

import numpy as np
import torch

import golden_layers
import golden_steps
import model


def convolution(channels, kernel=3, stride=1, padding=None):
    return {"layer": "convolution", "channels": channels, "kernel": kernel, "stride": stride,
            "padding": kernel // 2 if padding is None else padding}


def dense(units):
    return {"layer": "dense", "units": units}


def residual(layers, shortcut=None):
    return {"layer": "residual", "layers": layers, **({"shortcut": shortcut} if shortcut else {})}


BATCHNORM, RELU, TANH, SIGMOID, FLATTEN = ({"layer": kind} for kind in (
    "batchnorm", "relu", "tanh", "sigmoid", "flatten"))
LEAKY_RELU = {"layer": "leaky_relu", "slope": golden_layers.SLOPE}


def reshape(*shape):
    return {"layer": "reshape", "shape": list(shape)}


def _case(name, shape, batch, layers, **more):
    return {"name": name, "input": list(shape), "batch": batch, "layers": layers, **more}


def _cases():
    c, r = convolution, residual
    yield _case("plain", (3, 5, 3), 5, [c(4), BATCHNORM, RELU, c(3), TANH], input_activation="tanh")
    yield _case("identity", (3, 7, 5), 3,
                [c(5), RELU, r([c(5), BATCHNORM, RELU, c(5), BATCHNORM]), RELU])
    yield _case("identity_twice", (1, 6, 7), 3, [
        c(3), BATCHNORM, LEAKY_RELU, r([c(3), BATCHNORM, TANH, c(3)]), LEAKY_RELU,
        r([c(3), BATCHNORM, TANH, c(3), BATCHNORM])])
    yield _case("shortcut_first", (3, 5, 3), 17, [
        r([c(5, stride=2), BATCHNORM, TANH, c(5)], [c(5, 1, 2), BATCHNORM]), LEAKY_RELU, c(3)],
        input_activation="tanh")
    yield _case("shortcut_after_relu", (5, 5, 7), 3, [
        c(3), RELU, r([c(4), RELU, c(4)], [c(4, 1)]), TANH])
    # The output that both branches read must not become that of the branch's first layer.
    yield _case("activation_first", (3, 5, 3), 5, [
        c(4), r([BATCHNORM, RELU, c(4), BATCHNORM, RELU, c(4)]), r([RELU, c(4)]), r([c(4)], [TANH]),
        SIGMOID])
    yield _case("activation_last", (3, 3, 2), 40, [
        c(4), TANH, r([c(3), LEAKY_RELU], [c(3), SIGMOID]), r([c(3), RELU]), SIGMOID])
    yield _case("nested", (3, 5, 3), 5, [
        r([r([r([c(3), TANH], [c(3, 1)]), TANH, c(3)]), RELU, r([c(3)])]), TANH, c(2)],
        input_activation="leaky_relu")
    yield _case("nested_shortcut", (1, 1, 1), 1, [
        r([c(3, 1)], [c(3, 1), r([r([c(3, 1), TANH]), c(3, 1)])]), TANH])
    yield _case("features", (1, 3, 5), 17, [
        FLATTEN, r([dense(12), RELU, dense(15)]), RELU,
        r([reshape(1, 3, 5), c(1), TANH, FLATTEN]), r([dense(3)], [FLATTEN, dense(3), BATCHNORM])])
    yield _case("twice_the_input", (3, 1, 5), 3, [r([FLATTEN], [FLATTEN]), dense(4), TANH],
                input_activation="sigmoid")
    yield _case("twice_the_input_alone", (3, 1, 5), 3, [r([FLATTEN], [FLATTEN])],
                input_activation="tanh")
    yield _case("twice_an_output", (3, 5, 5), 5, [
        c(2), TANH, r([FLATTEN], [FLATTEN]), dense(3), r([FLATTEN])])
    yield _case("logits", (3, 4, 4), 17, [
        c(5), RELU, r([c(5), BATCHNORM]), RELU, r([c(1, 4, padding=0)], [c(1, 4, padding=0)]),
        SIGMOID], logits=True)


def _fill(network, random):
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            values = golden_layers.normals(random, *tensor.shape)
            if tensor.dim() > 1:
                values *= np.sqrt(1 / tensor[0].numel())
            elif name.endswith("running_var"):
                values = values.abs() + 0.5
            elif name.endswith("weight"):
                values = 1 + values / 2
            tensor.copy_(golden_layers.rounded(values))


def _state(network, prefix, wanted=lambda name: True):
    return {prefix + name: tensor.clone() for name, tensor in network.state_dict().items()
            if not name.endswith("num_batches_tracked") and wanted(name)}


def compute(case):
    """The tensors of a case."""
    random = golden_layers.generator(case["name"])
    network, _ = model.build_network(case["layers"], case["input"])
    network.double()
    _fill(network, random)
    tensors = _state(network, "net.")
    activation = golden_layers.ACTIVATIONS[case.get("input_activation")]
    before = golden_layers.normals(random, case["batch"], *case["input"])
    if case.get("input_activation") in ("tanh", "sigmoid"):
        inverse = {"tanh": torch.atanh, "sigmoid": torch.logit}[case["input_activation"]]
        before = inverse(golden_layers.rounded(activation(before)))
    before.requires_grad_(True)
    x = activation(before)
    ends_in_activation = case["layers"][-1]["layer"] in golden_layers.ACTIVATIONS
    value = (network[:-1] if ends_in_activation else network)(x)
    y = network[-1](value) if ends_in_activation and not case.get("logits") else value
    dy = golden_layers.normals(random, *value.shape)
    value.backward(dy)
    tensors.update(x=x, y=y, dy=dy, dx=before.grad)
    zero = golden_steps.biases_before_batchnorm(torch.nn.ModuleDict({"net": network}))
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        if "net." + name in zero:  # but for rounding
            assert float(gradient.abs().max()) < 1e-12
            gradient = torch.zeros_like(gradient)
        tensors["gradients.net." + name] = gradient
    tensors.update(_state(network, "after.net.", lambda name: "running_" in name))
    network.eval()
    with torch.no_grad():
        tensors["y_scoring"] = (network[:-1] if case.get("logits") else network)(x)
    return {name: tensor.detach().numpy().astype(np.float32) for name, tensor in tensors.items()}


def cases():
    """{case name: (attributes, tensors)}"""
    return {case["name"]: (case, compute(case)) for case in _cases()}
