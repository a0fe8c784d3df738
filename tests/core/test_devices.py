"""What the machine is said to have, against psutil and made-up containers."""

import os
import subprocess
import sys

import psutil
import pytest

from impasto.core import devices
from impasto.core.errors import (
    ImpastoError,
    InputError,
    InterruptedRun,
    KnobError,
    MissingExtraError,
    ResourceError,
    WeightsError,
)

GB = 10**9


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Puts this process into a made-up control group on a machine with 8 GB free."""

    def make(limit, used, stat=None, old=False):
        folder = tmp_path / "memory" if old else tmp_path
        folder.mkdir(exist_ok=True)
        names = ("limit_in_bytes", "usage_in_bytes") if old else ("max", "current")
        for name, value in zip(names, (limit, used), strict=True):
            (folder / f"memory.{name}").write_text(f"{value}\n")
        if stat is not None:
            (folder / "memory.stat").write_text(stat)

    class Memory:
        available = 8 * GB

    monkeypatch.setattr(devices, "_CGROUP_DIR", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    return make


def test_without_a_container_the_free_memory_is_the_systems(container):
    assert devices.available_bytes("cpu") == 8 * GB


def test_a_container_without_limit_has_the_systems_memory(container):
    container("max", 3 * GB)
    assert devices.available_bytes("cpu") == 8 * GB


def test_a_container_has_what_its_limit_leaves(container):
    container(4 * GB, 3 * GB)
    assert devices.available_bytes("cpu") == 1 * GB


def test_files_that_a_container_caches_count_as_free(container):
    container(4 * GB, 3 * GB, f"anon 1\nactive_file 7\ninactive_file {2 * GB}\nslab 5\n")
    assert devices.available_bytes("cpu") == 3 * GB


def test_a_container_of_the_old_kind_has_a_limit_too(container):
    container(4 * GB, 3 * GB, f"inactive_file 7\ntotal_inactive_file {1 * GB}\n", old=True)
    assert devices.available_bytes("cpu") == 2 * GB


def test_a_container_of_the_old_kind_may_have_no_limit(container):
    container(9223372036854771712, 3 * GB, old=True)
    assert devices.available_bytes("cpu") == 8 * GB


def test_a_container_never_has_more_than_the_system(container):
    container(64 * GB, 1 * GB)
    assert devices.available_bytes("cpu") == 8 * GB


def test_a_container_over_its_limit_has_nothing(container):
    container(4 * GB, 5 * GB)
    assert devices.available_bytes("cpu") == 0


def test_this_machine_has_no_more_memory_free_than_in_all():
    total = psutil.virtual_memory().total
    assert 0 < devices.available_bytes("cpu") <= total
    assert 0 < devices.resident_bytes() <= total


def test_the_peak_is_at_least_what_is_held_and_remembers():
    script = (
        "from impasto.core import devices\n"
        "before = devices.peak_bytes()\n"
        "assert before >= 0.9 * devices.resident_bytes()\n"
        "x = b'1' * 200_000_000\n"
        "del x\n"
        "assert devices.peak_bytes() - before > 150_000_000\n"
        "assert devices.resident_bytes() < devices.peak_bytes() - 100_000_000\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_auto_finds_a_device_and_the_processor_is_always_one():
    assert devices.choose_device("auto") in ("cpu", "cuda", "mps")
    assert devices.choose_device("cpu") == "cpu"


@pytest.mark.parametrize("wanted", ["nonsense", "", "cuda:99", "meta", "cpu:x"])
def test_a_device_that_is_not_here_is_a_resource_error(wanted):
    with pytest.raises(ResourceError, match="Use --device auto") as caught:
        devices.choose_device(wanted)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "fast"),
    [({"avx2", "avx512f"}, False), ({"avx512_bf16"}, True), ({"amx_bf16"}, True), ({"bf16"}, True)],
)
def test_bf16_is_fast_where_the_processor_has_it(monkeypatch, flags, fast):
    monkeypatch.setattr(devices, "_cpu_flags", lambda: flags)
    assert devices.has_fast_bf16("cpu") is fast
    assert devices.has_fast_bf16("mps") is False


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="no /proc/cpuinfo")  # noqa: PTH110
def test_the_processors_flags_are_read():
    assert {"fpu", "fp"} & devices._cpu_flags()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (InputError, 2),
        (KnobError, 2),
        (WeightsError, 2),
        (MissingExtraError, 2),
        (ResourceError, 3),
        (InterruptedRun, 130),
    ],
)
def test_every_error_has_its_exit_code(kind, code):
    assert issubclass(kind, ImpastoError)
    assert kind("x").exit_code == code
