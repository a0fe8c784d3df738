"""Who finds the motion between two frames: OpenCV's DIS, or RAFT from a checkpoint on this disk.

Kroeger, Timofte, Dai & Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016, needs
no weights. Teed & Deng, "RAFT", ECCV 2020, is more exact and much slower; its network is
torchvision's, and so is the layout of the checkpoint.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.core.errors import InputError, KnobError, MissingExtraError, WeightsError
from impasto.core.picture import Pixels
from impasto.ops.convert import as_tensor
from impasto.ops.warping import resize_flow
from impasto.pictures import fit_long_side, resize

ESTIMATION_SIDE_PX = 640
"""Long side in pixels at which motion is looked for. That of larger frames is enlarged."""
MIN_SIDE_PX = 24
"""Short side in pixels below which nothing moves: DIS fails there."""
GRAY = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of the colors in what DIS looks at (BT.601)."""
UNKNOWN, FAR = 1e9, 1e6
"""Pixels from which on a file says that a flow is unknown, and what stands for it then."""
RAFT_SIDE = 128
"""Shortest side in pixels that RAFT takes."""


class FlowEstimator(Protocol):
    """Finds the motion between two frames."""

    @property
    def name(self) -> str:
        """What recipes and messages call it."""
        ...

    def __call__(self, first: Pixels, second: Pixels) -> Tensor:
        """The flow from one frame (H, W, 3) in 0..1 to another, shape (1, 2, H, W) in pixels.

        Raises:
            InputError: frames of two sizes.
        """
        ...


def get_flow_estimator(flow: str, device: str = "cpu") -> FlowEstimator | None:
    """Who is asked for: "auto" or "dis", "none", or the file of a RAFT checkpoint.

    Raises:
        KnobError: none of them.
        MissingExtraError: what it needs is not installed; the message has the line.
        WeightsError: a checkpoint that cannot be used.
    """
    if flow == "none":
        return None
    if flow in ("auto", "dis"):
        return DIS()
    if Path(flow).suffix in (".pth", ".pt", ".safetensors"):
        return RAFT(flow, device)
    raise KnobError(f"flow = {flow!r}: one of auto, none, dis, or a checkpoint of RAFT (.pth).")


class DIS:
    """Dense inverse search, by OpenCV.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """

    name = "dis"

    def __init__(self) -> None:
        try:
            import cv2
        except ImportError as error:
            raise MissingExtraError(
                'Optical flow needs an extra; run: pip install "impasto[video]"'
            ) from error
        preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        self._dis: Any = cv2.DISOpticalFlow.create(preset)

    def __call__(self, first: Pixels, second: Pixels) -> Tensor:
        """See :class:`FlowEstimator`."""
        height, width = _size(first, second)
        small = _estimation_size(height, width)
        if min(small) < MIN_SIDE_PX:
            return torch.zeros(1, 2, height, width)
        gray = [np.uint8(np.rint(255 * (_at(f, small) @ GRAY).clip(0, 1))) for f in (first, second)]
        found = torch.from_numpy(self._dis.calc(*gray, None))
        return resize_flow(found.permute(2, 0, 1)[None].contiguous(), height, width)


class RAFT:
    """Recurrent all-pairs field transforms, large or small as the checkpoint is.

    Args:
        file: a state dict in torchvision's layout, .pth or .safetensors.
        device: where it works.

    Raises:
        MissingExtraError: torchvision is not installed, or does not fit this torch.
        WeightsError: the file cannot be read or is of another network.
    """

    def __init__(self, file: str, device: str = "cpu") -> None:
        tensors = _checkpoint(Path(file))
        try:
            from torchvision.models import optical_flow
        except (ImportError, RuntimeError) as error:  # a build for another torch
            raise MissingExtraError(
                "RAFT needs torchvision, of the build that belongs to this torch; "
                f"run: pip install torchvision. ({error})"
            ) from error
        first = tensors.get("feature_encoder.convnormrelu.0.weight")
        make = optical_flow.raft_small if first is not None and len(first) == 32 else (
            optical_flow.raft_large
        )  # fmt: skip
        self._network: Any = make(weights=None)
        try:
            self._network.load_state_dict(tensors)
        except RuntimeError as error:
            raise WeightsError(
                f"{file} is no checkpoint of torchvision's RAFT: {str(error).splitlines()[0]}"
            ) from error
        self._network = self._network.eval().requires_grad_(False).to(device)
        self._device = device
        self.name = f"raft {Path(file).name}"

    @torch.inference_mode()
    def __call__(self, first: Pixels, second: Pixels) -> Tensor:
        """See :class:`FlowEstimator`."""
        height, width = _size(first, second)
        small = _estimation_size(height, width)
        frames = torch.cat([as_tensor(_at(f, small)) for f in (first, second)]).to(self._device)
        h, w = small
        beyond = (0, max(-w % 8, RAFT_SIDE - w), 0, max(-h % 8, RAFT_SIDE - h))
        frames = F.pad(2 * frames - 1, beyond, mode="replicate")
        found: Tensor = self._network(frames[:1], frames[1:])[-1][:, :, :h, :w]
        return resize_flow(found.float().cpu(), height, width)


def read_flow(file: Path) -> Tensor:
    """A flow from a file: .flo (Middlebury), or .npz with an array (H, W, 2).

    Returns:
        (1, 2, H, W); where it is unknown, it leads far out of the frame.

    Raises:
        InputError: it cannot be read.
    """
    try:
        flow = _flo(file) if file.suffix == ".flo" else _npz(file)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"The flow {file} cannot be read: {error}") from error
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise InputError(f"The flow {file} has the shape {flow.shape}; wanted is (H, W, 2).")
    known = np.isfinite(flow) & (np.abs(flow) < UNKNOWN)
    found = torch.from_numpy(np.where(known, flow, np.float32(FAR)))
    return found.permute(2, 0, 1)[None].contiguous()


def _flo(file: Path) -> Pixels:
    data = file.read_bytes()
    width, height = (int(n) for n in np.frombuffer(data, "<i4", 2, 4))
    if data[:4] != b"PIEH":
        raise ValueError("it does not begin as a .flo file does")
    flow = np.frombuffer(data, "<f4", 2 * width * height, 12)
    return flow.reshape(height, width, 2).astype(np.float32)


def _npz(file: Path) -> Pixels:
    with np.load(file, allow_pickle=False) as arrays:
        name = "flow" if "flow" in arrays.files else arrays.files[0]
        flow: Pixels = arrays[name].astype(np.float32)
    return flow


def _size(first: Pixels, second: Pixels) -> tuple[int, int]:
    if first.shape != second.shape:
        sizes = " and ".join(f"{f.shape[1]} x {f.shape[0]}" for f in (first, second))
        raise InputError(f"Two frames of one film have {sizes} px: they must be alike.")
    return first.shape[0], first.shape[1]


def _estimation_size(height: int, width: int) -> tuple[int, int]:
    return fit_long_side(height, width, min(ESTIMATION_SIDE_PX, max(height, width)))


def _at(frame: Pixels, size: tuple[int, int]) -> Pixels:
    return np.asarray(frame if frame.shape[:2] == size else resize(frame, *size), np.float32)


def _checkpoint(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"The checkpoint {file} cannot be read: {why}") from error
    if not isinstance(found, dict):
        raise WeightsError(f"The checkpoint {file} holds no state dict.")
    return found
