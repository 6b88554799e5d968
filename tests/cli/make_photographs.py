# SPDX-License-Identifier: MIT
"""Makes photographs for the command line's tests: make_photographs.py WHAT OUTDIR.

formats  one picture of 16x8 pixels in four colours, in every format and kind of pixel
upright  the same as JPEG with each orientation that EXIF has
classes  train/good, test/good, test/noise, test/dark: 20x16 grey PNGs, ramps and others
odd      names and files that nobody wants; damaged and huge ones in folders of their own
"""
import base64
import os
import random
import struct
import sys
import zlib
from pathlib import Path

WIDTH, HEIGHT = 16, 8
COLOURS = [(200, 40, 40), (40, 180, 60), (50, 60, 190), (220, 220, 210)]
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMU"
    "FRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
    "FBQUFBQUFBQUFBT/wAARCAAIABADAREAAhEBAxEB/8QAFAABAAAAAAAAAAAAAAAAAAAACP/EABwQAAEDBQAAAAAAAAAAAAAAAAAV"
    "GGNmoqXh4//EABYBAQEBAAAAAAAAAAAAAAAAAAcGCP/EAB4RAAEDBAMAAAAAAAAAAAAAAAAXZOIVFmOjoaLh/9oADAMBAAIRAxEA"
    "PwA/rsF+i1Sp7rmKqrsdkB6NTqjH9QToeTj0y3ZDnpI//9k=")
CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2RjcsLUBXQUZMTlJT"
    "UjI+WmFaUGBKUVJP/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EABgAAAMBAQAAAAAAAAAAAAAAAAIEBwAG/8QAIBAAAQMCBwAAAAAA"
    "AAAAAAAAABZl4hOjFBdiY6GipP/aAA4EQwBNAFkASwAAPwAVs3X4nH0NXAuiXGxIpweXzr55FcwG71HES42JGP/Z")
WEBP = base64.b64decode(
    "UklGRkIAAABXRUJQVlA4TDUAAAAvD8ABAB8gECAmZAkSK0xIQPy12QRZFggQl3JkCFM0/7E3QFogzDaa5CQneb9jiOh/6PYLPgA=")
GIF = base64.b64decode(
    "R0lGODdhEAAIAIEAANzc0ii0PDI8vsgoKCwAAAAAEAAIAAAIMAAHCBwoMIDBgwYJEkSIUOFAhgcdFoQYQIDFixYBaNyoESNGjhw9"
    "XgS5UWRGkgACAgA7")


def index(x, y):
    return 2 * (2 * y >= HEIGHT) + (2 * x >= WIDTH)


PIXELS = [[COLOURS[index(x, y)] for x in range(WIDTH)] for y in range(HEIGHT)]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, kind, rows, bits=8, extra=b""):
    """rows: an iterable of packed rows. kind: 0 grey, 2 RGB, 3 palette, 4 and 6 with alpha."""
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(b"\0" + row) for row in rows) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body)
            + chunk(b"IEND", b""))


def rgb_rows():
    return [bytes(value for pixel in row for value in pixel) for row in PIXELS]


def tiff(bits):
    """Little-endian, one strip of RGB without compression."""
    scale = 257 if bits == 16 else 1
    values = [value * scale for row in PIXELS for pixel in row for value in pixel]
    body = struct.pack(f"<{len(values)}{'H' if bits == 16 else 'B'}", *values)
    start = 8
    at_bits = start + len(body)
    entries = [(256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (258, 3, 3, at_bits), (259, 3, 1, 1), (262, 3, 1, 2),
               (273, 4, 1, start), (277, 3, 1, 3), (278, 3, 1, HEIGHT), (279, 4, 1, len(body))]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 0)
    return (b"II*\0" + struct.pack("<I", at_bits + 6) + body + struct.pack("<HHH", bits, bits, bits)
            + directory)


def bmp():
    rows = b"".join(bytes(value for pixel in row for value in reversed(pixel)) for row in reversed(PIXELS))
    return (b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54)
            + struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 24, 0, len(rows), 0, 0, 0, 0) + rows)


