"""The memory that a plan forecasts is about what the run then takes."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
import numpy as np
import impasto
from impasto.pipeline.stylize import perform

side, precision = int(sys.argv[1]), sys.argv[2]
random = np.random.default_rng(0)
photo, style = random.random((2, side, side, 3), dtype=np.float32)
knobs = {"steps": 16, "min_size": 0, "precision": precision}
request = impasto.request(photo, style, **knobs)
plan = impasto.plan(request)
result = perform(request, plan)
print(json.dumps([plan.forecast.peak_bytes, result.recipe.peak_bytes]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("side", [256, 640])
def test_peak_memory_is_forecast_within_30_percent(side, precision):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(side), precision],
        capture_output=True,
        text=True,
        check=True,
    )
    forecast, taken = json.loads(done.stdout)
    assert 0.7 < forecast / taken < 1.3
