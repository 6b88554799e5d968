# SPDX-License-Identifier: MIT
"""A training step of the detector "contrastive" (engine/detector/contrastive.c).

Each image is turned by 0 to 3 quarters, twice: part p of eight holds all images, turned by p mod 4. All are
varied by augmentation.py with the step as substream. The loss is NT-Xent of the projections, of which those
of parts p and p + 4 belong together, and the cross entropy of the classifier's scores with the turns.
"""

import torch
from torch import nn

from augmentation import VIEW, augmented
from step_parts import SEED, learn

TURNS = 4


def contrastive_loss(vectors, temperature):
    count = len(vectors)
    directions = nn.functional.normalize(vectors, dim=1, eps=1e-8)
    similarities = directions @ directions.T / temperature
    similarities = similarities.masked_fill(torch.eye(count, dtype=torch.bool), float("-inf"))
    partners = (torch.arange(count) + count // 2) % count
    return nn.functional.cross_entropy(similarities, partners)


def step(networks, optimizers, x, number, detector):
    turned = torch.cat([torch.rot90(x, p % TURNS, (2, 3)) for p in range(2 * TURNS)])
    views = augmented(turned.double(), detector["views"], SEED, number, VIEW).to(x.dtype)
    features = networks["encoder"](views)
    contrast = contrastive_loss(networks["projection"](features), detector.get("temperature", 0.5))
    turns = torch.arange(2 * TURNS).repeat_interleave(len(x)) % TURNS
    shift = nn.functional.cross_entropy(networks["classifier"](features), turns)
    learn(contrast + shift, optimizers, *networks)
    return {"contrastive": contrast.item(), "shift": shift.item()}
