"""Two processes on one machine, as torchrun starts them for two GPUs; and one that is killed."""

import json
import os
import signal
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from tiny_clip import write_clip

from impasto.weights.lora import read_lora_header

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs gloo"),
]

DRIVER = """
import json, os, sys
from pathlib import Path
from impasto.train import album, loop
folder, rank = Path(sys.argv.pop(1)), os.environ["RANK"]
crops, real = [], album.Album.batch
def batch(self, step, size):
    found = real(self, step, size)
    if self.role == "photos":
        crops.append((step, float(found.double().sum())))
    return found
album.Album.batch = batch
written, replacing = [], loop.replacing
def counted(path):
    written.append(str(path))
    return replacing(path)
loop.replacing = counted
from impasto.cli import run
code = run(sys.argv[1:])
(folder / f"{rank}.json").write_text(json.dumps({"crops": crops, "written": written}))
sys.exit(code)
"""


def test_processes_share_the_steps_and_one_of_them_writes(album_folders, narrow, tmp_path):
    photos, styles = album_folders
    (tmp_path / "driver.py").write_text(DRIVER)
    out = tmp_path / "out.safetensors"
    words = ["train", "fast", "--photos", photos, "--styles", styles, "-o", out, "--steps", 3,
             "--batch-size", 2, "--crop-size", 64, "--loss-network", narrow, "--device", "cpu",
             "--precision", "fp32", "--preview", tmp_path / "steps", "--json"]  # fmt: skip
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
              "--master_port", "0", "--standalone", tmp_path / "driver.py", tmp_path]  # fmt: skip
    done = subprocess.run(
        [str(word) for word in (*launch, *words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert json.loads(line)["steps"] == 3
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert {step for step, _ in second["crops"]} == {1, 3, 5}
    assert {0, 2, 4} <= {step for step, _ in first["crops"]}
    taught = [dict(each["crops"]) for each in (first, second)]
    assert not set(taught[0].values()) & set(taught[1].values())
    assert first["written"]
    assert not second["written"]
    assert out.is_file()
    assert (tmp_path / "steps" / "latest.jpg").is_file()


def run(*words):
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_lora_is_taught_and_looked_at_by_two_processes(album_folders, tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    words = [
        "-m",
        "impasto",
        "train",
        "lora",
        "--pictures",
        album_folders[1],
        "-o",
        out,
        "--model",
        tiny["sdxl"],
        "--steps",
        3,
        "--rank",
        2,
        "--device",
        "cpu",
        "--precision",
        "fp32",
        "--train-text-encoders",
        "--trigger",
        "zq",
        "--num-prior-images",
        2,
        "--prior-prompt",
        "a thing",
        "--clip",
        write_clip(tmp_path / "clip"),
        "--evaluations",
        3,
        "--sample-prompts",
        "a boat",
        "--sample-steps",
        2,
        "--json",
    ]
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0",
              "--standalone"]  # fmt: skip
    done = run(*launch, *words)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    told = json.loads(line)
    assert (told["steps"], set(told["losses"])) == (3, {"style", "num_prior_images"})
    looks = json.loads(read_lora_header(out).metadata["impasto"])["about"]["evaluations"]
    assert [look["step"] for look in looks] == [0, 1, 2, 3]


KILLED = """
import os, signal, sys
from impasto.train import loop
loop.CHECKPOINT_SECONDS = -1
real = loop.Loop._train_step
def teach(self):
    if self.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self)
loop.Loop._train_step = teach
from impasto.cli import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_lora_whose_training_was_killed_ends_with_the_same_bits(album_folders, tiny, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    line = ["train", "lora", "--pictures", album_folders[1], "--model", tiny["sd15"], "--steps", 5,
            "--rank", 2, "--blocks", "mid", "--device", "cpu", "--precision", "fp32",
            "--no-early-stop", "-o"]  # fmt: skip
    assert run("-m", "impasto", *line, tmp_path / "whole.safetensors").returncode == 0
    out = tmp_path / "killed.safetensors"
    assert run(tmp_path / "killed.py", *line, out).returncode == -signal.SIGKILL
    assert not out.exists()
    done = run("-m", "impasto", *line, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert "Going on after step 3 of 5." in done.stderr
    whole, resumed = (safetensors.torch.load_file(tmp_path / f"{n}.safetensors")
                      for n in ("whole", "killed"))  # fmt: skip
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
