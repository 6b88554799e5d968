# SPDX-License-Identifier: MIT
"""A training step of the detector "synthetic_defects" (engine/detector/synthetic_defects.c).

Step s draws defects from (seed, DEFECT, s), as engine/ops/defects.h says; here they are drawn once more, in
NumPy. The loss of the segmenter's logits is the focal loss beside the mask's mean over each position
(torch's adaptive_avg_pool2d), as engine/ops/positions.h says.
"""

import math

import numpy as np
import torch
from torch import nn

import counter_random as random
from step_parts import SEED, learn

KINDS = ("cut_paste", "scar", "patch", "seamless", "line", "blob", "shade")
SLOTS, POINTS = 3, 32
# By the probability of darker ones: gains of darker and of brighter ones.
GAINS = {"line": (0.8, (0.3, 0.85), (1.15, 1.6)), "blob": (0.8, (0.25, 0.85), (1.15, 1.7)),
         "shade": (0.65, (0.4, 0.88), (1.12, 1.6))}
OFFSETS = {"cut_paste": 0.2, "scar": 0.3, "patch": 0.25}


class Words:
    """The 32 words of a defect, and what is made of them."""

    def __init__(self, step, defect):
        index = 8 * defect + np.arange(8)
        counters = random.words(SEED, random.DEFECT, step, index)
        self.words = [int(word) for word in np.transpose(counters).reshape(-1)]

    def unit(self, i):
        return (self.words[i] >> 8) / 2.0 ** 24

    def below(self, i, count):
        return self.words[i] * count >> 32

    def between(self, i, low, high):
        return low + (high - low) * self.unit(i)

    def on_log_scale(self, i, low, high):
        return low * (high / low) ** self.unit(i)


def kind_of(w, detector):
    shares = np.cumsum([detector.get("kinds", {}).get(kind, 1) for kind in KINDS])
    return KINDS[int(np.searchsorted(shares / shares[-1], w.unit(1), side="right"))]


def radii(w, kind, detector, side):
    if kind == "scar":
        ry, rx = side * w.between(4, 0.02, 0.06), side * w.between(5, 0.004, 0.02)
    else:
        low, high, spread = ((0.012, 0.1, 0.9) if kind == "blob" else
                             (detector.get("smallest", 0.04), detector.get("largest", 0.5), 1.2))
        area = side / 2 * w.on_log_scale(4, low, high)
        root = math.exp(w.between(5, -spread, spread) / 2)
        ry, rx = area * root, area / root
    return max(ry, 0.5), max(rx, 0.5)


def line_distance(w, side, centre, y, x):
    """Of each pixel from a line."""
    length, direction = side * w.between(5, 0.015, 0.06), 2 * math.pi * w.unit(21)
    least, (y0, x0) = np.full(y.shape, np.inf), centre
    for i in range(1, 3 + w.below(20, 7)):
        if i > 1:
            direction += w.between(21 + i - 1, -0.7, 0.7)
        vy, vx = length * math.sin(direction), length * math.cos(direction)
        along = np.clip(((y - y0) * vy + (x - x0) * vx) / length ** 2, 0, 1)
        least = np.minimum(least, np.hypot(y - y0 - along * vy, x - x0 - along * vx))
        y0, x0 = y0 + vy, x0 + vx
    return least - max(0.4, side * w.between(4, 0.001, 0.004))


def reflected(i, size):
    period = max(2 * (size - 1), 1)
    i = np.mod(i, period)
    return np.where(i < size, i, period - i)


def pixels(image, y, x):
    return image[:, reflected(y, image.shape[1]), reflected(x, image.shape[2])]


def bilinear(image, y, x):
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, across = y - top, x - left
    return ((1 - down) * ((1 - across) * pixels(image, top, left) +
                          across * pixels(image, top, left + 1)) +
            down * ((1 - across) * pixels(image, top + 1, left) +
                    across * pixels(image, top + 1, left + 1)))


