"""Small ICC profiles of known primaries, made from the specification (ICC.1:2022)."""

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))

SRGB_CURVE = (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
ADOBE_CURVE = (0, (563 / 256,))


def numbers(values):
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def rgb_to_xyz(primaries):
    """Linear RGB to XYZ, both relative to D65."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def profile(name, primaries=None, curve=SRGB_CURVE):
    """An RGB profile, or a gray one where there are no primaries."""
    text = name.encode("utf-16-be")
    label = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    kind, parameters = curve
    tone = b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + numbers(parameters)
    tags = {b"desc": label, b"cprt": label, b"wtpt": b"XYZ \0\0\0\0" + numbers(D50)}
    if primaries:
        matrix = rgb_to_xyz(primaries)
        white = matrix.sum(axis=1)
        scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
        adapted = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ matrix
        for channel, column in zip((b"r", b"g", b"b"), adapted.T, strict=True):
            tags[channel + b"XYZ"] = b"XYZ \0\0\0\0" + numbers(column)
            tags[channel + b"TRC"] = tone
    else:
        tags[b"kTRC"] = tone
    table, body = struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag, 132 + 12 * len(tags) + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    space = b"RGB " if primaries else b"GRAY"
    head = struct.pack(
        ">4sI4s4s4s12s4s28s", b"", 0x04300000, b"mntr", space, b"XYZ ", b"", b"acsp", b""
    )
    rest = (head + numbers(D50)).ljust(124, b"\0") + table + body
    return struct.pack(">I", len(rest) + 4) + rest


def decode(curve, v):
    """Encoded to linear."""
    if curve == SRGB_CURVE:
        return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return v ** curve[1][0]


def to_srgb(values, primaries, curve):
    """Closed form: encoded values of a profile to encoded, clipped sRGB."""
    across = np.linalg.inv(rgb_to_xyz(SRGB)) @ rgb_to_xyz(primaries)
    linear = (decode(curve, values) @ across.T).clip(0, 1)
    return np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
