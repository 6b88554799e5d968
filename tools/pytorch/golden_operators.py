# SPDX-License-Identifier: MIT
"""Golden cases of what is not a layer: losses, optimizers, image batches, scores, schedules.

Tensors, by the case's `operator`:
  loss       y and target (N,C,H,W; or the attribute target_constant), loss, and dy: the gradient with
             respect to the value before `activation`, which produced y
  optimizer  parameters, gradients (one row a step), after (parameters, one row a step)
  image_batch  images (uint8, N,H,W,C), out (N,C,H,W in [-1, 1])
  pixel_score  x, y (N,C,H,W), scores (N)
  density    learned, asked (N,C,H,W, each pixel a point), distances (N,H,W), by scikit-learn
  schedule   learning_rates, one a step
"""

import itertools
import math

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import KernelDensity, NearestNeighbors
from torch import nn
from torch.optim import lr_scheduler

from golden_layers import ACTIVATIONS, generator, normals, rounded

LOSSES = {
    "mean_squared_error": nn.functional.mse_loss,
    "binary_cross_entropy": nn.functional.binary_cross_entropy,
    "binary_cross_entropy_logits": nn.functional.binary_cross_entropy_with_logits,
}


def _loss_before(random, case, shape):
    """Values before the activation, such that its output is a float32 number."""
    before = normals(random, *shape) * case.get("scale", 1.0)
    if case.get("saturated"):
        before = before.reshape(-1)
        before[::3], before[1::3] = 300.0, -300.0
        before = before.reshape(shape)
    if case.get("activation") in ("tanh", "sigmoid"):
        inverse = {"tanh": torch.atanh, "sigmoid": torch.logit}[case["activation"]]
        return inverse(rounded(ACTIVATIONS[case["activation"]](before)))
    return rounded(before)


def loss(case, random):
    shape = [case["batch"], *case["shape"]]
    kind = case["loss"]
    if kind == "binary_cross_entropy" and not case.get("activation"):
        before = rounded(torch.sigmoid(normals(random, *shape) * case.get("scale", 1.0)))
        if case.get("saturated"):
            flat = before.reshape(-1)
            flat[::3], flat[1::3] = 1.0, 0.0
    else:
        before = _loss_before(random, case, shape)
    before = before.requires_grad_(True)
    y = ACTIVATIONS[case.get("activation")](before)
    if "target_constant" in case:
        target = torch.full(shape, case["target_constant"], dtype=torch.float64)
    elif kind == "mean_squared_error":
        target = normals(random, *shape)
    else:
        target = rounded(torch.sigmoid(normals(random, *shape)))
    value = LOSSES[kind](y, target)
    value.backward()
    tensors = {"y": y, "loss": value.reshape(1), "dy": before.grad}
    if "target_constant" not in case:
        tensors["target"] = target
    return tensors


def losses():
    base = {"operator": "loss"}
    mse, bce, logits = LOSSES
    for shape, batch in (([3, 7, 5], 5), ([1, 1, 1], 1), ([5, 1, 1], 17), ([3, 9, 8], 3)):
        for activation in (None, "tanh"):
            yield {**base, "loss": mse, "shape": shape, "batch": batch, "activation": activation}
    yield {**base, "loss": mse, "shape": [2, 3, 3], "batch": 5, "activation": "relu"}
    yield {**base, "loss": mse, "shape": [2, 3, 3], "batch": 5, "activation": "leaky_relu"}
    for target in (0.0, 1.0, 0.9):
        yield {**base, "loss": bce, "shape": [1, 1, 1], "batch": 17, "activation": None,
               "target_constant": target}
        yield {**base, "loss": bce, "shape": [1, 1, 1], "batch": 17, "activation": "sigmoid",
               "target_constant": target, "scale": 2.0}
        yield {**base, "loss": logits, "shape": [1, 1, 1], "batch": 17, "activation": None,
               "target_constant": target, "scale": 3.0}
        yield {**base, "loss": logits, "shape": [1, 1, 1], "batch": 17, "activation": None,
               "target_constant": target, "saturated": True}
    yield {**base, "loss": bce, "shape": [3, 2, 2], "batch": 5, "activation": "sigmoid"}
    yield {**base, "loss": logits, "shape": [3, 2, 2], "batch": 5, "activation": None, "scale": 20.0}
    for target in (0.0, 1.0):
        yield {**base, "loss": bce, "shape": [1, 1, 1], "batch": 17, "activation": None,
               "target_constant": target, "saturated": True}


