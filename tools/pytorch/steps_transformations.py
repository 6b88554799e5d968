# SPDX-License-Identifier: MIT
"""A training step of the detector "transformations" (engine/detector/transformations.c).

Image j of step s undergoes transformation t = floor(w COUNT / 2^32), w word 0 of (seed, NOISE, s, j); what
transformation t is, engine/ops/transformation.h tells. The loss is the cross entropy of the classifier's
scores with what was drawn; with separate heads the sum of those of the rotation, the shift down, the shift to
the right and the flip, of which the classifier's scores are in this order.
"""

import numpy as np
import torch
from torch import nn

import counter_random as random
from step_parts import SEED, learn


def transform(image, t, flips, shifts, amounts):
    """image: channels, height, width; amounts: pixels down and right."""
    shift, flip, quarters = t % shifts, t // shifts % flips, t // (shifts * flips)
    if flip:
        image = image.flip(2)
    down, right = ((0, amount, -amount)[part]
                   for amount, part in zip(amounts, (shift // 3, shift % 3)))
    height, width = image.shape[1:]
    image = nn.functional.pad(image, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)),
                              mode="reflect")
    image = image[:, max(-down, 0):, max(-right, 0):][:, :height, :width]
    return torch.rot90(image, quarters, (1, 2))


def step(networks, optimizers, x, number, detector):
    rotations = 4 if detector.get("rotations", True) else 1
    flips = 2 if detector.get("flips", True) else 1
    amounts = [round(detector.get("shift", 0.25) * size) for size in x.shape[2:]]
    shifts = 9 if min(amounts) > 0 else 1
    words = random.words(SEED, random.NOISE, number, np.arange(len(x)))[0]
    labels = [int(word) * rotations * flips * shifts >> 32 for word in words]
    transformed = torch.stack([transform(image, t, flips, shifts, amounts)
                               for image, t in zip(x, labels)])
    scores, heads = networks["classifier"](transformed), [(rotations * flips * shifts, 1)]
    if detector.get("heads") == "separate":
        heads = [head for head in ((rotations, flips * shifts), (3 if shifts > 1 else 1, 3),
                                   (3 if shifts > 1 else 1, 1), (flips, shifts)) if head[0] > 1]
    loss = sum(nn.functional.cross_entropy(part, torch.tensor(labels) // divisor % size)
               for (size, divisor), part in zip(heads, scores.split([size for size, _ in heads], 1)))
    learn(loss, optimizers, "classifier")
    return {"cross_entropy": loss.item()}
