# SPDX-License-Identifier: MIT
"""Augmentation (engine/ops/augmentation.h) in PyTorch, with the engine's random numbers.

Independent of the engine's arithmetic where PyTorch has the operation: windows by grid_sample, blurs by
convolution over reflected borders, hues by a rotation in YIQ.
"""

import math

import numpy as np
import torch
from torch import nn

import counter_random as random

TRAINING, VIEW, OTHER_VIEW, NEGATIVES = range(4)
_DEFAULTS = {"flip": 0, "quarter_turns": 0, "rotation": 0, "zoom": [1, 1], "shift": 0, "blur": 0,
             "colour": 1, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "grey": 0,
             "noise": 0, "cutout": 0, "least_rotation": 0, "least_shift": 0}
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263],
                     [0.211456, -0.522591, 0.311135]], dtype=torch.float64)


def _below(word, count):
    return int(word) * count >> 32


def _unit(word):
    return (int(word) >> 8) / 2.0 ** 24


def _either_way(word):
    return 2 * _unit(word) - 1


def _at_least(word, least, most):
    way = _either_way(word)
    return math.copysign(least + abs(way) * (most - least), way)


def _whole_pixels(word, least, most):
    if least == 0:
        return _below(word, 2 * most + 1) - most
    drawn = _below(word, 2 * (most - least + 1))
    return (least + drawn // 2) * (-1 if drawn % 2 else 1)


def _window(image, options, w):
    """image: channels, height, width."""
    channels, height, width = image.shape
    tilt = math.radians(_at_least(w[4], options["least_rotation"], options["rotation"]))
    small, large = options["zoom"]
    share = 1 / large + _unit(w[5]) * (1 / small - 1 / large)
    moves = []
    for word, size in ((w[6], height), (w[7], width)):
        if share == 1 and tilt == 0:
            moves.append(_whole_pixels(word, round(options["least_shift"] * size),
                                       round(options["shift"] * size)))
        else:
            moves.append(_at_least(word, options["least_shift"] * size,
                                   (options["shift"] + max(0, 1 - share) / 2) * size))
    quarters = 0
    if _unit(w[2]) < options["quarter_turns"]:
        quarters = 1 + _below(w[3], 3) if height == width else 2
    angle = tilt + quarters * math.pi / 2
    y, x = torch.meshgrid(torch.arange(height, dtype=torch.float64),
                          torch.arange(width, dtype=torch.float64), indexing="ij")
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    down = share * (math.cos(angle) * y + math.sin(angle) * x) + moves[0]
    right = share * (math.cos(angle) * x - math.sin(angle) * y) + moves[1]
    grid = torch.stack([right / ((width - 1) / 2), down / ((height - 1) / 2)], 2)
    return nn.functional.grid_sample(image[None], grid[None], mode="bilinear",
                                     padding_mode="reflection", align_corners=True)[0]


def _blur(image, deviation, radius):
    if deviation < 0.05:
        return image
    taps = torch.exp(-torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2
                     / (2 * deviation ** 2))
    taps /= taps.sum()
    planes = nn.functional.pad(image[:, None], (radius, radius, radius, radius), mode="reflect")
    planes = nn.functional.conv2d(planes, taps.reshape(1, 1, 1, -1))
    return nn.functional.conv2d(planes, taps.reshape(1, 1, -1, 1))[:, 0]


def _colours(image, options, w):
    amount = float(_unit(w[8]) < options["colour"])
    brightness, contrast, saturation = (1 + amount * _either_way(w[9 + i]) * options[key]
                                        for i, key in enumerate(("brightness", "contrast", "saturation")))
    angle = amount * _either_way(w[12]) * options["hue"] * 2 * math.pi
    if _unit(w[13]) < options["grey"]:
        saturation = 0
    values = ((image + 1) / 2 * brightness - 0.5) * contrast + 0.5
    if len(image) == 3:
        c, s = saturation * math.cos(angle), saturation * math.sin(angle)
        turn = torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]], dtype=torch.float64)
        values = torch.einsum("ij,jhw->ihw", torch.linalg.inv(_YIQ) @ turn @ _YIQ, values)
    return (values * 2 - 1).clamp(-1, 1)


def _cut(image, options, w):
    height, width = image.shape[1:]
    inside = []
    for side, place, size in ((w[16], w[18], height), (w[17], w[19], width)):
        middles = torch.arange(size, dtype=torch.float64) + 0.5
        inside.append((middles - _unit(place) * size).abs() < _unit(side) * options["cutout"] * size / 2)
    image = image.clone()
    image[:, inside[0][:, None] & inside[1][None]] = 0
    return image


def augmented(x, options, seed, substream, purpose):
    """x: N,C,H,W in float64, from -1 to 1. options: a dict, or a list of them, of which each image draws one."""
    alternatives = [{**_DEFAULTS, **one}
                    for one in (options if isinstance(options, list) else [options])]
    count = len(x)
    index = (purpose << 48) + 8 * np.arange(count, dtype=np.uint64)[:, None] + np.arange(5, dtype=np.uint64)
    words = np.stack(random.words(seed, random.AUGMENTATION, substream, index), 2).reshape(count, 20)
    noise = random.normal(seed, random.AUGMENTATION, substream,
                          (1 << 63) + (purpose << 48) + np.arange(x.numel(), dtype=np.uint64))
    noise = torch.from_numpy(noise).reshape(x.shape)
    result = []
    for image, w, normals in zip(x, words, noise):
        options = alternatives[_below(w[0], len(alternatives))]
        coloured = options["grey"] or options["colour"] and any(
            options[key] for key in ("brightness", "contrast", "saturation", "hue"))
        if _unit(w[1]) < options["flip"]:
            image = image.flip(2)
        image = _window(image, options, w)
        image = _blur(image, _unit(w[14]) * options["blur"], math.ceil(3 * options["blur"]))
        if coloured:
            image = _colours(image, options, w)
        if options["noise"]:
            image = (image + 2 * _unit(w[15]) * options["noise"] * normals).clamp(-1, 1)
        result.append(_cut(image, options, w))
    return torch.stack(result)
