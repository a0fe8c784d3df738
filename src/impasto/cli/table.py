"""Tables on stdout."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH_CHARS = 140
"""Width in characters where no terminal says how wide it is."""


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table as wide as the terminal; long cells but those of the first column are wrapped."""
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH_CHARS)
    console.print(table)
