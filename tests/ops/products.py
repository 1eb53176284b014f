"""What the tests of single kernels of float32 products share: sessions, factors, and what is done to them."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import helper, numpy_helper
from scipy.special import erf

import fastort


def processor_has(flag: str) -> bool:
    """Whether the processor says that it has these instructions; False where the system does not tell."""
    info = Path("/proc/cpuinfo")
    return info.exists() and flag in info.read_text().split()


def grants_matrix_unit() -> bool:
    """Whether the system lets a process use the tiles of AMX, which it is to be asked for."""
    arch_prctl, ask_for_state, tile_data = 158, 0x1023, 18  # Linux's numbers on x86-64
    return ctypes.CDLL(None).syscall(arch_prctl, ask_for_state, tile_data) == 0


def without_matrix_unit() -> str:
    """Why nothing can be computed with AMX here; empty where it can."""
    if not processor_has("amx_bf16"):
        return "the processor has no matrix unit for bfloat16 (AMX)"
    return "" if grants_matrix_unit() else "the system does not let a process use the matrix unit (AMX)"


def session_of(body: str, inputs: str, constants: dict[str, np.ndarray], **settings: Any) -> fastort.InferenceSession:
    """A session of a graph with some weights; ``settings``: threads, deterministic, and what is allowed."""
    graph = onnx.parser.parse_graph(f"g ({inputs}) => (float[m,n] y) {{ {body} }}")
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return session_of_model(model, **settings)


def session_of_model(model: onnx.ModelProto, **settings: Any) -> fastort.InferenceSession:
    options = fastort.SessionOptions()
    options.intra_op_num_threads = settings.get("threads", 2)
    options.use_deterministic_compute = settings.get("deterministic", False)
    for kernel in ("winograd", "amx"):
        options.add_session_config_entry(f"fastort.allow_{kernel}", "1" if settings.get(kernel, True) else "0")
    if "prefer" in settings:
        options.add_session_config_entry("fastort.prefer_kernel", settings["prefer"])
    return fastort.InferenceSession(model.SerializeToString(), options)


def matmul(b: np.ndarray, **settings: Any) -> fastort.InferenceSession:
    return session_of("y = MatMul(a, b)", "float[m,k] a", {"b": b}, **settings)


def factors(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(m + k + n)
    return rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)


def float16_matmul(b: np.ndarray, **settings: Any) -> fastort.InferenceSession:
    graph = onnx.parser.parse_graph("g (float16[m,k] a) => (float16[m,n] y) { y = MatMul(a, b) }")
    graph.initializer.append(numpy_helper.from_array(b.astype(np.float16), "b"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return session_of_model(model, **settings)


def kernel_of(session: fastort.InferenceSession) -> str:
    """The name of the kernel of the only product."""
    names = re.findall(r"CPUExecutionProvider, (amx|strassen|packed)\b", session.explain())
    assert len(names) == 1
    return names[0]


def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(np.float64) @ b.astype(np.float64)


# The root mean square of the error of a sum of products of variance 1, against double precision, is at most this times
# the square root of their number, the largest error LARGEST times as much; see docs/accuracy.md.
BOUND = {"amx": 5.6e-7, "packed": 5.6e-7, "strassen": 1.1e-6}
LARGEST = 16


def check_error(m: int, k: int, n: int, kernel: str) -> None:
    a, b = factors(m, k, n)
    session = matmul(b, prefer=kernel)
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == kernel
    error = (y - exact(a, b)) / np.sqrt(k)
    assert np.sqrt(np.mean(error**2)) < BOUND[kernel]
    assert np.abs(error).max() < LARGEST * BOUND[kernel]


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


def check_epilogue(epilogue: str, m: int, k: int, n: int, kernel: str) -> None:
    body, shape, formula = EPILOGUES[epilogue]
    a, b = factors(m, k, n)
    a /= np.float32(np.sqrt(k))
    c = np.random.default_rng(3).standard_normal(shape(m, n), dtype=np.float32)
    session = session_of(body, "float[m,k] a", {"b": b, "c": c}, prefer=kernel)
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == kernel
    np.testing.assert_allclose(y, formula(exact(a, b), c.astype(np.float64)), atol=1e-5)


def check_threads(m: int, k: int, n: int, kernel: str) -> None:
    """The same bits for any number of threads."""
    a, b = factors(m, k, n)
    alone = matmul(b, threads=1, prefer=kernel).run(None, {"a": a})[0]
    for threads in (2, 3, 8):
        session = matmul(b, threads=threads, prefer=kernel)
        np.testing.assert_array_equal(session.run(None, {"a": a})[0], alone)
        assert kernel_of(session) == kernel


def check_float16(m: int, k: int, n: int, kernel: str) -> None:
    a, b = factors(m, k, n)
    a, b = (a / 16).astype(np.float16), b.astype(np.float16)
    session = float16_matmul(b, prefer=kernel)
    y = session.run(None, {"a": a})[0]
    assert kernel_of(session) == kernel
    np.testing.assert_allclose(y, exact(a, b), rtol=1e-3, atol=1e-3)


def with_extreme(m: int, k: int, n: int, where: str, value: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors of which one number is `value`, of row 3 or of column 3; and their product, infinite beyond float32."""
    a, b = factors(m, k, n)
    b[3] = np.abs(b[3]) + 0.5
    (a if where == "a" else b)[3 if where == "a" else 0, 3] = value
    with np.errstate(all="ignore"):
        product = a.astype(np.float64) @ b.astype(np.float64)
        product = np.where(np.abs(product) > np.finfo(np.float32).max, np.sign(product) * np.inf, product)
    return a, b, product


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


# Of 131 rows, a depth of 770 and 1030 columns: parts whose sizes differ from those of others.
UNEQUAL = [
    scaled_depths_in_disorder,
    two_models_side_by_side,
    scaled_rows,
    scaled_row,
    tiny_rows,
    scaled_depths,
    scaled_columns,
    empty_rows,
    empty_half,
]
