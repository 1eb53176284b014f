"""Products of float32 on Intel's matrix unit: when it is chosen, that it can be forbidden, how exact it is, and where
it steps aside. Skipped on processors without the unit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from . import products
from .products import (
    BOUND,
    EPILOGUES,
    LARGEST,
    UNEQUAL,
    check_epilogue,
    check_error,
    check_float16,
    check_threads,
    exact,
    factors,
    kernel_of,
    with_extreme,
    without_matrix_unit,
)

pytestmark = pytest.mark.skipif(without_matrix_unit() != "", reason=without_matrix_unit())

session_of = partial(products.session_of, prefer="amx")
matmul = partial(products.matmul, prefer="amx")
SIZES = [
    (1, 1, 1),
    (2, 33, 31),
    (16, 64, 64),
    (17, 65, 67),
    (31, 97, 129),
    (33, 768, 100),
    (128, 768, 2304),
    (197, 768, 768),
    (131, 1602, 1111),
    (300, 3072, 520),
    (1537, 100, 512),
]


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_error(m: int, k: int, n: int) -> None:
    check_error(m, k, n, "amx")


@pytest.mark.parametrize(("m", "k", "n"), [(128, 770, 768), (300, 3072, 520)])
def test_it_can_be_forbidden(m: int, k: int, n: int) -> None:
    a, b = factors(m, k, n)
    session = matmul(b, amx=False)
    np.testing.assert_allclose(session.run(None, {"a": a})[0], exact(a, b), atol=1e-3)
    assert kernel_of(session) != "amx"
    assert "switched off" in session.explain()


@pytest.mark.parametrize(
    ("m", "k", "n", "kernel"),
    [
        (16, 768, 768, "packed"),
        (128, 768, 768, "amx"),
        (3136, 64, 64, "packed"),
        (512, 96, 384, "amx"),
        (197, 3072, 768, "amx"),
        (48, 1024, 256, "packed"),
        (1, 4096, 4096, "packed"),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_serves_where_it_gains(m: int, k: int, n: int, kernel: str, threads: int) -> None:
    a, b = factors(m, k, n)
    session = products.matmul(b, threads=threads)
    session.run(None, {"a": a})
    assert kernel_of(session) == kernel


def test_empty_products_are_left() -> None:
    for m, k, n in [(0, 96, 96), (96, 0, 96), (96, 96, 0)]:
        a, b = factors(m, k, n)
        session = matmul(b)
        assert session.run(None, {"a": a})[0].shape == (m, n)
        assert "CPUExecutionProvider, amx" not in session.explain()


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_threads_change_nothing(m: int, k: int, n: int) -> None:
    check_threads(m, k, n, "amx")


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (16, 64, 64), (47, 770, 33 * 3), (131, 1602, 1111), (300, 768, 512)]
)
def test_epilogues(m: int, k: int, n: int, epilogue: str) -> None:
    check_epilogue(epilogue, m, k, n, "amx")


def test_a_factor_that_is_no_constant() -> None:
    a, b = factors(130, 770, 1030)
    session = session_of("y = MatMul(a, b)", "float[m,k] a, float[k,n] b", {})
    y = session.run(None, {"a": a, "b": b})[0]
    assert kernel_of(session) == "amx"
    np.testing.assert_allclose(y, exact(a, b), atol=4e-4)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("m", [17, 197, 801])
def test_transposed_factors(m: int, constant: bool) -> None:
    a, b = factors(m, 770, 1030)
    b_t = np.ascontiguousarray(b.T)
    inputs = "float[k,m] a" if constant else "float[k,m] a, float[n,k] b"
    session = session_of("y = Gemm <transA = 1, transB = 1> (a, b)", inputs, {"b": b_t} if constant else {})
    feeds = {"a": np.ascontiguousarray(a.T)} | ({} if constant else {"b": b_t})
    y = session.run(None, feeds)[0]
    assert kernel_of(session) == "amx"
    assert np.abs(y - exact(a, b)).max() < LARGEST * BOUND["amx"] * np.sqrt(770)


def test_many_rows_are_cut() -> None:
    a, b = factors(7301, 770, 96)  # parts of A of 34 MB
    session = matmul(b)
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == "amx"
    np.testing.assert_allclose(y, exact(a, b), atol=5e-4)


@pytest.mark.parametrize("where", ["a", "b"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3.4e38, 3e38, 1e25, 1e-30])
def test_extreme_numbers_stay_where_they_belong(where: str, value: float) -> None:
    a, b, expected = with_extreme(131, 1602, 1030, where, value)
    session = matmul(b)
    for _ in range(2):
        np.testing.assert_allclose(session.run(None, {"a": a})[0], expected, rtol=1e-5, atol=3e-4)
    assert kernel_of(session) == "amx"


@pytest.mark.parametrize("change", UNEQUAL, ids=lambda f: f.__name__)
def test_numbers_of_unequal_size_lose_nothing(change: Any) -> None:
    a, b = factors(131, 770, 1030)
    change(a, b)
    expected, size = exact(a, b), np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    y = matmul(b).run(None, {"a": a})[0]
    # Relative to the sum of the products' sizes, as a plain product.
    assert np.all(np.abs(y - expected) <= 6e-7 * size)


@pytest.mark.parametrize("exponent", [-40, -38, -37, -30, -20, 18, 19])
def test_rows_and_columns_near_the_ends_of_float32(exponent: int) -> None:
    a, b = factors(64, 256, 128)
    with np.errstate(under="ignore"):
        a[5] *= np.float32(10.0**exponent)
        b[:, 7] *= np.float32(10.0**exponent)
    expected, size = exact(a, b), np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    y = matmul(b).run(None, {"a": a})[0]
    finite = size < 1e38
    assert np.all(np.abs(y - expected)[finite] <= 6e-7 * size[finite] + 256 * 2.0**-149)


def test_a_bad_input_changes_nothing_behind_it() -> None:
    a, b = factors(128, 768, 768)
    session = matmul(b)
    good = session.run(None, {"a": a})[0]
    bad = a.copy()
    bad[5, 5] = np.nan
    y = session.run(None, {"a": bad})[0]
    assert np.isnan(y[5]).all()
    assert not np.isnan(np.delete(y, 5, 0)).any()
    np.testing.assert_array_equal(session.run(None, {"a": a})[0], good)


def test_float16() -> None:
    check_float16(128, 768, 768, "amx")
