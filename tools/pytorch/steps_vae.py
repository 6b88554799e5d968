# SPDX-License-Identifier: MIT
"""One training step of the variational autoencoder, for golden_steps.py:

  1. m = M(E(x)), v = V(E(x)), the two heads; z[j][f] = m[j][f] + exp(v[j][f] / 2) normal(seed, NOISE, s,
     j F + f), f flat over channel, height, width
  2. reconstruction loss = mean((D(z) - x)^2); kl = mean over images of
     sum over f of (m^2 + exp(v) - 1 - v) / 2
  3. backward of reconstruction + KL_WEIGHT / (values of an image) kl, update of all four networks
"""

import torch
from torch import nn

from step_parts import learn, normal


def step(networks, optimizers, x, number, detector):
    features = networks["encoder"](x)
    mean, log_variance = networks["mean"](features), networks["log_variance"](features)
    z = mean + torch.exp(log_variance / 2) * normal(number, mean.shape[1:]).to(x.dtype)
    reconstruction = nn.functional.mse_loss(networks["decoder"](z), x)
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
    kl = divergence.flatten(1).sum(1).mean()
    weight = detector.get("kl_weight", 1)
    learn(reconstruction + weight / x[0].numel() * kl, optimizers, *networks)
    return {"reconstruction": reconstruction.item(), "kl": kl.item()}
