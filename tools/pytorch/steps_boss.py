# SPDX-License-Identifier: MIT
"""A training step of boss, for golden_steps.py:

  1. code = E(x), r = D(code), all in training mode; reconstruction loss = mean((r - x)^2)
  2. classifier in training mode on x (target 1), then on r (target 1)
  3. gradients of reconstruction loss + classifier_gradient reconstruction_weight BCE(r) with respect to
     encoder and decoder, and their update
  4. negatives, from the decoder as updated and in eval mode; classifier in training mode on them
     (target 0)
  5. classifier loss = real_weight BCE(real) + reconstruction_weight BCE(reconstructed) + fake_weight
     BCE(negatives), with respect to the classifier alone, and its update

With joint batches the negatives are made between 1 and 2, and the classifier sees the three batches as one.

The negatives, their shares, and what decides how an image is corrupted: engine/detector/negatives.h and
engine/ops/corruption.h. Here they are written once more, in NumPy.
"""

import math

import numpy as np
import torch
from torch import nn

import augmentation
import counter_random as random
from step_parts import SEED

CORRUPTIONS = ("noise", "cutout", "paste", "crop", "rotate", "blur")
MOVES = {"zoom_in": {"zoom": [1.25, 2.5]}, "zoom_out": {"zoom": [1 / 1.8, 1 / 1.2], "shift": 0.1},
         "shift": {"least_shift": 0.1, "shift": 0.3}, "tilt": {"least_rotation": 15, "rotation": 45},
         "turn": {"quarter_turns": 1}}
DRAWS = 3  # of a step: how images are corrupted, the noise in them, how the negatives are divided


# ---- codes ----

def random_codes(detector, codes, step, seed):
    """Codes to decode, in the shape of the real ones."""
    count, size = len(codes), codes[0].numel()
    kind, scale = detector.get("noise", "rectified_normal"), detector.get("noise_scale", 1)
    if kind == "matched" and count > 1:
        real = codes.detach().double().numpy().reshape(count, size)
        word = random.words(seed, random.NOISE, step, np.arange(size))[0]
        shift = (word.astype(np.int64) * count) >> 32
        image = (np.arange(count)[:, None] + shift[None]) % count
        values = np.take_along_axis(real, image, axis=0)
    else:
        index = np.arange(count * size)
        if kind == "uniform":
            values = 2 * random.uniform(seed, random.NOISE, step, index) - 1
        else:
            values = random.normal(seed, random.NOISE, step, index)
        if kind in ("rectified_normal", "matched"):
            values = np.maximum(0, values)
    return torch.from_numpy(scale * values.reshape(codes.shape)).to(codes.dtype)


# ---- corrupted images ----

def below(word, count):
    return int(word) * count >> 32


def unit(word):
    return (int(word) >> 8) / 2 ** 24


