"""Models of scikit-learn, converted by skl2onnx, answer as the estimators do."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import onnx
import pytest

import fastort

from .common import (
    HOLES,
    HOLES_TEST,
    NAMES,
    THREE,
    WORDS,
    WORDS_TEST,
    X_TEST,
    Estimator,
    X,
    assert_same,
    run,
)

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
data_types = importlib.import_module("skl2onnx.common.data_types")
estimators = importlib.import_module("tests.converters.estimators")


def initial_types(x: np.ndarray) -> list[tuple[str, Any]]:
    kinds = {"f": data_types.FloatTensorType, "i": data_types.Int64TensorType}
    kind = kinds.get(x.dtype.kind, data_types.StringTensorType)
    return [("x", kind([None, *x.shape[1:]] if x.ndim > 1 else [None]))]


@pytest.fixture(autouse=True)
def _whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """skl2onnx writes booleans as whole numbers, which newer releases of protobuf refuse."""
    make_attribute = onnx.helper.make_attribute

    def make(key: str, value: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, (bool, np.bool_)) for item in value):
            value = [int(item) for item in value]
        return make_attribute(key, value, *rest, **named)

    monkeypatch.setattr(onnx.helper, "make_attribute", make)


def convert(fitted: Any, x: np.ndarray, options: dict[str, Any]) -> Any:
    opsets = {"": skl2onnx.__max_supported_opset__, "ai.onnx.ml": 3}
    given = {id(fitted): options} if options else None
    return skl2onnx.to_onnx(fitted, initial_types=initial_types(x), options=given, target_opset=opsets)


def fit(estimator: Estimator) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, of deprecation
        made = estimator.make()
        return made.fit(estimator.x) if estimator.y is None else made.fit(estimator.x, estimator.y)


@pytest.mark.parametrize("estimator", [pytest.param(e, id=e.id) for e in estimators.ESTIMATORS])
def test_estimator(estimator: Estimator) -> None:
    fitted = fit(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert(fitted, estimator.x, estimator.options)
        expected = [getattr(fitted, method)(estimator.x_test) for method in estimator.methods]
    results = run(model, {"x": estimator.x_test})
    for actual, wanted in zip(results, expected, strict=False):
        assert_same(actual, wanted, estimator.rtol, estimator.atol)
    assert len(results) >= len(expected)


@pytest.mark.parametrize("y", [THREE, NAMES], ids=["numbers", "names"])
def test_zip_map(y: np.ndarray) -> None:
    fitted = estimators.linear_model.LogisticRegression().fit(X, y)
    label, maps = run(convert(fitted, X, {}), {"x": X_TEST})
    assert_same(label, fitted.predict(X_TEST), 0, 0)
    assert [list(one) for one in maps] == [sorted(fitted.classes_.tolist())] * len(X_TEST)
    assert_same(
        [[one[key] for key in fitted.classes_.tolist()] for one in maps], fitted.predict_proba(X_TEST), 1e-4, 1e-5
    )


def test_one_row_at_a_time() -> None:
    fitted = estimators.ensemble.RandomForestClassifier(9, random_state=0).fit(X, THREE)
    session = fastort.InferenceSession(convert(fitted, X, {"zipmap": False}).SerializeToString())
    rows = [session.run(None, {"x": X_TEST[i : i + 1]})[1][0] for i in range(len(X_TEST))]
    assert_same(rows, fitted.predict_proba(X_TEST), 1e-4, 1e-5)


def test_dictionaries() -> None:
    rows = [{"a": 1.5, "b": -2.0}, {"c": 4.0, "a": 0.25}, {}]
    fitted = importlib.import_module("sklearn.feature_extraction").DictVectorizer().fit(rows)
    kind = data_types.DictionaryType(data_types.StringTensorType([1]), data_types.FloatTensorType([1]))
    model = skl2onnx.to_onnx(fitted, initial_types=[("x", kind)])
    for row in rows:
        (actual,) = run(model, {"x": row})
        assert_same(actual, fitted.transform(row), 0, 0)


def test_columns() -> None:
    """A table of columns of several types, each prepared in its own way, then a forest."""
    table = {"size": X[:, :1], "weight": HOLES[:, 1:2], "colour": WORDS[:, :1]}
    table_test = {"size": X_TEST[:29, :1], "weight": HOLES_TEST[:29, 1:2], "colour": WORDS_TEST[:, :1]}
    fitted = estimators.column_pipeline()
    fitted.fit(np.concatenate([column.astype(object) for column in table.values()], 1), NAMES)
    types = [(name, initial_types(column)[0][1]) for name, column in table.items()]
    model = skl2onnx.to_onnx(fitted, initial_types=types, options={"zipmap": False})
    rows = np.concatenate([column.astype(object) for column in table_test.values()], 1)
    label, probabilities = run(model, table_test)
    assert_same(label, fitted.predict(rows), 0, 0)
    assert_same(probabilities, fitted.predict_proba(rows), 1e-4, 1e-5)
