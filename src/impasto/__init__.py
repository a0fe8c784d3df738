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
    from impasto.advise.auto import request, stylize
    from impasto.advise.describe import describe
    from impasto.advise.film import video
    from impasto.advise.recommend import recommend
    from impasto.advise.tune import tune
    from impasto.core.errors import ImpastoError
    from impasto.core.picture import Picture
    from impasto.core.plan import Plan
    from impasto.core.progress import Tick
    from impasto.core.recipe import Recipe
    from impasto.core.request import Request
    from impasto.core.result import Result
    from impasto.judge.compare import compare
    from impasto.judge.evaluate import evaluate
    from impasto.pictures import read
    from impasto.run import make_plan as plan
    from impasto.run.rerun import rerun, show
    from impasto.video.run import Film

_PLACES = {
    "Film": "impasto.video.run:Film",
    "ImpastoError": "impasto.core.errors:ImpastoError",
    "Picture": "impasto.core.picture:Picture",
    "Plan": "impasto.core.plan:Plan",
    "Recipe": "impasto.core.recipe:Recipe",
    "Request": "impasto.core.request:Request",
    "Result": "impasto.core.result:Result",
    "Tick": "impasto.core.progress:Tick",
    "compare": "impasto.judge.compare:compare",
    "describe": "impasto.advise.describe:describe",
    "evaluate": "impasto.judge.evaluate:evaluate",
    "methods": "impasto.methods",
    "plan": "impasto.run:make_plan",
    "read": "impasto.pictures:read",
    "recommend": "impasto.advise.recommend:recommend",
    "request": "impasto.advise.auto:request",
    "rerun": "impasto.run:rerun",
    "show": "impasto.run:show",
    "stylize": "impasto.advise.auto:stylize",
    "tune": "impasto.advise.tune:tune",
    "video": "impasto.advise.film:video",
}

__all__ = [
    "Film",
    "ImpastoError",
    "Picture",
    "Plan",
    "Recipe",
    "Request",
    "Result",
    "Tick",
    "compare",
    "describe",
    "evaluate",
    "methods",
    "plan",
    "read",
    "recommend",
    "request",
    "rerun",
    "show",
    "stylize",
    "tune",
    "video",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
