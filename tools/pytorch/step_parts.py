# SPDX-License-Identifier: MIT
"""What the training steps of several detectors share: golden_steps.py tells what they are."""

import math

import numpy as np
import torch

import counter_random as random

SEED, STEP_COUNT, BATCH = 7, 20, 8


def normal(step, shape):
    """BATCH of standard normal numbers: of image j, feature f (flat over channel, height, width)
    that of (SEED, NOISE, step, j F + f)."""
    index = np.arange(BATCH * math.prod(shape))
    return torch.from_numpy(random.normal(SEED, random.NOISE, step, index).reshape(BATCH, *shape))


def learn(loss, optimizers, *names):
    """Gradients of a loss, and the update of the networks named."""
    for optimizer in optimizers.values():
        optimizer.zero_grad()
    loss.backward()
    for name in names:
        optimizers[name].step()
