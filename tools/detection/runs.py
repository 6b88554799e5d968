# SPDX-License-Identifier: MIT
"""Runs of the detection benchmark: each has a folder, which says what became of it."""

import collections
import csv
import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import programs

RECORD = "benchmark.json"
DIVERGED = 5  # the exit code of training that would end so again
INTERRUPTED = 130


class Interrupted(Exception):
    """Somebody wants the benchmark to end now."""


class Program:
    """unseen, to which signals are passed on, so that an interrupted run saves its checkpoint."""

    def __init__(self, path):
        self.path = path
        self.child = None
        self.interrupted = False

    def catch_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self.interrupt)

    def interrupt(self, _number, _frame):
        self.interrupted = True
        if self.child:
            self.child.send_signal(signal.SIGINT)

    def call(self, *arguments, on_epoch=None):
        """The exit code, the output and the last message."""
        if self.interrupted:
            raise Interrupted
        command = [self.path, *map(str, arguments)]
        messages = collections.deque(maxlen=1)
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            # A session of its own: a terminal's Ctrl-C comes from here alone.
            self.child = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE,
                                          stdin=subprocess.DEVNULL, text=True, errors="replace",
                                          start_new_session=True)
            if self.interrupted:  # before there was a child to pass the signal on to
                self.child.send_signal(signal.SIGINT)
            for line in self.child.stderr:
                if line.startswith("epoch "):
                    if on_epoch:
                        on_epoch(line.strip())
                elif line.strip():
                    messages.append(line.strip())
            code = self.child.wait()
            self.child.stderr.close()
            self.child = None
            output.seek(0)
            if code == INTERRUPTED or code != 0 and self.interrupted:
                raise Interrupted
            message = messages[0].removeprefix("unseen: ") if messages else "no message"
            return code, output.read(), message if code >= 0 else f"ended by signal {-code}"

    def version(self):
        code, output, message = self.call("--version")
        if code != 0 or not output.strip():
            raise programs.Failure(f"{self.path} --version: {message}")
        return output.splitlines()[0]


