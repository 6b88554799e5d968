# SPDX-License-Identifier: MIT
"""Golden cases of augmentation: x and out (N,C,H,W), for the attributes `options` (the config's object),
`seed`, `substream` and `purpose`."""

from augmentation import augmented
from golden_layers import generator, normals, rounded

COLOURS = {"colour": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1,
           "grey": 0.2}
KINDS = {
    "shift": ([3, 9, 7], {"flip": 0.5, "shift": 0.25}),
    "rotation": ([1, 9, 7], {"rotation": 30}),
    "zoom": ([3, 12, 12], {"zoom": [0.6, 1.8], "shift": 0.1, "quarter_turns": 0.5}),
    "colour": ([3, 5, 7], COLOURS),
    "blur": ([1, 9, 7], {"blur": 1.5, "contrast": 0.5}),
    "noise": ([3, 5, 7], {"noise": 0.2}),
    "cutout": ([3, 16, 13], {"cutout": 0.8}),
    "everything": ([3, 11, 11], {**COLOURS, "flip": 0.5, "shift": 0.1, "rotation": 10,
                                 "zoom": [0.9, 1.4], "blur": 0.6, "noise": 0.05, "cutout": 0.4}),
}


def cases():
    """{case name: (attributes, tensors)}"""
    result = {}
    for name, (shape, options) in KINDS.items():
        case = {"name": name, "shape": shape, "batch": 17, "options": options,
                "seed": 123456789012345, "substream": 12, "purpose": 1}
        x = rounded((normals(generator(name), case["batch"], *shape) * 0.4).clamp(-1, 1))
        out = augmented(x, options, case["seed"], case["substream"], case["purpose"])
        result[name] = (case, {"x": x.numpy().astype("float32"),
                               "out": out.numpy().astype("float32")})
    return result
