# SPDX-License-Identifier: MIT
"""Golden training runs: 20 steps of a config's training from numbers that both sides can make.

Parameters: element i (flat, PyTorch's order) of tensor NAME ("encoder.0.weight") is
bound * (2 u - 1), u = uniform(seed, INITIALIZATION, FNV-1a(NAME), i), bound = 1 / sqrt(fan in), computed
in float32; a bias has its weight's fan in. BatchNorm starts from weight 1, bias 0, mean 0, variance 1.

Images: pixel p (flat over height, width, channel) of image j of step s (from 0) is
floor(256 u), u = uniform(seed, TEST, s * BATCH + j, floor(p / 48)): runs of 48 equal bytes, so that a
reconstruction has something to learn.

An autoencoder's step: loss = mean((D(E(x)) - x)^2), backward, update.

The boss's step: steps_boss.py. "boss" is the config as it is, "narrow_boss" (beside the golden
files) one that does all that it can. So is "narrow_defects" of synthetic_defects.

Steps of other detectors have a file each: steps_DETECTOR.py.

A convolution's bias before a BatchNorm has a gradient of exactly zero in theory. In float64 what
rounding leaves of it is far below Adam's epsilon, so such a bias stays where it began (checked here),
as in the engine, which takes the gradient as zero.

Two cases. "config" is the config as it is. A network of ReLUs and BatchNorm under Adam is chaotic: a value
that rounds to the other side of a ReLU's kink, or a gradient near zero that rounds to the other sign,
moves a parameter by about the learning rate, so float32 leaves float64 by up to some percent per tensor
within 20 steps, in PyTorch too (make_golden.py --check). "smooth" has neither: every relu and
leaky_relu is a tanh and every Adam's epsilon is 1e-3; there float32 stays within 1e-5.

Stored, under the case's name: losses/LOSS (one per step, before its update), and for each tensor TENSOR after
the last step TENSOR/norm (L2) and TENSOR/sample (every stride-th element of its flat PyTorch order,
from element 0, stride = ceil(elements / 256)).
"""

import copy
import math

import numpy as np
import torch
from torch import nn

import counter_random as random
import model
import steps_alocc
import steps_boss
import steps_contrastive
import steps_ocgan
import steps_synthetic_defects
import steps_transformations
import steps_vae
from step_parts import BATCH, SEED, STEP_COUNT, learn

RUN = 48  # equal bytes in a row
SAMPLE = 256


def initialize(networks):
    with torch.no_grad():
        for prefix, module in networks.named_modules():
            if not isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                continue
            # PyTorch's fan in of a transposed convolution is that of weight.size(1), its outputs.
            fan_in = module.weight[0].numel()
            bound = np.float32(1 / math.sqrt(fan_in))
            for kind, parameter in module.named_parameters():
                unit = random.uniform(SEED, random.INITIALIZATION,
                                      random.hash_name(f"{prefix}.{kind}"),
                                      np.arange(parameter.numel()))
                value = bound * (2 * unit - 1).astype(np.float32)
                assert value.dtype == np.float32
                parameter.copy_(torch.from_numpy(value).reshape(parameter.shape))


def images(step, shape):
    """uint8 BATCH,H,W,C"""
    channels, height, width = shape
    pixel = np.arange(height * width * channels)
    result = np.stack([np.floor(256 * random.uniform(SEED, random.TEST, step * BATCH + j,
                                                     pixel // RUN)) for j in range(BATCH)])
    return result.astype(np.uint8).reshape(BATCH, height, width, channels)


def smooth_layers(layers):
    return [{"layer": "tanh"} if layer["layer"] in ("relu", "leaky_relu") else
            {key: smooth_layers(value) if key in ("layers", "shortcut") else value
             for key, value in layer.items()} for layer in layers]


def smooth(config):
    """The config without kinks: see above."""
    config = copy.deepcopy(config)
    config["networks"] = {name: smooth_layers(layers)
                          for name, layers in config["networks"].items()}
    training = config["training"]
    for settings in [training["optimizer"], *training.get("optimizers", {}).values()]:
        settings["epsilon"] = 1e-3
    return config


def biases_before_batchnorm(networks):
    """{name: parameter}"""
    result = {}
    for name, module in networks.named_modules():
        layers = list(module) if isinstance(module, nn.Sequential) else []
        for index, layer in enumerate(layers[:-1]):
            if (isinstance(layers[index + 1], (nn.BatchNorm1d, nn.BatchNorm2d))
                    and getattr(layer, "bias", None) is not None):
                result[f"{name}.{index}.bias"] = layer.bias
    return result


def _adam(network, settings):
    return torch.optim.Adam(network.parameters(), lr=settings["learning_rate"],
                            betas=settings.get("betas", (0.9, 0.999)),
                            eps=settings.get("epsilon", 1e-8))


def autoencoder_step(networks, optimizers, x, step, detector):
    del step, detector
    loss = nn.functional.mse_loss(networks["decoder"](networks["encoder"](x)), x)
    learn(loss, optimizers, "encoder", "decoder")
    return {"reconstruction": loss.item()}


# One step of a detector: (networks, optimizers by network, images, step, the config's detector) to
# losses by name.
STEPS = {"alocc": steps_alocc.step, "autoencoder": autoencoder_step, "boss": steps_boss.step,
         "contrastive": steps_contrastive.step,
         "ocgan": steps_ocgan.step, "synthetic_defects": steps_synthetic_defects.step,
         "transformations": steps_transformations.step,
         "vae": steps_vae.step}


def run(config, dtype=torch.float64):
    """Tensors of a run, and the strides of the samples."""
    networks, _ = model.build(config)
    initialize(networks)
    networks = networks.to(dtype)
    still = {name: bias.detach().clone()
             for name, bias in biases_before_batchnorm(networks).items()}
    if dtype != torch.float64:
        for bias in biases_before_batchnorm(networks).values():
            bias.register_hook(torch.zeros_like)
    training = config["training"]
    optimizers = {name: _adam(network, training.get("optimizers", {}).get(
        name, training["optimizer"])) for name, network in networks.items()}
    shape = tuple(config["input"][key] for key in ("channels", "height", "width"))
    losses = []
    for step in range(STEP_COUNT):
        x = torch.from_numpy(images(step, shape)).permute(0, 3, 1, 2).to(dtype) * 2 / 255 - 1
        losses.append(STEPS[config["detector"]["type"]](networks, optimizers, x, step,
                                                        config["detector"]))

    for name, bias in biases_before_batchnorm(networks).items():
        moved = float((bias.detach() - still[name]).abs().max())
        assert moved < 1e-9, f"{name} moved by {moved}"

    tensors = {f"losses/{name}": np.array([loss[name] for loss in losses], np.float32)
               for name in losses[0]}
    strides = {}
    for name, tensor in networks.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        flat = tensor.reshape(-1).double().numpy()
        strides[name] = -(-len(flat) // SAMPLE)
        tensors[name + "/norm"] = np.array([np.linalg.norm(flat)], np.float32)
        tensors[name + "/sample"] = flat[::strides[name]].astype(np.float32)
    return tensors, strides


def cases(config):
    """{case name: (attributes, tensors)}"""
    result = {}
    for name, variant in (("config", config), ("smooth", smooth(config))):
        tensors, strides = run(variant)
        result[name] = ({"name": name, "config": config["name"], "seed": SEED, "steps": STEP_COUNT,
                         "batch": BATCH, "strides": strides}, tensors)
    return result
