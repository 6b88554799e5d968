# SPDX-License-Identifier: MIT
"""Prints the pixel AUROC and AUPRO that tests/unit/test_pixel_metrics.c expects, by NumPy and SciPy.

    python3 tools/pixel_reference.py

The maps are those of the test: the same random numbers, exact in float32. Ranks are SciPy's, and so
are the regions; the curve of the per-region overlap is computed at every threshold, region by region,
as by its definition, and integrated by NumPy."""
import numpy as np
from scipy import ndimage, stats

LIMIT = 0.3


class Numbers:
    """The test's generator."""

    def __init__(self, seed):
        self.state = seed

    def draw(self, below):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % 2**32 % below


def make_mask(numbers, height, width):
    """Up to three discs and rectangles, and single pixels; some masks stay empty."""
    mask = np.zeros((height, width), bool)
    y, x = np.mgrid[:height, :width]
    for _ in range(numbers.draw(4)):
        v, u, radius, disc = (numbers.draw(height), numbers.draw(width), numbers.draw(5),
                              numbers.draw(2))
        if disc:
            mask |= (y - v) ** 2 + (x - u) ** 2 <= radius**2
        else:
            mask |= (abs(y - v) <= radius) & (abs(x - u) <= radius // 2)
    for _ in range(numbers.draw(3)):
        mask[numbers.draw(height), numbers.draw(width)] = True
    return mask


def make_set(seed, images, levels):
    """Maps of few levels have many ties."""
    numbers = Numbers(seed)
    maps, masks = [], []
    for _ in range(images):
        height, width = 5 + numbers.draw(20), 5 + numbers.draw(20)
        mask = make_mask(numbers, height, width)
        values = np.zeros((height, width), np.float32)
        for y in range(height):
            for x in range(width):
                lift = numbers.draw(levels) if mask[y, x] else 0
                values[y, x] = (numbers.draw(levels) + lift) / 8 - 1
        maps.append(values)
        masks.append(mask)
    return maps, masks


def auroc(values, anomalous):
    ranks = stats.rankdata(values)
    positives = int(anomalous.sum())
    negatives = anomalous.size - positives
    return (ranks[anomalous].sum() - positives * (positives + 1) / 2) / (positives * negatives)


def aupro(maps, masks):
    normal = np.sort(np.concatenate([m[~k] for m, k in zip(maps, masks)]))
    regions = []
    for values, mask in zip(maps, masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [np.sort(values[labels == i + 1]) for i in range(count)]
    thresholds = np.unique(np.concatenate([normal] + regions))[::-1]

    def share(pixels):
        return 1 - np.searchsorted(pixels, thresholds, side="left") / pixels.size

    rates = np.concatenate([[0], share(normal)])
    overlaps = np.concatenate([[0], np.mean([share(r) for r in regions], axis=0)])
    within = rates <= LIMIT
    edge = np.interp(LIMIT, rates[np.argmax(~within) - 1:], overlaps[np.argmax(~within) - 1:])
    rates, overlaps = np.append(rates[within], LIMIT), np.append(overlaps[within], edge)
    return np.sum(np.diff(rates) * (overlaps[1:] + overlaps[:-1]) / 2) / LIMIT, len(regions)


def main():
    for seed, images, levels in (1, 3, 4), (2, 12, 16), (3, 40, 100), (4, 25, 2), (5, 60, 30000):
        maps, masks = make_set(seed, images, levels)
        values = np.concatenate([m.ravel() for m in maps])
        anomalous = np.concatenate([m.ravel() for m in masks])
        area, regions = aupro(maps, masks)
        print(f"    {{{seed}, {images}, {levels}, {values.size}, {anomalous.sum()}, {regions}, "
              f"{auroc(values, anomalous):.15f}, {area:.15f}}},")


if __name__ == "__main__":
    main()
