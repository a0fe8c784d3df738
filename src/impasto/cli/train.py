"""``impasto train``: teach a network from folders of pictures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import ClassVar

import click
from click.shell_completion import CompletionItem

from impasto.cli.flags import DEVICES, dataclass_from_flags, reporter_flags, reporter_from_flags
from impasto.cli.knob_flags import KnobCommand, knobs_from_flags
from impasto.train import TASKS, get_task
from impasto.weights.model_files import MODEL_TITLES

TRAIN_FLAG_SECTIONS = {
    "Pictures": ("photos", "styles"),
    "Model": ("output", "start", "note", "license"),
    "Watching": ("preview", "preview_every", "tensorboard"),
    "Run": ("device", "resume", "as_json", "quiet"),
}
"""How --help groups the flags."""


class TaskCommand(KnobCommand):
    """A command with the flags of a lesson's knobs; its name is the lesson's."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = TRAIN_FLAG_SECTIONS

    def knob_class(self, ctx: click.Context) -> type:
        return get_task(str(self.name)).knobs

    def knobs_heading(self, ctx: click.Context) -> str:
        return "Lesson"


class TaskGroup(click.Group):
    """A command for each lesson; its module is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(TASKS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _make_command(cmd_name) if cmd_name in TASKS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*TASKS, "-h", "--help") and not ctx.resilient_parsing:
            if args[0].startswith("-"):
                names = ", ".join(TASKS)
                raise click.UsageError(
                    f"Say first what is to be trained, then the flags: there is {names}.", ctx
                )
            get_task(args[0])
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Names"):
            formatter.write_dl([(name, f"Teach {MODEL_TITLES[name]}.") for name in TASKS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in TASKS if name.startswith(incomplete)]


@click.group("train", cls=TaskGroup, subcommand_metavar="NAME …")
def train() -> None:
    """Teach the network NAME from folders of pictures, and write it as a model file.

    Ctrl-C loses nothing, and --resume goes on later. impasto train NAME --help lists the flags.
    """


FOLDER_HELP = {
    "photos": "Folder with photographs; can be given several times.",
    "styles": "Folder with style pictures, or one of them; can be given several times.",
    "pictures": "Folder with pictures in one style, captions beside them as .txt; can be given "
    "several times.",
    "prior-pictures": "Folder with pictures in no style, that hold the base to what it knew; can "
    "be given several times.",
}
"""What a lesson calls its pictures → what they are."""


def _make_command(name: str) -> click.Command:
    lesson = get_task(name)
    about = (inspect.getdoc(lesson) or "").partition("\n\n")[0]
    first, second = lesson.flags

    @click.command(name, cls=TaskCommand, help=about)
    @click.option(
        f"--{first}",
        "photos",
        multiple=True,
        required=True,
        type=click.Path(),
        metavar="DIR",
        help=FOLDER_HELP[first],
    )
    @click.option(
        f"--{second}",
        "styles",
        multiple=True,
        type=click.Path(),
        metavar="DIR|FILE",
        help=FOLDER_HELP[second],
    )
    @click.option(
        "-o",
        "--output",
        required=True,
        type=click.Path(),
        metavar="OUT",
        help="The model, .safetensors. Replaced if it exists.",
    )
    @click.option(
        "--init-from",
        default="",
        metavar="NAME|FILE",
        help="A model of the same kind to start from.",
    )
    @click.option(
        "--note",
        default="",
        metavar="TEXT",
        help="For the model's card: whose the pictures are, under which license.",
    )
    @click.option(
        "--license",
        default="",
        metavar="TEXT",
        help="For the model's card: the license of the model.",
    )
    @click.option(
        "--preview",
        default="",
        type=click.Path(),
        metavar="DIR",
        help="Also numbered pictures of what the network makes, and the newest as "
        "latest.jpg. Earlier ones in DIR are replaced.",
    )
    @click.option(
        "--preview-every",
        type=click.IntRange(1),
        metavar="STEPS",
        help="How many steps lie between two of them; unset: a twentieth of all.",
    )
    @click.option(
        "--tensorboard",
        default="",
        type=click.Path(),
        metavar="DIR",
        help="Also the loss's terms and these pictures for TensorBoard.",
    )
    @click.option(
        "--device",
        default="auto",
        metavar="NAME",
        shell_complete=lambda _ctx, _param, incomplete: [
            CompletionItem(d) for d in DEVICES if d.startswith(incomplete)
        ],
        help="auto, cpu, cuda, cuda:1 or mps [default auto]. Several GPUs: torchrun.",
    )
    @click.option("--resume", is_flag=True, help="Go on with an unfinished training of OUT.")
    @reporter_flags
    def command(ctx: click.Context) -> int:
        from impasto.cli.train_runner import TrainOptions, run_training

        return run_training(
            dataclass_from_flags(TrainOptions, ctx, name=name, knobs=knobs_from_flags(ctx)),
            reporter_from_flags(ctx),
        )

    return command  # fmt: skip
