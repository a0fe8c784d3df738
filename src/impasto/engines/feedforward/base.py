"""What every feed-forward method does with a request: plan it, tile it, paint it.

A method gives the network, as a :class:`~impasto.engines.feedforward.tiling.TiledModel`; all else
is here.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.core.card import MethodCard
from impasto.core.devices import keep_freed_memory, resident_bytes
from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ProgressCallback, ProgressEvent
from impasto.core.request import MethodOutput, Region, Request
from impasto.engines.feedforward.tiling import TiledModel, run_tiled, tiles
from impasto.engines.region_weights import region_weights, small_region_warnings
from impasto.nets import vgg
from impasto.ops.convert import as_pixels, as_tensor
from impasto.ops.padding import pad
from impasto.ops.regional_transforms import StyleInputs
from impasto.pictures import DiskArray, resize
from impasto.pictures.disk_array import is_large, row_chunks
from impasto.pictures.masks import ChannelStack, resize_mask
from impasto.pictures.resize import THUMBNAIL_SIDE_PX, _thumbnail_size, thumbnail

PROBE_SIDE_PX = 256
"""Long side in pixels of the picture on which a network is timed and precisions compared."""
TILE_BYTES_PER_PX = 260
"""Memory that a network here takes at its peak, per pixel of a tile with its halo, in bf16;
twice that in fp32. Measured by benchmarks/size.py."""
MASK_BYTES_PER_PX = 12
"""Bytes per pixel for every part of a picture that has regions, of a tile and of the whole."""
IMAGE_BYTES_PER_PX = 24
"""Bytes per pixel of a picture in memory: the content at its size, and the painting."""
START_SECONDS = 0.3
UNCHANGED_RMS = 1e-3
"""Root mean square of a change that is next to nothing: 1/4 of a step of 8 bits."""


@dataclass(frozen=True)
class DeviceSpec:
    """Where a network works: a device, and "fp32" or "bf16".

    Pictures stay in float32 there, and so does what a painting takes from them unchanged; a
    network rounds what it sees.
    """

    device: str
    precision: str

    def __call__(self, image: Tensor) -> Tensor:
        return image.to(self.device, memory_format=torch.channels_last)

    def move(self, network: nn.Module) -> None:
        """Move a network there, frozen."""
        vgg.move_network(network.eval().requires_grad_(False), self.device, self.precision)


class FeedForwardMethod(ABC):
    """A method that paints in one pass of a network, which is all that it says for itself.

    A subclass is a frozen dataclass of knobs, as :class:`impasto.core.request.Method` has it.
    """

    name: ClassVar[str]
    card: ClassVar[MethodCard]

    @abstractmethod
    def build_model(self, request: Request, device_spec: DeviceSpec) -> TiledModel:
        """The network that a request asks for; it has looked at the styles.

        Raises:
            ImpastoError: weights or knobs that cannot be used.
        """

    def weights_name(self, request: Request) -> str:
        """Name or file of the weights: as asked, or the method's own."""
        return request.weights or self.card.weights[0]

    def warnings(self, request: Request) -> tuple[str, ...]:
        return small_region_warnings(request, self.stride())

    def stride(self) -> int:
        """Pixels between two positions of the deepest layer whose statistics are taken."""
        return 8

    def style_pixel_counts(self, request: Request) -> list[int]:
        """Pixels of each style picture that passes the network; none where they are named."""
        return []

    @torch.inference_mode()
    def precision_agreement(self, request: Request, device: str, precision: str) -> float:
        """Cosine of what is done to a small copy of the content in ``precision`` and in fp32."""
        changes = []
        for each in ("fp32", precision):
            painter, small = self._probe(request, DeviceSpec(device, each))
            changes.append((painter(small).float() - small[:, :3]).flatten())
        if changes[0].square().mean().sqrt() < UNCHANGED_RMS:
            return 1.0
        return float(F.cosine_similarity(changes[0], changes[1], dim=0))

    @torch.inference_mode()
    def forecast(self, request: Request, setting: ExecutionSettings) -> Forecast:
        """Time from a probe, memory from the largest tile or style picture."""
        painter, small = self._probe(request, DeviceSpec(setting.device, setting.precision))
        times = []
        for _ in range(2):
            start = time.perf_counter()
            as_pixels(painter(small))
            times.append(time.perf_counter() - start)
        height, width = setting.height, setting.width
        windows = tiles(height, width, align=painter.align, halo=painter.halo)
        areas = [(bottom - top) * (right - left) for top, left, bottom, right in
                 (tile.window for tile in windows)]  # fmt: skip
        styles = self.style_pixel_counts(request)
        seen = sum(areas) + sum(styles) + (THUMBNAIL_SIDE_PX**2 if len(areas) > 1 else 0)
        seconds = START_SECONDS + min(times) * seen / (small.shape[2] * small.shape[3])
        each = TILE_BYTES_PER_PX * (1 if setting.precision == "bf16" else 2)
        masks = MASK_BYTES_PER_PX * (len(request.regions) + 1) if request.regions else 0
        held = 0 if is_large(height, width) else (IMAGE_BYTES_PER_PX + masks) * height * width
        each += masks
        return Forecast(seconds, resident_bytes() + each * max(*areas, *styles, 0) + held)

    @torch.inference_mode()
    def stylize(
        self,
        request: Request,
        plan: Plan,
        callback: ProgressCallback,
        state: Mapping[str, Any] | None = None,
    ) -> MethodOutput:
        """Paint tile by tile. Ctrl-C leaves the content as it is where no tile was painted yet."""
        keep_freed_memory()
        setting = plan.setting
        place = DeviceSpec(setting.device, setting.precision)
        painter = self.build_model(request, place)
        source = _resize_content(request.content, setting)
        target = _copy_raster(source, request.content.bits)
        progress = [0, 1]

        def done(tile: int, of: int) -> bool:
            progress[:] = tile, of
            try:
                callback(ProgressEvent(tile, of, tile / of, {}, lambda: _snapshot(target), dict))
            except KeyboardInterrupt:
                return True
            return False

        small: Pixels = thumbnail(source)
        if request.regions:
            small = _append_region_weights(request, small)
            source = ChannelStack(source, region_weights(request, setting.height, setting.width))
        run_tiled(source, small, target, painter, place, done)
        painted, of = progress
        return MethodOutput(target, {}, painted, painted == of, dict(painter.digests), {})

    def _probe(self, request: Request, place: DeviceSpec) -> tuple[TiledModel, Tensor]:
        """The network for small copies of all pictures, and that of the content in a frame."""
        content, *styles = (_shrink_picture(each) for each in (request.content, *request.styles))
        regions = tuple(_shrink_region(r, content, styles[r.style_index]) for r in request.regions)
        small = replace(request, content=content, styles=tuple(styles), regions=regions)
        painter = self.build_model(small, place)
        seen = np.asarray(content.pixels)
        seen = _append_region_weights(request, seen) if regions else seen
        return painter, place(pad(as_tensor(seen), painter.align))


