# SPDX-License-Identifier: MIT
"""The parts of the detection benchmark: their images, and what is told from what."""

import glob
import os

import packed
import programs

CLASSES = range(10)
# A part's files by the option of `unseen run` that takes them, in the layouts that a folder may have.
IDX = {"train": "train-images-idx3-ubyte", "train-labels": "train-labels-idx1-ubyte",
       "test": "t10k-images-idx3-ubyte", "labels": "t10k-labels-idx1-ubyte"}
NPY = {"train": "train_x.npy", "train-labels": "train_y.npy", "test": "test_x.npy",
       "labels": "test_y.npy"}
FACES = {"train": "trainingset.npy", "test": "testingset.npy", "labels": "testing_labels.npy"}
IMAGES, PIXELS, REGIONS = "images", "pixel AUROC", "AUPRO"


class Part:
    """A set of images to train on, and test images whose anomalous ones are known.

    place: the folder or the file that the option of the part's name tells.
    """
    class_names = ()  # those of the classes that are normal in turn; (): normal images are known

    def __init__(self, name, title):
        self.name = name
        self.title = title
        self.place = None

    def files(self, out):
        """The paths by the option of `unseen run`. Below `out` there is room to unpack."""
        raise NotImplementedError

    def sources(self):
        """Files of images that are all anomalous, by name: each is held against the normal half of
        the test images."""
        return {}

    def first_column(self, normal):
        """What a table calls the AUC over all test images of a run whose normal class this is."""
        raise NotImplementedError

    def columns(self, record, normal):
        """A run's metrics, each with its `auc`: by column of the table, then by score, of which the
        combined one comes first."""
        return {self.first_column(normal): record["metrics"]["columns"],
                **{name: one["columns"] for name, one in record.get("sources", {}).items()}}

    def find(self, layouts):
        """The paths of the first layout, files by option, all of whose files the folder holds."""
        lacking = []
        for layout in layouts:
            paths = {option: find_file(self.place, name) for option, name in layout.items()}
            if all(paths.values()):
                return paths
            lacking.append(next(layout[option] for option, path in paths.items() if not path))
        raise programs.Failure(f"{self.place} lacks {', and also '.join(lacking)}")


def find_file(folder, name):
    """Either kind of file may be compressed."""
    for candidate in (name, name + ".gz"):
        path = os.path.join(folder, candidate)
        if os.path.isfile(path):
            return path
    return None


class Labelled(Part):
    """A labelled set, each class of which is normal in turn."""

    def __init__(self, name, title, class_names):
        super().__init__(name, title)
        self.class_names = class_names

    def files(self, out):
        if os.path.isfile(self.place):
            return packed.npz_files(self.place, out)
        return self.find((IDX, NPY))

    def first_column(self, normal):
        return self.class_names[normal]


class Faces(Part):
    def files(self, out):
        return self.find((FACES,))

    def sources(self):
        paths = sorted(glob.glob(os.path.join(glob.escape(self.place), "other_*.npy")))
        return {os.path.splitext(os.path.basename(path))[0]: path for path in paths}

    def first_column(self, normal):
        return "testingset"


class Defects(Part):
    """Photographs as MVTec AD lays them out, with masks of what is anomalous in them."""

    def files(self, out):
        folder = self.place
        if os.path.isfile(folder):
            folder = packed.tar_folder(folder, out)
        roots = [root for root in [folder, *sorted(glob.glob(os.path.join(glob.escape(folder), "*")))]
                 if all(os.path.isdir(os.path.join(root, name)) for name in ("train", "test"))]
        if not roots:
            raise programs.Failure(f"{self.place} lacks the folders train and test")
        paths = {name: os.path.join(roots[0], name) for name in ("train", "test")}
        masks = os.path.join(roots[0], "ground_truth")
        return {**paths, **({"masks": masks} if os.path.isdir(masks) else {})}

    def first_column(self, normal):
        return IMAGES

    def columns(self, record, normal):
        metrics = record["metrics"]
        combined = next(iter(metrics["columns"]))
        found = super().columns(record, normal)
        found.update({kind: {combined: one} for kind, one in metrics.get("kinds", {}).items()})
        found.update({name: {combined: {"auc": metrics[key]}}
                      for name, key in ((PIXELS, "pixel_auroc"), (REGIONS, "aupro"))
                      if metrics.get(key) is not None})
        return found


def make():
    digits = tuple(map(str, CLASSES))
    clothes = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
               "Ankle boot")
    things = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    parts = (Labelled("mnist", "MNIST", digits), Labelled("fashion", "Fashion-MNIST", clothes),
             Labelled("cifar10", "CIFAR-10", things), Faces("faces", "Faces"),
             Defects("tiles", "Magnetic tiles"))
    return {part.name: part for part in parts}
