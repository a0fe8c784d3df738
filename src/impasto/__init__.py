"""Impasto: neural style transfer. Give it a picture and a style; it says how it was made.

    import impasto

    result = impasto.stylize("photo.jpg", "style.jpg", method="gatys", size=512)
    result.save("painting.png")

Everything is imported when it is first used, so that ``import impasto`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto import methods
    from impasto.advise.describe.describe import describe
    from impasto.advise.recommend.auto import request, stylize
    from impasto.advise.recommend.recommend import recommend
    from impasto.advise.tune.tune import tune
    from impasto.core.errors import ImpastoError
    from impasto.core.picture import Picture
    from impasto.core.plan import Plan
    from impasto.core.progress import ProgressEvent
    from impasto.core.recipe import Recipe
    from impasto.core.request import Request
    from impasto.core.result import Result
    from impasto.evaluation.comparison.compare import compare
    from impasto.evaluation.evaluate import evaluate
    from impasto.pictures import read
    from impasto.pipeline import make_plan as plan
    from impasto.pipeline.rerun import load_recipe, rerun
    from impasto.video.runner import VideoResult
    from impasto.video.stylize_video import stylize_video

_EXPORTS = {
    "VideoResult": "impasto.video.runner:VideoResult",
    "ImpastoError": "impasto.core.errors:ImpastoError",
    "Picture": "impasto.core.picture:Picture",
    "Plan": "impasto.core.plan:Plan",
    "Recipe": "impasto.core.recipe:Recipe",
    "Request": "impasto.core.request:Request",
    "Result": "impasto.core.result:Result",
    "ProgressEvent": "impasto.core.progress:ProgressEvent",
    "compare": "impasto.evaluation.comparison.compare:compare",
    "describe": "impasto.advise.describe.describe:describe",
    "evaluate": "impasto.evaluation.evaluate:evaluate",
    "methods": "impasto.methods",
    "plan": "impasto.pipeline:make_plan",
    "read": "impasto.pictures:read",
    "recommend": "impasto.advise.recommend.recommend:recommend",
    "request": "impasto.advise.recommend.auto:request",
    "rerun": "impasto.pipeline:rerun",
    "load_recipe": "impasto.pipeline:load_recipe",
    "stylize": "impasto.advise.recommend.auto:stylize",
    "tune": "impasto.advise.tune.tune:tune",
    "stylize_video": "impasto.video.stylize_video:stylize_video",
}

__all__ = [
    "ImpastoError",
    "Picture",
    "Plan",
    "ProgressEvent",
    "Recipe",
    "Request",
    "Result",
    "VideoResult",
    "compare",
    "describe",
    "evaluate",
    "load_recipe",
    "methods",
    "plan",
    "read",
    "recommend",
    "request",
    "rerun",
    "stylize",
    "stylize_video",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
