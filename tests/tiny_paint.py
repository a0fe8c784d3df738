"""Painting by the method sdxl with a tiny model."""

import numpy as np
from tiny_models import picture

import impasto

CONTENT, ONE, OTHER = picture(40, 56), picture(48, 64, 1), picture(33, 90, 2)
CONTENTS = (CONTENT, picture(40, 56, 9))
HOUSE = "a house"


def settings(tiny, kind="sdxl", **more):
    usual = {
        "method": "sdxl",
        "model": tiny[kind],
        "ip_adapter": tiny[f"adapter-{kind}"],
        "device": "cpu",
        "precision": "fp32",
        "steps": 3,
    }
    return {**usual, **more}


def painted(tiny, content="48x32", styles=(ONE,), kind="sdxl", **more):
    return impasto.stylize(content, list(styles), **settings(tiny, kind, **more))


def pixels(*args, **more):
    return np.asarray(painted(*args, **more).pixels)