def style_inputs(request: Request, long_side: int) -> StyleInputs:
    """The styles as the regions want to see them, none larger than ``long_side`` or enlarged."""

    def small(style: int, mask: Raster | None) -> Tensor:
        channels = [thumbnail(request.styles[style].pixels, long_side)]
        if mask is not None:
            channels.append(np.asarray(resize_mask(mask, *channels[0].shape[:2]))[:, :, None])
        return as_tensor(np.dstack(channels))

    pictures: list[Tensor] = []
    places: dict[tuple[int, int], int] = {}  # of a style with a mask, among the pictures

    def place(style: int, mask: Raster | None) -> int:
        if (key := (style, id(mask))) not in places:
            places[key] = len(pictures)
            pictures.append(small(style, mask))
        return places[key]

    wanted = [{place(r.style_index, r.style_mask): 1.0} for r in request.regions]
    if not request.regions or request.background == "style":
        used = [
            (i, s)
            for i, s in enumerate(request.normalized_style_weights)
            if s or not request.regions
        ]
        wanted.append({place(i, None): s for i, s in used})
    else:
        wanted.append({})
    every = range(len(pictures))
    shares = (tuple(each.get(i, 0.0) for i in every) if each else () for each in wanted)
    return StyleInputs(tuple(pictures), tuple(shares))


def style_tensors(request: Request, long_side: int) -> list[Tensor]:
    """The style pictures as (1, 3, H, W), none larger than ``long_side`` and none enlarged."""
    return [as_tensor(thumbnail(style.pixels, long_side)) for style in request.styles]


def style_pixel_counts(request: Request, long_side: int) -> list[int]:
    """Pixels of each of :func:`style_tensors`."""
    sizes = [_thumbnail_size(style.pixels, long_side) for style in request.styles]
    return [height * width for height, width in sizes]


def _append_region_weights(request: Request, small: Pixels) -> Pixels:
    """A small copy of the content with the weights of its parts as further channels."""
    return np.dstack([small, np.asarray(region_weights(request, *small.shape[:2]))])


def _shrink_region(region: Region, content: Picture, style: Picture) -> Region:
    mask = region.style_mask
    return replace(
        region,
        mask=resize_mask(region.mask, content.height, content.width),
        style_mask=None if mask is None else resize_mask(mask, style.height, style.width),
    )


def _shrink_picture(picture: Picture) -> Picture:
    return replace(picture, pixels=thumbnail(picture.pixels, PROBE_SIDE_PX), alpha=None)


def _resize_content(content: Picture, setting: ExecutionSettings) -> Raster:
    if content.pixels.shape[:2] == (setting.height, setting.width):
        return content.pixels
    return resize(content.pixels, setting.height, setting.width, to_disk=True)


def _copy_raster(source: Raster, bits: int) -> Any:
    """A raster to be painted over, on disk if it is large."""
    height, width = source.shape[:2]
    if not is_large(height, width):
        return np.array(source)
    copy = DiskArray((height, width, 3), bits)
    for top, bottom in row_chunks(height, width):
        copy[top:bottom, :] = source[top:bottom, :]
    return copy


def _snapshot(target: Any) -> Raster:
    """A painting that is not finished: a copy, or what lies on disk."""
    return target if isinstance(target, DiskArray) else np.array(target)
