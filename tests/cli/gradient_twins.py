#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks maps that are squared gradients of a score by finite differences of the score.

    gradient_twins.py make IMAGES.npy TWINS.npy    an image of 16x16, and twins of it
    gradient_twins.py check SCORES.csv COLUMN MAPS.npy

The twins have a pixel a little brighter or darker each, in float32, so that half the difference of
two scores over the step is the slope at that pixel, whose square the first image's map must have.
"""
import array
import csv
import struct
import sys

SIDE, STEP = 16, 0.01  # the step in -1 to 1
PIXELS = [0, 3, 15, 17, 68, 100, 119, 136, 137, 200, 240, 255]


def make(images, twins):
    with open(images, "rb") as file:
        content = file.read()
    start = 10 + struct.unpack("<H", content[8:10])[0]
    # scaled, so that no pixel and no step leaves the range of images
    image = [(value / 127.5 - 1) * 0.9 for value in content[start + SIDE**2:start + 2 * SIDE**2]]
    rows = [image]
    for pixel in PIXELS:
        for sign in (1, -1):
            twin = list(image)
            twin[pixel] += sign * STEP
            rows.append(twin)
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, %d), }" % (len(rows), SIDE, SIDE)
    header += " " * ((54 - len(header)) % 64) + "\n"
    with open(twins, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for row in rows:
            array.array("f", [(value + 1) * 127.5 for value in row]).tofile(out)


def check(scores, column, maps):
    with open(scores, encoding="utf-8") as file:
        values = [float(row[column]) for row in csv.DictReader(file)]
    with open(maps, "rb") as file:
        first = array.array("f", file.read()[128:])[:SIDE**2]
    largest = max(first)
    if not largest > 0:
        sys.exit("the map is 0")
    wrong = []
    for index, pixel in enumerate(PIXELS):
        slope = (values[1 + 2 * index] - values[2 + 2 * index]) / (2 * STEP)
        if abs(slope * slope - first[pixel]) > 0.03 * first[pixel] + 0.006 * largest:
            wrong.append(f"pixel {pixel}: {slope * slope:g} by differences, {first[pixel]:g} in the map")
    if wrong:
        sys.exit(f"of at most {largest:g}\n" + "\n".join(wrong))


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
