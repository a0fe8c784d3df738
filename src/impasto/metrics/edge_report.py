"""The edge report: how much of the photograph's drawing a painting has kept.

The figures are those of :mod:`impasto.metrics.structural_similarity`; ``impasto evaluate`` has the
first too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from impasto.core.picture import Raster
from impasto.pictures import fit_long_side, resize

MAX_SIDE_PX = 1024
"""Long side in pixels of the copies that are compared, at most."""
MIN_SIDE_PX = 13
"""The shorter side in pixels from which on there is something to compare."""
MIN_LUMINANCE_RANGE = 1 / 255
"""A content whose luminances lie no further apart has no edges."""
MIN_PHOTOGRAPH_CORRELATION = 0.8
"""Correlation of the edges from which on a painting of a photograph is one itself."""


def measure_edges(image: Raster, content: Raster) -> dict[str, float]:
    """What is left of the content's edges in a painting, from their luminances.

    Args:
        image: (height, width, 3) in 0..1.
        content: of any size; it is brought to the painting's.

    Returns:
        "edges", the correlation of the gradients' magnitudes, and "edge_ssim", their structural
        similarity, both -1..1; empty for a painting of less than 13 px, or a content without edges.
    """
    import torch

    from impasto.metrics.structural_similarity import edge_ssim, gradient_correlation, luminance

    height, width = image.shape[:2]
    size = fit_long_side(height, width, min(MAX_SIDE_PX, max(height, width)))
    if min(size) < MIN_SIDE_PX:
        return {}

    def seen(raster: Raster) -> torch.Tensor:
        pixels = np.ascontiguousarray(resize(raster, *size), np.float32)
        return luminance(torch.from_numpy(pixels).permute(2, 0, 1)[None])

    found, wanted = seen(image), seen(content)
    if float(wanted.max() - wanted.min()) <= MIN_LUMINANCE_RANGE:
        return {}
    return {
        "edges": round(float(gradient_correlation(found, wanted)), 4),
        "edge_ssim": round(float(edge_ssim(found, wanted)), 4),
    }


def format_edge_report(report: Mapping[str, float]) -> str:
    """The figures in words."""
    return f"{report['edges']:.2f} of the content's, {report['edge_ssim']:.2f} by their SSIM"


def photograph_verdict(report: Mapping[str, float]) -> str:
    """Whether a painting of a photograph stays one, in a sentence; empty if it is not known."""
    if not report:
        return ""
    edges = report["edges"]
    if edges >= MIN_PHOTOGRAPH_CORRELATION:
        return f"It stays a photograph (edges {edges:.2f})."
    return (
        f"It is no longer a photograph in its edges ({edges:.2f}, and "
        f"{MIN_PHOTOGRAPH_CORRELATION} would be one): "
        "a lower --strength, or regions that pair like with like, keep more of them."
    )
