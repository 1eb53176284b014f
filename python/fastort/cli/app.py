"""The commands of ``fastort`` in one application."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import fastort

from . import OK, TROUBLE
from .bench import bench
from .compare import compare
from .explain import explain
from .info import info
from .optimize import optimize
from .run import run
from .tune import tune

app = typer.Typer(
    name="fastort",
    help="Look into ONNX models, run, measure, compare and tune them.",
    epilog="Exit codes: 0 for success, 1 where models differ, 2 for an error.",
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (info, run, bench, compare, explain, optimize, tune):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"fastort {fastort.__version__}")
        raise typer.Exit(OK)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


def run_app() -> int:
    """Runs the application on the process's arguments; errors become one line on stderr.

    Returns:
        The exit code.
    """
    try:
        app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else TROUBLE if ended.code else OK
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `head`. Python's own flush at exit must not fail again.
        sys.stdout = None
        return OK
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {text}", file=sys.stderr)
        return TROUBLE
    return OK
