"""The commands of ``fastort`` in one application."""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from typing import Annotated

import typer

import fastort

from . import INTERRUPTED, OK, TROUBLE
from .bench import bench
from .compare import compare
from .explain import explain
from .info import info
from .optimize import optimize
from .run import run
from .tune import tune

# What stands in front of the messages of the API, for programs that were written for ONNX Runtime.
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : (Load model from .+? failed:(?=Load model))?")
_JOINED = re.compile(r"(?<= failed:)(?=\S)")  # ONNX Runtime's messages have no space there

app = typer.Typer(
    name="fastort",
    help="Look into ONNX models, run, measure, compare and tune them.",
    epilog="Exit codes: 0 for success, 1 where models differ, 2 for an error, 130 after Ctrl-C.",
    # On narrow terminals the frames leave no room for the text.
    rich_markup_mode="rich" if sys.stdout.isatty() and shutil.get_terminal_size().columns >= 100 else None,
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
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run()


def _run() -> int:
    try:
        code = app(prog_name="fastort", standalone_mode=False)
        code = code if isinstance(code, int) else OK
    except SystemExit as ended:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":
            return OK  # whoever read the output has seen enough, as `head`
        code = ended.code if isinstance(ended.code, int) else TROUBLE if ended.code else OK
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # Python's own flush at exit must not fail again
        return OK
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(str(error), file=sys.stderr)
        else:
            print(f"error: {_reason(error)}", file=sys.stderr)
        code = TROUBLE
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return code


def _reason(error: Exception) -> str:
    """Returns an error in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"'{error.filename}': {error.strerror}"
    # What the parser finds in the arguments; typer has the classes of click under its own name.
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        text = _JOINED.sub(" ", _CODE.sub("", " ".join(str(error).split())))
        text = text.replace("Protobuf parsing failed. It", "it").replace("Protobuf parsing failed. This", "this")
        return text or type(error).__name__
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "fastort"
    return f"{' '.join(format_message().split()).rstrip('.')} ({command} --help shows what there is)"


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
