"""Films by AnimateDiff on the models of :mod:`tiny_diffusion`."""

import clips
import numpy as np
from tiny_models import picture

import impasto
from impasto.engines.diffusion.animatediff import AnimateDiffModel
from impasto.pipeline import make_plan, make_request
from impasto.video.options import VideoOptions
from impasto.video.runner import VideoJob

STYLE = picture(48, 64, 1)
HOUSE = "a house"
QUICK = {"steps": 1, "guidance": 1.0, "window": 4}
"""A twelfth of the usual passes."""


def settings(tiny, kind="sd15", **more):
    usual = {
        "method": "animatediff",
        "prompt": HOUSE,
        "model": tiny[kind],
        "motion_adapter": tiny[f"motion-{kind}"],
        "ip_adapter": tiny[f"adapter-{kind}"],
        "device": "cpu",
        "precision": "fp32",
        "steps": 3,
        "window": 6,
        "overlap": 2,
    }
    return {**usual, **more}


def film(tiny, output, content="48x32", styles=(STYLE,), seconds=1.5, **more):
    how = {"seconds": seconds} if content == "48x32" else {}
    return impasto.stylize_video(
        str(content), list(styles), str(output), **settings(tiny, lossless=True, **how, **more)
    )


def job(tiny, output="out.mp4", content="48x32", styles=(), seconds=None, **more):
    take = VideoOptions(seconds=seconds, lossless=True)
    return VideoJob(str(content), list(styles), str(output), take, **settings(tiny, **more))


def animator(tiny, content="48x32", styles=(STYLE,), **more):
    request = make_request(content, list(styles), **settings(tiny, **more))
    return AnimateDiffModel(request.method.animation_config(request, make_plan(request)))


def shown(path):
    return np.stack(clips.decoded(path)).astype(np.float32)
