"""Strassen's product: when it is chosen, that it can be forbidden, how exact it is, and where it steps aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import helper, numpy_helper
from scipy.special import erf

import fastort

# The root mean square of the error of a sum of products of variance 1, against double precision, is at most this times
# the square root of their number, the largest error 16 times as much; see docs/accuracy.md.
BOUND = {"strassen": 1.1e-6, "packed": 5.6e-7}
LARGEST = 16
SIZES = [
    (96, 768, 512),
    (97, 770, 1030),
    (128, 768, 2304),
    (197, 768, 768),
    (131, 1602, 1111),
    (397, 3072, 520),
    (1537, 768, 512),
]


def session_of(body: str, inputs: str, constants: dict[str, np.ndarray], **settings: Any) -> fastort.InferenceSession:
    """A session of a graph with some weights."""
    graph = onnx.parser.parse_graph(f"g ({inputs}) => (float[m,n] y) {{ {body} }}")
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    options = fastort.SessionOptions()
    options.intra_op_num_threads = settings.get("threads", 2)
    options.use_deterministic_compute = settings.get("deterministic", False)
    options.add_session_config_entry("fastort.allow_winograd", "1" if settings.get("allowed", True) else "0")
    return fastort.InferenceSession(model.SerializeToString(), options)


def matmul(b: np.ndarray, **settings: Any) -> fastort.InferenceSession:
    return session_of("y = MatMul(a, b)", "float[m,k] a", {"b": b}, **settings)


def factors(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(m + k + n)
    return rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)


def kernel_of(session: fastort.InferenceSession) -> str:
    text = session.explain()
    return "strassen" if "CPUExecutionProvider, strassen" in text else "packed"


def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(np.float64) @ b.astype(np.float64)


@pytest.mark.parametrize("kernel", BOUND)
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_error(m: int, k: int, n: int, kernel: str) -> None:
    a, b = factors(m, k, n)
    session = matmul(b, allowed=kernel == "strassen")
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == kernel
    error = (y - exact(a, b)) / np.sqrt(k)
    assert np.sqrt(np.mean(error**2)) < BOUND[kernel]
    assert np.abs(error).max() < LARGEST * BOUND[kernel]


@pytest.mark.parametrize(("m", "k", "n"), [(95, 768, 768), (128, 766, 768), (128, 769, 768), (128, 768, 100)])
def test_it_leaves_what_would_not_gain(m: int, k: int, n: int) -> None:
    a, b = factors(m, k, n)
    session = matmul(b)
    session.run(None, {"a": a})
    assert kernel_of(session) == "packed"


def test_a_factor_that_is_no_constant_and_batches_are_left() -> None:
    a, b = factors(128, 768, 768)
    session = session_of("y = MatMul(a, b)", "float[m,k] a, float[k,n] b", {})
    session.run(None, {"a": a, "b": b})
    assert kernel_of(session) == "packed"
    weights = np.stack([b, 2 * b])
    graph = onnx.parser.parse_graph("g (float[2,m,k] a) => (float[2,m,n] y) { y = MatMul(a, b) }")
    graph.initializer.append(numpy_helper.from_array(weights, "b"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = fastort.InferenceSession(model.SerializeToString())
    y = session.run(None, {"a": np.stack([a, a])})[0]
    assert kernel_of(session) == "packed"
    np.testing.assert_allclose(y, np.stack([exact(a, b), 2 * exact(a, b)]), atol=4e-4)


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_threads_change_nothing(m: int, k: int, n: int) -> None:
    a, b = factors(m, k, n)
    alone = matmul(b, threads=1).run(None, {"a": a})[0]
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(matmul(b, threads=threads).run(None, {"a": a})[0], alone)


# What surrounds a product: the nodes, the shape of the constant c by the sizes m and n, and the same in double
# precision.
EPILOGUES = {
    "bias": ("p = MatMul(a, b)\n y = Add(p, c)", lambda m, n: (n,), lambda p, c: p + c),
    "residual": ("p = MatMul(a, b)\n y = Add(p, c)", lambda m, n: (m, n), lambda p, c: p + c),
    "relu": ("p = MatMul(a, b)\n q = Add(p, c)\n y = Relu(q)", lambda m, n: (n,), lambda p, c: np.maximum(p + c, 0)),
    "gelu": (
        "p = MatMul(a, b)\n q = Add(p, c)\n y = Gelu(q)",
        lambda m, n: (n,),
        lambda p, c: (p + c) * 0.5 * (1 + erf((p + c) / np.sqrt(2))),
    ),
    "a bias for each row": (
        "y = Gemm <alpha = 0.5, beta = 2.0> (a, b, c)",
        lambda m, n: (m, 1),
        lambda p, c: p / 2 + 2 * c,
    ),
}


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize(("m", "k", "n"), [(96, 768, 512), (131, 1602, 1111), (1537, 768, 512)])
def test_epilogues(m: int, k: int, n: int, epilogue: str) -> None:
    body, shape, formula = EPILOGUES[epilogue]
    a, b = factors(m, k, n)
    a /= np.float32(np.sqrt(k))
    c = np.random.default_rng(3).standard_normal(shape(m, n), dtype=np.float32)
    session = session_of(body, "float[m,k] a", {"b": b, "c": c})
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == "strassen"
    np.testing.assert_allclose(y, formula(exact(a, b), c.astype(np.float64)), atol=1e-5)


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
    a, b = factors(131, 770, 1030)
    b[3] = np.abs(b[3]) + 0.5
    (a if where == "a" else b)[3 if where == "a" else 0, 3] = value
    session = matmul(b)
    with np.errstate(all="ignore"):
        expected = a.astype(np.float64) @ b.astype(np.float64)
        expected = np.where(np.abs(expected) > np.finfo(np.float32).max, np.sign(expected) * np.inf, expected)
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


def scaled_rows(a: np.ndarray, b: np.ndarray) -> None:
    a[:40] *= 1e5


def scaled_row(a: np.ndarray, b: np.ndarray) -> None:
    a[77] *= 1e-6


def tiny_rows(a: np.ndarray, b: np.ndarray) -> None:
    a[3] *= 1e-24
    a[69] *= 1e-30  # which meets row 3


def scaled_depths(a: np.ndarray, b: np.ndarray) -> None:
    scale = np.logspace(-4, 4, a.shape[1], dtype=np.float32)
    a *= scale
    b /= scale[:, None]


def scaled_columns(a: np.ndarray, b: np.ndarray) -> None:
    b[:, : b.shape[1] // 3] *= 1e5


def scaled_depths_in_disorder(a: np.ndarray, b: np.ndarray) -> None:
    scale = np.random.default_rng(5).permutation(np.logspace(-4, 4, a.shape[1], dtype=np.float32))
    a *= scale
    b /= scale[:, None]


def two_models_side_by_side(a: np.ndarray, b: np.ndarray) -> None:
    a[:, :300] *= 1e5
    b[:300, 600:] = 0
    b[300:, :600] = 0


def empty_rows(a: np.ndarray, b: np.ndarray) -> None:
    a[60:] = 0


def empty_half(a: np.ndarray, b: np.ndarray) -> None:
    b[:, :560] = 0


@pytest.mark.parametrize(
    "change",
    [
        scaled_depths_in_disorder,
        two_models_side_by_side,
        scaled_rows,
        scaled_row,
        tiny_rows,
        scaled_depths,
        scaled_columns,
        empty_rows,
        empty_half,
    ],
    ids=lambda f: f.__name__,
)
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
    a, b = factors(128, 768, 768)
    session = matmul(b)
    good = session.run(None, {"a": a})[0]
    bad = a.copy()
    bad[5, 5] = np.nan
    assert np.isnan(session.run(None, {"a": bad})[0][5]).all()
    np.testing.assert_array_equal(session.run(None, {"a": a})[0], good)
    plain = matmul(b, allowed=False).run(None, {"a": a})[0]
    assert not np.array_equal(plain, good)


def test_float16() -> None:
    a, b = factors(128, 768, 768)
    a, b = (a / 16).astype(np.float16), b.astype(np.float16)
    graph = onnx.parser.parse_graph("g (float16[m,k] a) => (float16[m,n] y) { y = MatMul(a, b) }")
    graph.initializer.append(numpy_helper.from_array(b, "b"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = fastort.InferenceSession(model.SerializeToString())
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == "strassen"
    np.testing.assert_allclose(y, exact(a, b), rtol=1e-3, atol=1e-3)
