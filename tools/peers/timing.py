# SPDX-License-Identifier: MIT
"""What the peer programs share: options, the way to measure, and what they print.

A peer prints one JSON object a line as soon as it knows it: first what runs where, then each part, so
that whoever ends a slow peer keeps what was measured.
"""

import argparse
import itertools
import json
import platform
import statistics
import time

BATCHES = 4  # that steps take in turn
CHUNK_SECONDS = 0.2  # between two looks at the clock, so that a GPU's queue does not run dry
CHUNK_STEPS = 1000


def parse(description, device, modes):
    """The options of a peer program."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config")
    parser.add_argument("--batch", type=int, help="default: the config's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5, help="to measure each part for")
    parser.add_argument("--mode", default=modes[0], help=f"default: {modes[0]}; {modes[1]}")
    parser.add_argument("--device", default=device[0], help=f"default: {device[0]}; {device[1]}")
    return parser.parse_args()


def tell(**fields):
    print(json.dumps(fields), flush=True)


def measure(step, synchronize, images, batch, seconds):
    """Speed of step(images): the median of many short measurements.

    The first step compiles, the second one of tinygrad records, the third shows how many to take at
    once.
    """
    supply = itertools.cycle(images)

    def run(count):
        start = time.perf_counter()
        for _ in range(count):
            step(next(supply))
        synchronize()
        return (time.perf_counter() - start) / count

    first, _, third = run(1), run(1), run(1)
    count = max(1, min(CHUNK_STEPS, int(CHUNK_SECONDS / third)))
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        times.append(run(count))
    median = statistics.median(times)
    return {"images_per_second": batch / median, "step_seconds": median,
            "steps": len(times) * count, "first_step_seconds": first}


def processor():
    """The name of the CPU."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            return next(line.split(":", 1)[1].strip() for line in stream
                        if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
