# SPDX-License-Identifier: MIT
"""Makes the images and labels of the command line's tests: make_data.py OUTDIR.

Normal images are smooth ramps, anomalous ones are noise; 16x16, one channel. The bad_* files are each
wrong in the way that their name tells.
"""
import random
import struct
import sys
from pathlib import Path

SIDE = 16


def npy(path, dtype, shape, body, fortran=False, version=1):
    shape_text = "(" + "".join(f"{extent}, " for extent in shape) + ")"
    header = f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape_text}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    magic = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header))
    Path(path).write_bytes(magic + header.encode() + body)


def ramp(generator):
    slope, offset = generator.randint(2, 9), generator.randint(0, 60)
    return bytes(min(255, offset + slope * (x + y)) for y in range(SIDE) for x in range(SIDE))


def noise(generator):
    return generator.randbytes(SIDE * SIDE)


def good(out, generator):
    train = [ramp(generator) for _ in range(75)]  # not a multiple of the batch
    npy(out / "train.npy", "|u1", (75, SIDE, SIDE, 1), b"".join(train))
    anomalous = [index % 3 == 0 for index in range(37)]
    test = [(noise if bad else ramp)(generator) for bad in anomalous]
    npy(out / "test.npy", "|u1", (37, SIDE, SIDE, 1), b"".join(test))
    npy(out / "labels.npy", "|u1", (37,), bytes(anomalous))
    classes = bytes(4 if bad else 7 for bad in anomalous)
    npy(out / "classes.npy", "<i8", (37,), struct.pack("<37q", *classes))
    mixed = [(noise if index % 5 == 0 else ramp)(generator) for index in range(100)]
    npy(out / "mixed.npy", "|u1", (100, SIDE, SIDE), b"".join(mixed))
    npy(out / "mixed_classes.npy", "|u1", (100,),
        bytes(4 if index % 5 == 0 else 7 for index in range(100)))


