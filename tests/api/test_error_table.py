"""Every kind of mistake at the API: the class, how ONNX Runtime's text begins, and what the text names."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

import fastort
from fastort.capi import onnxruntime_pybind11_state as errors

F = np.float32
X = np.zeros((2, 3), F)
ARGUMENT = "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : "
FAILED = "[ONNXRuntimeError] : 1 : FAIL : "


def parse(text: str) -> bytes:
    opsets = '<ir_version: 10, opset_import: ["" : 21, "my.ops" : 1]> '
    serialized: bytes = onnx.parser.parse_model(opsets + text).SerializeToString()
    return serialized


NEG = parse("net (float[2, 3] x) => (float[2, 3] y) { y = Neg(x) }")
GATHER = parse("net (float[3] x, int64[n] i) => (float[n] y) { y = Gather(x, i) }")
ADD = parse("net (float[n] x, float[m] y) => (float[k] z) { z = Add(x, y) }")


def session(model: bytes = NEG, **kwargs: Any) -> fastort.InferenceSession:
    return fastort.InferenceSession(model, **kwargs)


def options(**values: Any) -> fastort.SessionOptions:
    made = fastort.SessionOptions()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def run(model: bytes = NEG, names: Any = None, run_options: Any = None, **feed: Any) -> Any:
    return session(model).run(names, feed, run_options)


def bound(bind: Callable[[fastort.IOBinding], Any], model: bytes = NEG) -> None:
    made = session(model)
    binding = made.io_binding()
    bind(binding)
    made.run_with_iobinding(binding)


def file_of(folder: Path, contents: bytes) -> str:
    path = folder / "model.onnx"
    path.write_bytes(contents)
    return str(path)


def terminated() -> Any:
    run_options = fastort.RunOptions()
    run_options.terminate = True
    return run(run_options=run_options, x=X)


def cancelled() -> Any:
    made = options()
    made.set_load_cancellation_flag(True)
    return session(sess_options=made)


def bind_wrong_shape(binding: fastort.IOBinding) -> None:
    binding.bind_cpu_input("x", X)
    binding.bind_ortvalue_output("y", fastort.OrtValue.ortvalue_from_shape_and_type([5, 5], F))


def bind_elsewhere() -> None:
    session().run_with_iobinding(session().io_binding())


def closed() -> Any:
    made = session()
    made.close()
    return made.run(None, {"x": X})


# What is done (some need a folder), the class, how the text begins, and what it names.
CASES: dict[str, tuple[Callable[..., Any], type[Exception], str, list[str]]] = {
    # Making a session.
    "no such file": (
        lambda: fastort.InferenceSession("/nowhere/m.onnx"),
        errors.NoSuchFile,
        "[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from /nowhere/m.onnx failed:",
        ["exist"],
    ),
    "no model in a file": (
        lambda folder: fastort.InferenceSession(file_of(folder, b"this is no model")),
        errors.InvalidProtobuf,
        "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from ",
        ["model.onnx", "failed:Protobuf parsing failed. It holds no ONNX model, or only a part of one."],
    ),
    "a pointer of Git LFS": (
        lambda folder: fastort.InferenceSession(file_of(folder, b"version https://git-lfs.github.com/spec/v1\noid")),
        errors.InvalidProtobuf,
        "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from ",
        ["model.onnx", "`git lfs pull` fetches the model itself"],
    ),
    "no model in bytes": (
        lambda: session(b"this is no model"),
        errors.InvalidProtobuf,
        "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Failed to load model because protobuf parsing failed.",
        ["These bytes are no ONNX model, or only a part of one"],
    ),
    "an empty file": (
        lambda folder: fastort.InferenceSession(file_of(folder, b"")),
        errors.InvalidArgument,
        ARGUMENT + "Load model from ",
        ["No graph was found in the protobuf."],
    ),
    "a number for a model": (
        lambda: session(3),  # type: ignore[arg-type]
        TypeError,
        "Unable to load from type '<class 'int'>'",
        ["bytes", "'rb'"],
    ),
    "a file opened as text": (
        lambda: fastort.InferenceSession(open(__file__)),  # type: ignore[arg-type]  # noqa: SIM115
        TypeError,
        "Unable to load from",
        ["'rb'"],
    ),
    "no such operator": (
        lambda: session(parse("net (float[n] x) => (float[n] y) { y = my.ops.Foo(x) }")),
        errors.NotImplemented,  # ONNX Runtime: Fail for domains of users' own, this for its own
        "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Foo(1)",
        ["my.ops", "'y'", "tensor(float)", "register_operator", "register_custom_ops_library"],
    ),
    "no such operator of ONNX": (
        lambda: session(parse("net (float[n] x) => (float[n] y) { y = Foo(x) }")),
        errors.InvalidGraph,
        "[ONNXRuntimeError] : 10 : INVALID_GRAPH : ",
        ["Foo", "21"],
    ),
    "no such attribute": (
        lambda: session(parse("net (float[n] x) => (float[n] y) { y = Neg<foo = 1>(x) }")),
        errors.InvalidGraph,
        "[ONNXRuntimeError] : 10 : INVALID_GRAPH : ",
        ["foo", "Neg"],
    ),
    "options of another type": (lambda: session(sess_options=3), TypeError, "sess_options", ["SessionOptions", "3"]),
    "a provider that is no name": (lambda: session(providers=[3]), ValueError, "'providers' values must be", ["3"]),
    "more provider options than providers": (
        lambda: session(providers=["CPUExecutionProvider"], provider_options=[{}, {}]),
        ValueError,
        "'providers' and 'provider_options' should be the same length",
        ["1 and 2"],
    ),
    "strict placement": (
        lambda: session(providers=["CUDAExecutionProvider"], sess_options=options(strict_placement=True)),
        ValueError,
        "Specified provider 'CUDAExecutionProvider' is not in available provider names.",
        ["CPUExecutionProvider", "strict_placement"],
    ),
    "a load that is given up": (
        cancelled,
        errors.ModelLoadCanceled,
        "[ONNXRuntimeError] : 12 : MODEL_LOAD_CANCELED : Model loading canceled",
        [],
    ),
    # Options.
    "no such option": (
        lambda: options(threads=3),
        AttributeError,
        "'SessionOptions' object",
        ["threads", "intra_op_num_threads"],
    ),
    "an option of another type": (
        lambda: options(intra_op_num_threads="two"),
        TypeError,
        "intra_op_num_threads",
        ["int", "'two'"],
    ),
    "no such entry": (
        lambda: options().get_session_config_entry("a.b"),
        RuntimeError,
        "SessionOptions does not have configuration with key: a.b",
        [],
    ),
    "an entry without a name": (
        lambda: options().add_session_config_entry("", "1"),
        RuntimeError,
        "Config key is empty or longer than maximum length 1024",
        [],
    ),
    "an entry of a run without a name": (
        lambda: fastort.RunOptions().add_run_config_entry("", "1"),
        RuntimeError,
        "Config key is empty or longer than maximum length 1024",
        [],
    ),
    "a dimension of a negative size": (
        lambda: options().add_free_dimension_override_by_name("n", -1),
        ValueError,
        "dim_value is the size of a dimension",
        ["-1"],
    ),
    "provider options that are no dict": (
        lambda: session(providers=["CPUExecutionProvider"], provider_options=[3]),
        ValueError,
        "'provider_options' values must be dicts",
        ["3"],
    ),
    "a provider that nobody knows": (
        lambda: session().set_providers(["FooExecutionProvider"]),
        RuntimeError,
        "Unknown Provider Type: FooExecutionProvider",
        ["CPUExecutionProvider"],
    ),
    "no such entry of a run": (
        lambda: fastort.RunOptions().get_run_config_entry("a.b"),
        RuntimeError,
        "RunOptions does not have configuration with key: a.b",
        [],
    ),
    "no such provider": (lambda: options().add_provider("Foo", {}), RuntimeError, "Unknown Provider Type: Foo", []),
    "no such library": (
        lambda: options().register_custom_ops_library("/nowhere/ops.so"),
        errors.Fail,
        FAILED + "Failed to load library /nowhere/ops.so with error: ",
        ["/nowhere/ops.so"],
    ),
    "an initializer that is no value": (
        lambda: options().add_initializer("w", X),  # type: ignore[arg-type]
        TypeError,
        "the initializer 'w'",
        ["OrtValue"],
    ),
    "fewer initializers than names": (
        lambda: options().add_external_initializers(["w"], []),
        RuntimeError,
        "Expecting names",
        ["1", "0"],
    ),
    "a severity that there is not": (
        lambda: fastort.set_default_logger_severity(9),
        RuntimeError,
        "Invalid logging severity. 0:Verbose, 1:Info, 2:Warning, 3:Error, 4:Fatal",
        ["not 9"],
    ),
    # Runs.
    "a missing input": (run, ValueError, "Required inputs (['x']) are missing from input feed ([]).", ["[2,3]"]),
    "an unknown input": (lambda: run(x=X, q=X), errors.InvalidArgument, ARGUMENT + "Invalid input name: q", ["'x'"]),
    "an unknown output": (
        lambda: run(names=["q"], x=X),
        errors.InvalidArgument,
        ARGUMENT + "Invalid output name:q",
        ["'y'"],
    ),
    "another type": (
        lambda: run(x=X.astype(np.float64)),
        errors.InvalidArgument,
        ARGUMENT + "Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))",
        ["'x'"],
    ),
    "another rank": (
        lambda: run(x=X[0]),
        errors.InvalidArgument,
        ARGUMENT + "Invalid rank for input: x Got: 1 Expected: 2",
        ["[3]", "[2,3]"],
    ),
    "another size": (
        lambda: run(x=X[:, :2]),
        errors.InvalidArgument,
        ARGUMENT + "Got invalid dimensions for input: x for the following indices\n index: 1 Got: 2 Expected: 3",
        ["[2,2]"],
    ),
    "a number for an array": (lambda: run(x=3), RuntimeError, "", ["'x'", "int"]),
    "an index outside": (
        lambda: run(GATHER, x=np.zeros(3, F), i=np.array([7])),
        errors.InvalidArgument,
        ARGUMENT + "Non-zero status code returned while running Gather node. Name:'' Status Message: ",
        ["7", "item 0 of indices", "[-3, 2]", "output 'y'"],
    ),
    "shapes that do not broadcast": (
        lambda: run(ADD, x=np.zeros(3, F), y=np.zeros(2, F)),
        errors.Fail,
        FAILED + "Non-zero status code returned while running Add node",
        ["3", "2"],
    ),
    "a run that is told to stop": (terminated, errors.Fail, FAILED + "Exiting due to terminate flag", []),
    "a closed session": (closed, RuntimeError, "the session is closed", ["make another"]),
    "a run in the background without its input": (
        lambda: session().run_async(None, {}, print, None),
        ValueError,
        "Required inputs (['x']) are missing from input feed ([]).",
        ["'x': tensor(float)[2, 3]"],
    ),
    # Bindings and values.
    "an unknown input is bound": (
        lambda: bound(lambda b: b.bind_cpu_input("q", X)),
        RuntimeError,
        "Failed to find NodeArg with name: q in the def list",
        ["'x'"],
    ),
    "another type is bound": (
        lambda: bound(lambda b: (b.bind_cpu_input("x", X.astype(np.float64)), b.bind_output("y"))),
        RuntimeError,
        "Error in execution: ",
        ["Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))"],
    ),
    "no input is bound": (lambda: bound(lambda b: b.bind_output("y")), RuntimeError, "Error in execution: ", ["'x'"]),
    "an output of another shape is bound": (
        lambda: bound(bind_wrong_shape),
        RuntimeError,
        "Error in execution: ",
        ["Got invalid dimensions for output: y", "[5,5]", "[2,3]", "bind_output without memory"],
    ),
    "no output is bound": (
        lambda: bound(lambda b: b.bind_cpu_input("x", X)),
        RuntimeError,
        "Error in execution: At least one output should be requested.",
        ["bind_output"],
    ),
    "a list is bound": (
        lambda: bound(lambda b: b.bind_cpu_input("x", [1.0])),  # type: ignore[arg-type]
        RuntimeError,
        "Unable to create OrtValue from the given python object",
        ["list"],
    ),
    "an array is bound as a value": (
        lambda: bound(lambda b: b.bind_ortvalue_output("y", X)),  # type: ignore[arg-type]
        TypeError,
        "an OrtValue is bound here, not ndarray",
        ["ortvalue_from_numpy"],
    ),
    "an output on a device that nobody knows": (
        lambda: bound(lambda b: b.bind_output("y", "foo")),
        Exception,
        "Unsupported device type: foo",
        ["cpu", "vulkan"],
    ),
    "a value of a list": (
        lambda: fastort.OrtValue.ortvalue_from_numpy([1.0]),  # type: ignore[arg-type]
        RuntimeError,
        "Unable to create OrtValue from the given python object",
        ["list"],
    ),
    "a value of a negative size": (
        lambda: fastort.OrtValue.ortvalue_from_shape_and_type([-2], F),
        RuntimeError,
        "a dimension is negative",
        ["-2"],
    ),
    "a value of a type that there is not": (
        lambda: fastort.OrtValue.ortvalue_from_shape_and_type([2], "foo"),
        RuntimeError,
        "Not a valid numpy type",
        ["foo"],
    ),
    "a value of a number that is no type": (
        lambda: fastort.OrtValue.ortvalue_from_numpy_with_onnx_type(X, 99),
        RuntimeError,
        "Not a valid ONNX Tensor data type: 99",
        [],
    ),
    "a value is written from another type": (
        lambda: fastort.OrtValue.ortvalue_from_numpy(X).update_inplace(X.astype(np.float64)),
        RuntimeError,
        "The type of the numpy array does not match the type of the OrtValue",
        ["double[2,3]", "float[2,3]", ".astype"],
    ),
    "memory of another name": (
        lambda: fastort.OrtMemoryInfo(
            "Foo", fastort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, fastort.OrtMemType.DEFAULT
        ),
        RuntimeError,
        "Specified device is not supported. Try ",
        ["Foo"],
    ),
    "a background run without a callback": (
        lambda: session().run_async(None, {"x": X}, 3, None),  # type: ignore[arg-type]
        TypeError,
        "run_async()",
        ["3"],
    ),
    "another session's binding": (
        bind_elsewhere,
        ValueError,
        "IOBinding must be used with the session that created it.",
        ["io_binding()"],
    ),
    "memory without a type": (
        lambda: session().io_binding().bind_output("y", "cpu", 0, None, None, 1),
        ValueError,
        "`element_type` and `shape` are to be provided if pre-allocated memory is provided",
        [],
    ),
    "a value on another device": (
        lambda: fastort.OrtValue.ortvalue_from_numpy(X, "cuda", 0),
        RuntimeError,
        "Can't allocate memory on the device",
        ["cuda"],
    ),
    "a value of nothing": (lambda: fastort.OrtValue(3), ValueError, "`Provided ortvalue` needs to be of type", ["3"]),  # type: ignore[arg-type]
    "a value is written from a number": (
        lambda: fastort.OrtValue.ortvalue_from_numpy(X).update_inplace(3),  # type: ignore[arg-type]
        TypeError,
        "data must be a numpy.ndarray or an OrtValue",
        ["int"],
    ),
    "a value is written from another size": (
        lambda: fastort.OrtValue.ortvalue_from_numpy(X).update_inplace(X[0]),
        RuntimeError,
        "The input size of numpy array does not match the size of the OrtValue",
        ["[3]", "[2,3]", "ortvalue_from_numpy"],
    ),
    "no capsule": (
        lambda: fastort.OrtValue.from_dlpack(3),
        TypeError,
        "from_dlpack expected a valid DLPack capsule named 'dltensor'",
        ["not int"],
    ),
    "no such device": (lambda: fastort.OrtDevice.make("foo", 0), Exception, "Unsupported device type: foo", ["vulkan"]),
    "an arena's option": (
        lambda: fastort.OrtArenaCfg({"x": 1}),
        ValueError,
        "Invalid OrtArenaCfg option: x",
        ["max_mem"],
    ),
    "a pickled session that is closed": (
        lambda: pickle.loads(pickle.dumps(_closed_session())),
        RuntimeError,
        "the session is closed",
        [],
    ),
}


def _closed_session() -> fastort.InferenceSession:
    made = session()
    made.close()
    return made


def test_there_are_enough() -> None:
    assert len(CASES) >= 40


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", CASES)
def test_mistake(name: str, tmp_path: Path) -> None:
    attempt, kind, prefix, pieces = CASES[name]
    needs_folder = attempt.__code__.co_argcount == 1 and attempt.__code__.co_varnames[0] == "folder"
    with pytest.raises(kind) as raised:
        attempt(tmp_path) if needs_folder else attempt()
    text = str(raised.value)
    assert text.startswith(prefix), text
    assert all(piece in text for piece in pieces), text
    # The class itself, not one below it, unless it is fastort's own of a stopped run.
    assert type(raised.value) is kind or type(raised.value).__name__ == "Cancelled", type(raised.value)
