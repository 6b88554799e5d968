# SPDX-License-Identifier: MIT
"""alocc's training step:

  1. r = R(x + deviation * noise), R = D(E(.)), in training mode; noise[j][f] = normal(seed, NOISE, s,
     j F + f), f flat over channel, height, width
  2. discriminator in training mode on x (target 1), then on r without its gradient (target 0);
     loss = BCE(x) + BCE(r), backward, update of the discriminator
  3. the updated discriminator in training mode on r (target 1), its parameters left alone
  4. loss = adversarial weight * BCE + reconstruction weight * mean((r - x)^2), backward, update of
     encoder and decoder
"""

import torch
from torch import nn

from step_parts import learn, normal


def step(networks, optimizers, x, number, detector):
    deviation, adversarial, weight = (
        detector.get(key, default) for key, default in
        (("noise_deviation", 0.155), ("adversarial_weight", 1), ("reconstruction_weight", 0.4)))
    encoder, decoder, discriminator = (networks[name]
                                       for name in ("encoder", "decoder", "discriminator"))
    entropy = nn.functional.binary_cross_entropy
    refined = decoder(encoder(x + deviation * normal(number, x.shape[1:]).to(x.dtype)))

    real, fake = discriminator(x), discriminator(refined.detach())
    discriminating = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
    learn(discriminating, optimizers, "discriminator")

    judged = discriminator(refined)
    generating = entropy(judged, torch.ones_like(judged))
    error = nn.functional.mse_loss(refined, x)
    learn(adversarial * generating + weight * error, optimizers, "encoder", "decoder")
    return {"reconstruction": error.item(), "discriminator": discriminating.item(),
            "generator": generating.item()}
