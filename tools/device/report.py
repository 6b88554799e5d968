# SPDX-License-Identifier: MIT
"""The report of tools/check_device as Markdown."""

import programs

PARTS = (("training", "train", "train_images_per_second"),
         ("scoring", "score", "score_images_per_second"),
         ("scoring again", "score", "score_resident_images_per_second"))


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def is_sent(mode):
    return "upload" in mode.split("+")


def best_mode(report, config, batch, part, sent, rounded=True):
    """PyTorch's fastest mode with images on the device, or with images that are sent; rounded: those
    that round to TF32 are among them."""
    found = [row for row in report["pytorch"]["modes"]
             if (row["config"], row["batch"]) == (config, batch) and row.get(part)
             and is_sent(row["mode"]) == sent and (rounded or "tf32" not in row["mode"].split("+"))]
    return max(found, key=lambda row: row[part], default=None)


KINDS = ((False, "fp32"), (True, "fp32"), (False, "tf32"))  # tuned, precision


def speed_of(report, config, batch, kind):
    return next((row["result"] for row in report["speed"] if row.get("result")
                 and (row["config"], row["batch"], row["tuned"], row["precision"]) == (config, batch, *kind)),
                None)


def measured(report):
    """Configs and batches that there is anything about, in the order of measuring."""
    rows = report["speed"] + report["pytorch"]["modes"]
    return list(dict.fromkeys((row["config"], row["batch"]) for row in rows))


def speeds(report):
    """Rows of the main table; the ratio is to PyTorch's best mode with images in the same place."""
    rows = []
    for config, batch in measured(report):
        results = [speed_of(report, config, batch, kind) for kind in KINDS]
        for name, part, field in PARTS:
            ours = [(result or {}).get(field) for result in results]
            exact = best_mode(report, config, batch, part, False, rounded=False)
            theirs = [best_mode(report, config, batch, part, sent) for sent in (False, True)]
            if name == "scoring again" and not any(ours):
                continue
            sent = theirs[1] if name == "scoring" and theirs[1] else None
            like = sent or max(filter(None, theirs), key=lambda row: row[part], default=None)
            if name == "scoring again":
                like = theirs[0]
            fastest = max(filter(None, ours), default=None)
            ratio = fastest / like[part] if fastest and like else None
            rows.append([config, str(batch), name, *map(number, ours),
                         *(f"{number(row[part])} {row['mode']}" if row else "-"
                           for row in (exact, *theirs)), number(ratio, 2)])
    return rows


def modes(report):
    return [[row["config"], str(row["batch"]), row["mode"], number(row.get("train")),
             number(row.get("score"))] for row in report["pytorch"]["modes"] if "why_not" not in row]


def layers(result):
    rows = []
    for row in result["layers"]:
        rows.append([row["phase"], row["network"] or "", row["path"] or "", row["layer"] or "",
                     row["pass"], str(row["launches"]), number(1e3 * row["seconds"], 3),
                     number(row["gflops"], 1), number(row["fraction_of_peak"], 3),
                     number(row["gbytes_per_second"], 1)])
    return programs.table(["phase", "network", "path", "layer", "pass", "launches", "ms", "GFLOP/s",
                           "of peak", "GB/s"], rows)


def about(report):
    device, host = report["device"], report["host"]
    yield f"- device: {device.get('device')}, {device.get('platform')}, {device.get('opencl')}, " \
          f"driver {device.get('driver')}"
    yield f"- {device.get('compute_units')} compute units, {device.get('memory_bytes', 0) / 2**30:.1f} GiB, " \
          f"at most {device.get('largest_allocation_bytes', 0) / 2**30:.1f} GiB in one piece, " \
          f"kernels for {device.get('execution')}"
    yield f"- program: {'; '.join(report['program']['version'])}; commit {report['program']['commit']}"
    yield f"- host: {host['processor']}, {host['threads']} threads, {host['system']}, " \
          f"kernel {host['kernel']}"
    for line in host["nvidia_smi"]:
        yield f"- nvidia-smi: {line}"
    if report["pytorch"].get("version"):
        yield f"- PyTorch {report['pytorch']['version']} on {report['pytorch']['device']}"
    for line in report["notes"]:
        yield f"- {line}"


def correctness(report):
    test = report["selftest"]
    if test:
        yield f"- self-test: {test['cases']} cases, {test['failed']} failed"
        for row in test["results"]:
            if not row["passed"]:
                yield f"  - {row['operator']}, {row['what']}, {row['shape']}: error {row['error']}, " \
                      f"limit {row['limit']}"
    for row in report["golden"]:
        yield f"- training steps against PyTorch's numbers, {row['config']}: {row['outcome']}"


def not_done(report):
    reasons = {}
    for row in report["not_done"]:
        reasons.setdefault(row["why"], []).append(row["what"])
    return [f"- {'; '.join(whats)}: {why}" for why, whats in reasons.items()]


def markdown(report):
    lines = [f"# {report['device'].get('device', 'No device')}, {report['date']}", "", *about(report)]
    if not report["finished"]:
        lines += ["", "**Cut off**: what follows is what had been measured until then."]
    lines += ["", "## Correctness", "", *(list(correctness(report)) or ["Not checked."])]
    lines += ["", "## Speed", "", "Images per second: unseen's with default and with tuned kernels in fp32, "
              "and in tf32; PyTorch's best mode that does not round to TF32, and of all, with images that "
              "are on the device, and with images that are sent from pinned memory. The last column is the faster "
              "of unseen's speeds over it: for scoring over images that are sent, for scoring again "
              "over images on the device, for training over the better.", ""]
    lines += programs.table(["config", "batch", "part", "default", "tuned", "tf32", "PyTorch, fp32",
                             "PyTorch", "PyTorch, sent", "ratio"], speeds(report))
    if modes(report):
        lines += ["", "## PyTorch's modes", ""]
        lines += programs.table(["config", "batch", "mode", "training", "scoring"], modes(report))
    lines += ["", "## Layers", ""]
    for row in report["speed"]:
        if row.get("result"):
            kind = "tuned" if row["tuned"] else "default" if row["precision"] == "fp32" else row["precision"]
            peak = row["result"]
            lines += [f"<details><summary>{row['config']}, batch {row['batch']}, {kind}: "
                      f"{number(peak['gflops'])} of {number(peak['peak_gflops'])} GFLOP/s</summary>", "",
                      *layers(row["result"]), "", "</details>", ""]
    if report["not_done"]:
        lines += ["## Not done", "", *not_done(report)]
    return "\n".join(lines) + "\n"