def span(length, to, source, size):
    """A rectangle along one axis: where it is put, and where it comes from."""
    least = max(size // 8, 1)
    length = least + below(length, max(size // 2, least) - least + 1)
    to, source = below(to, size - length + 1), below(source, size - length + 1)
    return slice(to, to + length), slice(source, source + length)


def enlarge(image, share, top, left):
    """Bilinear; image is C,H,W."""
    def positions(size, first):
        position = np.clip(first + (np.arange(size) + 0.5) * share - 0.5, 0, size - 1)
        low = position.astype(int)
        return low, np.minimum(low + 1, size - 1), position - low
    (y0, y1, down), (x0, x1, right) = (positions(image.shape[1], top),
                                       positions(image.shape[2], left))
    rows = image[:, y0] * (1 - down)[:, None] + image[:, y1] * down[:, None]
    return rows[:, :, x0] * (1 - right) + rows[:, :, x1] * right


def blur(image, radius):
    result = np.empty_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            box = image[:, max(y - radius, 0):y + radius + 1, max(x - radius, 0):x + radius + 1]
            result[:, y, x] = box.mean(axis=(1, 2))
    return result


def corrupt(images, j, kinds, noise, a, b):
    """Image j of N,C,H,W; noise: its normal numbers."""
    image, count = images[j].copy(), len(images)
    height, width = image.shape[1:]
    kind = kinds[below(a[0], len(kinds))]
    if kind == "noise":
        return np.clip(image + (0.1 + 0.4 * unit(a[1])) * noise, -1, 1)
    if kind in ("cutout", "paste"):
        rows, from_rows = span(a[1], a[3], b[2], height)
        columns, from_columns = span(a[2], b[0], b[3], width)
        source = j
        if count > 1 and int(b[1]) % 2:
            source = (j + 1 + below(b[1], count - 1)) % count
        image[:, rows, columns] = (images[source][:, from_rows, from_columns] if kind == "paste"
                                   else 2 * unit(b[1]) - 1)
        return image
    if kind == "crop":
        share = 0.4 + 0.4 * unit(a[1])
        return enlarge(image, share, unit(a[3]) * (1 - share) * height,
                       unit(b[0]) * (1 - share) * width)
    if kind == "rotate":
        if height != width:
            return image[:, ::-1]
        return np.rot90(image, 1 + below(a[1], 3), axes=(1, 2))
    return blur(image, 1 + below(a[1], max(min(height, width) // 12, 1)))


# ---- negatives ----

def divide(shares, count, u):
    """Where moved images, noise images and corrupted images begin."""
    codes, moved, noise, corrupted = (shares.get(name, default) for name, default in
                                      (("codes", 1), ("moved", 0), ("noise", 0), ("corrupted", 0)))
    total = codes + moved + noise + corrupted
    return [min(max(math.ceil(until / total * count - u), 0), count)
            for until in (codes, codes + moved, codes + moved + noise)]


def reconstruct(detector, networks, result, ranges, u):
    """Replaces the first images of each range of N,C,H,W by their reconstructions."""
    share = detector.get("reconstructed_negatives", 0)
    if share == 0:
        return
    encoder, decoder = networks["encoder"], networks["decoder"]
    encoder.eval()
    decoder.eval()
    with torch.no_grad():
        dtype = next(decoder.parameters()).dtype
        reconstructed = decoder(encoder(torch.from_numpy(result).to(dtype))).double().numpy()
    encoder.train()
    decoder.train()
    for begin, end in ranges:
        some = min(math.floor(share * (end - begin) + u), end - begin)
        result[begin:begin + some] = reconstructed[begin:begin + some]


def negatives(detector, networks, codes, x, step, seed):
    decoder = networks["decoder"]
    stream, substream = random.CORRUPTION, DRAWS * step
    u = float(random.uniform(seed, stream, substream + 2, [0])[0])
    moved_begin, noise_begin, corrupted_begin = divide(detector.get("negatives", {}), len(x), u)
    decoder.eval()
    with torch.no_grad():
        result = decoder(random_codes(detector, codes, step, seed)).double().numpy()
    decoder.train()
    images = x.double().numpy()
    index = np.arange(images.size)
    normal = random.normal(seed, stream, substream + 1, index).reshape(images.shape)
    uniform = random.uniform(seed, stream, substream + 1, index).reshape(images.shape)
    kinds = [kind for kind in CORRUPTIONS if kind in detector.get("corruptions", CORRUPTIONS)]
    moves = [MOVES[name] for name in MOVES if name in detector.get("moves", MOVES)]
    moved = augmentation.augmented(x.double(), moves, seed, step, augmentation.NEGATIVES).numpy()
    result[moved_begin:noise_begin] = moved[moved_begin:noise_begin]
    for j in range(noise_begin, len(x)):
        if j < corrupted_begin:
            result[j] = (np.clip(normal[j], -1, 1) if detector.get("noise_images") == "normal"
                         else 2 * uniform[j] - 1)
            continue
        a, b = np.transpose(random.words(seed, stream, substream, [2 * j, 2 * j + 1]))
        result[j] = corrupt(images, j, kinds, normal[j], a, b)
    reconstruct(detector, networks, result,
                ((moved_begin, noise_begin), (corrupted_begin, len(x))), u)
    return torch.from_numpy(result).to(x.dtype)


def entropy(probability, label):
    return nn.functional.binary_cross_entropy(probability, torch.full_like(probability, label))


def step(networks, optimizers, x, number, detector):
    encoder, decoder, classifier = (networks[n] for n in ("encoder", "decoder", "classifier"))
    real_weight, reconstruction_weight, fake_weight, gradient = (
        detector.get(name, default) for name, default in
        (("real_weight", 0.5), ("reconstruction_weight", 0.5), ("fake_weight", 1),
         ("classifier_gradient", 0)))
    for optimizer in optimizers.values():
        optimizer.zero_grad()
    codes = encoder(x)
    r = decoder(codes)
    reconstruction = nn.functional.mse_loss(r, x)
    seen = r.detach().requires_grad_()
    fake = 0
    if detector.get("batches") == "joint":
        made = negatives(detector, networks, codes, x, number, SEED)
        judged = classifier(torch.cat([x, seen, made])).split(len(x))
        fake = fake_weight * entropy(judged[2], 0)
    else:
        judged = classifier(x), classifier(seen)
    positives = real_weight * entropy(judged[0], 1) + reconstruction_weight * entropy(judged[1], 1)
    (positives + fake).backward()  # into the classifier, and seen.grad
    torch.autograd.backward([reconstruction, r], [None, gradient * seen.grad])
    optimizers["encoder"].step()
    optimizers["decoder"].step()
    if detector.get("batches") != "joint":
        fake = fake_weight * entropy(
            classifier(negatives(detector, networks, codes, x, number, SEED)), 0)
        fake.backward()
    optimizers["classifier"].step()
    return {"reconstruction": reconstruction.item(), "classifier": (positives + fake).item()}
