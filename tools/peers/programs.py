# SPDX-License-Identifier: MIT
"""What the benchmarks in tools/ share: options, running programs, and tables."""

import json
import os
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAME = os.path.basename(sys.argv[0])


class Failure(Exception):
    """A program that did not do what it should; the message says which and why."""


def say(text):
    print(f"{NAME}: {text}", file=sys.stderr, flush=True)


def add_program(parser):
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "unseen"),
                        help="default: build/unseen")


def check_program(parser, options):
    if not os.access(options.program, os.X_OK):
        parser.error(f"{options.program} is not there; build it with `ninja -C build`, "
                     "or name it with --program")


def add_options(parser):
    """What benchmarks of speed have. Without a value, --rounds and --seconds depend on --quick."""
    add_program(parser)
    parser.add_argument("--device", default="cpu", help="unseen's device (default: cpu)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(),
                        help="of the CPU (default: all, %(default)s)")
    parser.add_argument("--rounds", type=int, help="default: 5, with --quick 1")
    parser.add_argument("--quick", action="store_true",
                        help="to see whether everything runs; its numbers say little")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def check_options(parser, options):
    if options.rounds is None:
        options.rounds = 1 if options.quick else 5
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    check_program(parser, options)


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no message"


def run(command, environment, limit):
    """A program's exit code, output and messages.

    There is no exit code if it had to be ended after `limit` seconds. Outputs are files, not
    pipes, because what a program starts may outlive it and keep its pipes open.
    """
    with (tempfile.TemporaryFile("w+", errors="replace") as output,
          tempfile.TemporaryFile("w+", errors="replace") as messages):
        program = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output,
                                   stderr=messages, stdin=subprocess.DEVNULL,
                                   start_new_session=True)
        code = None
        try:
            code = program.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if code is None:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
        output.seek(0)
        messages.seek(0)
        return code, output.read(), messages.read()


def unseen(options, *arguments, limit=600):
    """The JSON object that a verb of unseen prints."""
    command = [options.program, *map(str, arguments), "--json"]
    code, output, messages = run(command, {"POCL_MAX_PTHREAD_COUNT": str(options.threads)}, limit)
    if code != 0:
        why = f"did not end within {limit:g} s" if code is None else f"ended with {code}"
        raise Failure(f"{' '.join(command)}\n{why}: {last_line(messages)}")
    try:
        return json.loads(output)
    except json.JSONDecodeError as error:
        raise Failure(f"{' '.join(command)}\nprinted no JSON object:\n{output}") from error


def bench(options, config, *arguments):
    """unseen bench CONFIG on the device of the options."""
    return unseen(options, "bench", config, "--device", options.device, *arguments)


def warn_if_busy(threads):
    """A busy machine slows programs whose threads wait for each other more than others."""
    load = os.getloadavg()[0]
    if load > max(0.25, os.cpu_count() - threads + 0.25):
        say(f"warning: the load average is {load:.1f} before the first measurement; "
            "on a busy machine the ratios say little")
    return load


def table(header, rows):
    """The lines of a Markdown table that is also to be read as it is: text left, numbers right."""
    columns = list(zip(header, *rows))
    widths = [max(3, *map(len, column)) for column in columns]
    numeric = [all(cell == "" or cell[0].isdigit() or cell == "-" for cell in column[1:])
               for column in columns]

    def line(cells):
        padded = (cell.rjust(width) if right else cell.ljust(width)
                  for cell, width, right in zip(cells, widths, numeric))
        return f"| {' | '.join(padded)} |"

    rule = [("-" * (width - 1) + ":") if right else "-" * width
            for width, right in zip(widths, numeric)]
    return [line(cells) for cells in (header, rule, *rows)]


def show_table(header, rows):
    print("\n".join(table(header, rows)))
