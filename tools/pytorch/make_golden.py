#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/*.safetensors: what PyTorch computes, in float64, for the tests to compare with.

    make_golden.py [--out tests/golden] [--only NAME...]

The files are float32 (images uint8). The metadata key "cases" is a JSON array of each case's
attributes; a tensor is named "<case's name>/<tensor>". See golden_augmentation.py, golden_layers.py,
golden_networks.py, golden_operators.py and golden_steps.py for what is in them.

--check trains the steps in float32 as well and prints how far that strays from float64: what an
engine in float32 can hope for.
"""

import argparse
import json
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

import golden_augmentation
import golden_layers
import golden_networks
import golden_operators
import golden_steps
import model

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEPS = ("medium", "strong", "residual", "alocc", "boss", "narrow_boss", "narrow_joint_boss",
         "narrow_contrastive",
         "ocgan", "fashion_transformations", "narrow_defects", "narrow_heads", "vae")


def save(path, cases, tensors):
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            sys.exit(f"make_golden.py: {path}: {name} is not finite")
    metadata = {"cases": json.dumps(cases, separators=(",", ":"))}
    save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, path, metadata)
    print(f"{path}: {len(cases)} cases, {len(tensors)} tensors, {os.path.getsize(path)} bytes")


def save_cases(path, cases):
    save(path, [attributes for attributes, _ in cases.values()],
         {f"{name}/{tensor}": value for name, (_, tensors) in cases.items()
          for tensor, value in tensors.items()})


def relative_error(value, expected):
    return float(np.linalg.norm((value - expected).astype(np.float64)) /
                 max(np.linalg.norm(expected.astype(np.float64)), 1e-30))


def check(config, cases):
    for case, variant in (("config", config), ("smooth", golden_steps.smooth(config))):
        tensors, _ = golden_steps.run(variant, torch.float32)
        errors = {name: relative_error(tensor, cases[case][1][name])
                  for name, tensor in tensors.items()}
        print(f"  {case} in float32: losses "
              + ", ".join(f"{e:.1e}" for name, e in errors.items() if name.startswith("losses")))
        for kind in ("norm", "sample"):
            worst = sorted(((e, name) for name, e in errors.items() if name.endswith(kind)))[:-6:-1]
            print(f"    worst {kind}s: " + ", ".join(f"{name} {e:.1e}" for e, name in worst))


def steps_config(name):
    """The narrow config that the tests have of a large one, or the config itself."""
    narrow = os.path.join(ROOT, "tests", "golden", name + ".json")
    path = narrow if os.path.exists(narrow) else os.path.join(ROOT, "configs", name + ".json")
    return model.load_config(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", default=os.path.join(ROOT, "tests", "golden"))
    parser.add_argument("--only", nargs="+", metavar="NAME",
                        choices=["augmentation", "layers", "networks", "operators",
                                 *(f"steps_{name}" for name in STEPS)])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # sums in the same order on every machine

    def wanted(name):
        return options.only is None or name in options.only

    try:
        os.makedirs(options.out, exist_ok=True)
        if wanted("augmentation"):
            save_cases(os.path.join(options.out, "augmentation.safetensors"),
                       golden_augmentation.cases())
        if wanted("layers"):
            save_cases(os.path.join(options.out, "layers.safetensors"), golden_layers.cases())
        if wanted("networks"):
            save_cases(os.path.join(options.out, "networks.safetensors"), golden_networks.cases())
        if wanted("operators"):
            save_cases(os.path.join(options.out, "operators.safetensors"), golden_operators.cases())
        for name in filter(lambda n: wanted("steps_" + n), STEPS):
            config = steps_config(name)
            cases = golden_steps.cases(config)
            save_cases(os.path.join(options.out, f"steps_{name}.safetensors"), cases)
            if options.check:
                check(config, cases)
    except (OSError, model.ConfigError) as error:
        sys.exit(f"make_golden.py: {error}")


if __name__ == "__main__":
    main()
