"""The decision table: which method for which case. Data; docs/recommend.md is made from it.

Of two methods, the first rule that fires and favors one of them decides; so the table's order is
its meaning. What a :class:`Limit` forbids is out, however much it is favored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from impasto.advise.recommend.benchmark_figures import load_figures, methods_by_error
from impasto.advise.recommend.scenario import A4_LONG_SIDE_PX, PRINT_DPI, Scenario

FAINT_STRENGTH = 0.4
"""Strength at which most of the content stays; measured in docs/benchmarks/quality.md."""


@dataclass(frozen=True)
class Rule:
    """One row of the decision table.

    Attributes:
        name: one word.
        condition: in words, when it fires.
        applies: the same as a function.
        reason: one sentence; ``{method.figure}`` are our measured figures, ``{style}`` and the like
            the scenario's own :attr:`~Scenario.template_values`.
        favors: methods that serve the case, the best first.
        fallbacks: methods that come nearest to it while none of ``favors`` is here, best first.
        fallback_reason: one sentence on those.
        knobs: method → knobs that follow.
        is_silent: too plain to be told each time.
    """

    name: str
    condition: str
    applies: Callable[[Scenario], bool]
    reason: str
    favors: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    fallback_reason: str = ""
    knobs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    is_silent: bool = False

    def rank(self, method: str) -> int:
        """Where the rule puts a method: 0 first; those that it does not name come last, alike."""
        order = (*self.favors, *self.fallbacks)
        return order.index(method) if method in order else len(order)

    def format_reason(self, values: Mapping[str, str]) -> str:
        """Why, with the figures and the case's own words filled in."""
        return fill_template(self.reason, values)


@dataclass(frozen=True)
class Limit:
    """What rules a method out, however well it would serve.

    Attributes:
        name: one word.
        condition: in words, whom it hits.
        reason: one sentence to be filled in with what is known of the method then.
    """

    name: str
    condition: str
    reason: str


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """A sentence with measured figures and words filled in."""
    return template.format(**load_figures(), **values)


def _has_purpose(purpose: str) -> Callable[[Scenario], bool]:
    return lambda situation: situation.purpose == purpose


