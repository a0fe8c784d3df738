"""From a request to a result: plan it, let the method paint, keep the recipe, save, resume."""

from impasto.pipeline.plan import make_plan
from impasto.pipeline.rerun import rerun, show
from impasto.pipeline.stylize import make_request, stylize

__all__ = ["make_plan", "make_request", "rerun", "show", "stylize"]
