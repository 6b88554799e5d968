# SPDX-License-Identifier: MIT
"""The parts of the detection benchmark: their images, and what is told from what."""

import glob
import os

import programs

CLASSES = range(10)
# A part's files by the option of `unseen run` that takes them, in the layouts that a folder may have.
IDX = {"train": "train-images-idx3-ubyte", "train-labels": "train-labels-idx1-ubyte",
       "test": "t10k-images-idx3-ubyte", "labels": "t10k-labels-idx1-ubyte"}
NPY = {"train": "train_x.npy", "train-labels": "train_y.npy", "test": "test_x.npy",
       "labels": "test_y.npy"}
FACES = {"train": "trainingset.npy", "test": "testingset.npy", "labels": "testing_labels.npy"}
TEST_SOURCE = "testingset"


class Part:
    """A labelled set, each class of which is normal in turn, or one whose normal images are known."""

    def __init__(self, name, title, layouts, class_names=()):
        self.name = name
        self.title = title
        self.layouts = layouts
        self.class_names = class_names
        self.folder = None

    def files(self):
        """The paths by the option of `unseen run`."""
        lacking = []
        for layout in self.layouts:
            paths = {option: self.find(name) for option, name in layout.items()}
            if all(paths.values()):
                return paths
            lacking.append(next(layout[option] for option, path in paths.items() if not path))
        raise programs.Failure(f"{self.folder} lacks {', and also '.join(lacking)}")

    def find(self, name):
        """Either kind of file may be compressed."""
        for candidate in (name, name + ".gz"):
            path = os.path.join(self.folder, candidate)
            if os.path.isfile(path):
                return path
        return None

    def sources(self):
        """Files of images that are all anomalous, by name: each is held against the normal half of
        the test images."""
        if self.class_names:
            return {}
        paths = sorted(glob.glob(os.path.join(glob.escape(self.folder), "other_*.npy")))
        return {os.path.splitext(os.path.basename(path))[0]: path for path in paths}


def make():
    digits = tuple(map(str, CLASSES))
    clothes = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
               "Ankle boot")
    parts = (Part("mnist", "MNIST", (IDX, NPY), digits),
             Part("fashion", "Fashion-MNIST", (IDX, NPY), clothes),
             Part("faces", "Faces", (FACES,)))
    return {part.name: part for part in parts}
