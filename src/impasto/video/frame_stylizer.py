"""Who paints a film: by the kind of its method."""

from __future__ import annotations

from collections.abc import Callable

from impasto.core.errors import KnobError
from impasto.core.plan import Plan
from impasto.core.request import BuiltInStyles, Request
from impasto.engines.feedforward.base import FeedForwardMethod
from impasto.engines.optimization.base import OptimizationMethod
from impasto.methods.animatediff import AnimateDiff
from impasto.ops.flow_estimation import get_flow_estimator
from impasto.video.diffusion_stylizer import DiffusionStylizer, make_diffusion_stylizer
from impasto.video.feedforward_stylizer import FeedForwardStylizer
from impasto.video.optimization_stylizer import OptimizationStylizer
from impasto.video.source import VideoSource
from impasto.weights.store import load_model


def make_frame_stylizer(
    request: Request,
    plan: Plan,
    *,
    stability: float,
    flow: str,
    source: Callable[[], VideoSource],
    find_shots: bool = True,
) -> FeedForwardStylizer | OptimizationStylizer | DiffusionStylizer:
    """What paints the frames of a film, one after another.

    Its frames are at the plan's size, and in the content's colors if the request asks for that.
    Beside :class:`impasto.video.runner.FrameStylizer` it has ``files``: the weights in use, name →
    sha256.

    Args:
        request: whose content is a frame of the film, as the first one.
        plan: for it.
        stability: 0, every frame by itself, to 1.
        flow: "auto", "none", "dis", or a checkpoint of RAFT. "auto" is no flow for a fast network
            that has learnt to be stable by itself, and "dis" for all else.
        source: opens the film once more, for a brush that reads ahead.
        find_shots: whether that one looks for cuts.

    Raises:
        KnobError: settings that do not fit, or a method that paints no films.
        MissingExtraError: what the flow needs is not installed.
        ImpastoError: weights that cannot be used.
    """
    if not 0 <= stability <= 1:
        raise KnobError(f"stability = {stability!r} does not fit: it must be 0 to 1.")
    if request.regions:
        raise KnobError("A film has no regions: their masks are those of one frame.")
    method = request.method
    if isinstance(method, AnimateDiff):
        return make_diffusion_stylizer(request, plan, source(), find_shots, stability, flow)
    if isinstance(method, FeedForwardMethod):
        stable = _stable(request, method)
        if flow == "auto" and stable:
            flow = "none"
        found = get_flow_estimator(flow, plan.setting.device) if stability else None
        averaged = not stable or found is not None
        return FeedForwardStylizer(
            request, plan, stability=stability, flow=found, averaged=averaged
        )
    if isinstance(method, OptimizationMethod):
        found = get_flow_estimator(flow, plan.setting.device) if stability else None
        return OptimizationStylizer(request, plan, stability=stability, flow=found)
    raise KnobError(
        f"The method {method.name} paints no films: take fast, adain, wct, gatys or animatediff."
    )


def _stable(request: Request, method: FeedForwardMethod) -> bool:
    """Whether the weights are of a network that has learnt to be stable by itself."""
    if not isinstance(method, BuiltInStyles):
        return False
    return bool(load_model(method.weights_name(request), method.name).about.get("stable"))
