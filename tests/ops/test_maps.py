"""Operators of ai.onnx.ml that make or read maps, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort


def _map_info(key: int, value: int) -> onnx.ValueInfoProto:
    return helper.make_value_info("x", helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, [])))


def _run(op: str, x: onnx.ValueInfoProto, y: onnx.ValueInfoProto, value: Any, **attributes: Any) -> Any:
    node = helper.make_node(op, ["x"], ["y"], name="node", domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([node], "maps", [x], [y])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 4)]
    session = fastort.InferenceSession(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    first, second = session.run(None, {"x": value})[0], session.run(None, {"x": value})[0]
    assert type(first) is type(second)
    assert np.array_equal(first, second) if isinstance(first, np.ndarray) else first == second
    return first


def _tensor(element: int, shape: list[Any] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("y", element, shape)


# ---- ZipMap


def _zip(value: np.ndarray, **labels: Any) -> Any:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * value.ndim)
    key = TensorProto.INT64 if "classlabels_int64s" in labels else TensorProto.STRING
    item = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    return _run("ZipMap", x, helper.make_value_info("y", helper.make_sequence_type_proto(item)), value, **labels)


ROWS = np.arange(6, dtype=np.float32).reshape(2, 3) / 4


def test_zip_numbers() -> None:
    assert _zip(ROWS, classlabels_int64s=[5, -1, 3]) == [
        {-1: 0.25, 3: 0.5, 5: 0.0},
        {-1: 1.0, 3: 1.25, 5: 0.75},
    ]


def test_zip_names_in_their_order() -> None:
    maps = _zip(ROWS, classlabels_strings=["b", "ä", "a"])
    assert maps == [{"a": 0.5, "b": 0.0, "ä": 0.25}, {"a": 1.25, "b": 0.75, "ä": 1.0}]
    assert list(maps[0]) == ["a", "b", "ä"]
    assert all(type(value) is float for value in maps[0].values())


def test_zip_one_row_without_an_axis() -> None:
    assert _zip(ROWS[1], classlabels_int64s=[0, 1, 2]) == [{0: 0.75, 1: 1.0, 2: 1.25}]


def test_zip_no_rows() -> None:
    assert _zip(ROWS[:0], classlabels_int64s=[0, 1, 2]) == []


def test_zip_of_equal_labels_the_last_one_counts() -> None:
    assert _zip(ROWS[:1], classlabels_strings=["a", "b", "a"]) == [{"a": 0.5, "b": 0.25}]


def test_zip_refuses_another_number_of_columns() -> None:
    with pytest.raises(Exception, match=r"ZipMap.*\[N, 2\].*float\[2,3\]"):
        _zip(ROWS, classlabels_int64s=[1, 2])


def test_zip_refuses_two_lists_of_labels() -> None:
    with pytest.raises(Exception, match="exactly one of classlabels_int64s and classlabels_strings"):
        _zip(ROWS, classlabels_int64s=[1, 2, 3], classlabels_strings=["a", "b", "c"])


# ---- DictVectorizer


@pytest.mark.parametrize(
    ("element", "dtype"),
    [(TensorProto.FLOAT, np.float32), (TensorProto.DOUBLE, np.float64), (TensorProto.INT64, np.int64)],
)
def test_vectorize(element: int, dtype: Any) -> None:
    words, numbers = ["a", "c", "b"], [4, -2]
    y = _run(
        "DictVectorizer",
        _map_info(TensorProto.STRING, element),
        _tensor(element),
        {"a": 7, "b": 2, "z": 9},
        string_vocabulary=words,
    )
    assert y.dtype == dtype
    assert y.tolist() == [[7, 0, 2]]
    y = _run(
        "DictVectorizer", _map_info(TensorProto.INT64, element), _tensor(element), {-2: 5}, int64_vocabulary=numbers
    )
    assert y.tolist() == [[0, 5]]
    y = _run("DictVectorizer", _map_info(TensorProto.INT64, element), _tensor(element), {}, int64_vocabulary=numbers)
    assert y.tolist() == [[0, 0]]


def test_vectorize_texts() -> None:
    info = _map_info(TensorProto.INT64, TensorProto.STRING)
    y = _run("DictVectorizer", info, _tensor(TensorProto.STRING), {4: "q"}, int64_vocabulary=[4, 2])
    assert y.tolist() == [["q", ""]]


def test_vectorize_refuses_keys_of_another_type() -> None:
    info = _map_info(TensorProto.INT64, TensorProto.FLOAT)
    with pytest.raises(Exception, match=r"vocabulary is of string.*keys are int64"):
        _run("DictVectorizer", info, _tensor(TensorProto.FLOAT), {1: 1.0}, string_vocabulary=["a"])


def test_vectorize_refuses_values_that_are_no_single_items() -> None:
    info = _map_info(TensorProto.STRING, TensorProto.FLOAT)
    with pytest.raises(Exception, match=r"float\[0\]"):
        _run(
            "DictVectorizer", info, _tensor(TensorProto.FLOAT), {"a": np.zeros(0, np.float32)}, string_vocabulary=["a"]
        )


# ---- CastMap

FLOATS = {3: 1.5, 1: 2.0, 4: -3.25, 0: 1e20}
TEXTS = {3: "1.5", 1: "20", 0: "-7.9"}


@pytest.mark.parametrize(
    ("to", "element", "dense", "of_texts"),
    [
        ("TO_FLOAT", TensorProto.FLOAT, [1e20, 2.0, 1.5, -3.25], [-7.9, 20.0, 1.5]),
        ("TO_INT64", TensorProto.INT64, [-(2**63), 2, 1, -3], [-7, 20, 1]),
        (
            "TO_STRING",
            TensorProto.STRING,
            ["100000002004087734272.000000", "2.000000", "1.500000", "-3.250000"],
            ["-7.9", "20", "1.5"],
        ),
    ],
)
def test_cast(to: str, element: int, dense: list[Any], of_texts: list[Any]) -> None:
    floats, texts = (_map_info(TensorProto.INT64, kind) for kind in (TensorProto.FLOAT, TensorProto.STRING))
    zero = "0.f" if to == "TO_STRING" else 0  # ONNX Runtime's
    for info, value, wanted in [(floats, FLOATS, dense), (texts, TEXTS, of_texts)]:
        y = _run("CastMap", info, _tensor(element), value, cast_to=to)
        assert y.tolist() == [pytest.approx(wanted) if to == "TO_FLOAT" else wanted]
        y = _run("CastMap", info, _tensor(element), value, cast_to=to, map_form="SPARSE", max_map=4)
        places = dict(zip(sorted(value), wanted, strict=True))
        sparse = [places.get(i, zero) for i in range(4)]
        assert y.tolist() == [pytest.approx(sparse) if to == "TO_FLOAT" else sparse]


def test_cast_refuses_what_is_no_number() -> None:
    info = _map_info(TensorProto.INT64, TensorProto.STRING)
    for text in ["abc", "", "1.5x"]:
        with pytest.raises(Exception, match=f'"{text}" is no number'):
            _run("CastMap", info, _tensor(TensorProto.FLOAT), {0: text})


def test_cast_refuses_negative_keys() -> None:
    info = _map_info(TensorProto.INT64, TensorProto.FLOAT)
    with pytest.raises(Exception, match="key -1 is negative"):
        _run("CastMap", info, _tensor(TensorProto.FLOAT), {-1: 1.0})


def test_cast_refuses_unknown_forms() -> None:
    info = _map_info(TensorProto.INT64, TensorProto.FLOAT)
    with pytest.raises(Exception, match='unknown cast_to "TO_BOOL"'):
        _run("CastMap", info, _tensor(TensorProto.FLOAT), {0: 1.0}, cast_to="TO_BOOL")
    with pytest.raises(Exception, match='unknown map_form "LOOSE"'):
        _run("CastMap", info, _tensor(TensorProto.FLOAT), {0: 1.0}, map_form="LOOSE")
