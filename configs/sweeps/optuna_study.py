#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A study by Optuna (https://optuna.org) in which every trial is a run of `unseen`.

    pip install optuna
    configs/sweeps/optuna_study.py configs/medium.json --train faces.npy --out runs/study --trials 20

Trials are judged by their loss on held-out images, so that no label is touched. The study is kept in OUT/study.journal:
the same command goes on with it, and several at a time, also on machines that share the folder, work at one study.
The arguments after `--` go to `unseen run` as they are (such as `-- --device gpu --epochs 5`).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import optuna
from optuna.storages import JournalStorage

try:
    from optuna.storages.journal import JournalFileBackend
except ImportError:  # before 4.0
    from optuna.storages import JournalFileStorage as JournalFileBackend

DIVERGED = 5  # exit codes of unseen
INTERRUPTED = 130


def overrides(trial):
    """What is searched: edit this. See configs/README.md for the keys."""
    return {
        "/training/optimizer/learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "/training/batch": trial.suggest_categorical("batch", [32, 64, 128]),
    }


def run(options, trial):
    """The held-out loss of a run with the trial's values."""
    command = [options.unseen, "run" if options.test else "train", options.config, "--json", "--quiet",
               "--train", options.train, "--out", str(options.out / f"{trial.number:04d}"),
               "--set", f"/training/held_out={options.held_out}"]
    if options.test:
        command += ["--test", options.test]
    for pointer, value in overrides(trial).items():
        command += ["--set", f"{pointer}={json.dumps(value)}"]
    done = subprocess.run(command + options.rest, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == DIVERGED:
        raise optuna.TrialPruned(done.stderr.strip())
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    result = json.loads(done.stdout)
    for name in ("parameters", "train_seconds"):
        trial.set_user_attr(name, result[name])
    return result["held_out_loss"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", help="score these images in every trial, too; they judge nothing")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=20, help="of this process (default: %(default)s)")
    parser.add_argument("--held-out", type=float, default=0.1, help="share of the images (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of the sampler")
    parser.add_argument("--unseen", default="unseen", help="the program (default: %(default)s)")
    parser.add_argument("rest", nargs="*", help="after --: further options of unseen run")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="unseen", direction="minimize", load_if_exists=True,
        storage=JournalStorage(JournalFileBackend(str(options.out / "study.journal"))),
        sampler=optuna.samplers.TPESampler(seed=options.seed))
    study.optimize(lambda trial: run(options, trial), n_trials=options.trials)
    finished = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not finished:
        sys.exit("no trial has a result")
    best = study.best_trial
    print(json.dumps({"trials": len(study.trials), "best": best.number, "out": str(options.out / f"{best.number:04d}"),
                      "held_out_loss": best.value, "parameters": best.params}))


if __name__ == "__main__":
    main()
