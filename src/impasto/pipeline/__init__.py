"""From a request to a result: plan it, let the method paint, keep the recipe, save, resume."""

from impasto.pipeline.plan import make_plan
from impasto.pipeline.rerun import load_recipe, rerun
from impasto.pipeline.stylize import make_request, stylize

__all__ = ["load_recipe", "make_plan", "make_request", "rerun", "stylize"]