def optimizer(case, random):
    steps, floats = 6, case["floats"]
    parameters = normals(random, floats)
    gradients = normals(random, steps, floats)
    gradients[:, 0] = 0.0
    gradients = rounded(gradients * torch.logspace(-4, 1, floats, dtype=torch.float64))
    variable = nn.Parameter(parameters.clone())
    options = {"lr": case["learning_rate"], "weight_decay": case["weight_decay"]}
    if case["optimizer"] == "sgd":
        stepper = torch.optim.SGD([variable], momentum=case["momentum"],
                                  nesterov=case.get("nesterov", False), **options)
    else:
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[case["optimizer"]]
        stepper = kind([variable], betas=case["betas"], eps=case["epsilon"], **options)
    after = []
    for step in range(steps):
        variable.grad = gradients[step].clone()
        if case["clip_norm"]:
            nn.utils.clip_grad_norm_([variable], case["clip_norm"])
        stepper.step()
        after.append(variable.detach().clone())
    return {"parameters": parameters, "gradients": gradients, "after": torch.stack(after)}


def optimizers():
    base = {"operator": "optimizer", "learning_rate": 0.01, "weight_decay": 0.0, "clip_norm": 0.0,
            "betas": [0.9, 0.999], "epsilon": 1e-8, "momentum": 0.0, "floats": 37}
    for more in ({"optimizer": "adam"},
                 {"optimizer": "adam", "betas": [0.5, 0.999], "learning_rate": 1e-3, "floats": 1000},
                 {"optimizer": "adam", "weight_decay": 0.1},
                 {"optimizer": "adam", "clip_norm": 1.0},
                 {"optimizer": "adam", "clip_norm": 1e6},
                 {"optimizer": "adam", "epsilon": 1e-3},
                 {"optimizer": "adamw", "weight_decay": 0.1},
                 {"optimizer": "adamw", "weight_decay": 0.01, "clip_norm": 2.5, "floats": 1000},
                 {"optimizer": "sgd"},
                 {"optimizer": "sgd", "momentum": 0.9},
                 {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1},
                 {"optimizer": "sgd", "momentum": 0.5, "clip_norm": 1.0, "floats": 1},
                 {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}):
        yield {**base, **more}


def image_batch(case, random):
    height, width, channels = case["image"]
    images = random.integers(0, 256, (case["batch"], height, width, channels), np.uint8)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() * 2 / 255 - 1
    if case["shape"][1:] != [height, width]:
        x = nn.functional.interpolate(x, tuple(case["shape"][1:]), mode="bilinear",
                                      align_corners=False, antialias=False)
    if channels == 3 and case["shape"][0] == 1:
        x = (x * torch.tensor([0.299, 0.587, 0.114]).double().reshape(1, 3, 1, 1)).sum(1, True)
    elif channels == 1:
        x = x.expand(-1, case["shape"][0], -1, -1)
    return {"images": images, "out": x}


def image_batches():
    for image, shape, batch in (([7, 5, 3], [3, 7, 5], 5), ([7, 5, 3], [3, 4, 4], 5),
                                ([9, 8, 1], [1, 5, 11], 17), ([28, 28, 1], [1, 32, 32], 3),
                                ([28, 28, 1], [3, 16, 20], 2), ([3, 3, 3], [3, 7, 7], 1),
                                ([1, 1, 1], [1, 4, 3], 5), ([6, 6, 3], [1, 6, 6], 5),
                                ([9, 8, 3], [1, 4, 16], 5), ([8, 8, 1], [3, 8, 8], 17)):
        yield {"operator": "image_batch", "image": image, "shape": shape, "batch": batch}


def pixel_score(case, random):
    x, y = (normals(random, case["batch"], *case["shape"]) for _ in range(2))
    errors = (x - y).square().sum(1).flatten(1)
    scores = {
        "root_sum": lambda: errors.sum(1).sqrt(),
        "mean": lambda: errors.sum(1) / (errors.shape[1] * case["shape"][0]),
        "maximum": lambda: errors.max(1).values,
        "top_k": lambda: errors.topk(case["top_k"], 1).values.mean(1),
    }[case["score"]]()
    return {"x": x, "y": y, "scores": scores}


def pixel_scores():
    for shape, batch in (([3, 7, 5], 5), ([1, 9, 8], 17)):
        for score in ("root_sum", "mean", "maximum"):
            yield {"operator": "pixel_score", "score": score, "shape": shape, "batch": batch}
        for top_k in (1, 7, shape[1] * shape[2]):
            yield {"operator": "pixel_score", "score": "top_k", "top_k": top_k, "shape": shape,
                   "batch": batch}


