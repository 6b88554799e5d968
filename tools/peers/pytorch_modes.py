#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speeds of configs in several of PyTorch's modes, in one process, for tools/check_device.

    pytorch_modes.py --device cuda --modes eager,eager+tf32 --batches 128,1024 configs/medium.json ...

Prints one JSON object a line: {config, batch, mode, part, images_per_second, ...}, or why_not in the
place of a mode that failed. Every mode of one batch comes before the next batch.
"""

import argparse

import torch

import bench_pytorch
import timing


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--modes", required=True, help="by commas, as bench_pytorch.py has them")
    parser.add_argument("--batches", required=True, help="by commas")
    parser.add_argument("--device", default="cpu", help="default: cpu; or cuda")
    parser.add_argument("--seconds", type=float, default=0.5, help="to measure each part for")
    return parser.parse_args()


def tell_mode(config, mode, batch, options):
    which = {"config": config, "batch": batch, "mode": mode}
    try:
        for fields in bench_pytorch.measure(config, mode, batch, torch.device(options.device),
                                            options.seconds):
            timing.tell(**{**which, **fields})
    except Exception as error:  # a mode that does not work here says why, and others may work
        lines = str(error).strip().splitlines()
        timing.tell(**which, why_not=lines[0] if lines else type(error).__name__)


def main():
    options = parse()
    for batch in map(int, options.batches.split(",")):
        for config in options.configs:
            for mode in options.modes.split(","):
                tell_mode(config, mode, batch, options)
                if options.device == "cuda":
                    torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
