"""How far two values are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Difference:
    """How far a value is from the one that is expected.

    Attributes:
        name: The value's name.
        close: Whether it is within the tolerances.
        max_abs: The largest absolute error; NaN where there are no numbers to subtract.
        max_rel: The largest relative error, of the elements that are not zero.
        cosine: The cosine of the angle between the two, as vectors; 1 is the same direction.
        scale: The largest absolute value that is expected.
        note: What else is to be said: where the largest error stands, or why there are no numbers.
    """

    name: str
    close: bool
    max_abs: float = float("nan")
    max_rel: float = float("nan")
    cosine: float = float("nan")
    scale: float = 0.0
    note: str = ""

    def __str__(self) -> str:
        """Returns one line."""
        state = "same" if self.max_abs == 0 else "close" if self.close else "DIFFERENT"
        numbers = f"max abs {self.max_abs:.2e}, max rel {self.max_rel:.2e}, cosine {self.cosine:.7f}"
        if np.isnan(self.max_abs):
            numbers = ""
        return f"{self.name}: {state}{', ' if numbers or self.note else ''}" + "; ".join(
            filter(None, (numbers, self.note))
        )

    def parts_by_scale(self, rtol: float, atol: float) -> bool:
        """Returns whether the error is large beside the tensor's largest value.

        Sums that nearly cancel leave small elements with large relative errors; between the layers of a model these
        say nothing.

        Args:
            rtol: How large, as a share of the largest value.
            atol: What is never large.
        """
        return not self.close and not self.max_abs <= atol + rtol * self.scale


def _is_numeric(array: Array) -> bool:
    return (
        array.dtype.kind in "biufc"
        or array.dtype.kind == "V"
        or array.dtype.name.startswith(("bfloat", "float", "int", "uint"))
    )


def _wide(array: Array) -> Array:
    """Returns an array in a type in which differences can be taken."""
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        return array.astype(np.longdouble)
    return array.astype(np.float64)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, np.integer | np.bool_ | np.complexfloating) else f"{float(value):.7g}"


def _arrays(name: str, got: Array, want: Array, rtol: float, atol: float) -> Difference:
    if got.shape != want.shape:
        return Difference(name, False, note=f"shape {list(got.shape)}, expected {list(want.shape)}")
    if got.dtype != want.dtype:
        return Difference(name, False, note=f"type {got.dtype}, expected {want.dtype}")
    if not _is_numeric(want):
        wrong = np.argwhere(np.asarray(got != want))
        if not len(wrong):
            return Difference(name, True, 0.0, 0.0, 1.0)
        place = tuple(map(int, wrong[0]))
        note = f"{len(wrong)} of {want.size} differ, first at {list(place)}: {got[place]!r}, expected {want[place]!r}"
        return Difference(name, False, note=note)
    if not want.size:
        return Difference(name, True, 0.0, 0.0, 1.0, note="empty")
    exact = want.dtype.kind in "biu"
    a, b = _wide(got), _wide(want)
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        error = np.where(same, 0.0, np.abs(a - b))
        error = np.where(np.isnan(error), np.inf, error)
        finite = np.abs(b[np.isfinite(b)])
        scale = float(finite.max()) if finite.size else 0.0
        nonzero = np.isfinite(b) & (b != 0)
        relative = float((error[nonzero] / np.abs(b[nonzero])).max()) if nonzero.any() else 0.0
        norms = float(np.linalg.norm(a.ravel()) * np.linalg.norm(b.ravel()))
        cosine = float(np.real(np.vdot(a.ravel(), b.ravel())) / norms) if norms else float("nan")
        limit = 0.0 if exact else atol + rtol * np.abs(b)
        wrong = ~same & ~(np.isfinite(b) & (error <= limit))
    if bool(same.all()):
        return Difference(name, True, 0.0, 0.0, 1.0, scale)
    place = tuple(map(int, np.unravel_index(int(np.argmax(error)), error.shape)))
    note = f"largest at {list(place)}: {_text(got[place])}, expected {_text(want[place])}"
    if wrong.any():
        note = f"{int(wrong.sum())} of {want.size} elements, " + note
    return Difference(name, not wrong.any(), float(error.max()), relative, cosine, scale, note)


def compare_values(name: str, got: Any, want: Any, rtol: float = 1e-4, atol: float = 1e-5) -> Difference:
    """Measures how far a value is from the one that is expected.

    Args:
        name: The value's name, for the report.
        got: An array, a list (a sequence), a dict (a map) or ``None`` (an optional without a value).
        want: What is expected. Its numbers are close if ``|got - want| <= atol + rtol * |want|``; NaN equals NaN;
            integers and texts are close if they are equal.
        rtol: The relative tolerance.
        atol: The absolute tolerance.

    Returns:
        The difference; that of the worst item for a sequence or a map.
    """
    if isinstance(want, Mapping) and isinstance(got, Mapping):
        if set(got) != set(want):
            return Difference(name, False, note=f"keys {sorted(got)}, expected {sorted(want)}")
        got, want = [got[key] for key in want], [want[key] for key in want]
    if _is_list(want) and _is_list(got):
        if len(got) != len(want):
            return Difference(name, False, note=f"{len(got)} items, expected {len(want)}")
        items = [
            compare_values(f"{name}[{i}]", a, b, rtol, atol) for i, (a, b) in enumerate(zip(got, want, strict=True))
        ]
        if not items:
            return Difference(name, True, 0.0, 0.0, 1.0, note="empty")
        return max(items, key=lambda item: (not item.close, item.max_abs))
    if got is None and want is None:
        return Difference(name, True, 0.0, 0.0, 1.0)
    if got is None or want is None or _is_list(got) != _is_list(want):
        return Difference(name, False, note=f"a {type(got).__name__}, expected a {type(want).__name__}")
    return _arrays(name, np.asarray(got), np.asarray(want), rtol, atol)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
