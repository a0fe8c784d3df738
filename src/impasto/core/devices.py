"""What this machine has: memory, devices, and the precisions that its processor is fast at."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

import psutil

from impasto.core.errors import ResourceError

_CGROUP_DIR = Path("/sys/fs/cgroup")
_CGROUP_MEMORY_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)
"""Files of a container's control group, version 2 and 1: limit, use, and in the third the bytes of
files that it keeps in memory and would give up for a program."""


def available_bytes(device: str) -> int:
    """Memory in bytes that a run on ``device`` can take now, within the limits of its container."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    for most, now, details, cached in _CGROUP_MEMORY_FILES:
        limit, used = _read_int(_CGROUP_DIR / most), _read_int(_CGROUP_DIR / now)
        if limit is not None and used is not None:
            stat = dict(line.split(maxsplit=1) for line in _read_lines(_CGROUP_DIR / details))
            free = min(free, max(0, limit - used + int(stat.get(cached, 0))))
    return free


def _read_int(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def resident_bytes() -> int:
    """Memory in bytes that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    """The most memory in bytes that this process ever held."""
    if platform.system() == "Windows":
        return int(psutil.Process().memory_info().peak_wset)
    for line in _read_lines(Path("/proc/self/status")):
        if line.startswith("VmHWM:"):  # ru_maxrss may be that of the program that started this one
            return int(line.split()[1]) * 1024
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def choose_device(name: str) -> str:
    """The device for "auto" or a name.

    Raises:
        ResourceError: no such device here.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=name).item()  # "meta" has no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # a long list of everything PyTorch ever knew
            reason = "PyTorch knows no such device"
        raise ResourceError(
            f"device = {name!r} is not to be had here ({reason}). Use --device auto."
        ) from error
    return name


def has_fast_bf16(device: str) -> bool:
    """Whether bfloat16 has its own arithmetic on ``device`` (on a CPU: AVX512-BF16 or AMX)."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    flags = _cpu_flags()
    return device == "cpu" and bool({"avx512_bf16", "amx_bf16", "bf16"} & flags)


def _cpu_flags() -> set[str]:
    named = (line.partition(":") for line in _read_lines(Path("/proc/cpuinfo")))
    return {f for key, _, v in named if key.strip() in ("flags", "Features") for f in v.split()}


def keep_freed_memory() -> None:
    """Have the C library keep large freed blocks for reuse instead of returning them.

    A step of an optimizer frees and takes again the same tens of megabytes; each return to the
    system costs page faults that were measured at a fifth of a step (docs/performance.md).
    Does nothing where the C library is not glibc, and leaves MALLOC_* settings of the user alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(n.startswith("MALLOC_") for n in os.environ):
        return
    m_trim_threshold, m_mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_threshold, 1 << 30)
    libc.mallopt(m_trim_threshold, (1 << 31) - 1)


def release_freed_memory() -> None:
    """Have the C library hand freed blocks back to the system, of which it keeps many.

    After a large model was converted, they were a quarter of what the process held
    (docs/performance.md). Does nothing where the C library is not glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
