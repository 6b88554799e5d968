#!/usr/bin/env python3
"""Throughput of a config in PyTorch: the peer of `unseen bench CONFIG --json`.

    bench.py configs/medium.json --threads 2 --json

Images are made up and uint8. A training step is what training does: take the batch, normalise, zero
the gradients, forward, backward, Adam; for the boss both optimizers and the classifier's three passes.
Scoring is a forward pass in eval mode and the score of each image. Prints one JSON object.
"""

import argparse
import json
import platform
import sys
import time

import torch
from torch import nn

import model


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config")
    parser.add_argument("--batch", type=int, help="default: the config's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5, help="to measure each part for")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    parser.add_argument("--channels-last", action="store_true",
                        help="store images and weights channels last")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON object on stdout")
    return parser.parse_args()


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Peer(nn.Module):
    """A config's networks, and what is done with them."""

    def __init__(self, config, path, device, channels_last):
        super().__init__()
        self.networks, self.shapes = model.build(config, path)
        self.boss = "classifier" in self.networks
        self.memory = torch.channels_last if channels_last else torch.contiguous_format
        self.to(device)
        if channels_last:
            self.to(memory_format=torch.channels_last)
        rate = config["training"]["optimizer"]["learning_rate"]
        parts = [p for n in ("encoder", "decoder") for p in self.networks[n].parameters()]
        self.optimizer = torch.optim.Adam(parts, lr=rate)
        if self.boss:
            settings = config["training"]["optimizers"]["classifier"]
            self.classifier_optimizer = torch.optim.Adam(
                self.networks["classifier"].parameters(), lr=settings["learning_rate"],
                betas=settings["betas"])

    def normalise(self, images):
        x = images.permute(0, 3, 1, 2).float().mul(2 / 255).sub(1)
        return x.contiguous(memory_format=self.memory)

    def reconstruct(self, x):
        return self.networks["decoder"](self.networks["encoder"](x))

    def train_step(self, images):
        x = self.normalise(images)
        self.optimizer.zero_grad(set_to_none=True)
        r = self.reconstruct(x)
        loss = nn.functional.mse_loss(r, x)
        loss.backward()
        self.optimizer.step()
        if self.boss:
            self.classifier_step(x, r.detach())
        return loss.detach()

    def classifier_step(self, x, r):
        classifier, decoder = self.networks["classifier"], self.networks["decoder"]
        entropy = nn.functional.binary_cross_entropy
        self.classifier_optimizer.zero_grad(set_to_none=True)
        for images, target, weight in ((x, 1.0, 0.5), (r, 1.0, 0.5), (None, 0.0, 1.0)):
            if images is None:
                with torch.no_grad():
                    decoder.eval()
                    images = decoder(torch.randn(len(x), *self.shapes["encoder"],
                                                 device=x.device).relu_())
                    decoder.train()
            p = classifier(images)
            (weight * entropy(p, torch.full_like(p, target))).backward()
        self.classifier_optimizer.step()

    @torch.no_grad()
    def score(self, images):
        x = self.normalise(images)
        r = self.reconstruct(x)
        scores = (r - x).square().flatten(1).sum(1).sqrt()
        if self.boss:
            return scores, self.networks["classifier"](r).flatten()
        return scores


def measure(step, images, seconds, device):
    """Images per second: the median of many short measurements."""
    for i in range(3):
        step(images[i % len(images)])
    synchronize(device)
    rates, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(rates) < 3:
        start = time.perf_counter()
        count = 0
        while count < 5 and (count == 0 or time.perf_counter() - start < 0.2):
            step(images[count % len(images)])
            count += 1
        synchronize(device)
        rates.append(count * len(images[0]) / (time.perf_counter() - start))
    rates.sort()
    return rates[len(rates) // 2]


def device_name(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            return next(line.split(":", 1)[1].strip() for line in stream
                        if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    try:
        config = model.load_config(options.config)
        device = torch.device(options.device)
        peer = Peer(config, options.config, device, options.channels_last)
    except model.ConfigError as error:
        sys.exit(f"bench.py: {error}")
    except (RuntimeError, AssertionError) as error:
        sys.exit(f"bench.py: device {options.device}: {error}")
    batch = options.batch or config["training"]["batch"]
    shape = [config["input"][key] for key in ("height", "width", "channels")]
    images = [torch.randint(0, 256, (batch, *shape), dtype=torch.uint8, device=device)
              for _ in range(4)]
    train_step, score = peer.train_step, peer.score
    if options.compile:
        peer.reconstruct = torch.compile(peer.reconstruct)
        if peer.boss:
            peer.networks["classifier"] = torch.compile(peer.networks["classifier"])
    peer.train()
    train = measure(train_step, images, options.seconds, device)
    peer.eval()
    scoring = measure(score, images, options.seconds, device)
    result = {"torch": torch.__version__, "device": device_name(device),
              "config": config.get("name", options.config), "batch": batch,
              "threads": options.threads,
              "mode": " ".join(["compile" if options.compile else "eager"]
                               + ["channels_last"] * options.channels_last),
              "train_images_per_second": train, "score_images_per_second": scoring}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
