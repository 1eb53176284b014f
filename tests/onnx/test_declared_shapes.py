"""Shapes that a model declares and that are wrong, as an edited model may leave them behind."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import fastort


def _model(shape: list[int], element: int = TensorProto.FLOAT) -> bytes:
    node = helper.make_node("Relu", ["x"], ["y"], name="relu")
    graph = helper.make_graph(
        [node],
        "declared",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", element, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString()


@pytest.mark.parametrize("shape", [[7, 4], [7, 3, 1], [2]])
def test_a_wrong_declared_shape_is_ignored(shape: list[int]) -> None:
    session = fastort.InferenceSession(_model(shape))
    x = np.array([[-1.0, 2.0, -3.0], [4.0, -5.0, 6.0]], np.float32)
    (y,) = session.run(None, {"x": x})
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_a_wrong_declared_type_is_refused() -> None:
    with pytest.raises(Exception, match=r"relu.*'y'.*int64") as caught:
        fastort.InferenceSession(_model([7, 3], TensorProto.INT64))
    assert type(caught.value).__name__ in ("InvalidGraph", "Fail")
