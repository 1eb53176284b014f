"""Small things that programs written for ONNX Runtime do, which it takes: they are taken here too."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import warnings
from typing import Any

import numpy as np
import onnx.parser
import pytest

import fastort
from fastort.capi.onnxruntime_pybind11_state import Fail
from tests.api import models

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def parse(text: str) -> bytes:
    serialized: bytes = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]> ' + text).SerializeToString()
    return serialized


SCALE = parse("net (float s, float[n] x) => (float[n] y, float t) { y = Mul(x, s) t = Neg(s) }")
CHOOSE = parse("""
net (bool c, float[n] x) => (float[n] y)
{ y = If (c) <then_branch = a () => (float[n] q) { q = Neg(x) }, else_branch = b () => (float[n] q) { q = Abs(x) }> }
""")
NAMES = parse("net (string s, string[n] x) => (bool[n] y) { y = Equal(x, s) }")


# Voice activity models declare a scalar sampling rate, for which many programs feed an array of one element.
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_scalar_may_be_an_array_of_one_element(shape: tuple[int, ...]) -> None:
    session = fastort.InferenceSession(SCALE)
    s = np.full(shape, 3, np.float32)
    y, t = session.run(None, {"s": s, "x": np.ones(4, np.float32)})
    np.testing.assert_array_equal(y, np.full(4, 3))
    assert float(t) == -3
    value = fastort.OrtValue.ortvalue_from_numpy(s)
    np.testing.assert_array_equal(session.run(["y"], {"s": value, "x": np.ones(4, np.float32)})[0], np.full(4, 3))
    x = np.array([-2, 2], np.float32)
    for flag in (True, False):
        (y,) = fastort.InferenceSession(CHOOSE).run(None, {"c": np.full(shape, flag), "x": x})
        np.testing.assert_array_equal(y, -x if flag else np.abs(x))
    (same,) = fastort.InferenceSession(NAMES).run(None, {"s": np.full(shape, "b"), "x": np.array(["a", "b"])})
    np.testing.assert_array_equal(same, [False, True])


def test_several_elements_are_no_scalar() -> None:
    with pytest.raises(
        fastort.capi._pybind_state.InvalidArgument, match="Invalid rank for input: s Got: 1 Expected: 0"
    ):
        fastort.InferenceSession(SCALE).run(None, {"s": np.ones(2, np.float32), "x": X[0]})


@pytest.mark.parametrize(("value", "expected"), [(1, True), (0, False), (np.True_, True), (None, False), (0.5, True)])
def test_truth_values_of_options(value: Any, expected: bool) -> None:
    options = fastort.SessionOptions()
    options.enable_mem_pattern = value
    assert options.enable_mem_pattern is expected
    for wrong in ("yes", [], b""):
        with pytest.raises(TypeError, match="enable_mem_pattern takes a bool"):
            options.enable_mem_pattern = wrong  # type: ignore[assignment]
    with pytest.raises(TypeError, match="32 bits"):
        options.intra_op_num_threads = 2**40


def test_an_output_on_a_device_that_there_is_not() -> None:
    session = fastort.InferenceSession(models.negate())
    binding = session.io_binding()
    binding.bind_cpu_input("x", X)
    with pytest.warns(UserWarning, match="'cuda'"):
        binding.bind_output("y", "cuda")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], -X)
    assert binding.get_outputs()[0].device_name() == "cpu"
    with pytest.raises(RuntimeError, match="Can't allocate memory on the device 'cuda'"):
        binding.bind_output("y", "cuda", 0, np.float32, X.shape, X.ctypes.data)


def test_the_errors_of_background_runs_have_no_status_in_front() -> None:
    session = fastort.InferenceSession(models.negate())
    stopped = fastort.RunOptions()
    stopped.terminate = True
    cases: list[tuple[dict[str, Any], Any, str]] = [
        ({"x": X.astype(np.float64)}, None, "Unexpected input data type. Actual: (tensor(double))"),
        ({"x": X, "q": X}, None, "Invalid input name: q"),
        ({"x": X}, stopped, "Exiting due to terminate flag being set to true."),
    ]
    for feed, options, text in cases:
        done = threading.Event()
        got: list[Any] = []

        def callback(
            results: list[Any], user_data: Any, error: str, got: list[Any] = got, done: threading.Event = done
        ) -> None:
            got.extend((results, user_data, error))
            done.set()

        session.run_async(["y"], feed, callback, "data", options)
        assert done.wait(60)
        assert got[:2] == [[], "data"]
        assert got[2].startswith(text), got[2]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    done = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda raised: (told.append(raised.exc_value), done.set()))
    session = fastort.InferenceSession(models.negate())

    def callback(*_: Any) -> None:
        raise KeyError("mine")

    session.run_async(None, {"x": X}, callback, None)
    assert done.wait(60)
    assert repr(told) == "[KeyError('mine')]"
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], -X)


def test_providers_that_nobody_knows() -> None:
    session = fastort.InferenceSession(models.negate())
    with pytest.raises(RuntimeError, match="Unknown Provider Type: FooExecutionProvider"):
        session.set_providers(["FooExecutionProvider"])
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        session.set_providers([("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"])
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_a_missing_provider_warns_once() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            fastort.InferenceSession(models.negate(), providers=["CUDAExecutionProvider"])
    assert len(told) == 1
    assert told[0].filename == __file__


def test_workload_hints() -> None:
    session = fastort.InferenceSession(models.negate())
    session.set_ep_dynamic_options({"ep.dynamic.workload_type": "Efficient"})
    session.set_ep_dynamic_options({"ep.dynamic.workload_type": "Default"})
    with pytest.raises(fastort.capi._pybind_state.NotImplemented, match=r"ep\.other"):
        session.set_ep_dynamic_options({"ep.other": "1"})


def test_copies_of_options_are_their_own() -> None:
    options = fastort.SessionOptions()
    options.add_session_config_entry("a.b", "1")
    options.add_free_dimension_override_by_name("n", 2)
    options.register_operator("Twice", np.double)
    options.intra_op_num_threads = 3
    for copied in (copy.copy(options), copy.deepcopy(options), pickle.loads(pickle.dumps(options))):
        copied.add_session_config_entry("a.b", "2")
        copied.add_session_config_entry("a.c", "2")
        copied.add_free_dimension_override_by_name("n", 3)
        assert copied.intra_op_num_threads == 3
        assert copied.get_session_config_entry("a.b") == "2"
    assert options.get_session_config_entry("a.b") == "1"
    with pytest.raises(RuntimeError):
        options.get_session_config_entry("a.c")
    session = fastort.InferenceSession(models.negate(), options)
    assert session.run(None, {"x": X})[0].shape == (2, 3)
    with pytest.raises(fastort.capi._pybind_state.InvalidArgument, match="Expected: 2"):
        session.run(None, {"x": X[:1]})


def test_what_is_closed_stays_closed(tmp_path: Any) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.negate())
    for source in (str(path), models.negate()):
        session = fastort.InferenceSession(source)
        binding = session.io_binding()
        binding.bind_cpu_input("x", X)
        binding.bind_output("y")
        session.close()
        session.close()
        uses: list[Any] = [
            lambda s=session: s.run(None, {"x": X}),
            lambda s=session, b=binding: s.run_with_iobinding(b),
            lambda s=session: s.run_with_ort_values(None, {"x": fastort.OrtValue.ortvalue_from_numpy(X)}),
            lambda s=session: s.run_async(None, {"x": X}, print, None),
            lambda s=session: asyncio.run(s.arun(None, {"x": X})),
            lambda s=session: s.set_providers(["CPUExecutionProvider"], [{"a": "b"}]),
            lambda s=session: pickle.loads(pickle.dumps(s)),
            session.io_binding,
            session.get_inputs,
            session.get_outputs,
            session.get_modelmeta,
            session.explain,
            session.memory_stats,
            session.trim,
            lambda s=session: s.profile({"x": X}),
        ]
        for use in uses:
            with pytest.raises(RuntimeError, match="the session is closed"):
                use()


def test_a_time_out_says_so() -> None:
    session = fastort.InferenceSession(models.slow())
    options = fastort.RunOptions()
    options.timeout_seconds = 0.02
    with pytest.raises(Fail, match=r"FAIL : the run took longer than its RunOptions\.timeout_seconds, 0\.02 s"):
        session.run(None, {"x": np.zeros(4, np.float32), "count": np.array(2**40)}, options)
    options.terminate = True
    with pytest.raises(Fail, match="FAIL : Exiting due to terminate flag being set to true"):
        session.run(None, {"x": np.zeros(4, np.float32), "count": np.array(2**40)}, options)
