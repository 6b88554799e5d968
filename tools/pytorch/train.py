#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains an autoencoder config with PyTorch and scores test sets: the peer of `unseen run`.

    train.py configs/strong.json --train trainingset.npy \\
        --test testingset=testingset.npy:testing_labels.npy --test other_anime=other_anime.npy

Images are uint8 N,H,W,C (or N,H,W), taken to [-1, 1] as 2x/255 - 1. Loss: mean squared error. A
score is the square root of an image's summed squared error, in eval mode. The first test set needs
labels (1 is anomalous); a test set without labels is wholly anomalous, and its AUC is against the
normal images of the first.
"""

import argparse
import json
import os
import sys
import time

import numpy as np
import torch

import model


def load_images(path, shape):
    """Memory-mapped uint8 images, checked against the config's (channels, height, width)."""
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        sys.exit(f"train.py: {path}: not a readable .npy file: {error}")
    if images.ndim == 3:
        images = images[..., None]
    expected = (shape[1], shape[2], shape[0])
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
        sys.exit(f"train.py: {path}: expected uint8 images of height, width, channels {expected}, "
                 f"found {images.dtype} {images.shape}")
    return images


def to_float(images):
    """uint8 N,H,W,C to float N,C,H,W in [-1, 1]."""
    tensor = torch.from_numpy(np.array(images))
    return tensor.permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1).contiguous()


def auc(normal, anomalous):
    """P(anomalous > normal) + P(equal) / 2, exact, through mid-ranks."""
    values, inverse, counts = np.unique(np.concatenate([normal, anomalous]), return_inverse=True,
                                        return_counts=True)
    if len(values) < 2:
        raise ValueError("every score is the same")
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    n, p = len(normal), len(anomalous)
    return float((ranks[n:].sum() - p * (p + 1) / 2) / (n * p))


def score(networks, images, batch):
    networks.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), batch):
            x = to_float(images[start:start + batch])
            y = networks["decoder"](networks["encoder"](x))
            parts.append((y - x).double().square().flatten(1).sum(1).sqrt())
    networks.train()
    return torch.cat(parts).numpy()


def parse_test(text):
    name, _, paths = text.partition("=")
    images, _, labels = paths.partition(":")
    if not name or not images:
        raise argparse.ArgumentTypeError(f"expected NAME=X.npy or NAME=X.npy:LABELS.npy, "
                                         f"found {text!r}")
    return name, images, labels or None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config")
    parser.add_argument("--train", required=True, metavar="X.npy")
    parser.add_argument("--test", type=parse_test, action="append", default=[],
                        metavar="NAME=X.npy[:LABELS.npy]")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="use only the first so many training images")
    parser.add_argument("--json", metavar="OUT", help="write the results here too")
    return parser.parse_args()


def load_tests(tests, shape):
    sources = []
    for name, images_path, labels_path in tests:
        images = load_images(images_path, shape)
        labels = None
        if labels_path:
            labels = np.load(labels_path).reshape(-1)
            if len(labels) != len(images) or not set(np.unique(labels)) <= {0, 1}:
                sys.exit(f"train.py: {labels_path}: expected {len(images)} labels 0 or 1")
        sources.append((name, images, labels))
    if sources and sources[0][2] is None:
        sys.exit("train.py: the first --test needs labels: its normal images are every source's")
    return sources


def evaluate(networks, sources, batch):
    results, normal = {}, None
    for name, images, labels in sources:
        scores = score(networks, images, batch)
        if labels is None:
            positives, negatives = scores, normal
        else:
            positives, negatives = scores[labels == 1], scores[labels == 0]
            normal = negatives if normal is None else normal
        results[name] = {"auc": auc(negatives, positives), "n": len(negatives) + len(positives),
                         "positives": len(positives), "mean_score_normal": float(negatives.mean()),
                         "mean_score_anomalous": float(positives.mean())}
    return results


def train_epoch(networks, optimizer, images, batch, order):
    """Mean training loss per pixel over the epoch."""
    total = 0.0
    for start in range(0, len(order), batch):
        x = to_float(images[np.sort(order[start:start + batch])])
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(networks["decoder"](networks["encoder"](x)), x)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    return total / len(order)


def main():
    options = arguments()
    try:
        config = model.load_config(options.config)
        torch.manual_seed(options.seed)
        torch.set_num_threads(options.threads)
        networks, shapes = model.build(config, options.config)
    except model.ConfigError as error:
        sys.exit(f"train.py: {error}")
    if set(networks) != {"encoder", "decoder"}:
        sys.exit(f"train.py: {options.config}: only a config of an encoder and a decoder")
    shape = tuple(config["input"][key] for key in ("channels", "height", "width"))
    if shapes["decoder"] != shape:
        sys.exit(f"train.py: {options.config}: the decoder writes {shapes['decoder']}, "
                 f"images are {shape}")
    images = load_images(options.train, shape)[:options.limit]
    sources = load_tests(options.test, shape)
    optimizer = torch.optim.Adam(networks.parameters(), lr=options.learning_rate)
    shuffle = np.random.default_rng(options.seed)

    losses, seconds = [], []
    for epoch in range(options.epochs):
        start = time.perf_counter()
        losses.append(train_epoch(networks, optimizer, images, options.batch,
                                  shuffle.permutation(len(images))))
        seconds.append(time.perf_counter() - start)
        print(f"epoch {epoch + 1}: loss {losses[-1]:.6f}, {seconds[-1]:.1f} s, "
              f"{len(images) / seconds[-1]:.0f} images/s", file=sys.stderr, flush=True)
        if not np.isfinite(losses[-1]):
            sys.exit("train.py: the loss is no longer finite")

    result = {"config": config.get("name", os.path.basename(options.config)),
              "parameters": model.parameters(networks), "torch": torch.__version__,
              "threads": options.threads, "seed": options.seed, "epochs": options.epochs,
              "batch": options.batch, "learning_rate": options.learning_rate,
              "train_images": len(images), "losses": losses, "train_seconds": sum(seconds),
              "sources": evaluate(networks, sources, options.batch)}
    text = json.dumps(result, indent=2) + "\n"
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:
            stream.write(text)
    print(text, end="")


if __name__ == "__main__":
    main()
