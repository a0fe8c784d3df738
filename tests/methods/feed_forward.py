"""What the tests of the feed-forward methods share: requests by name, in fp32 on the processor."""

import numpy as np

from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ignore_progress
from impasto.pipeline import make_request


def painted(
    models, method, content, styles, *, watch=ignore_progress, precision="fp32", **settings
):
    """The painting of a narrow, random model."""
    request = make_request(content, styles, method=method, weights=models[method], **settings)
    setting = ExecutionSettings(request.content.height, request.content.width, "cpu", precision)
    return request.method.stylize(request, Plan(setting, Forecast(0, 0), 0), watch)


def pixels_of(models, method, content, styles, **settings):
    return np.asarray(painted(models, method, content, styles, **settings).pixels)