RULES: tuple[Rule, ...] = (
    Rule(
        "same",
        "a style is the content picture itself",
        lambda s: s.style_is_content,
        "A style is the content picture itself: whatever paints, little will change.",
    ),
    Rule(
        "picture",
        "`--for picture` (the default)",
        _has_purpose("picture"),
        "gatys comes nearest to a style by the error that it minimizes: {gatys.error:.2f}; fast "
        "{fast.error:.2f}, adain {adain.error:.2f}, wct {wct.error:.2f} (0 is the style, 1 the "
        "plain photograph). On a network that none of them minimizes, fast is as near "
        "({fast.own_style:.2f}, gatys {gatys.own_style:.2f}), but further from the content "
        "({fast.own_content:.2f}, gatys {gatys.own_content:.2f}).",
        favors=("gatys",),
    ),
    Rule(
        "preview",
        "`--for preview`",
        _has_purpose("preview"),
        "While you choose, a picture should come at once: from the command to the file, 512 px "
        "took fast {fast.run:.1f} s, adain {adain.run:.1f} s, wct {wct.run:.1f} s and gatys "
        "{gatys.run:.0f} s on two cores.",
        favors=("fast", "adain", "wct"),
    ),
    Rule(
        "live",
        "`--for live`",
        _has_purpose("live"),
        "In real time: fast painted {fast.a_second:.0f} pictures a second of 512 px on two cores, "
        "adain {adain.a_second:.0f}, wct {wct.a_second:.0f}. Impasto has no camera; "
        "`impasto export` writes fast and adain for a program that has.",
        favors=("fast", "adain"),
    ),
    Rule(
        "batch",
        "`--for batch`",
        _has_purpose("batch"),
        "By the hundred, time decides: 512 px took fast {fast.run:.1f} s, adain {adain.run:.1f} s, "
        "wct {wct.run:.1f} s and gatys {gatys.run:.0f} s on two cores.",
        favors=("fast", "adain", "wct"),
    ),
    Rule(
        "print",
        "`--for print`",
        _has_purpose("print"),
        "gatys as long as memory and time allow the full size; beyond that fast and adain paint "
        "in tiles ({common.largest:.0f} megapixels took {fast.large_seconds:.0f} and "
        "{adain.large_seconds:.0f} s, and {fast.large_gib:.1f} GiB).",
        favors=("gatys", "fast", "adain", "wct"),
    ),
    Rule(
        "page",
        f"`--for print`, with fewer than {A4_LONG_SIDE_PX} px",
        lambda s: s.purpose == "print" and s.long_side < A4_LONG_SIDE_PX,
        f"At {PRINT_DPI} dots an inch {{side}} px are {{centimetres}} cm: for an A4 page say "
        f"--size {A4_LONG_SIDE_PX}.",
    ),
    Rule(
        "video",
        "`--for video`",
        _has_purpose("video"),
        "Frames that are painted one by one flicker; `impasto video` keeps them together. fast "
        "does it by a network that has learnt it, at once; adain and wct, for any style, by "
        "following the film's motion; gatys by a temporal loss, at minutes a frame.",
        favors=("fast", "adain", "wct", "gatys", "animatediff"),
    ),
    Rule(
        "photo",
        "`--for photo`",
        _has_purpose("photo"),
        "A photograph that is to stay one needs a method that keeps its edges where they are.",
        favors=("photowct", "deep-photo"),
        fallbacks=("gatys", "fast", "adain", "wct"),
        fallback_reason="gatys at structure 1 keeps much of the photograph (SSIM "
        "{gatys.faint_ssim:.2f} on "
        "{gatys.faint_pairs:.0f} pairs; at strength 0.4 fast has {fast.faint_ssim:.2f} and adain "
        "{adain.faint_ssim:.2f}, on {common.pairs:.0f}), but brush strokes may show.",
        knobs={
            "gatys": {"structure": 1.0},
            "fast": {"strength": FAINT_STRENGTH},
            "adain": {"strength": FAINT_STRENGTH},
            "wct": {"strength": FAINT_STRENGTH},
        },
    ),
    Rule(
        "text",
        "`--for text`",
        _has_purpose("text"),
        "A prompt asks for a diffusion model, and an adapter that takes the style from a picture.",
        favors=("sdxl",),
        fallbacks=("gatys", "fast", "adain", "wct"),
        knobs={"sdxl": {"prompt": "WHAT IS TO BE SEEN"}},
        fallback_reason="The other methods read no prompt: they all start from a content picture. "
        "`impasto describe` says a style in words.",
    ),
    Rule(
        "brand",
        "`--for brand`",
        _has_purpose("brand"),
        "Many pictures in one style want a network that has learnt it and does the same each time: "
        "sdxl with a LoRA (`impasto train lora`), or fast.",
        favors=("sdxl", "fast"),
        fallbacks=("adain", "wct", "gatys"),
        fallback_reason="adain takes the same statistics from the style picture each time; "
        "`impasto train fast` teaches a network the style.",
    ),
    Rule(
        "leak",
        "`--for leak`",
        _has_purpose("leak"),
        "Things of the style picture stay out where only the layers that carry style see it.",
        favors=("sdxl",),
        fallbacks=("adain", "wct", "gatys", "fast"),
        fallback_reason="adain takes means and deviations of features alone, which say "
        "nothing of things "
        "or places.",
        knobs={"sdxl": {"preset": "style"}},
    ),
    Rule(
        "learnt",
        "a network has learnt every style given (told by its name, or by its looks)",
        lambda s: "fast" in s.methods_with_styles,
        "fast has learnt {style}: at once, and nearer to it (error {fast.error:.2f}) than adain "
        "({adain.error:.2f}) or wct ({wct.error:.2f}).",
        favors=("fast",),
    ),
    Rule(
        "any-style",
        "no network has learnt the style",
        lambda s: "fast" not in s.methods_with_styles,
        "No network has learnt {style}; adain and wct take any picture as a style, at once.",
        favors=("adain", "wct"),
    ),
    Rule(
        "contrast",
        f"the style's contrast is above {load_figures()['common'].contrast:.2f}, the middle of our "
        f"{load_figures()['common'].styles:.0f} styles, and the style is wanted (not `photo`, "
        f"`leak`)",
        lambda s: (
            s.purpose not in ("photo", "leak")
            and s.style_contrast > load_figures()["common"].contrast
        ),
        "The style has much contrast ({contrast}): with such, the error of adain is "
        "{adain.bold_error:.2f} instead of {adain.calm_error:.2f}, of wct {wct.bold_error:.2f} "
        "instead of {wct.calm_error:.2f}, of gatys {gatys.bold_error:.2f} instead of "
        "{gatys.calm_error:.2f}.",
        favors=("gatys", "fast"),
    ),
    Rule(
        "commercial",
        "`--license commercial`",
        lambda s: s.license == "commercial",
        "For commercial use the weights' license counts, and what they were taught with "
        "(docs/models.md); rights in the style picture are for you to check.",
        favors=("gatys",),
    ),
    Rule(
        "error",
        "always",
        lambda s: True,
        "Otherwise the smaller style error decides, in the mean over {common.pairs:.0f} pairs.",
        favors=methods_by_error(),
        is_silent=True,
    ),
)

LIMITS: dict[str, Limit] = {
    limit.name: limit
    for limit in (
        Limit(
            "extra",
            "methods whose optional packages are not installed",
            'It needs an extra: pip install "impasto[{extra}]"',
        ),
        Limit(
            "weights",
            "methods whose weights are large and not on this machine",
            "{lacking}",
        ),
        Limit(
            "license",
            "with `--license commercial`, methods whose code or weights forbid it",
            "Its license does not allow commercial use: {license}.",
        ),
        Limit(
            "learnt",
            "methods that know styles by name, where they have not learnt the one given",
            "It has not learnt {style}: `impasto train {method}` would teach it.",
        ),
        Limit(
            "shown",
            "all other methods, where only the name of a built-in style was given",
            "{style} is a name that only {knowing} knows: give the picture for the others.",
        ),
        Limit(
            "memory",
            "methods that do not fit into the free memory or `--memory`, not even smaller",
            "{least} needs {needs} of memory; {allowed} may be taken.",
        ),
        Limit(
            "time",
            "methods that miss `--deadline`, or else the purpose's patience, even with fewer "
            "steps and at a smaller size",
            "{least} takes {too_long}.",
        ),
    )
}


def matching_rules(scenario: Scenario) -> tuple[Rule, ...]:
    """The rules that apply, in the table's order."""
    return tuple(rule for rule in RULES if rule.applies(scenario))


def rank_methods(methods: tuple[str, ...], rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """Methods in the order of the first rule that tells them apart."""
    return tuple(sorted(methods, key=lambda method: [rule.rank(method) for rule in rules]))
