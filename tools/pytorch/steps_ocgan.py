# SPDX-License-Identifier: MIT
"""A training step of OCGAN with the detector's default attributes, for golden_steps.py:

  0. code = E(x + 0.2 n), n[j][p] = normal(seed, NOISE, 2 step, j P + p), p flat over channel, height, width;
     r = D(code); s[j][k] = 2 uniform(seed, NOISE, 2 step + 1, j K + k) - 1; f = D(s)
  1. classifier loss = (BCE(C(r), 1) + BCE(C(f), 0)) / 2, update of the classifier
  2. latent loss = (BCE(L(s), 1) + BCE(L(code), 0)) / 2, visual loss = (BCE(V(x), 1) + BCE(V(f), 0)) / 2,
     updates of both
  3. five times s = clamp(s - d sum over images of BCE(C(D(s)), 0) / d s, -1, 1)
  4. generator loss = BCE(L(code), 1) + BCE(V(D(s)), 1); of it plus 10 mean((r - x)^2) the gradients,
     update of encoder and decoder

All networks are in training mode, but no running statistic moves when D decodes s, nor those of the
judges C, L, V in 3 and 4.
"""

import contextlib

import torch
from torch import nn

import counter_random as random
from step_parts import SEED, learn

NOISE_DEVIATION, RECONSTRUCTION_WEIGHT = 0.2, 10
MINING_STEPS, MINING_RATE = 5, 1
DRAWS = 2


@contextlib.contextmanager
def still(*networks):
    """Running statistics stay where they are."""
    layers = [module for network in networks for module in network.modules()
              if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    yield
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum


def draw(numbers, seed, substream, like):
    index = torch.arange(like.numel()).numpy()
    return torch.from_numpy(numbers(seed, random.NOISE, substream, index)).reshape(like.shape).to(
        like.dtype)


def entropy(probability, label, reduction="mean"):
    return nn.functional.binary_cross_entropy(probability, torch.full_like(probability, label),
                                              reduction=reduction)


def tell_apart(judge, real, fake):
    return (entropy(judge(real), 1) + entropy(judge(fake), 0)) / 2


def mine(decoder, classifier, s):
    for _ in range(MINING_STEPS):
        s = s.detach().requires_grad_()
        with still(decoder, classifier):
            loss = entropy(classifier(decoder(s)), 0, "sum")
        gradient, = torch.autograd.grad(loss, s)
        s = (s - MINING_RATE * gradient).clamp(-1, 1)
    return s.detach()


def step(networks, optimizers, x, number, detector):
    del detector  # its defaults
    encoder, decoder, latent, visual, classifier = (networks[name] for name in (
        "encoder", "decoder", "latent_discriminator", "visual_discriminator", "classifier"))
    noise = draw(random.normal, SEED, DRAWS * number, x)
    code = encoder(x + NOISE_DEVIATION * noise)
    r = decoder(code)
    s = 2 * draw(random.uniform, SEED, DRAWS * number + 1, code) - 1
    with still(decoder):
        f = decoder(s).detach()

    classifier_loss = tell_apart(classifier, r.detach(), f)
    learn(classifier_loss, optimizers, "classifier")
    latent_loss = tell_apart(latent, s, code.detach())
    visual_loss = tell_apart(visual, x, f)
    learn(latent_loss + visual_loss, optimizers, "latent_discriminator", "visual_discriminator")

    s = mine(decoder, classifier, s)
    with still(decoder, latent, visual):
        generator_loss = entropy(latent(code), 1) + entropy(visual(decoder(s)), 1)
    reconstruction_loss = nn.functional.mse_loss(r, x)
    learn(generator_loss + RECONSTRUCTION_WEIGHT * reconstruction_loss, optimizers, "encoder", "decoder")
    losses = {"reconstruction": reconstruction_loss, "classifier": classifier_loss,
              "latent_discriminator": latent_loss, "visual_discriminator": visual_loss,
              "generator": generator_loss}
    return {name: loss.item() for name, loss in losses.items()}
