# SPDX-License-Identifier: MIT
"""Sets of images that come as one file: arrays in .npz, photographs in .npz, a tar archive.

What `unseen` cannot read as it is, is unpacked once into a folder whose name tells the file, its size and
time.
"""

import array
import ast
import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile

import programs

OPTIONS = ("train", "train-labels", "test", "labels")
# Arrays by the option of `unseen run` that takes them, in the spellings that there are.
ARRAYS = (dict(zip(OPTIONS, ("train_x", "train_y", "test_x", "test_y"))),
          dict(zip(OPTIONS, ("x_train", "y_train", "x_test", "y_test"))))
# Photographs (JPEG, PNG) one after the other, where each begins and the last ends, and their classes.
SPLITS = ("train", "test")
PHOTOGRAPHS = tuple(f"{split}_{what}" for split in SPLITS for what in ("data", "offsets", "y"))


def npz_files(path, out):
    """The files of a labelled set in one .npz, by the option of `unseen run`."""
    try:
        with zipfile.ZipFile(path) as pack:
            names = {name.removesuffix(".npy") for name in pack.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise programs.Failure(f"{path}: {error}") from error
    for layout in ARRAYS:
        if names.issuperset(layout.values()):
            return {option: f"{path}:{name}" for option, name in layout.items()}
    if not names.issuperset(PHOTOGRAPHS):
        raise programs.Failure(f"{path} holds neither {', '.join(ARRAYS[0].values())} nor "
                               f"{', '.join(ARRAYS[1].values())} nor {', '.join(PHOTOGRAPHS)}")
    folder = once(path, out, unpack_photographs)
    return {"train": os.path.join(folder, "train.tar"), "train-labels": f"{path}:train_y",
            "test": os.path.join(folder, "test.tar"), "labels": f"{path}:test_y"}


def tar_folder(path, out):
    """The folder that a tar archive is of."""
    return once(path, out, unpack_tar)


def once(path, out, unpack):
    """The folder below `out` that unpack(path, folder) fills, unless it has been filled before."""
    try:
        known = os.stat(path)
        whole = f"{os.path.realpath(path)} {known.st_size} {known.st_mtime_ns}"
        name = os.path.splitext(os.path.basename(path))[0]
        folder = os.path.join(out, f"{name}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}")
        if os.path.isdir(folder):
            return folder
        programs.say(f"unpacking {path}")
        os.makedirs(out, exist_ok=True)
        unfinished = tempfile.mkdtemp(prefix=".unpacking-", dir=out)
        try:
            unpack(path, unfinished)
            os.chmod(unfinished, 0o755)
            os.rename(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return folder
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise programs.Failure(f"{path}: {error}") from error


def unpack_tar(path, folder):
    """Folders and files alone. Python before 3.11.4 has no filter for what would lie elsewhere."""
    with tarfile.open(path) as pack:
        entries = [entry for entry in pack if entry.isfile() or entry.isdir()]
        for entry in entries:
            if entry.name.startswith("/") or ".." in entry.name.split("/"):
                raise ValueError(f"{entry.name} would lie outside of its folder")
            entry.mode = 0o755 if entry.isdir() else 0o644
        if hasattr(tarfile, "data_filter"):
            pack.extractall(folder, entries, filter="data")
        else:
            pack.extractall(folder, entries)


def unpack_photographs(path, folder):
    """Each split becomes an archive whose photographs are numbered, so that labels without names fit."""
    with zipfile.ZipFile(path) as pack:
        for split in SPLITS:
            data = read_array(pack, f"{split}_data", "|u1")
            offsets = array.array("q", read_array(pack, f"{split}_offsets", "<i8"))
            if sys.byteorder == "big":
                offsets.byteswap()
            places = list(zip(offsets, offsets[1:]))
            if not places or any(not 0 <= begin <= end <= len(data) for begin, end in places):
                raise ValueError(f"{split}_offsets does not fit {split}_data")
            with tarfile.open(os.path.join(folder, f"{split}.tar"), "w") as archive:
                for number, (begin, end) in enumerate(places):
                    entry = tarfile.TarInfo(f"{number:08}.jpg")
                    entry.size = end - begin
                    archive.addfile(entry, io.BytesIO(data[begin:end]))


def read_array(pack, name, dtype):
    """The bytes of a one-dimensional array, without NumPy."""
    with pack.open(f"{name}.npy") as stream:
        magic = stream.read(8)
        if magic[:6] != b"\x93NUMPY":
            raise ValueError(f"{name} is no array")
        length = int.from_bytes(stream.read(2 if magic[6] == 1 else 4), "little")
        header = ast.literal_eval(stream.read(length).decode("latin-1"))
        if header["descr"] != dtype or len(header["shape"]) != 1:
            raise ValueError(f"{name} is {header['descr']} of shape {header['shape']}; "
                             f"expected one dimension of {dtype}")
        return stream.read()
