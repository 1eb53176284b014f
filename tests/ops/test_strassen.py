"""Strassen's product: when it is chosen, that it can be forbidden, how exact it is, and where it steps aside."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import helper, numpy_helper

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
    processor_has,
    session_of_model,
    with_extreme,
)

session_of = partial(products.session_of, prefer="strassen", amx=False)
matmul = partial(products.matmul, prefer="strassen", amx=False)
SIZES = [
    (96, 768, 1024),
    (97, 770, 1030),
    (128, 768, 2304),
    (197, 768, 1088),
    (131, 1602, 1111),
    (397, 3072, 520),
    (1537, 768, 1024),
]


@pytest.mark.parametrize("kernel", ["strassen", "packed"])
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_error(m: int, k: int, n: int, kernel: str) -> None:
    check_error(m, k, n, kernel)


@pytest.mark.parametrize(("m", "k", "n"), [(95, 768, 768), (128, 766, 768), (128, 769, 768), (128, 768, 100)])
def test_it_leaves_what_would_not_gain(m: int, k: int, n: int) -> None:
    a, b = factors(m, k, n)
    session = matmul(b)
    session.run(None, {"a": a})
    assert kernel_of(session) == "packed"


@pytest.mark.skipif(not processor_has("avx2"), reason="when it serves was measured with AVX2 and AVX-512 alone")
def test_it_serves_with_avx2_alone() -> None:
    a, b = factors(197, 768, 3072)
    session = products.matmul(b, amx=False)
    session.run(None, {"a": a})
    assert kernel_of(session) == ("packed" if processor_has("avx512f") else "strassen")
    forbidden = products.matmul(b, amx=False, winograd=False)
    forbidden.run(None, {"a": a})
    assert kernel_of(forbidden) == "packed"
    assert "switched off" in forbidden.explain()


def test_a_factor_that_is_no_constant_and_batches_are_left() -> None:
    a, b = factors(128, 768, 1024)
    session = session_of("y = MatMul(a, b)", "float[m,k] a, float[k,n] b", {})
    session.run(None, {"a": a, "b": b})
    assert kernel_of(session) == "packed"
    weights = np.stack([b, 2 * b])
    graph = onnx.parser.parse_graph("g (float[2,m,k] a) => (float[2,m,n] y) { y = MatMul(a, b) }")
    graph.initializer.append(numpy_helper.from_array(weights, "b"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = session_of_model(model, prefer="strassen", amx=False)
    y = session.run(None, {"a": np.stack([a, a])})[0]
    assert kernel_of(session) == "packed"
    np.testing.assert_allclose(y, np.stack([exact(a, b), 2 * exact(a, b)]), atol=4e-4)


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_threads_change_nothing(m: int, k: int, n: int) -> None:
    check_threads(m, k, n, "strassen")


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize(("m", "k", "n"), [(96, 768, 1024), (131, 1602, 1111), (1537, 768, 512)])
def test_epilogues(m: int, k: int, n: int, epilogue: str) -> None:
    check_epilogue(epilogue, m, k, n, "strassen")


def test_many_rows_are_cut() -> None:
    a, b = factors(30721, 768, 512)  # the last part is a single row
    session = matmul(b)
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == "strassen"
    rows = np.r_[0:40, 740:790, 30700:30721]
    np.testing.assert_allclose(y[rows], exact(a[rows], b), atol=5e-4)


@pytest.mark.parametrize("m", [197, 801])
def test_transposed_factors(m: int) -> None:
    a, b = factors(m, 770, 1030)
    session = session_of("y = Gemm <transA = 1, transB = 1> (a, b)", "float[k,m] a", {"b": np.ascontiguousarray(b.T)})
    y = session.run(None, {"a": np.ascontiguousarray(a.T)})[0]
    assert kernel_of(session) == "strassen"
    assert np.abs(y - exact(a, b)).max() < LARGEST * BOUND["strassen"] * np.sqrt(770)


@pytest.mark.parametrize("where", ["a", "b"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e25])
def test_extreme_numbers_stay_where_they_belong(where: str, value: float) -> None:
    a, b, expected = with_extreme(131, 770, 1030, where, value)
    session = matmul(b)
    touched = np.zeros(expected.shape, bool)
    if where == "a":
        touched[3] = True
    else:
        touched[:, 3] = True
    for _ in range(4):
        y = session.run(None, {"a": a})[0]
        np.testing.assert_allclose(y[~touched], expected[~touched], atol=1e-4)
        np.testing.assert_allclose(y[touched], expected[touched], rtol=1e-5)
    assert kernel_of(session) == "strassen"


@pytest.mark.parametrize("change", UNEQUAL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("deterministic", [False, True])
def test_numbers_of_unequal_size_lose_nothing(change: Any, deterministic: bool) -> None:
    a, b = factors(131, 770, 1030)
    change(a, b)
    expected, size = exact(a, b), np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    session = matmul(b, deterministic=deterministic)
    first = session.run(None, {"a": a})[0]
    for _ in range(4):
        np.testing.assert_array_equal(session.run(None, {"a": a})[0], first)
    # Relative to the sum of the products' sizes, as a plain product.
    assert np.all(np.abs(first - expected) <= 6e-7 * size)


def test_it_comes_back_after_a_bad_input() -> None:
    a, b = factors(128, 768, 1024)
    session = matmul(b)
    good = session.run(None, {"a": a})[0]
    bad = a.copy()
    bad[5, 5] = np.nan
    assert np.isnan(session.run(None, {"a": bad})[0][5]).all()
    np.testing.assert_array_equal(session.run(None, {"a": a})[0], good)
    plain = matmul(b, prefer="packed").run(None, {"a": a})[0]
    assert not np.array_equal(plain, good)


def test_float16() -> None:
    check_float16(128, 768, 1024, "strassen")