class Failed(Exception):
    """A call of a run that did not succeed."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Run:
    """A config trained on one part, from one seed, with one class (or none) as the normal one.

    Its record tells the version, date and seconds, and either the metrics or the failure; with
    anomalous sources also the metrics of each.
    """

    def __init__(self, part, config, seed, normal, settings):
        self.part = part
        self.config = config
        self.name = config_name(config)
        self.seed = seed
        self.normal = normal
        self.settings = settings
        names = [part.name, self.name, *([] if normal is None else [f"class{normal}"]),
                 f"seed{seed}", settings.digest(part, config)]
        self.folder = os.path.join(settings.out, "-".join(names))
        self.record = self.load()

    def load(self):
        path = os.path.join(self.folder, RECORD)
        try:
            with open(path, encoding="utf-8") as stream:
                return json.load(stream)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise programs.Failure(f"{path}: {error}") from error

    def save(self):
        path = os.path.join(self.folder, RECORD)
        try:
            os.makedirs(self.folder, exist_ok=True)
            with open(path + "~", "w", encoding="utf-8") as stream:
                json.dump(self.record, stream, indent=2)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(path + "~", path)
        except OSError as error:
            raise programs.Failure(f"{path}: {error.strerror}") from error

    def describe(self):
        normal = ([] if self.normal is None
                  else [f"{self.part.class_names[self.normal]} against the rest"])
        return ", ".join([self.part.name, self.name, *normal, f"seed {self.seed}"])

    def failure(self):
        return self.record.get("failure")

    def missing_sources(self):
        return {name: path for name, path in self.part.sources().items()
                if name not in self.record.get("sources", {})}

    def settled(self):
        """Whether another attempt would change nothing."""
        if self.failure():
            return self.failure()["code"] == DIVERGED
        return "metrics" in self.record and not self.missing_sources()

    def columns(self):
        """The metrics there are, by column of the table and score."""
        if "metrics" not in self.record:
            return {}
        return self.part.columns(self.record, self.normal)

    def finish(self, program, version, on_epoch):
        """Does what is still to be done. A failure is noted, not raised."""
        self.record.pop("failure", None)
        start = time.monotonic()
        try:
            if "metrics" not in self.record:
                self.train(program, version, start, on_epoch)
            for name, path in self.missing_sources().items():
                self.record["sources"][name] = self.evaluate(program, path)
                self.save()
        except Failed as error:
            if "metrics" not in self.record:
                self.stamp(version, start)
            self.record["failure"] = {"code": error.code, "message": str(error)}
            self.save()

    def stamp(self, version, start):
        self.record.update(part=self.part.name, config=self.name, seed=self.seed,
                           **{"class": self.normal}, settings=self.settings.describe(),
                           version=version, date=datetime.date.today().isoformat(),
                           seconds=time.monotonic() - start)

    def train(self, program, version, start, on_epoch):
        files = [text for option, path in self.part.files(self.settings.out).items()
                 if option != "masks" or self.settings.maps[self.config]
                 for text in (f"--{option}", path)]
        normal = [] if self.normal is None else ["--normal", self.normal]
        metrics = ask(program, "run", self.config, *self.settings.arguments(), *files, *normal,
                      "--seed", self.seed, "--out", self.folder, "--resume", on_epoch=on_epoch)
        self.stamp(version, start)
        self.record.update(metrics=metrics, sources={})
        self.save()
        shutil.rmtree(os.path.join(self.folder, "checkpoint"), ignore_errors=True)

    def evaluate(self, program, path):
        """A file of anomalous images against the normal half of the test images."""
        device = self.settings.device_arguments()
        with tempfile.TemporaryDirectory() as folder:
            unused, columns, both = (os.path.join(folder, name + ".csv")
                                     for name in ("unused", "columns", "both"))
            ask(program, "score", self.folder, "--data", path, "--out", unused, "--columns", columns,
                *device)
            join(os.path.join(self.folder, "scores.csv"), columns, both)
            return ask(program, "eval", "--scores", both)


class Settings:
    """The options that decide what a run gives, beside its part, config, class and seed."""

    def __init__(self, options):
        self.out = options.out
        self.device = options.device or os.environ.get("UNSEEN_DEVICE") or None
        self.epochs = options.epochs
        self.batch = options.batch
        self.overrides = options.set
        self.maps = {}  # by config: whether its detector has maps to compare with masks

    def config_arguments(self):
        """What every verb that reads a config takes."""
        batch = [] if self.batch is None else ["--batch", self.batch]
        return batch + [text for override in self.overrides for text in ("--set", override)]

    def device_arguments(self):
        return ["--device", self.device] if self.device else []

    def training_arguments(self):
        epochs = [] if self.epochs is None else ["--epochs", self.epochs]
        return epochs + self.config_arguments()

    def arguments(self):
        return self.training_arguments() + self.device_arguments()

    def describe(self):
        return " ".join(map(str, self.training_arguments()))

    def digest(self, part, config):
        """Of everything that is not in a folder's name otherwise, the config's text included."""
        whole = [self.arguments(), os.path.realpath(part.place), read_config(config)]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:8]


def config_name(path):
    return os.path.splitext(os.path.basename(path))[0]


def read_config(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError as error:
        raise programs.Failure(f"{path}: {error.strerror}") from error


def ask(program, verb, *arguments, on_epoch=None):
    """The JSON object that a verb of unseen prints."""
    code, output, message = program.call(verb, *arguments, "--json", on_epoch=on_epoch)
    if code != 0:
        raise Failed(code, message if verb == "run" else f"{verb}: {message}")
    try:
        return json.loads(output)
    except ValueError as error:
        raise programs.Failure(f"{program.path} {verb} printed no JSON object:\n{output}") from error


def join(test, source, both):
    """Scores of the normal test images, then those of the source; ids anew, as `unseen eval` wants."""
    with (open(test, newline="", encoding="utf-8") as test_stream,
          open(source, newline="", encoding="utf-8") as source_stream,
          open(both, "w", newline="", encoding="utf-8") as both_stream):
        test_rows, source_rows = csv.reader(test_stream), csv.reader(source_stream)
        header = next(test_rows)
        if next(source_rows) + ["anomalous"] != header:
            raise programs.Failure(f"{test}: other scores than the model gives now")
        rows = [row[1:] for row in test_rows if row[-1] == "0"]
        rows += [[*row[1:], "1"] for row in source_rows]
        writer = csv.writer(both_stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([number, *row] for number, row in enumerate(rows))


class Progress:
    """Says on stderr which run of how many is under way, and about how long the rest will take."""

    def __init__(self, runs):
        self.runs = runs
        self.terminal = sys.stderr.isatty()

    def begin(self, index):
        left = self.estimate(index)
        programs.say(f"run {index + 1} of {len(self.runs)}: {self.runs[index].describe()}"
                     + (f"; about {duration(left)} left" if left is not None else ""))

    def epoch(self, line):
        if self.terminal:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def end(self, index):
        run = self.runs[index]
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        if run.failure():
            programs.say(f"{run.describe()}: {run.failure()['message']}")
        else:
            programs.say(f"{run.describe()}: AUC {run.record['metrics']['auc']:.4f}, "
                         f"{duration(run.record['seconds'])}")

    def estimate(self, index):
        """Seconds that unsettled runs will take if each is like its config's settled ones, else like its
        part's; nobody knows before one of each part is settled."""
        known = collections.defaultdict(list)
        for run in self.runs:
            if "metrics" in run.record:
                for key in ((run.part.name, run.name), run.part.name):
                    known[key].append(run.record["seconds"])
        total = 0
        for run in self.runs[index:]:
            if not run.settled():
                like = known.get((run.part.name, run.name)) or known.get(run.part.name)
                if not like:
                    return None
                total += sum(like) / len(like)
        return total


def duration(seconds):
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
