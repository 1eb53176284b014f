"""Options and providers: ONNX Runtime's names, defaults and refusals."""

from __future__ import annotations

import pickle
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fastort
from fastort.capi.onnxruntime_pybind11_state import Cancelled, Fail, InvalidArgument
from tests.api import models

X = np.ones((2, 3), np.float32)

SESSION_DEFAULTS = {
    "enable_cpu_mem_arena": True,
    "enable_mem_pattern": True,
    "enable_mem_reuse": True,
    "enable_profiling": False,
    "execution_mode": fastort.ExecutionMode.ORT_SEQUENTIAL,
    "execution_order": fastort.ExecutionOrder.DEFAULT,
    "graph_optimization_level": fastort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "inter_op_num_threads": 0,
    "intra_op_num_threads": 0,
    "log_severity_level": -1,
    "log_verbosity_level": 0,
    "logid": "",
    "optimized_model_filepath": "",
    "profile_file_prefix": "onnxruntime_profile_",
    "use_deterministic_compute": False,
    "use_per_session_threads": True,
}

RUN_DEFAULTS = {
    "log_severity_level": -1,
    "log_verbosity_level": 0,
    "logid": "",
    "only_execute_path_to_fetches": False,
    "terminate": False,
}


@pytest.mark.parametrize("name", SESSION_DEFAULTS)
def test_session_defaults(name: str) -> None:
    assert getattr(fastort.SessionOptions(), name) == SESSION_DEFAULTS[name]


@pytest.mark.parametrize("name", RUN_DEFAULTS)
def test_run_defaults(name: str) -> None:
    assert getattr(fastort.RunOptions(), name) == RUN_DEFAULTS[name]


ASSIGNED: list[tuple[str, Any]] = [
    ("intra_op_num_threads", 2),
    ("intra_op_num_threads", np.int64(2)),
    ("enable_mem_pattern", False),
    ("logid", "me"),
    ("graph_optimization_level", fastort.GraphOptimizationLevel.ORT_ENABLE_BASIC),
    ("execution_mode", fastort.ExecutionMode.ORT_PARALLEL),
]


@pytest.mark.parametrize(("name", "value"), ASSIGNED)
def test_options_reach_the_session(name: str, value: Any) -> None:
    options = fastort.SessionOptions()
    setattr(options, name, value)
    session = fastort.InferenceSession(models.negate(), options)
    assert getattr(session.get_session_options(), name) == value
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], -X)


REFUSED: list[tuple[str, Any, type[Exception]]] = [
    ("intra_op_num_threads", "a", TypeError),
    ("intra_op_num_threads", 1.5, TypeError),
    ("graph_optimization_level", 99, TypeError),
    ("enable_mem_pattern", "yes", TypeError),
    ("logid", 1, TypeError),
    ("no_such_option", 1, AttributeError),
]


