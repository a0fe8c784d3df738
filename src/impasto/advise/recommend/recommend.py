"""Which method suits a case, why, what was ruled out, and the command to run."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.advise.recommend.candidates import CandidateFinder
from impasto.advise.recommend.recommendation import Candidate, Excluded, Reason, Recommendation
from impasto.core import units


def recommend(
    content: object,
    style: object | Sequence[object],
    *,
    purpose: str = "picture",
    deadline: str | float | None = None,
    memory: str | float | None = None,
    license: str = "any",
    size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Recommendation:
    """Say which method suits a content and a style on this machine, and why.

    The rules are those of docs/recommend.md. Times and memory are the methods' own forecasts for
    these pictures; nothing is painted.

    Args:
        content: a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W); for
            "video" a film as :func:`impasto.stylize_video` takes it, or a frame of one.
        style: one such picture, or a list of them; or the name of a style that ``fast`` has learnt.
        purpose: a name among ``impasto.advise.recommend.scenario.PURPOSES``: "picture", "preview",
        "live",
            "batch", "print", "video", "photo", "text", "brand", "leak".
        deadline: seconds that a picture may take, or a text as "5s", "2m"; None: what the purpose
            allows.
        memory: bytes that it may take, or a text as "4G"; None: what is free.
        license: "any" or "commercial".
        size: long side of the painting in pixels; None: the content's, or less to keep the limits.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "auto", "fp32" or "bf16".

    Raises:
        ImpastoError: a picture or setting that cannot be used, or no such device.
    """
    case = CandidateFinder(
        content,
        style,
        purpose=purpose,
        deadline=None if deadline is None else units.parse_duration(deadline),
        memory=None if memory is None else units.parse_bytes(memory),
        license=license,
        size=size,
        device=device,
        precision=precision,
    )
    candidates: list[Candidate] = []
    refused: list[Excluded] = []
    cuts: list[Reason] = []
    for found, how in case.iter_methods():
        if isinstance(found, Excluded):
            refused.append(found)
            continue
        candidates.append(found)
        if len(candidates) == 1:
            cuts = [Reason("limits", f"{found.method}: {cut}") for cut in how]
    return case.make_recommendation(tuple(candidates), tuple(refused), tuple(cuts))
