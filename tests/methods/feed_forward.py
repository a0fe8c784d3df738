"""What the tests of the feed-forward methods share: requests by name, in fp32 on the processor."""

import numpy as np

from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import unwatched
from impasto.pipeline import make_request


def painted(models, method, content, styles, *, watch=unwatched, precision="fp32", **settings):
    """The painting of a narrow, random model."""
    request = make_request(content, styles, method=method, weights=models[method], **settings)
    setting = Setting(request.content.height, request.content.width, "cpu", precision)
    return request.method.paint(request, Plan(setting, Forecast(0, 0), 0), watch)


def pixels_of(models, method, content, styles, **settings):
    return np.asarray(painted(models, method, content, styles, **settings).pixels)
