"""What the commands print: tables and progress bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Ends the process in peace: whoever read the output has seen enough, as `head`."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise SystemExit(0) from None


def console() -> Console:
    """Returns the console of stdout."""
    return _Output(highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """Prints a line as it is."""
    console().print(text, markup=False)


def heading(text: str) -> None:
    """Prints the title of what follows."""
    where = console()
    where.print()
    where.print(text, style="bold", markup=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> None:
    """Prints a table.

    Args:
        columns: Its heads.
        rows: Its cells.
        left: How many columns are aligned to the left, from the first on; the others hold numbers.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    where = console()
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    if where.is_terminal and len(columns) > len(rows) + 4 and sum(widths) + 2 * len(widths) > where.width:
        # Too wide: what was a row becomes a column.
        turned = list(zip(columns, *cells, strict=True))
        table(turned[0], turned[1:])
        return
    if where.is_terminal:
        drawn = Table(box=None, pad_edge=False, header_style="dim")
        for index, name in enumerate(columns):
            drawn.add_column(name, justify="left" if index < left else "right", overflow="fold")
        for row in cells:
            drawn.add_row(*row)
        where.print(drawn, markup=False, soft_wrap=False)
        return
    for row in (list(columns), *cells):
        aligned = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(aligned).rstrip())


@contextmanager
def progress(description: str, total: float) -> Iterator[Callable[[float, str], None]]:
    """Shows a bar on a terminal's stderr while the body runs, and nothing elsewhere.

    Args:
        description: What is being done.
        total: What the whole of it counts.

    Yields:
        A function that takes what has been done so far and a description (empty: as before).
    """
    where = Console(file=sys.stderr)
    parts = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*parts, console=where, transient=True, disable=not where.is_terminal) as bars:
        task = bars.add_task(description, total=total)

        def update(done: float, text: str = "") -> None:
            bars.update(task, completed=done, description=text or description)

        yield update


@contextmanager
def working(description: str) -> Iterator[Callable[[str], None]]:
    """Shows on a terminal's stderr that something goes on, and for how long, while the body runs.

    Args:
        description: What is being done.

    Yields:
        A function that takes another description.
    """
    where = Console(file=sys.stderr)
    parts = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*parts, console=where, transient=True, disable=not where.is_terminal) as bars:
        task = bars.add_task(description, total=None)
        yield lambda text: bars.update(task, description=text)


def count(number: float) -> str:
    """Formats a large number with three digits that matter: ``25.6 M``."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def size(bytes_: float) -> str:
    """Formats a number of bytes: ``97.5 MB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if bytes_ >= scale:
            return f"{bytes_ / scale:.3g} {unit}"
    return f"{bytes_:g} B"


def milliseconds(seconds: float) -> str:
    """Formats a time in milliseconds with three digits that matter."""
    value = seconds * 1e3
    return f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"
