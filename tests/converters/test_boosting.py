"""Models of XGBoost and LightGBM, converted by onnxmltools, answer as the originals do."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from .common import HOLES, HOLES_TEST, TARGET, THREE, TWO, X_TEST, Estimator, X, assert_same, run

PROBABILITIES = ("predict", "predict_proba")
SMALL = {"n_estimators": 15, "max_depth": 4, "random_state": 0}


def xgboost() -> Iterator[Estimator]:
    library = importlib.import_module("xgboost")
    for name, y in [("binary", TWO), ("multi", THREE)]:
        yield Estimator(f"classifier-{name}", lambda: library.XGBClassifier(**SMALL), y=y, methods=PROBABILITIES)
    yield Estimator("regressor", lambda: library.XGBRegressor(**SMALL), y=TARGET)
    yield Estimator("forest", lambda: library.XGBRFRegressor(**SMALL), y=TARGET)
    holes = {"x": HOLES, "x_test": HOLES_TEST}
    yield Estimator("regressor-holes", lambda: library.XGBRegressor(**SMALL), y=TARGET, **holes)
    yield Estimator("classifier-holes", lambda: library.XGBClassifier(**SMALL), y=THREE, methods=PROBABILITIES, **holes)
    yield Estimator("poisson", lambda: library.XGBRegressor(**SMALL, objective="count:poisson"), y=np.abs(TARGET))


def lightgbm() -> Iterator[Estimator]:
    library = importlib.import_module("lightgbm")
    small = {**SMALL, "min_child_samples": 3, "verbose": -1}
    for name, y in [("binary", TWO), ("multi", THREE)]:
        yield Estimator(f"classifier-{name}", lambda: library.LGBMClassifier(**small), y=y, methods=PROBABILITIES)
    yield Estimator("regressor", lambda: library.LGBMRegressor(**small), y=TARGET)
    yield Estimator("poisson", lambda: library.LGBMRegressor(**small, objective="poisson"), y=np.abs(TARGET))
    yield Estimator("dart", lambda: library.LGBMRegressor(**small, boosting_type="dart"), y=TARGET)
    holes = {"x": HOLES, "x_test": HOLES_TEST}
    yield Estimator("regressor-holes", lambda: library.LGBMRegressor(**small), y=TARGET, **holes)
    yield Estimator("classifier-holes", lambda: library.LGBMClassifier(**small), y=TWO, methods=PROBABILITIES, **holes)


FAMILIES = {"xgboost": xgboost, "lightgbm": lightgbm}


def parameters(family: str) -> list[Any]:
    try:
        return [pytest.param(estimator, id=estimator.id) for estimator in FAMILIES[family]()]
    except ModuleNotFoundError:
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{family} is not installed"))]


def check(estimator: Estimator, convert: Any) -> None:
    data_types = importlib.import_module("onnxmltools.convert.common.data_types")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the names of columns
        fitted = estimator.make().fit(estimator.x, estimator.y)
        expected = [getattr(fitted, method)(estimator.x_test) for method in estimator.methods]
        model = convert(fitted, initial_types=[("x", data_types.FloatTensorType([None, estimator.x.shape[1]]))])
    results = run(model, {"x": estimator.x_test})
    for actual, wanted in zip(results, expected, strict=True):
        if isinstance(actual, list):
            actual = np.array([[row[key] for key in sorted(row)] for row in actual])
        assert_same(actual, wanted, estimator.rtol, estimator.atol)


@pytest.mark.parametrize("estimator", parameters("xgboost"))
def test_xgboost(estimator: Estimator) -> None:
    check(estimator, pytest.importorskip("onnxmltools", reason="onnxmltools is not installed").convert_xgboost)


@pytest.mark.parametrize("estimator", parameters("lightgbm"))
def test_lightgbm(estimator: Estimator) -> None:
    check(estimator, pytest.importorskip("onnxmltools", reason="onnxmltools is not installed").convert_lightgbm)


def test_lightgbm_ranker() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    tools = pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    data_types = importlib.import_module("onnxmltools.convert.common.data_types")
    ranker = lightgbm.LGBMRanker(**SMALL, min_child_samples=3, verbose=-1).fit(X, THREE, group=[40, 40, 40])
    model = tools.convert_lightgbm(ranker, initial_types=[("x", data_types.FloatTensorType([None, X.shape[1]]))])
    (actual,) = run(model, {"x": X_TEST})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(actual, ranker.predict(X_TEST), 1e-4, 1e-5)
