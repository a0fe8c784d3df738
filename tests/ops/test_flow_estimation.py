"""Who finds motion: DIS on known motion, RAFT through a torchvision that is made up."""

import sys
import types

import numpy as np
import pytest
import torch
from moving import panning, texture

from impasto.core.errors import InputError, KnobError, MissingExtraError, WeightsError
from impasto.ops import flow_estimation as flows
from impasto.ops.flow_estimation import DIS, RAFT, get_flow_estimator, read_flow

pytest.importorskip("cv2")


def test_dis_finds_a_pan():
    one, other = panning(2, right=3)
    found = DIS()(one, other)
    assert found.shape == (1, 2, 96, 128)
    error = (found - torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)).norm(dim=1)
    assert error[0, 8:-8, 8:-8].mean() < 0.2


def test_motion_of_a_large_frame_is_found_in_small(monkeypatch):
    monkeypatch.setattr(flows, "ESTIMATION_SIDE_PX", 64)
    one, other = panning(2, right=8)
    error = (DIS()(one, other) - torch.tensor([8.0, 0.0]).view(1, 2, 1, 1)).norm(dim=1)
    assert error[0, 12:-12, 16:-16].mean() < 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 400), (25, 24), (33, 801)])
def test_frames_of_any_size(height, width):
    frame = np.random.default_rng(0).random((height, width, 3), np.float32)
    found = DIS()(frame, frame)
    assert found.shape == (1, 2, height, width)
    assert found.abs().mean() < 0.1


def test_two_sizes_are_refused():
    with pytest.raises(InputError, match="32 x 40 px"):
        DIS()(texture(40, 40), texture(40, 32))


def test_who_is_asked_for():
    assert get_flow_estimator("none") is None
    assert get_flow_estimator("auto").name == get_flow_estimator("dis").name == "dis"
    with pytest.raises(KnobError, match="auto, none, dis"):
        get_flow_estimator("farneback")


def test_without_opencv_the_install_line_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[video\]"'):
        DIS()


class Toy(torch.nn.Module):
    """In the place of torchvision's RAFT: the last of its answers is (5, -1) everywhere."""

    def __init__(self, channels):
        super().__init__()
        conv = torch.nn.Conv2d(3, channels, 7)
        norm = torch.nn.Module()
        norm.convnormrelu = torch.nn.Sequential(conv)
        self.feature_encoder = norm

    def forward(self, one, other):
        assert one.shape[2] % 8 == one.shape[3] % 8 == 0
        assert min(one.shape[2:]) >= 128
        assert one.min() < 0 and one.abs().max() <= 1.0001  # noqa: PT018
        moved = torch.tensor([5.0, -1.0]).view(1, 2, 1, 1)
        return [0 * moved.expand(1, 2, *one.shape[2:]), moved.expand(1, 2, *one.shape[2:])]


@pytest.fixture
def torchvision(monkeypatch):
    made = []

    def maker(name, channels):
        def make(weights):
            assert weights is None
            made.append(name)
            return Toy(channels)

        return make

    optical = types.ModuleType("torchvision.models.optical_flow")
    optical.raft_large, optical.raft_small = maker("large", 64), maker("small", 32)
    models = types.ModuleType("torchvision.models")
    models.optical_flow = optical
    top = types.ModuleType("torchvision")
    for module in (top, models, optical):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return made


@pytest.mark.parametrize(("size", "channels"), [("large", 64), ("small", 32)])
def test_raft_is_as_large_as_its_checkpoint(torchvision, tmp_path, size, channels):
    file = tmp_path / "raft.pth"
    torch.save(Toy(channels).state_dict(), file)
    raft = get_flow_estimator(str(file))
    assert torchvision == [size]
    found = raft(texture(60, 100), texture(60, 100))
    assert torch.equal(found, torch.tensor([5.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 60, 100))
    assert raft.name == "raft raft.pth"


def test_a_checkpoint_of_something_else(torchvision, tmp_path):
    file = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(WeightsError, match="no checkpoint of torchvision's RAFT"):
        RAFT(str(file))
    file.write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="cannot be read"):
        RAFT(str(file))
    torch.save([1, 2], file)
    with pytest.raises(WeightsError, match="no state dict"):
        RAFT(str(file))
    with pytest.raises(WeightsError, match="cannot be read"):
        RAFT(str(tmp_path / "missing.pth"))


def test_without_torchvision_the_install_line_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    file = tmp_path / "raft.pth"
    torch.save(Toy(64).state_dict(), file)
    with pytest.raises(MissingExtraError, match="pip install torchvision"):
        RAFT(str(file))


def test_flow_files(tmp_path):
    flow = np.random.default_rng(0).normal(size=(6, 8, 2)).astype(np.float32)
    flow[2, 3] = 1e10  # unknown
    sizes = np.array([8, 6], "<i4").tobytes()
    (tmp_path / "a.flo").write_bytes(b"PIEH" + sizes + flow.tobytes())
    np.savez(tmp_path / "a.npz", flow=flow)
    for name in ("a.flo", "a.npz"):
        found = read_flow(tmp_path / name)[0].permute(1, 2, 0).numpy()
        known = np.abs(flow) < 1e9
        assert np.array_equal(found[known], flow[known])
        assert (found[2, 3] > 1e5).all()


@pytest.mark.parametrize("data", [b"", b"PIEH", b"RIEH\x08\0\0\0\x06\0\0\0" + bytes(384)])
def test_a_flow_file_that_is_broken(tmp_path, data):
    for name in ("a.flo", "a.npz"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            read_flow(tmp_path / name)
