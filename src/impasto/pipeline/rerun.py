"""Reading a result's recipe, and repeating it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto import methods
from impasto.core.errors import InputError
from impasto.core.knobs import get_knobs
from impasto.core.picture import Picture
from impasto.core.progress import ProgressCallback, ignore_progress
from impasto.core.recipe import InputFile, Recipe
from impasto.core.request import BuiltInStyles, Request
from impasto.core.result import Result
from impasto.pictures import read, read_recipe
from impasto.pipeline.plan import make_plan
from impasto.pipeline.stylize import make_request, run_request, weight_file_digests
from impasto.weights import store

RELOCATABLE_ROLES = ("content", "style")
"""The pictures that a caller can say a new place of."""


def load_recipe(path: str | Path) -> Recipe:
    """The recipe inside a picture that Impasto made.

    Raises:
        InputError: no picture, or one without a recipe.
    """
    text = read_recipe(path)
    if text is None:
        raise InputError(
            f"{path} holds no recipe: it was not made by Impasto, or another program saved it anew."
        )
    return Recipe.from_json(text, str(path))


def rerun_request(
    path: str | Path, *, content: str | Path | None = None, styles: Sequence[str | Path] = ()
) -> Request:
    """The request that made a picture.

    Args:
        path: the picture.
        content: where the content picture is now, if not where the recipe says.
        styles: the same for the style pictures, all of them.

    Raises:
        InputError: an input that is missing or is not the one that the recipe names, or a recipe
            that lacks something.
    """
    recipe = load_recipe(path)
    try:
        return _build_request(recipe, Path(path), content, styles)
    except KeyError as error:
        raise InputError(f"{path}: the recipe in it is not whole: {error} is missing.") from error


def _build_request(
    recipe: Recipe, path: Path, content: str | Path | None, styles: Sequence[str | Path]
) -> Request:
    wanted = [i for i in recipe.inputs if i.role == "style"]
    if styles and len(styles) != len(wanted):
        raise InputError(f"{path} was made with {len(wanted)} styles, not {len(styles)}.")
    _check_weights(recipe)
    given: Sequence[str | Path | None] = styles or [None] * len(wanted)
    main = {i.role: i for i in recipe.inputs}["content"]
    kind = methods.get_method(recipe.method)
    # A knob may name a picture too, as init does: it is looked for like the others. One of choices
    # does not, though weights may have the name of a choice, as "wct".
    chosen = {knob.name for knob in get_knobs(kind) if knob.choices}
    knobs: dict[str, Any] = {
        knob: _find_input(InputFile(knob, value, recipe.files[value]), None, path).name
        if isinstance(value, str) and value in recipe.files and knob not in chosen
        else value
        for knob, value in recipe.knobs.items()
    }
    if recipe.regions and not {"regions", "labels"} & recipe.options.keys():
        raise InputError(f"{path} was made with regions that came from memory: give them again.")
    named = issubclass(kind, BuiltInStyles)
    request = make_request(
        main.name if not content and _is_blank(main) else _find_input(main, content, path),
        [
            str(g or i.name) if named else _find_input(i, g, path)
            for i, g in zip(wanted, given, strict=True)
        ],
        method=recipe.method,
        size=max(recipe.setting["height"], recipe.setting["width"]),
        device=recipe.setting["device"],
        precision=recipe.setting["precision"],
        **_options_with_masks(recipe, path),
        **knobs,
    )
    for then, now in zip(wanted, request.styles, strict=True):
        if then.sha256 != now.sha256:
            raise InputError(f"{path} was made with the style {then.name}, not {now.name}.")
    _check_weight_files(recipe, weight_file_digests(request, request.precision))
    return request


def _is_blank(content: InputFile) -> bool:
    """Whether the content was only a size."""
    return content.sha256 == f"blank {content.name}"


def _options_with_masks(recipe: Recipe, path: Path) -> dict[str, Any]:
    """The recipe's options, with its masks and label pictures in the place of their names."""
    options = dict(recipe.options)
    masks = {
        i.name: _find_input(i, None, path) for i in recipe.inputs if i.role not in RELOCATABLE_ROLES
    }
    if isinstance(options.get("regions"), list):
        options["regions"] = [
            (masks[mask], style, masks.get(seen)) for mask, style, seen in options["regions"]
        ]
    if "color_mask" in options:
        options["color_mask"] = masks[options["color_mask"]]
    if "labels" in options:
        options["labels"] = masks[options["labels"]]
        options["style_labels"] = [masks[name] for name in options["style_labels"]]
    return options


def _check_weights(recipe: Recipe) -> None:
    """Refuse a file of weights that is another now; those of the registry are always checked."""
    given = recipe.options["weights"]
    own = {given} - {"", *store.weight_names()}
    for each in sorted(own | (recipe.files.keys() & store.bundled_models().keys())):
        name, now = store.name_and_sha256(each)
        if (then := recipe.files[name]) != now:
            remedy = "Put the ones of then there."
            if each not in own:
                remedy = f"They came with Impasto {recipe.versions['impasto']}: install that."
            raise InputError(
                f"The weights {each} are other ones now: sha256 {now[:12]}…, then {then[:12]}…. "
                f"{remedy}"
            )


def _check_weight_files(recipe: Recipe, current_digests: Mapping[str, str]) -> None:
    """Refuse a model of several files of which one is another now.

    Raises:
        InputError: names the first of them.
    """
    for name, digest in current_digests.items():
        then = recipe.files.get(name)
        if then != digest:
            was = f"then {then[:12]}…" if then else "then there was no such file"
            raise InputError(
                f"The weights {name} are other ones now: sha256 {digest[:12]}…, {was}. Put the "
                "ones of then there."
            )


def rerun(
    path: str | Path,
    *,
    content: str | Path | None = None,
    styles: Sequence[str | Path] = (),
    callback: ProgressCallback = ignore_progress,
) -> Result:
    """Make a picture again from its recipe: on the same machine, the same pixels.

    One that was stopped before its end is now painted to its end. See :func:`rerun_request` for
    the arguments and errors.
    """
    import torch

    request = rerun_request(path, content=content, styles=styles)
    threads = torch.get_num_threads()
    restore_threads(load_recipe(path))
    try:
        return run_request(request, make_plan(request), callback=callback)
    finally:
        torch.set_num_threads(threads)


def restore_threads(recipe: Recipe) -> None:
    """Compute with as many threads as then: sums in another order round to other bits."""
    import torch

    torch.set_num_threads(recipe.setting.get("threads", torch.get_num_threads()))


def _find_input(input_file: InputFile, path: str | Path | None, result_path: Path) -> Picture:
    """The input picture: where the caller says, where it was, or beside the result."""
    places = (
        [Path(path)]
        if path
        else [Path(input_file.name), result_path.parent / Path(input_file.name).name]
    )
    for place in places:
        if place.is_file() and (picture := read(place)).sha256 == input_file.sha256:
            return picture
    tried = " or ".join(map(str, places))
    hint = (
        f"Say where it is with --{input_file.role}."
        if input_file.role in RELOCATABLE_ROLES
        else "Put it there."
    )
    raise InputError(
        f"The {input_file.role} picture {input_file.name} (sha256 {input_file.sha256[:12]}…) is "
        f"not to be "
        f"found unchanged at {tried}. {hint}"
    )
