"""Statistics of features that change slowly from frame to frame, so that the style does too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from impasto.core.errors import InputError
from impasto.engines.feedforward.tiling import TiledModel


@runtime_checkable
class KeepsStatistics(Protocol):
    """A painter that averages what it knows of whole pictures over the frames of a film."""

    def set_momentum(self, share: float) -> None:
        """From now on; ``share`` of the newest frame in the average, over 0 to 1."""
        ...

    def start_shot(self) -> None:
        """A new shot: forget what was averaged."""
        ...

    def state_dict(self) -> Mapping[str, Tensor]:
        """The averages so far."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the averages of :meth:`state`."""
        ...


class RunningStatistics:
    """Gives any painter a memory for its statistics; see :class:`KeepsStatistics`.

    What is averaged are all the numbers in them: means, covariances, or the maps made of those.
    """

    def __init__(self, painter: TiledModel) -> None:
        self.painter = painter
        self.align, self.halo, self.digests = painter.align, painter.halo, painter.digests
        self._share = 1.0
        self._known: list[Tensor] = []

    def set_momentum(self, share: float) -> None:
        self._share = share

    def start_shot(self) -> None:
        self._known = []

    def state_dict(self) -> dict[str, Tensor]:
        return {str(index): value for index, value in enumerate(self._known)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._known = [state[str(index)] for index in range(len(state))]

    def statistics(self, frame: Tensor) -> Any:
        """Those of a frame, averaged with those of the frames before it.

        Raises:
            InputError: a state was restored that is of another painter.
        """
        found = self.painter.statistics(frame)
        now = list(_numbers(found))
        if self._known:
            if [n.shape for n in now] != [k.shape for k in self._known]:
                raise InputError("The film's state is of another method: begin the film anew.")
            pairs = zip(self._known, now, strict=True)
            now = [torch.lerp(known.to(new), new, self._share) for known, new in pairs]
        self._known = now
        return _with_numbers(found, iter(now))

    def __call__(self, frame: Tensor, statistics: Any = None) -> Tensor:
        """Paint a framed picture, or a part of one whose statistics are known."""
        known = self.statistics(frame) if statistics is None else statistics
        return self.painter(frame, known)


def _numbers(tree: Any) -> Iterator[Tensor]:
    """Every number in nested sequences and data classes, as tensors."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, float):
        yield torch.tensor(tree, dtype=torch.float64)
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from _numbers(each)
    elif dataclasses.is_dataclass(tree):
        for each in dataclasses.fields(tree):
            yield from _numbers(getattr(tree, each.name))


def _with_numbers(tree: Any, numbers: Iterator[Tensor]) -> Any:
    """The same with other numbers in it."""
    if isinstance(tree, Tensor):
        return next(numbers)
    if isinstance(tree, float):
        return float(next(numbers))
    if isinstance(tree, (tuple, list)):
        return type(tree)(_with_numbers(each, numbers) for each in tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [each.name for each in dataclasses.fields(tree)]
        return dataclasses.replace(
            tree, **{name: _with_numbers(getattr(tree, name), numbers) for name in names}
        )
    return tree
