#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed of a config in PyTorch, for tools/bench_peers.

    bench_pytorch.py configs/medium.json --threads 2 --mode compile+channels_last

Images are made up, uint8 and on the device; with +upload they are in pinned memory, and each batch is sent
on a stream of its own while the one before it is worked on. A training step is what training does: normalise the batch,
zero the gradients, forward, backward, Adam (in its fused form, PyTorch's fastest); for the boss both
optimizers and the classifier's three passes. Scoring is a forward pass in eval mode and the score of
each image. With compile, everything but the backward's start and the optimizers is compiled.
"""

import functools
import os
import sys

import torch
from torch import nn

import timing

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pytorch"))
import model  # noqa: E402

EXTRAS = ("channels_last", "tf32", "upload")
MODES = ("eager", "or compile, and then any of +channels_last, +tf32 and +upload")


def parse_mode(text):
    """The words of a mode, as compile+channels_last."""
    kind, *extras = text.split("+")
    if kind not in ("eager", "compile") or not set(extras) <= set(EXTRAS):
        sys.exit(f"bench_pytorch.py: no such mode: {text!r}; {MODES[0]} {MODES[1]}")
    return kind == "compile", *(extra in extras for extra in EXTRAS)


def adam(parameters, settings):
    return torch.optim.Adam(parameters, lr=settings.get("learning_rate", 1e-3),
                            betas=settings.get("betas", (0.9, 0.999)), fused=True)


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
        training = config.get("training", {})
        main = training.get("optimizer", {})
        self.optimizer = adam([p for n in ("encoder", "decoder")
                               for p in self.networks[n].parameters()], main)
        if self.boss:
            self.classifier_optimizer = adam(self.networks["classifier"].parameters(),
                                             training.get("optimizers", {}).get("classifier", main))

    def compile_parts(self):
        """torch.compile for what a step calls; shapes never change."""
        for name in ("loss", "score_parts", "classifier_loss", "decode_noise"):
            setattr(self, name, torch.compile(getattr(self, name), dynamic=False))

    def normalise(self, images):
        x = images.permute(0, 3, 1, 2).float().mul(2 / 255).sub(1)
        return x.contiguous(memory_format=self.memory)

    def reconstruct(self, x):
        return self.networks["decoder"](self.networks["encoder"](x))

    def loss(self, images):
        x = self.normalise(images)
        r = self.reconstruct(x)
        return nn.functional.mse_loss(r, x), x, r

    def train_step(self, images):
        self.optimizer.zero_grad(set_to_none=True)
        loss, x, r = self.loss(images)
        loss.backward()
        self.optimizer.step()
        if self.boss:
            self.classifier_step(x, r.detach())
        return loss.detach()

    def classifier_loss(self, images, target, weight):
        p = self.networks["classifier"](images)
        return weight * nn.functional.binary_cross_entropy(p, torch.full_like(p, target))

    def decode_noise(self, x):
        noise = torch.randn(len(x), *self.shapes["encoder"], device=x.device).relu()
        return self.networks["decoder"](noise)

    def classifier_step(self, x, r):
        self.classifier_optimizer.zero_grad(set_to_none=True)
        self.classifier_loss(x, 1.0, 0.5).backward()
        self.classifier_loss(r, 1.0, 0.5).backward()
        self.networks["decoder"].eval()
        with torch.no_grad():
            fake = self.decode_noise(x)
        self.networks["decoder"].train()
        self.classifier_loss(fake, 0.0, 1.0).backward()
        self.classifier_optimizer.step()

    def score_parts(self, images):
        x = self.normalise(images)
        r = self.reconstruct(x)
        scores = (r - x).square().flatten(1).sum(1).sqrt()
        return (scores, self.networks["classifier"](r).flatten()) if self.boss else scores

    @torch.no_grad()
    def score(self, images):
        return self.score_parts(images)


class Uploads:
    """Sends each batch to the device one step before it is used."""

    def __init__(self, first, device):
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.coming = self.send(first)

    def send(self, batch):
        if not self.stream:
            return batch.to(self.device, copy=True)
        with torch.cuda.stream(self.stream):
            return batch.to(self.device, non_blocking=True)

    def exchange(self, batch):
        """The batch sent last; `batch` is on its way from here on."""
        ready = self.coming
        if self.stream:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(self.stream)
            ready.record_stream(current)
        self.coming = self.send(batch)
        return ready


def upload_and(step, uploads, batch):
    return step(uploads.exchange(batch))


def made_up(config, batch, device, upload):
    """Batches where the mode has them."""
    shape = [config["input"][key] for key in ("height", "width", "channels")]
    images = [torch.randint(0, 256, (batch, *shape), dtype=torch.uint8)
              for _ in range(timing.BATCHES)]
    if not upload:
        return [batch.to(device) for batch in images]
    return [batch.pin_memory() for batch in images] if device.type == "cuda" else images


def measure(path, mode, batch, device, seconds):
    """Speeds of one mode, part by part; before them what runs where."""
    compiled, channels_last, tf32, upload = parse_mode(mode)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    config = model.load_config(path)
    peer = Peer(config, path, device, channels_last)
    if compiled:
        peer.compile_parts()
    batch = batch or config["training"]["batch"]
    images = made_up(config, batch, device, upload)
    uploads = Uploads(images[0], device) if upload else None
    cuda = device.type == "cuda"
    yield {"peer": "PyTorch", "version": torch.__version__, "batch": batch,
           "device": torch.cuda.get_device_name(device) if cuda else timing.processor(),
           "parameters": model.parameters(peer.networks)}

    def synchronize():
        if cuda:
            torch.cuda.synchronize(device)

    for part, step in (("train", peer.train_step), ("score", peer.score)):
        peer.train(part == "train")
        if upload:
            step = functools.partial(upload_and, step, uploads)
        yield {"part": part, **timing.measure(step, synchronize, images, batch, seconds)}


def main():
    options = timing.parse(__doc__.split("\n\n", maxsplit=1)[0], ("cpu", "or cuda"), MODES)
    torch.set_num_threads(options.threads)
    try:
        for fields in measure(options.config, options.mode, options.batch,
                              torch.device(options.device), options.seconds):
            timing.tell(**fields)
    except model.ConfigError as error:
        sys.exit(f"bench_pytorch.py: {error}")
    except (RuntimeError, AssertionError) as error:
        sys.exit(f"bench_pytorch.py: device {options.device}: {error}")


if __name__ == "__main__":
    main()
