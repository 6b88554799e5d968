# SPDX-License-Identifier: MIT
"""OpenCL drivers, as tools/check_device needs them: NVIDIA's where no file names it, and versions."""

import glob
import os
import platform
import shutil
import subprocess

NVIDIA = "libnvidia-opencl.so.1"
PATTERNS = ("/usr/lib*/" + NVIDIA, "/usr/lib/*/" + NVIDIA, "/usr/lib/*/nvidia/*/" + NVIDIA,
            "/usr/local/nvidia/lib*/" + NVIDIA)


def output_of(*command):
    """What a program prints, or nothing where it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True,
                              errors="replace").stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def nvidia_library():
    """Where NVIDIA's OpenCL library is, which comes with the GPU's driver; None: nowhere."""
    program = shutil.which("ldconfig") or "/sbin/ldconfig"
    for line in output_of(program, "-p").splitlines():
        name, _, path = line.partition("=>")
        if name.split()[:1] == [NVIDIA]:
            return path.strip()
    return next((path for pattern in PATTERNS for path in sorted(glob.glob(pattern))), None)


def add_nvidia(library, folder):
    """Makes a folder of .icd files that names the library beside those that the loader knows."""
    known = os.environ.get("OCL_ICD_VENDORS") or "/etc/OpenCL/vendors"
    os.makedirs(folder)
    for path in glob.glob(os.path.join(known, "*.icd")):
        shutil.copy(path, folder)
    with open(os.path.join(folder, "nvidia.icd"), "w", encoding="utf-8") as stream:
        stream.write(library + "\n")


def first_line(path, start):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return next((line[len(start):].strip().strip('"') for line in stream
                         if line.startswith(start)), None)
    except OSError:
        return None


def host():
    """The machine around the device."""
    processor = first_line("/proc/cpuinfo", "model name")
    gpus = output_of("nvidia-smi", "--format=csv,noheader",
                     "--query-gpu=name,driver_version,power.limit,clocks.max.sm,clocks.max.mem")
    return {"system": first_line("/etc/os-release", "PRETTY_NAME="), "kernel": platform.release(),
            "processor": processor.lstrip(": \t") if processor else platform.machine(),
            "threads": os.cpu_count(), "nvidia_smi": gpus.splitlines()}
