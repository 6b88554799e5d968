# SPDX-License-Identifier: MIT
"""Tables of the detection benchmark: means over seeds, their intervals, and how they are shown."""

import math
import statistics

import programs

CONFIDENCE = 0.95
PLACES = 4  # of an AUC


def student(freedom, confidence=CONFIDENCE):
    """How many standard errors the interval of a mean reaches to either side, by Student's t.

    By bisection of the distribution's angle, for which whole degrees of freedom have a finite sum
    (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    def probability(angle):  # that |t| is below sqrt(freedom) * tan(angle)
        sine, cosine = math.sin(angle), math.cos(angle)
        odd = freedom % 2
        term, total = (cosine if odd else 1.0), 0.0
        for power in range(2 + odd, freedom + 1, 2):
            total += term
            term *= cosine * cosine * (power - 1) / power
        return 2 / math.pi * (angle + sine * total) if odd else sine * total

    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if probability(middle) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(high)


def summary(by_seed, delong=None):
    """The mean over seeds and half the width of its interval, as far as there are any: of a single seed
    that of DeLong's interval, which is over test images."""
    values = list(by_seed.values())
    half_width = None
    if len(values) > 1:
        half_width = student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    elif values and delong:
        half_width = (delong[1] - delong[0]) / 2
    return {"by_seed": by_seed, "mean": statistics.fmean(values) if values else None,
            "half_width": half_width}


class Table:
    """All runs of one part, with rows by config and score."""

    def __init__(self, part, runs, seeds):
        self.part = part
        self.runs = runs
        self.seeds = seeds
        columns = [*(part.first_column(run.normal) for run in runs), *part.sources(),
                   *(name for run in runs for name in run.columns())]
        self.columns = list(dict.fromkeys(columns))
        self.configs = list(dict.fromkeys(run.name for run in runs))
        self.rows = [row for config in self.configs for row in self.rows_of(config)]

    def rows_of(self, config):
        runs = [run for run in self.runs if run.name == config]
        scores = list(dict.fromkeys(score for run in runs for by_score in run.columns().values()
                                    for score in by_score))
        metrics = [run.record["metrics"] for run in runs if "metrics" in run.record]
        about = {"config": config, "epochs": sorted({one["epochs"] for one in metrics}),
                 "train_seconds": (statistics.fmean(one["train_seconds"] for one in metrics)
                                   if metrics else None)}
        rows = []
        for number, score in enumerate(scores or [None]):
            found = {column: {run.seed: run.columns()[column][score] for run in runs
                              if score in run.columns().get(column, {})} for column in self.columns}
            by_column = {column: {seed: one["auc"] for seed, one in by_seed.items()}
                         for column, by_seed in found.items()}
            row = {**about, "score": score, "combined": number == 0,
                   "auc": {column: summary(by_column[column], next(
                       (one.get("auc_ci95") for one in by_seed.values()), None))
                           for column, by_seed in found.items()}}
            if self.part.class_names:
                row["mean"] = summary({
                    seed: statistics.fmean(by_seed[seed] for by_seed in by_column.values())
                    for seed in self.seeds if all(seed in by_seed for by_seed in by_column.values())})
            rows.append(row)
        return rows

    def failures(self):
        return [run for run in self.runs if run.failure()]

    def missing(self):
        return [run for run in self.runs if not run.failure() and "metrics" not in run.record]

    def describe(self):
        return {"part": self.part.name, "rows": self.rows,
                "runs": [{"folder": run.folder, **run.record} for run in self.runs if run.record]}

    def show(self):
        classes = bool(self.part.class_names)
        header = ["config", "score", *self.columns]
        header += ["mean", "95% interval"] if classes else []
        cells = [self.cells(row) for row in self.rows]
        programs.show_table(header + ["epochs", "seconds"], cells)
        notes = self.notes(any(" of " in cell for row in cells for cell in row[2:len(header)]))
        print("\n" + "\n".join(notes))
        for run in self.failures():
            print(f"- {run.describe()}: {run.failure()['message']} "
                  f"(exit code {run.failure()['code']})")

    def cells(self, row):
        first = row["combined"]
        score = "-" if row["score"] is None else f"**{row['score']}**" if first else row["score"]
        cells = [row["config"] if first else "", score]
        cells += [self.auc(row["auc"][column], self.outcome(row["config"], column),
                           not self.part.class_names) for column in self.columns]
        if self.part.class_names:
            cells += [self.auc(row["mean"], "-", False), interval(row["mean"])]
        return cells + ([span(row["epochs"]), seconds(row["train_seconds"])] if first else ["", ""])

    def auc(self, one, otherwise, with_width):
        if one["mean"] is None:
            return otherwise
        text = f"{one['mean']:.{PLACES}f}"
        if with_width and one["half_width"] is not None:
            text += f" ± {one['half_width']:.{PLACES}f}"
        count = len(one["by_seed"])
        return text + (f" ({count} of {len(self.seeds)})" if count < len(self.seeds) else "")

    def outcome(self, config, column):
        """What stands where there is no AUC."""
        messages = [run.failure()["message"] for run in self.failures() if run.name == config
                    and (run.normal is None or self.part.first_column(run.normal) == column)]
        words = [word for word in ("collapsed", "diverged") if messages and word in messages[0]]
        return (words + ["failed"])[0] if messages else "-"

    def notes(self, some_lack_seeds):
        text = ["The score in bold is the one that `prediction.csv` holds."]
        if len(self.seeds) == 1 and self.part.class_names:
            text.append("There is one seed, hence no interval.")
        elif len(self.seeds) == 1:
            text.append("There is one seed: intervals are DeLong's, over test images, and say nothing "
                        "of other seeds.")
        elif self.part.class_names:
            text.append("AUCs are means over seeds; the interval is that of the mean over classes, by "
                        "Student's t.")
        else:
            text.append("AUCs are means over seeds and half the widths of their 95% intervals, by "
                        "Student's t.")
        if some_lack_seeds:
            text.append("\"(2 of 3)\" means that runs of other seeds failed or are not there; a mean "
                        "over classes takes the seeds that have all of them.")
        if self.missing():
            text.append(f"{len(self.missing())} of {len(self.runs)} runs are not there.")
        if self.failures():
            text.append(f"{len(self.failures())} of {len(self.runs)} runs failed:\n")
        return [" ".join(text)]


def interval(one):
    if one["half_width"] is None:
        return ""
    return " to ".join(f"{one['mean'] + sign * one['half_width']:.{PLACES}f}" for sign in (-1, 1))


def span(values):
    if not values:
        return "-"
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"


def seconds(value):
    return "-" if value is None else f"{value:,.{0 if value >= 10 else 1}f}"
