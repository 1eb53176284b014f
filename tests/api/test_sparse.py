"""Sparse tensors: made of arrays, fed, returned; expected values from SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import scipy.sparse
from onnx import TensorProto, helper

import fastort
from fastort import OrtDevice, OrtSparseFormat, OrtValue, SparseTensor
from fastort.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph
from fastort.capi.onnxruntime_pybind11_state import NotImplemented as NotSupported

CPU = OrtDevice.make("cpu", 0)
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]


def save(nodes: list[Any], inputs: list[Any], outputs: list[Any], **more: Any) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs, **more)
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=8).SerializeToString()


def product(element: int = TensorProto.FLOAT, sizes: Any = ("m", "k"), **attributes: Any) -> bytes:
    node = helper.make_node(
        "SparseToDenseMatMul", ["A", "B"], ["Y"], name="product", domain="com.microsoft", **attributes
    )
    left = helper.make_sparse_tensor_value_info("A", element, list(sizes))
    right = helper.make_tensor_value_info("B", element, [None, None])
    return save([node], [left, right], [helper.make_tensor_value_info("Y", element, [None, None])])


def matrix(rows: int, columns: int, dtype: Any = np.float32, density: float = 0.2) -> scipy.sparse.coo_array:
    rng = np.random.default_rng(rows * 1000 + columns)
    dense = rng.integers(1, 9, (rows, columns)) * (rng.random((rows, columns)) < density)
    return scipy.sparse.coo_array(dense.astype(dtype))


def coo(a: scipy.sparse.coo_array, linear: bool = False) -> SparseTensor:
    rows, columns = (axis.astype(np.int64) for axis in a.coords)
    places = rows * a.shape[1] + columns if linear else np.stack([rows, columns], axis=1)
    return SparseTensor.sparse_coo_from_numpy(a.shape, a.data, places, CPU)


def csr(a: scipy.sparse.coo_array) -> SparseTensor:
    rows = a.tocsr()
    return SparseTensor.sparse_csr_from_numpy(
        a.shape, rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64), CPU
    )


FORMS = {"linear": lambda a: coo(a, linear=True), "coordinates": coo, "rows": csr}


def test_coordinates_are_kept() -> None:
    values, places = np.array([1.5, 2, 3], np.float32), np.array([[0, 1], [1, 1], [2, 2]], np.int64)
    sparse = SparseTensor.sparse_coo_from_numpy(np.array([3, 4], np.int64), values, places, CPU)
    assert sparse.format() == OrtSparseFormat.ORT_SPARSE_COO
    assert sparse.dense_shape() == [3, 4]
    assert sparse.data_type() == "sparse_tensor(float)"
    assert sparse.device_name() == "cpu"
    np.testing.assert_array_equal(sparse.values(), values)
    assert np.shares_memory(sparse.values(), values)
    np.testing.assert_array_equal(sparse.as_coo_view().indices(), places)
    for view in (sparse.as_csrc_view, sparse.as_blocksparse_view):
        with pytest.raises(RuntimeError, match=r"does not contain ORT_SPARSE_.* format but ORT_SPARSE_COO"):
            view()
    with pytest.raises(RuntimeError, match="Cuda is not available"):
        sparse.to_cuda(CPU)
    assert repr(sparse) == "SparseTensor(sparse_tensor(float)[3, 4], 3 values)"


def test_compressed_rows_are_kept() -> None:
    a = matrix(5, 7).tocsr()
    sparse = csr(a.tocoo())
    assert sparse.format() == OrtSparseFormat.ORT_SPARSE_CSRC
    np.testing.assert_array_equal(sparse.as_csrc_view().inner(), a.indices)
    np.testing.assert_array_equal(sparse.as_csrc_view().outer(), a.indptr)
    np.testing.assert_array_equal(sparse.values(), a.data)
    with pytest.raises(RuntimeError, match="does not contain ORT_SPARSE_COO format"):
        sparse.as_coo_view()


def test_text() -> None:
    sparse = SparseTensor.sparse_coo_from_numpy([9], np.array(["a", "böse"]), np.array([1, 4]), CPU)
    assert sparse.data_type() == "sparse_tensor(string)"
    assert sparse.values().tolist() == ["a", "böse"]


@pytest.mark.parametrize(
    ("shape", "values", "places", "message"),
    [
        ([3, 3], np.ones(3, np.float32), np.array([1, 4]), r"are int64 \[3\] or \[3,2\], not int64\[2\]"),
        ([3, 3], np.ones(2, np.float32), np.array([1, 9]), r"index 9 .* outside its shape \[3,3\]"),
        ([3, 3], np.ones(2, np.float32), np.array([-1, 2]), "index -1 .* outside"),
        ([3, 2], np.ones(1, np.float32), np.array([[1, 2]]), "index 2 .* outside"),
        ([3, 3], np.ones((1, 2), np.float32), np.array([1, 2]), "a 1-D array"),
        ([3], np.ones(1, "M8[s]"), np.array([1]), "ONNX has no type"),
    ],
)
def test_what_does_not_fit(shape: list[int], values: Any, places: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        SparseTensor.sparse_coo_from_numpy(shape, values, places, CPU)


@pytest.mark.parametrize(
    ("shape", "inner", "outer", "message"),
    [
        ([3, 3, 1], [0, 1], [0, 1, 2, 2], "those of a matrix"),
        ([3, 3], [0, 1, 2], [0, 1, 2, 2], "as many inner indices"),
        ([3, 3], [0, 1], [0, 1, 2], "4 outer ones"),
        ([3, 3], [0, 1], [0, 2, 1, 2], "must rise"),
        ([3, 3], [0, 3], [0, 1, 2, 2], "index 3 .* outside"),
    ],
)
def test_rows_that_do_not_fit(shape: list[int], inner: list[int], outer: list[int], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        SparseTensor.sparse_csr_from_numpy(shape, np.ones(2, np.float32), np.array(inner), np.array(outer), CPU)


def test_ort_values() -> None:
    sparse = coo(matrix(3, 4))
    value = OrtValue.ort_value_from_sparse_tensor(sparse)
    assert value.is_sparse_tensor()
    assert not value.is_tensor()
    assert value.data_type() == "sparse_tensor(float)"
    assert value.element_type() == TensorProto.FLOAT
    assert value.shape() == [3, 4]
    assert value.as_sparse_tensor() is sparse
    with pytest.raises(RuntimeError, match="no tensor"):
        value.numpy()
    with pytest.raises(RuntimeError, match="does not contain a sparse tensor"):
        OrtValue.ortvalue_from_numpy(np.zeros(3)).as_sparse_tensor()
    with pytest.raises(ValueError, match="wraps a value of the engine"):
        SparseTensor(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint32, np.uint64])
def test_product(form: str, dtype: Any) -> None:
    a = matrix(17, 13, dtype)
    b = np.random.default_rng(1).integers(0, 9, (13, 37)).astype(dtype)
    session = fastort.InferenceSession(product(helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))
    assert session.get_inputs()[0].type.startswith("sparse_tensor(")
    assert session.get_inputs()[0].shape == ["m", "k"]
    (y,) = session.run(None, {"A": FORMS[form](a), "B": b})
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, a @ b)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_transposed_and_scaled(trans_a: int, trans_b: int) -> None:
    a = matrix(19, 11, np.float32)
    left = a.T if trans_a else a
    b = np.random.default_rng(2).standard_normal((left.shape[1], 1009)).astype(np.float32)
    session = fastort.InferenceSession(product(transA=trans_a, transB=trans_b, alpha=-0.5))
    (y,) = session.run(None, {"A": csr(a), "B": np.ascontiguousarray(b.T) if trans_b else b})
    np.testing.assert_allclose(y, -0.5 * (left @ b), rtol=1e-5, atol=1e-5)


def test_shapes_change_from_run_to_run() -> None:
    session = fastort.InferenceSession(product())
    for rows, inner, columns in [(1, 1, 1), (7, 3, 5), (64, 129, 31), (3, 5, 0), (0, 4, 2), (4, 0, 2)]:
        a, b = matrix(rows, inner), np.ones((inner, columns), np.float32)
        (y,) = session.run(None, {"A": coo(a), "B": b})
        np.testing.assert_array_equal(y, a.toarray() @ b)


def test_places_in_any_order_and_twice() -> None:
    places, values = np.array([[2, 0], [0, 1], [2, 0]]), np.array([1, 10, 100], np.float32)
    sparse = SparseTensor.sparse_coo_from_numpy([3, 2], values, places, CPU)
    (y,) = fastort.InferenceSession(product()).run(None, {"A": sparse, "B": np.eye(2, dtype=np.float32)})
    np.testing.assert_array_equal(y, [[0, 10], [0, 0], [101, 0]])


def test_a_matrix_too_large_to_be_dense() -> None:
    size = 3_000_000
    places = np.array([[0, size - 1], [size - 1, 0]])
    sparse = SparseTensor.sparse_coo_from_numpy([size, size], np.array([2, 3], np.float32), places, CPU)
    b = np.arange(size, dtype=np.float32)[:, None]
    (y,) = fastort.InferenceSession(product()).run(None, {"A": sparse, "B": b})
    assert y.shape == (size, 1)
    assert y[0, 0] == 2 * b[-1, 0]
    assert np.count_nonzero(y) == 1


def test_ort_values_go_through_a_session() -> None:
    a, b = matrix(5, 4), np.ones((4, 3), np.float32)
    feeds = {"A": OrtValue.ort_value_from_sparse_tensor(csr(a)), "B": OrtValue.ortvalue_from_numpy(b)}
    session = fastort.InferenceSession(product())
    np.testing.assert_array_equal(session.run_with_ort_values(["Y"], feeds)[0].numpy(), a @ b)
    np.testing.assert_array_equal(session.run(["Y"], {"A": feeds["A"], "B": b})[0], a @ b)


def test_feeds_that_do_not_fit() -> None:
    session = fastort.InferenceSession(product(sizes=("m", 3)))
    b = np.ones((3, 2), np.float32)
    with pytest.raises(InvalidArgument, match=r"'A' .*pass a fastort\.SparseTensor"):
        session.run(None, {"A": np.eye(3, dtype=np.float32), "B": b})
    with pytest.raises(InvalidArgument, match=r"\(sparse_tensor\(double\)\) , expected: \(sparse_tensor\(float\)\)"):
        session.run(None, {"A": coo(matrix(2, 3, np.float64)), "B": b})
    with pytest.raises(InvalidArgument, match="index: 1 Got: 4 Expected: 3"):
        session.run(None, {"A": coo(matrix(2, 4)), "B": b})
    vector = SparseTensor.sparse_coo_from_numpy([3], np.ones(1, np.float32), np.array([1]), CPU)
    with pytest.raises(InvalidArgument, match="Invalid rank for input: A Got: 1 Expected: 2"):
        session.run(None, {"A": vector, "B": b})
    with pytest.raises(InvalidArgument, match=r"'B' is a tensor.*another kind of value"):
        session.run(None, {"A": coo(matrix(2, 3)), "B": coo(matrix(3, 2))})
    with pytest.raises((InvalidArgument, Fail), match="do not fit"):
        fastort.InferenceSession(product()).run(None, {"A": coo(matrix(2, 3)), "B": np.ones((4, 2), np.float32)})


def test_products_that_are_refused() -> None:
    with pytest.raises(NotSupported, match=r"'product'.*products of sparse float16"):
        fastort.InferenceSession(product(TensorProto.FLOAT16))
    with pytest.raises(InvalidGraph, match=r"'product'.*'alpha' must be a whole number"):
        fastort.InferenceSession(product(TensorProto.INT32, alpha=0.5))
    with pytest.raises(InvalidGraph, match=r"'product'.*A must be a matrix"):
        fastort.InferenceSession(product(sizes=("a", "b", "c")))


def initializer(values: list[float], places: Any, dims: list[int]) -> onnx.SparseTensorProto:
    places = np.array(places, np.int64)
    return helper.make_sparse_tensor(
        helper.make_tensor("S", TensorProto.FLOAT, [len(values)], values),
        helper.make_tensor("places", TensorProto.INT64, list(places.shape), places.ravel().tolist()),
        dims,
    )


@pytest.mark.parametrize("places", [[1, 4, 8], [[0, 1], [1, 1], [2, 2]]])
def test_a_sparse_result(places: Any, tmp_path: Path) -> None:
    output = helper.make_sparse_tensor_value_info("S", TensorProto.FLOAT, [3, 3])
    model = save([], [], [output], sparse_initializer=[initializer([1.5, 2, 3], places, [3, 3])])
    path = tmp_path / "model.onnx"
    path.write_bytes(model)
    session = fastort.InferenceSession(path)
    assert session.get_outputs()[0].type == "sparse_tensor(float)"
    (plain,) = session.run(None, {})
    assert isinstance(plain, SparseTensor)
    (value,) = session.run_with_ort_values(["S"], {})
    for sparse in (plain, value.as_sparse_tensor()):
        assert sparse.format() == OrtSparseFormat.ORT_SPARSE_COO
        assert sparse.dense_shape() == [3, 3]
        assert sparse.values().tolist() == [1.5, 2, 3]
        assert sparse.as_coo_view().indices().tolist() == places


def test_from_input_to_output() -> None:
    kind = [helper.make_sparse_tensor_value_info(name, TensorProto.FLOAT, ["m", "n"]) for name in "xy"]
    session = fastort.InferenceSession(save([helper.make_node("Identity", ["x"], ["y"])], kind[:1], kind[1:]))
    a = matrix(6, 5)
    (y,) = session.run(None, {"x": csr(a)})
    np.testing.assert_array_equal(y.values(), a.tocsr().data)
    np.testing.assert_array_equal(y.as_coo_view().indices(), np.stack(a.tocsr().tocoo().coords, axis=1))


def test_a_sparse_weight_and_a_sparse_result_at_once() -> None:
    """The initializer is a factor and a result."""
    node = helper.make_node("SparseToDenseMatMul", ["S", "B"], ["Y"], domain="com.microsoft")
    outputs = [
        helper.make_tensor_value_info("Y", TensorProto.FLOAT, [3, "n"]),
        helper.make_sparse_tensor_value_info("S", TensorProto.FLOAT, [3, 3]),
    ]
    inputs = [helper.make_tensor_value_info("B", TensorProto.FLOAT, [3, "n"])]
    model = save([node], inputs, outputs, sparse_initializer=[initializer([1.5, 2, 3], [1, 4, 8], [3, 3])])
    b = np.arange(12, dtype=np.float32).reshape(3, 4)
    y, s = fastort.InferenceSession(model).run(None, {"B": b})
    np.testing.assert_array_equal(y, np.array([[0, 1.5, 0], [0, 2, 0], [0, 0, 3]], np.float32) @ b)
    assert s.values().tolist() == [1.5, 2, 3]