@pytest.mark.parametrize(("name", "value", "error"), REFUSED)
def test_refused_options(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        setattr(fastort.SessionOptions(), name, value)


def test_enumerations() -> None:
    level = fastort.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert level == 99
    assert int(level) == 99
    assert level.name == "ORT_ENABLE_ALL"
    assert str(level) == "GraphOptimizationLevel.ORT_ENABLE_ALL"
    assert repr(level) == "<GraphOptimizationLevel.ORT_ENABLE_ALL: 99>"
    assert fastort.GraphOptimizationLevel(99) is level


def test_config_entries() -> None:
    options = fastort.SessionOptions()
    options.add_session_config_entry("session.some_key", "1")
    assert options.get_session_config_entry("session.some_key") == "1"
    with pytest.raises(RuntimeError, match="SessionOptions does not have configuration with key: other"):
        options.get_session_config_entry("other")
    with pytest.raises(TypeError):
        options.add_session_config_entry("session.some_key", 1)
    run_options = fastort.RunOptions()
    run_options.add_run_config_entry("key", "1")
    assert run_options.get_run_config_entry("key") == "1"
    with pytest.raises(RuntimeError, match="RunOptions does not have configuration with key: other"):
        run_options.get_run_config_entry("other")


@pytest.mark.parametrize("model", [models.negate(), b"no model"], ids=["negate", "before the model is read"])
def test_misspelt_entries_of_fastort_are_refused(model: bytes) -> None:
    options = fastort.SessionOptions()
    options.add_session_config_entry("fastort.allow_amxx", "0")
    with pytest.raises(
        InvalidArgument, match=r"no session configuration entry 'fastort\.allow_amxx'; .*'fastort\.allow_amx'"
    ):
        fastort.InferenceSession(model, options)


def test_entries_of_fastort_belong_to_sessions() -> None:
    with pytest.raises(RuntimeError, match=r"no entry 'fastort\.allow_amx' of a run; .*add_session_config_entry"):
        fastort.RunOptions().add_run_config_entry("fastort.allow_amx", "0")


@pytest.mark.parametrize("name", ["allow_amx", "allow_winograd", "allow_blocked_layouts", "huge_pages"])
def test_flags_of_fastort_are_0_or_1(name: str) -> None:
    options = fastort.SessionOptions()
    options.add_session_config_entry(f"fastort.{name}", "off")
    with pytest.raises(InvalidArgument, match=rf"fastort\.{name} is '0' or '1', not 'off'"):
        fastort.InferenceSession(models.negate(), options)


def test_a_session_keeps_a_copy_of_its_options() -> None:
    options = fastort.SessionOptions()
    session = fastort.InferenceSession(models.negate(), options)
    options.logid = "changed"
    options.add_session_config_entry("key", "1")
    kept = session.get_session_options()
    assert kept.logid == ""
    with pytest.raises(RuntimeError):
        kept.get_session_config_entry("key")


def test_options_pickle() -> None:
    options = fastort.SessionOptions()
    options.intra_op_num_threads = 3
    options.add_session_config_entry("key", "1")
    again = pickle.loads(pickle.dumps(options))
    assert again.intra_op_num_threads == 3
    assert again.get_session_config_entry("key") == "1"


def test_free_dimensions() -> None:
    options = fastort.SessionOptions()
    options.add_free_dimension_override_by_name("n", 2)
    session = fastort.InferenceSession(models.negate(), options)
    assert session.get_inputs()[0].shape == [2, 3]


def test_added_initializers() -> None:
    options = fastort.SessionOptions()
    options.add_initializer("w", fastort.OrtValue.ortvalue_from_numpy(np.full(3, 7, np.float32)))
    session = fastort.InferenceSession(models.overridable(), options)
    np.testing.assert_array_equal(session.run(None, {"x": np.zeros(3, np.float32)})[0], [7, 7, 7])
    with pytest.raises(TypeError, match="OrtValue"):
        options.add_initializer("w", np.zeros(3))


def test_optimized_models_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "optimized.onnx"
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(path)
    fastort.InferenceSession(models.negate(), options)
    onnx.checker.check_model(onnx.load(path))
    np.testing.assert_array_equal(fastort.InferenceSession(path).run(None, {"x": X})[0], -X)


def test_terminate_stops_every_run() -> None:
    session = fastort.InferenceSession(models.slow())
    options = fastort.RunOptions()
    options.terminate = True
    feed = {"x": X[0], "count": np.array(2**40)}
    for _ in range(2):
        with pytest.raises(Fail, match="Exiting due to terminate flag being set to true") as caught:
            session.run(None, feed, options)
        assert type(caught.value) is Cancelled
    options.terminate = False
    feed["count"] = np.array(1)
    np.testing.assert_array_equal(session.run(None, feed, options)[0], 2 * X[0])


def test_time_outs() -> None:
    session = fastort.InferenceSession(models.slow())
    options = fastort.RunOptions()
    options.timeout_seconds = 0.05
    began = time.monotonic()
    with pytest.raises(Fail, match="took longer"):
        session.run(None, {"x": X[0], "count": np.array(2**40)}, options)
    assert time.monotonic() - began < 30
    with pytest.raises(ValueError, match="timeout_seconds"):
        options.timeout_seconds = -1


def test_available_providers() -> None:
    assert fastort.get_available_providers()[-1] == "CPUExecutionProvider"
    assert set(fastort.get_available_providers()) <= set(fastort.get_all_providers())
    assert fastort.get_device() == "CPU"


PROVIDERS: list[tuple[Any, Any, dict[str, dict[str, str]], list[str]]] = [
    (None, None, {}, []),
    ([], None, {}, []),
    (["CPUExecutionProvider"], None, {}, []),
    ("CPUExecutionProvider", None, {}, []),
    ([("CPUExecutionProvider", {"arena": 1})], None, {"arena": "1"}, []),
    (["CPUExecutionProvider"], [{"arena": "1"}], {"arena": "1"}, []),
    (["CUDAExecutionProvider"], None, {}, ["CUDAExecutionProvider"]),
    (["CUDAExecutionProvider", "CPUExecutionProvider"], None, {}, ["CUDAExecutionProvider"]),
    ([("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"], None, {}, ["CUDAExecutionProvider"]),
    (["TensorrtExecutionProvider", "OpenVINOExecutionProvider"], None, {}, ["Tensorrt", "OpenVINO"]),
    (["FooExecutionProvider"], None, {}, ["FooExecutionProvider"]),
]


@pytest.mark.parametrize(("providers", "provider_options", "cpu_options", "warned"), PROVIDERS)
def test_providers(providers: Any, provider_options: Any, cpu_options: dict[str, str], warned: list[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session = fastort.InferenceSession(models.negate(), None, providers, provider_options)
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_provider_options() == {"CPUExecutionProvider": cpu_options}
    assert len(caught) == len(warned)
    for warning, name in zip(caught, warned, strict=True):
        assert warning.category is UserWarning
        assert str(warning.message).startswith(f"Specified provider '{name}")
        assert "is not in available provider names." in str(warning.message)
        assert warning.filename == __file__


def test_duplicate_providers_warn() -> None:
    with pytest.warns(UserWarning, match="Duplicate provider 'CPUExecutionProvider' encountered, ignoring"):
        fastort.InferenceSession(models.negate(), providers=["CPUExecutionProvider"] * 2)


@pytest.mark.parametrize(
    ("providers", "provider_options"),
    [([3], None), (["CPUExecutionProvider"], [{}, {}]), ([("CPUExecutionProvider", {"a": 1})], [{"b": 2}])],
)
def test_providers_that_make_no_sense(providers: Any, provider_options: Any) -> None:
    with pytest.raises(ValueError, match="provider"):
        fastort.InferenceSession(models.negate(), None, providers, provider_options)


def test_providers_of_the_options() -> None:
    options = fastort.SessionOptions()
    assert not options.has_providers()
    options.add_provider("CPUExecutionProvider", {"arena": "1"})
    assert options.has_providers()
    session = fastort.InferenceSession(models.negate(), options)
    assert session.get_provider_options() == {"CPUExecutionProvider": {"arena": "1"}}


def test_set_providers() -> None:
    session = fastort.InferenceSession(models.negate())
    session.set_providers(["CPUExecutionProvider"])
    with pytest.warns(UserWarning, match="not in available provider names"):
        session.set_providers(["CUDAExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], -X)


def test_options_of_another_type() -> None:
    with pytest.raises(TypeError, match="sess_options"):
        fastort.InferenceSession(models.negate(), 3)


def test_disabled_optimizers() -> None:
    session = fastort.InferenceSession(models.negate(), disabled_optimizers=["fold_constants"])
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], -X)


@pytest.mark.parametrize("severity", [-1, 5])
def test_refused_severities(severity: int) -> None:
    with pytest.raises(RuntimeError, match="Invalid logging severity"):
        fastort.set_default_logger_severity(severity)


def test_severities() -> None:
    fastort.set_default_logger_severity(3)
    fastort.set_default_logger_severity(2)
