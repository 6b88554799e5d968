#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed of a config in tinygrad on an OpenCL device, for tools/bench_peers.

    bench_tinygrad.py configs/medium.json --device "pthread-AMD EPYC"

The same work as bench_pytorch.py does, for autoencoders: each step is one TinyJit. tinygrad's BEAM in
the environment makes it search for faster kernels, for hours on a CPU.
"""

import ctypes
import json
import math
import os
import sys

import timing

os.environ["DEV"] = "CL"  # read when tinygrad is imported
from importlib.metadata import version  # noqa: E402

from tinygrad import Tensor, TinyJit, Device, dtypes, nn  # noqa: E402
from tinygrad.helpers import Context  # noqa: E402
from tinygrad.runtime import ops_cl  # noqa: E402


def opencl_devices():
    """Every OpenCL device and its name."""
    cl = ops_cl.cl
    count = ctypes.c_uint32()
    ops_cl.check(cl.clGetPlatformIDs(0, None, count))
    platforms = (cl.cl_platform_id * count.value)()
    ops_cl.check(cl.clGetPlatformIDs(count.value, platforms, None))
    for platform in platforms:
        if cl.clGetDeviceIDs(platform, cl.CL_DEVICE_TYPE_ALL, 0, None, count) != 0:
            continue  # a platform without devices
        devices = (cl.cl_device_id * count.value)()
        ops_cl.check(cl.clGetDeviceIDs(platform, cl.CL_DEVICE_TYPE_ALL, count.value, devices, None))
        for device in devices:
            name = ctypes.create_string_buffer(256)
            ops_cl.check(cl.clGetDeviceInfo(device, cl.CL_DEVICE_NAME, len(name), name, None))
            yield device, name.value.decode()


def use_device(wanted):
    """tinygrad looks at the first platform only, unless it is told its devices."""
    names = []
    for device, name in opencl_devices():
        names.append(name)
        if wanted in ("", name):
            ops_cl.CLDevice.device_ids = (ops_cl.cl.cl_device_id * 1)(device)
            return name
    sys.exit(f"bench_tinygrad.py: no OpenCL device is called {wanted!r}; "
             f"there are {', '.join(map(repr, names)) or 'none'}")


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def convolution(layer, shape):
    return nn.Conv2d(shape[1], layer["channels"], pair(layer["kernel"]),
                     pair(layer.get("stride", 1)), pair(layer.get("padding", 0)),
                     bias=layer.get("bias", True))


def convolution_transpose(layer, shape):
    return nn.ConvTranspose2d(shape[1], layer["channels"], pair(layer["kernel"]),
                              pair(layer.get("stride", 1)), pair(layer.get("padding", 0)),
                              pair(layer.get("output_padding", 0)), bias=layer.get("bias", True))


class Residual:
    """layers(x) + shortcut(x); without a shortcut, + x."""

    def __init__(self, layer, shape):
        x = Tensor.empty(*shape)
        self.layers, self.shortcut = (build_layers(layer.get(branch, []), x)
                                      for branch in ("layers", "shortcut"))

    def __call__(self, x):
        return x.sequential(self.layers) + x.sequential(self.shortcut)


LAYERS = {
    "convolution": convolution,
    "convolution_transpose": convolution_transpose,
    "dense": lambda layer, shape: nn.Linear(shape[1], layer["units"], layer.get("bias", True)),
    "batchnorm": lambda layer, shape: nn.BatchNorm(shape[1], layer.get("epsilon", 1e-5),
                                                   layer.get("affine", True),
                                                   momentum=layer.get("momentum", 0.1)),
    "relu": lambda layer, shape: Tensor.relu,
    "leaky_relu": lambda layer, shape: lambda x: x.leaky_relu(layer.get("slope", 0.01)),
    "tanh": lambda layer, shape: Tensor.tanh,
    "sigmoid": lambda layer, shape: Tensor.sigmoid,
    "flatten": lambda layer, shape: lambda x: x.flatten(1),
    "reshape": lambda layer, shape: lambda x: x.reshape(x.shape[0], *layer["shape"]),
    "residual": Residual,
}


def build_layers(wanted, x):
    """Shapes are those of x, a tensor that is never computed."""
    layers = []
    for layer in wanted:
        layers.append(LAYERS[layer["layer"]](layer, x.shape))
        x = layers[-1](x)
    return layers


def build(config):
    """Encoder and decoder as one list of layers."""
    image = [config["input"][key] for key in ("channels", "height", "width")]
    return build_layers(config["networks"]["encoder"] + config["networks"]["decoder"],
                        Tensor.empty(1, *image))


class Peer:
    """An autoencoder, and what is done with it."""

    def __init__(self, config):
        self.layers = build(config)
        self.state = nn.state.get_state_dict(self.layers)
        self.optimizer = nn.optim.Adam(list(self.state.values()),
                                       lr=config["training"]["optimizer"]["learning_rate"])

    def parameters(self):
        return sum(math.prod(t.shape) for t in self.optimizer.params)

    def errors(self, images):
        """Squared errors of the reconstruction."""
        x = images.permute(0, 3, 1, 2).cast(dtypes.float32) * (2 / 255) - 1
        return (x.sequential(self.layers) - x).square()

    def train_step(self, images):
        self.optimizer.zero_grad()
        loss = self.errors(images).mean().backward()
        return loss.realize(*self.optimizer.schedule_step())

    def score(self, images):
        return self.errors(images).flatten(1).sum(1).sqrt().realize()


def main():
    options = timing.parse(__doc__.split("\n\n", maxsplit=1)[0],
                           ("", "the name of an OpenCL device; else the first"),
                           ("tinygrad", "the only one"))
    device = use_device(options.device)
    with open(options.config, encoding="utf-8") as stream:
        config = json.load(stream)
    if set(config["networks"]) != {"encoder", "decoder"}:
        sys.exit("bench_tinygrad.py: only for configs of an encoder and a decoder")
    peer = Peer(config)
    batch = options.batch or config["training"]["batch"]
    shape = [config["input"][key] for key in ("height", "width", "channels")]
    images = [Tensor.randint(batch, *shape, low=0, high=256, dtype=dtypes.uint8).realize()
              for _ in range(timing.BATCHES)]
    timing.tell(peer="tinygrad", version=version("tinygrad"), batch=batch, device=device,
                parameters=peer.parameters())
    for part, step in (("train", peer.train_step), ("score", peer.score)):
        with Context(TRAINING=int(part == "train")):
            timing.tell(part=part, **timing.measure(
                TinyJit(step), Device["CL"].synchronize, images, batch, options.seconds))


if __name__ == "__main__":
    main()