class Defect:
    def __init__(self, w, kind, detector, batch, j):
        self.w, self.kind = w, kind
        self.image = batch[j]
        channels, height, width = self.image.shape
        self.side = math.sqrt(height * width)
        self.centre = w.below(2, height), w.below(3, width)
        self.ry, self.rx = radii(w, kind, detector, self.side)
        r = min(self.ry, self.rx)
        self.outline = {"seamless": w.below(7, 2), "patch": w.below(7, 3), "shade": w.below(7, 3),
                        "blob": 1}.get(kind, 0)
        tilted = kind in ("scar", "blob") or (kind != "cut_paste" and w.words[7] % 2)
        self.tilt = math.pi * w.unit(6) if tilted else 0
        largest = {"patch": r / 4, "seamless": r / 4, "blob": r, "shade": r}.get(kind)
        self.edge = w.on_log_scale(8, 1, max(1.01, largest)) if largest is not None else 1
        other = kind in ("patch", "seamless") and len(batch) > 1 and w.unit(13) < 0.7
        self.source = batch[(j + 1 + w.below(19, len(batch) - 1)) % len(batch) if other else j]

    def distance(self, y, x):
        if self.kind == "line":
            return line_distance(self.w, self.side, self.centre, y, x)
        dy, dx = y - self.centre[0], x - self.centre[1]
        p = dy * math.cos(self.tilt) + dx * math.sin(self.tilt)
        q = dx * math.cos(self.tilt) - dy * math.sin(self.tilt)
        if self.outline == 0:
            return np.maximum(abs(p) - self.ry, abs(q) - self.rx)
        r, a, b = min(self.ry, self.rx), p / self.ry, q / self.rx
        result = (np.hypot(a, b) - 1) * r
        if self.outline == 2:
            phase = [2 * math.pi * self.w.unit(20 + i) for i in range(3)]
            result = result + 0.2 * r * (np.sin(3 * a + 2 * b + phase[0]) +
                                         np.sin(3 * b - 2 * a + phase[1]) +
                                         0.7 * np.sin(7 * a - 5 * b + phase[2]))
        return result

    def source_place(self, dy, dx):
        for _ in range(max(self.w.below(16, 8) - 4, 0)):
            dy, dx = dx, -dy
        return (self.w.below(14, self.image.shape[1]) + dy,
                self.w.below(15, self.image.shape[2]) + dx)

    def boundary(self):
        """Places of the points around it, from the centre, and image less patch there."""
        i = np.arange(POINTS)
        if self.outline == 0:
            t = i % 8 / 4 - 1
            unit = np.choose(i // 8, [-1 + 0 * t, t, 1 + 0 * t, -t]), np.choose(
                i // 8, [t, 1 + 0 * t, -t, -1 + 0 * t])
        else:
            unit = np.sin(2 * np.pi * i / POINTS), np.cos(2 * np.pi * i / POINTS)
        enlarged = 1 + (self.edge / 2 + 1.5) / min(self.ry, self.rx)
        p, q = unit[0] * self.ry * enlarged, unit[1] * self.rx * enlarged
        dy = p * math.cos(self.tilt) - q * math.sin(self.tilt)
        dx = p * math.sin(self.tilt) + q * math.cos(self.tilt)
        own = bilinear(self.image, self.centre[0] + dy, self.centre[1] + dx)
        return dy, dx, own - bilinear(self.source, *self.source_place(dy, dx))

    def membrane(self, y, x):
        """By mean value coordinates, with complex numbers."""
        dy, dx, differences = self.boundary()
        place = (y - self.centre[0] + 1j * (x - self.centre[1]))[None]
        v = (dy + 1j * dx)[:, None, None] - place
        halves = np.tan(abs(np.angle(np.roll(v, -1, 0) / v)) / 2)
        weight = (halves + np.roll(halves, 1, 0)) / abs(v)
        return np.einsum("ci,iyx->cyx", differences, weight) / weight.sum(0)

    def gains(self, step, defect):
        w, channels = self.w, len(self.image)
        if self.kind in GAINS:
            dark, low, high = GAINS[self.kind]
            gain = w.between(11, *(low if w.unit(10) < dark else high))
            if channels > 1 and w.unit(17) < 0.5:
                index = 2 ** 32 + defect * channels + np.arange(channels)
                return gain * (0.8 + 0.4 * random.uniform(SEED, random.DEFECT, step, index))
            return np.full(channels, gain)
        spread = {"cut_paste": 0.1, "scar": 0.2}.get(self.kind, 0)
        return np.full(channels, w.between(10, 1 - spread, 1 + spread))

    def draw(self, out, step, defect):
        w, kind = self.w, self.kind
        y, x = np.mgrid[:out.shape[1], :out.shape[2]]
        alpha = np.clip(0.5 - self.distance(y, x) / self.edge, 0, 1)
        offset = np.full(len(out), w.between(12, -1, 1) * OFFSETS.get(kind, 0))
        content = out
        if kind in KINDS[:4]:
            content = pixels(self.source, *self.source_place(y - self.centre[0],
                                                             x - self.centre[1]))
        if kind == "seamless":
            content = content + np.where(alpha > 0, self.membrane(y, x), 0)
        if kind == "patch":
            alpha = alpha * w.between(9, 0.5, 1)
            if w.unit(11) < 0.6:
                offset = offset + self.boundary()[2].mean(1)
        gains = self.gains(step, defect)[:, None, None]
        content = np.clip((content + 1) * gains - 1 + offset[:, None, None], -1, 1)
        return out + alpha * (content - out)


def drawn(batch, step, detector):
    """The images with defects, and their masks."""
    result, masks = batch.copy(), []
    for j in range(len(batch)):
        for slot in range(SLOTS):
            w = Words(step, SLOTS * j + slot)
            limit = detector.get("share", 0.6) if slot == 0 else detector.get("more", 0.4)
            if w.unit(0) >= limit:
                if slot == 0:
                    break
                continue
            defect = Defect(w, kind_of(w, detector), detector, batch, j)
            with np.errstate(divide="ignore", invalid="ignore"):  # of the membrane, outside
                result[j] = defect.draw(result[j], step, SLOTS * j + slot)
        change = abs(result[j] - batch[j]).mean(0)
        masks.append(np.minimum(change / detector.get("visible", 0.05), 1))
    return result, np.stack(masks)


def step(networks, optimizers, x, number, detector):
    images, masks = drawn(x.double().numpy(), number, detector)
    y = networks["segmenter"](torch.from_numpy(images).to(x.dtype))[:, 0]
    target = nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks).to(x.dtype), y.shape[1:])
    target = (target / detector.get("coverage", 0.2)).clamp(max=1)
    gamma, p = detector.get("focusing", 0), torch.sigmoid(y)
    loss = -(detector.get("positive_weight", 2) * target * (1 - p) ** gamma *
             nn.functional.logsigmoid(y) +
             (1 - target) * p ** gamma * nn.functional.logsigmoid(-y)).mean()
    learn(loss, optimizers, "segmenter")
    return {"defects": loss.item()}
