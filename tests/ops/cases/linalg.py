"""Det and com.microsoft's Inverse against NumPy."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case

rng = np.random.default_rng(21)


def matrices(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return (rng.standard_normal(shape) + 2 * np.eye(shape[-1])).astype(dtype)


def row(op: str, x: np.ndarray, expected: np.ndarray, domain: str, id: str) -> Case:
    tolerance = 2e-3 if x.dtype == np.float16 else 1e-5 if x.dtype == np.float32 else 1e-11
    expected = [np.asarray(expected).astype(x.dtype)]
    return Case(op, [x], domain=domain, expected=expected, rtol=tolerance, atol=tolerance, id=id)


CASES = [
    row("Det", np.array([[0, 1], [2, 3]], np.float32), np.array(-2), "", "swap"),
    row("Det", np.array([[1, 2], [2, 4]], np.float32), np.array(0), "", "singular"),
]
for dtype in (np.float32, np.float64, np.float16):
    for shape in ((1, 1), (3, 3), (4, 5, 5), (2, 0, 3, 3), (2, 3, 2, 2), (33, 8, 8), (0, 0)):
        x = matrices(shape, dtype)
        wide = x.astype(np.float64)
        name = f"{np.dtype(dtype).name}-{shape}"
        CASES += [
            row("Det", x, np.linalg.det(wide), "", name),
            row("Inverse", x, np.linalg.inv(wide), "com.microsoft", name),
        ]