def schedule(case, random):
    """Rates of the steps of a run, from PyTorch's own schedulers. With w warm-up steps (warmup_epochs x
    steps_per_epoch, rounded up) the rate goes linearly from learning_rate / w in the first step to
    learning_rate in the w-th, and the schedule proper counts its steps from there. `minimum` is a
    share of learning_rate."""
    del random
    rate, per_epoch, steps = case["learning_rate"], case["steps_per_epoch"], case["steps"]
    stepper = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
    warmup = math.ceil(case["warmup_epochs"] * per_epoch)
    proper = {
        "constant": lambda: lr_scheduler.ConstantLR(stepper, 1.0, 1),
        "step": lambda: lr_scheduler.StepLR(stepper, case["step_epochs"] * per_epoch,
                                            case["factor"]),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(stepper, steps - warmup,
                                                         case["minimum"] * rate),
    }[case["schedule"]]
    if warmup:
        first = lr_scheduler.LinearLR(stepper, 1 / warmup, 1.0, max(1, warmup - 1))
        scheduler = lr_scheduler.SequentialLR(stepper, [first, proper()], [warmup])
    else:
        scheduler = proper()
    rates = []
    for _ in range(steps):
        rates.append(stepper.param_groups[0]["lr"])
        stepper.step()
        scheduler.step()
    return {"learning_rates": torch.tensor(rates, dtype=torch.float64)}


def schedules():
    base = {"operator": "schedule", "learning_rate": 0.001, "steps": 40, "steps_per_epoch": 4}
    for warmup in (0, 0.25, 1.6):
        yield {**base, "schedule": "constant", "warmup_epochs": warmup}
        yield {**base, "schedule": "step", "step_epochs": 2, "factor": 0.5, "warmup_epochs": warmup}
        yield {**base, "schedule": "cosine", "minimum": 0.0, "warmup_epochs": warmup}
    yield {**base, "schedule": "cosine", "minimum": 0.1, "warmup_epochs": 1.6}


def density(case, random):
    """Of `learned` and of `asked`, as engine/ops/density.h has it."""
    shape = [case["batch"], *case["shape"]]
    mixing = normals(random, shape[1], shape[1])
    learned, asked = (rounded(torch.einsum("nchw,cd->ndhw", normals(random, *shape), mixing) + 1)
                      for _ in range(2))
    points, queries = (t.permute(0, 2, 3, 1).reshape(-1, shape[1]).numpy()
                       for t in (learned, asked))
    d = shape[1]
    if case["density"] == "gaussian":
        fitted = LedoitWolf().fit(points)
        covariance = fitted.covariance_ + 1e-6 * np.trace(fitted.covariance_) / d * np.eye(d)
        away = queries - fitted.location_
        distances = np.sqrt(np.sum(away * np.linalg.solve(covariance, away.T).T, axis=1) / d)
    elif case["density"] == "neighbours":
        nearest = NearestNeighbors(n_neighbors=case["neighbours"]).fit(points)
        distances = nearest.kneighbors(queries)[0].mean(axis=1)
    else:
        width = case["bandwidth"]
        kernels = KernelDensity(bandwidth=width).fit(points)
        distances = -kernels.score_samples(queries) - d / 2 * np.log(2 * np.pi * width**2)
    return {"learned": learned, "asked": asked,
            "distances": torch.from_numpy(distances).reshape(shape[0], *shape[2:])}


def densities():
    for shape, batch in (([5, 1, 1], 17), ([3, 7, 5], 5), ([12, 2, 2], 9)):
        base = {"operator": "density", "shape": shape, "batch": batch}
        yield {**base, "density": "gaussian"}
        yield {**base, "density": "neighbours", "neighbours": 4}
        yield {**base, "density": "kernel_density", "bandwidth": 1.5}


COMPUTE = {"loss": loss, "optimizer": optimizer, "image_batch": image_batch,
           "pixel_score": pixel_score, "density": density, "schedule": schedule}


def case_name(case):
    parts = [case["operator"], case.get(case["operator"]) or case.get("score") or "bilinear"]
    for key, value in case.items():
        if key in ("operator", "score", case["operator"]) or value is None:
            continue
        text = "x".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(key if value is True else key + text)
    return "_".join(parts)


def cases():
    """{case name: (attributes, tensors)}"""
    result = {}
    for case in itertools.chain(losses(), optimizers(), image_batches(), pixel_scores(), densities(),
                                schedules()):
        case["name"] = case_name(case)
        assert case["name"] not in result, case["name"]
        tensors = COMPUTE[case["operator"]](case, generator(case["name"]))
        result[case["name"]] = (case, {
            name: tensor if isinstance(tensor, np.ndarray)
            else tensor.detach().numpy().astype(np.float32) for name, tensor in tensors.items()})
    return result