def scaled(out):
    """The same images by other numbers: unit_* from 0 to 1, signed_* from -1 to 1."""
    for name in ("train", "test"):
        pixels = (out / f"{name}.npy").read_bytes()[-{"train": 75, "test": 37}[name] * SIDE * SIDE:]
        shape = (len(pixels) // SIDE // SIDE, SIDE, SIDE, 1)
        for kind, values in (("unit", (byte / 255 for byte in pixels)),
                             ("signed", (byte / 127.5 - 1 for byte in pixels))):
            npy(out / f"{kind}_{name}.npy", "<f4", shape, struct.pack(f"<{len(pixels)}f", *values))


def in_order(pixels, dims, order):
    """The values of an array of these dims in C order, with its axes in another one."""
    strides = [1] * len(dims)
    for axis in reversed(range(len(dims) - 1)):
        strides[axis] = strides[axis + 1] * dims[axis + 1]

    def values(axes):
        if not axes:
            return [0]
        rest = values(axes[1:])
        return [index * strides[axes[0]] + at for index in range(dims[axes[0]]) for at in rest]

    return [pixels[at] for at in values(order)]


def forms(out, generator):
    """Colour images, rgb_*, and the same ones by other types and orders."""
    for name, count in (("train", 40), ("test", 9)):
        pixels = list(generator.randbytes(count * SIDE * SIDE * 3))
        pixels[0], pixels[1] = 0, 255
        dims = (count, SIDE, SIDE, 3)
        planes = in_order(pixels, dims, (0, 3, 1, 2))

        def put(form, dtype, code, values, shape=dims, **options):
            npy(out / f"{form}_{name}.npy", dtype, shape,
                struct.pack(f"{'>' if dtype[0] == '>' else '<'}{len(values)}{code}", *values), **options)

        put("rgb", "|u1", "B", pixels)
        put("planes", "|u1", "B", planes, (count, 3, SIDE, SIDE))
        put("fortran", "|u1", "B", in_order(pixels, dims, (3, 2, 1, 0)), fortran=True)
        put("int64", "<i8", "q", pixels)
        put("uint16", ">u2", "H", pixels)
        put("words", "<u2", "H", [257 * byte for byte in pixels])
        put("double", "<f8", "d", pixels)
        put("half", "<f2", "e", pixels)
        put("float", "<f4", "f", pixels)
        put("float_planes", ">f4", "f", planes, (count, 3, SIDE, SIDE))


def single(out):
    """The first test image by itself, in every order of its axes."""
    pixels = list((out / "rgb_test.npy").read_bytes()[-9 * SIDE * SIDE * 3:][: SIDE * SIDE * 3])
    npy(out / "one_hwc.npy", "|u1", (SIDE, SIDE, 3), bytes(pixels))
    npy(out / "one_chw.npy", "|u1", (3, SIDE, SIDE), bytes(in_order(pixels, (SIDE, SIDE, 3), (2, 0, 1))))
    npy(out / "one_hw.npy", "|u1", (SIDE, SIDE), (out / "test.npy").read_bytes()[-37 * SIDE * SIDE:][: SIDE * SIDE])
    npy(out / "three_grey.npy", "|u1", (3, 12, 20), bytes(i * i // 9 % 256 for i in range(720)))
    npy(out / "wide_photo.npy", "|u1", (12, 20, 3), bytes(i * i // 9 % 256 for i in range(720)))


def bad(out, generator):
    body = b"".join(ramp(generator) for _ in range(10))
    shape = (10, SIDE, SIDE, 1)
    floats = struct.pack(f"<{len(body)}f", *(byte / 255 for byte in body))
    npy(out / "bad_truncated.npy", "|u1", shape, body[:-100])
    npy(out / "bad_object.npy", "|O", shape, body)
    npy(out / "bad_float64.npy", "<f8", shape, struct.pack(f"<{len(body)}d", 1e300, *body[1:]))
    npy(out / "bad_int64.npy", "<i8", shape, struct.pack(f"<{len(body)}q", 2**40, *body[1:]))
    npy(out / "bad_float128.npy", "<f16", shape, bytes(16 * len(body)))
    npy(out / "bad_words.npy", "|S4", shape, bytes(4 * len(body)))
    npy(out / "bad_unicode.npy", "<U1", shape, bytes(4 * len(body)))
    npy(out / "bad_axes.npy", "|u1", (10, 3, SIDE, 3), body[: 10 * 9 * SIDE])
    npy(out / "bad_flat.npy", "|u1", (10, SIDE * SIDE), body)
    npy(out / "bad_huge.npy", "|u1", (2**40, 2**20, 2**20, 3), body)
    npy(out / "bad_negative.npy", "|u1", (-10, SIDE, SIDE, 1), body)
    npy(out / "bad_no_images.npy", "|u1", (0, SIDE, SIDE, 1), b"")
    npy(out / "bad_rank.npy", "|u1", (10 * SIDE * SIDE,), body)
    npy(out / "bad_nan.npy", "<f4", shape, floats[:-4] + struct.pack("<f", float("nan")))
    npy(out / "bad_range.npy", "<f4", shape, floats[:-4] + struct.pack("<f", 1e6))
    npy(out / "bad_version.npy", "|u1", shape, body, version=9)
    (out / "bad_empty.npy").write_bytes(b"")
    (out / "bad_text.npy").write_bytes(b"these are no images\n" * 20)
    (out / "bad_header.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1', ")
    (out / "bad_gzip.npy").write_bytes(b"\x1f\x8b\x08\x00garbage")
    (out / "bad_idx").write_bytes(struct.pack(">HBBIII", 0, 8, 3, 1000, SIDE, SIDE) + body)


def bad_labels(out):
    npy(out / "badlabels_count.npy", "|u1", (36,), bytes(36))
    npy(out / "badlabels_classes.npy", "|u1", (37,), bytes(index % 3 for index in range(37)))
    npy(out / "badlabels_all_normal.npy", "|u1", (37,), bytes(37))
    npy(out / "badlabels_float.npy", "<f4", (37,), bytes(4 * 37))
    npy(out / "badlabels_truncated.npy", "|u1", (37,), bytes(30))
    (out / "badlabels_text.csv").write_text("Id,label\n" + "".join(f"{i},yes\n" for i in range(37)))


def spots(out, generator):
    """Ramps, every second one with a square of 5x5 pixels turned into its negative, and masks of them."""
    images, masks = [], []
    for index in range(21):
        image, mask = bytearray(ramp(generator)), bytearray(SIDE * SIDE)
        if index % 2:
            top, left = generator.randint(0, SIDE - 6), generator.randint(0, SIDE - 6)
            for y in range(top, top + 5):
                for x in range(left, left + 5):
                    image[y * SIDE + x] ^= 255
                    mask[y * SIDE + x] = 255
        images.append(bytes(image))
        masks.append(bytes(mask))
    npy(out / "spots.npy", "|u1", (21, SIDE, SIDE, 1), b"".join(images))
    npy(out / "spot_masks.npy", "|u1", (21, SIDE, SIDE), b"".join(masks))
    npy(out / "spot_masks_few.npy", "|u1", (20, SIDE, SIDE), b"".join(masks[:20]))
    npy(out / "spot_masks_none.npy", "|u1", (21, SIDE, SIDE), bytes(21 * SIDE * SIDE))
    npy(out / "spot_labels.npy", "|u1", (21,), bytes(index % 2 for index in range(21)))


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    generator = random.Random(20240229)
    good(out, generator)
    scaled(out)
    forms(out, random.Random(7))
    single(out)
    bad(out, generator)
    bad_labels(out)
    spots(out, random.Random(5))


main()
