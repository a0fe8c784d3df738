"""``impasto completion``: the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

INSTALL_COMMANDS = {
    "bash": """echo 'eval "$(impasto completion bash)"' >> ~/.bashrc""",
    "zsh": """echo 'eval "$(impasto completion zsh)"' >> ~/.zshrc""",
    "fish": "impasto completion fish > ~/.config/fish/completions/impasto.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(tuple(INSTALL_COMMANDS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of bash, zsh or fish; its first line says how to install it."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "impasto", "_IMPASTO_COMPLETE").source()
    click.echo(f"# To install: {INSTALL_COMMANDS[shell]}\n{script}")
