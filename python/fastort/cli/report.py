"""The HTML report of ``fastort tune``: one file, with its plots inside."""

from __future__ import annotations

import base64
import html
import io
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .search import Search

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BEST, _DEFAULT, _OTHER = "#1a7f5a", "#33658a", "#b9bec4"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 860px; margin: 2.5rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; margin-bottom: .2rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
p.lead {{ font-size: 1.15rem; }} p.small {{ color: #59636e; font-size: .9rem; }}
img {{ max-width: 100%; }} pre {{ background: #f4f5f7; padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .9rem; }} td, th {{ padding: .25rem .9rem .25rem 0; text-align: left; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }} tr.kept {{ color: {best}; font-weight: 600; }}
</style></head><body>
<h1>{title}</h1>
<p class="small">{machine}</p>
<p class="lead">{verdict}</p>
<pre>{options}</pre>
<h2>The default and the best options, side by side</h2>
<img alt="The share of runs that end within a time, for the default and the best options" src="{final}">
<h2>What was tried</h2>
<img alt="The time of each change beside the best one so far" src="{trials}">
<p class="small">Each change was measured in turns with the best options so far, and kept if it saved at least 2%.</p>
<table><tr><th>change</th><th>median ms</th><th>of the best so far</th><th></th></tr>
{rows}</table>
</body></html>
"""


def _image(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=130, bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def plot_final(search: Search) -> Figure:
    """Draws the share of runs that end within a time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3))
    axes = figure.subplots()
    last = 0.0
    for name, times in search.final.items():
        ordered = np.sort(np.asarray(times)) * 1e3
        median = float(np.median(ordered))
        last = max(last, float(ordered[int(0.98 * (len(ordered) - 1))]))
        color = _BEST if name == "best" else _DEFAULT
        label = "looked best, was not" if name == "best" and search.gain() <= 1 else name
        axes.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered) * 100, color=color, linewidth=2)
        axes.plot([median], [50], "o", color=color, label=f"{label}: median {median:.3g} ms")
    axes.set_xlim(0, last * 1.08)
    axes.set_ylim(0, 102)
    axes.set_xlabel("milliseconds" if search.clients == 1 else f"milliseconds a run, {search.clients} at once")
    axes.set_ylabel("% of the runs are faster")
    axes.legend(loc="upper left", frameon=False)
    axes.grid(alpha=0.25)
    _plain(axes)
    return figure


def plot_trials(search: Search) -> Figure:
    """Draws the time of each change beside the best one of its turn."""
    from matplotlib.figure import Figure

    trials = [trial for trial in search.trials if trial.times]
    figure = Figure(figsize=(8, 0.9 + 0.32 * max(1, len(trials))))
    axes = figure.subplots()
    # A change that is far slower must not squeeze the others together.
    edge = max(1.3, min(2.0, max((trial.ratio for trial in trials), default=1.0) * 1.1))
    for row, trial in enumerate(trials):
        color = _BEST if trial.kept else _OTHER
        shown = min(trial.ratio, edge)
        axes.barh(row, shown - 1, left=1, color=color, height=0.62)
        percent = (trial.ratio - 1) * 100
        text = f"{trial.ratio:.1f} times (cut off)" if trial.ratio > edge else f"{percent:+.1f}%"
        inside = trial.ratio > edge
        axes.annotate(
            text,
            (shown, row),
            xytext=(-5 if inside else 5 if percent >= 0 else -5, 0),
            textcoords="offset points",
            ha="right" if inside or percent < 0 else "left",
            va="center",
            fontsize=8,
        )
    axes.axvline(1, color="#1f2328", linewidth=0.9)
    axes.set_yticks(range(len(trials)), [trial.text for trial in trials], fontsize=9)
    axes.invert_yaxis()
    low = min([trial.ratio for trial in trials], default=1.0)
    axes.set_xlim(min(0.9, low - 0.12), edge + 0.08)
    axes.set_xlabel("faster  \N{LEFTWARDS ARROW}  time beside the best options so far  \N{RIGHTWARDS ARROW}  slower")
    _plain(axes)
    return figure


def write_report(path: Path, search: Search, facts: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Writes the report.

    Args:
        path: The file.
        search: What was tried.
        facts: The machine, the model and its inputs.
        options: What was chosen.
    """
    rows = []
    for trial in search.trials:
        median = f"{statistics.median(trial.times) * 1e3:.4g}" if trial.times else ""
        ratio = f"{trial.ratio:.3f}" if trial.times else ""
        cells = f"<td>{html.escape(trial.text)}</td><td class=number>{median}</td><td class=number>{ratio}</td>"
        note = html.escape("kept" if trial.kept else trial.note)
        rows.append(f"<tr{' class=kept' if trial.kept else ''}>{cells}<td>{note}</td></tr>\n")
    gain = search.gain()
    verdict = (
        f"{gain:.2f} times as fast as with the default options." if gain > 1 else "The default options are the fastest."
    )
    lines = "\n".join(f"{name} = {value!r}" for name, value in options.items()) or "the default options"
    machine = f"{facts['processor']} · fastort {facts['fastort']} · {facts['inputs']}"
    if facts["clients"] > 1:
        machine += f" · {facts['clients']} requests at once"
    page = _PAGE.format(
        title=html.escape(f"{facts['model']}, tuned"),
        machine=html.escape(machine),
        verdict=verdict,
        options=html.escape(lines),
        final=_image(plot_final(search)),
        trials=_image(plot_trials(search)),
        rows="".join(rows),
        best=_BEST,
    )
    path.write_text(page, encoding="utf-8")