def formats(out):
    palette = chunk(b"PLTE", bytes(value for colour in COLOURS for value in colour))
    indices = [bytes(index(x, y) for x in range(WIDTH)) for y in range(HEIGHT)]
    opaque = [b"".join(bytes(pixel) + b"\xff" for pixel in row) for row in PIXELS]
    half = [b"".join(bytes(pixel) + b"\x80" for pixel in row) for row in PIXELS]
    deep = [b"".join(struct.pack(">3H", *(257 * value for value in pixel)) for pixel in row) for row in PIXELS]
    files = {
        "rgb.png": png(WIDTH, HEIGHT, 2, rgb_rows()),
        "alpha.png": png(WIDTH, HEIGHT, 6, opaque),
        "half.png": png(WIDTH, HEIGHT, 6, half),
        "palette.png": png(WIDTH, HEIGHT, 3, indices, extra=palette),
        "clear.png": png(WIDTH, HEIGHT, 3, indices, extra=palette + chunk(b"tRNS", b"\xff\0\xff\xff")),
        "deep.png": png(WIDTH, HEIGHT, 2, deep, bits=16),
        "rgb.ppm": b"P6\n16 8\n255\n" + b"".join(rgb_rows()),
        "rgb.tif": tiff(8),
        "deep.tiff": tiff(16),
        "rgb.bmp": bmp(),
        "rgb.webp": WEBP,
        "rgb.gif": GIF,
        "rgb.jpg": JPEG,
        "cmyk.jpg": CMYK_JPEG,
        "wrong.jpg": png(WIDTH, HEIGHT, 2, rgb_rows()),
        "no_ending": png(WIDTH, HEIGHT, 2, rgb_rows()),
    }
    for name, content in files.items():
        (out / name).write_bytes(content)


def upright(out):
    for orientation in range(1, 9):
        tags = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, orientation, 0, 0)
        exif = b"\xff\xe1" + struct.pack(">H", len(tags) + 2) + tags
        (out / f"{orientation}.jpg").write_bytes(JPEG[:2] + exif + JPEG[2:])


def grey_png(rows):
    return png(len(rows[0]), len(rows), 0, rows)


def classes(out):
    generator = random.Random(5)

    def ramp(least=0, most=60):
        slope, offset = generator.randint(2, 6), generator.randint(least, most)
        return [bytes(min(255, offset + slope * (x + y)) for x in range(20)) for y in range(16)]

    def noise():
        return [generator.randbytes(20) for _ in range(16)]

    def dark():
        return [bytes(value // 8 for value in row) for row in noise()]

    for folder, count, make in (("train/good", 40, ramp), ("test/good", 12, ramp), ("test/noise", 9, noise),
                                ("test/dark", 7, dark)):
        (out / folder).mkdir(parents=True)
        for i in range(count):
            (out / folder / f"{i:03}.png").write_bytes(grey_png(make()))


def odd(out):
    generator = random.Random(6)
    names = [b"with space.png", b"comma, quote\".png", b"line\nfeed.png", b"b\xe9b\xe9.png", "bébé.png".encode(),
             b"semi;colon.png", b" blank ends.png", b"-dash.png", b"deep/er/nested.png", b"007.png"]
    (out / "names").mkdir()
    for name in names:
        path = os.path.join(os.fsencode(out), b"names", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(grey_png([generator.randbytes(16) for _ in range(16)]))
    damaged = {
        "truncated": JPEG[:-200],
        # a row of it is 6251 bytes, all of them zeros
        "bomb": png(50000, 50000, 0, (bytes(1000 * 6251 - 1) for _ in range(50)), bits=1),
        "empty": b"",
        "text": b"no picture at all\n",
        "huge": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<Iii", 40, 2**31 - 1, 2**31 - 1) + bytes(28),
        "cut": png(WIDTH, HEIGHT, 2, rgb_rows())[:60],
    }
    for name, content in damaged.items():
        (out / name).mkdir()
        (out / name / ("a.jpg" if name == "truncated" else "a.png")).write_bytes(content)
        (out / name / "b.png").write_bytes(png(WIDTH, HEIGHT, 2, rgb_rows()))
    (out / "tiny").mkdir()
    (out / "tiny" / "one.png").write_bytes(png(1, 1, 2, [bytes((9, 80, 200))]))
    (out / "nothing").mkdir()


def main():
    what, out = sys.argv[1], Path(sys.argv[2])
    out.mkdir(parents=True)
    {"formats": formats, "upright": upright, "classes": classes, "odd": odd}[what](out)


if __name__ == "__main__":
    main()
