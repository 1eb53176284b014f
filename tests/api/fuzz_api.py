"""Calls the whole Python API with what nobody should give it; run by test_api_fuzz.py in an interpreter of its own.

``python -m tests.api.fuzz_api SECONDS SEED`` ends with status 0 unless something crashed the interpreter, or an error
was not one that a program can understand (``SystemError``, ``AssertionError``, ``UnboundLocalError``).
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import gc
import inspect
import os
import pickle
import random
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx.parser

import fastort
from fastort import _engine
from fastort.capi import onnxruntime_pybind11_state as state
from tests.api import models

BROKEN = (SystemError, AssertionError, UnboundLocalError)
MOST_MEMORY = 6 << 30
HANGS = 60.0  # seconds that the last calls may take beyond the time
# Addresses are the caller's word: a wrong one cannot be told from a right one. The rest acts on the whole process.
LEFT_OUT = frozenset(
    {
        "bind_input",
        "from_pointer",
        "from_device_pointer",
        "install_as_onnxruntime",
        "uninstall_as_onnxruntime",
        "show_versions",
        "print_debug_info",
        "set_logger",
        "register_custom_op",
        "register_operator",
        "set_global_thread_pool_sizes",
        "set_default_logger_severity",
        "vulkan_refusal",
    }
)


class Evil:
    """Answers every question with something else."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def _give(self, *_: Any, **__: Any) -> Any:
        if isinstance(self.answer, type) and issubclass(self.answer, BaseException):
            raise self.answer("evil")
        return self.answer

    __len__ = __iter__ = __array__ = __index__ = __getitem__ = __dlpack__ = __fspath__ = __eq__ = __bool__ = _give
    __hash__ = None  # type: ignore[assignment]
    _ortvalue = _sess = property(_give)
    keys = read = shape = dtype = property(_give)


def sources() -> list[bytes]:
    parse = onnx.parser.parse_model
    opset = '<ir_version: 10, opset_import: ["" : 21]> '
    texts = [
        "net (float[n, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[n, 4, a, b] y)"
        "{ c = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu(c) }",
        "net (float[n, 4] x, int64[k] i) => (float[k, 4] y, float[n, 4] s) { y = Gather(x, i) s = Softmax(x) }",
        "net (string[n] x) => (string[n] y) { y = Identity(x) }",
        "net (seq(float[n]) x) => (float[m] y) { y = ConcatFromSequence <axis = 0> (x) }",
        "net (float[a, b] x, int64[r] s) => (float y) { t = Reshape(x, s) y = ReduceSum <keepdims = 0> (t) }",
    ]
    return [models.add(), models.negate(), models.slow(), models.overridable()] + [
        parse(opset + text).SerializeToString() for text in texts
    ]


def odd_things(dice: random.Random, session: fastort.InferenceSession) -> list[Any]:
    x = np.ones((2, 3), np.float32)
    closed = fastort.InferenceSession(models.negate())
    closed.close()
    half: Any = fastort.OrtValue.__new__(fastort.OrtValue)
    return [
        None, True, 0, -1, 3, 2**31, 2**63, -(2**63) - 1, 10**30, 1.5, float("nan"), 1j, "", "x", "y", "\ud800",
        "a\0b", b"", b"\xff\x00", bytearray(b"abc"), memoryview(b"abcd"), [], [1], ["x"], [[1, 2], [3]], (), ("x",),
        {}, {"x": x}, {"x": None}, {1: 2}, {"x": [1, [2]]}, set(), range(3), iter([1]), object(), int, np.float32,
        "float32", np.dtype("f4"), np.dtype("M8[s]"), np.dtype([("a", "f4")]), print, lambda *a, **k: None, Ellipsis,
        slice(None), x, x[0], x.T, x[::-1], x.astype("f8"), x.astype(">f4"), x.astype("f2"), x.astype(object),
        x.astype(str), x.astype("S3"), x.astype("c16"), x.astype(ml_dtypes.bfloat16), np.ones(3, ml_dtypes.int4),
        np.array(1.0, np.float32), np.float32(1), np.empty((0, 3), np.float32), np.empty((2**40, 0), np.float32),
        np.array([None, object()]), np.ones(1, "M8[s]"), np.zeros((1,) * 40, np.float32),
        np.broadcast_to(np.float32(1), (2**20, 2**20))[:2, :3], np.ma.array(x), np.array([-1, 99]), np.array(["a",
        "b"]), fastort.OrtValue.ortvalue_from_numpy(x), half, half.__class__,
        fastort.OrtValue.ortvalue_from_numpy(x)._ortvalue, fastort.OrtDevice.make("cpu", 0), fastort.RunOptions(),
        fastort.SessionOptions(), session, closed, session.io_binding(), closed._sess, session._sess, _engine.Flag(),
        x.__dlpack__(), fastort.OrtValue.ortvalue_from_numpy(x).__dlpack__(), Evil(None), Evil(3), Evil("x"),
        Evil([x]), Evil(ValueError), Evil(KeyboardInterrupt), Evil(x), dice.randbytes(dice.randrange(40)),
    ]  # fmt: skip


def mutated(dice: random.Random, model: bytes) -> bytes:
    kind = dice.randrange(4)
    data = bytearray(model)
    if kind == 0:
        return bytes(data[: dice.randrange(len(data))])
    if kind == 1:
        return dice.randbytes(dice.randrange(200))
    for _ in range(dice.choice([1, 1, 2, 4, 16])):
        at = dice.randrange(len(data))
        if kind == 2:
            data[at] = dice.randrange(256)
        else:
            data[at : at + dice.randrange(5)] = dice.randbytes(dice.randrange(5))
    return bytes(data)


def feed_for(dice: random.Random, session: fastort.InferenceSession, odd: list[Any]) -> dict[Any, Any]:
    types = {"float": np.float32, "int64": np.int64, "string": object, "bool": np.bool_, "double": np.float64}
    feed: dict[Any, Any] = {}
    for argument in session.get_inputs():
        if dice.random() < 0.3:
            feed[argument.name] = dice.choice(odd)
            continue
        sizes = [dice.choice([0, 1, 2, 3, 7]) if not isinstance(d, int) or d > 20 else d for d in argument.shape]
        if dice.random() < 0.1:
            sizes = sizes[1:]
        kind = types.get(argument.type[argument.type.rfind("(") + 1 :].rstrip(")"), np.float32)
        array = np.full(sizes, dice.choice([0, 1, 2, 5, -1, 100]), kind)
        feed[argument.name] = [array] if argument.type.startswith("seq") else array
    return feed


class Fuzzer:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.sources = sources()
        self.session = fastort.InferenceSession(models.negate())
        self.odd = odd_things(self.dice, self.session)
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []

    def attempt(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        self.seen[what.split(" ")[0]] += 1
        try:
            return call(*arguments)
        except BROKEN as error:
            self.problems.append(f"{what}: {error!r}")
        except (Exception, KeyboardInterrupt) as error:
            with contextlib.suppress(Exception):  # it may name an object that is half-made
                str(error)
        return None

    def arguments(self, most: int = 7) -> list[Any]:
        return [self.dice.choice(self.odd) for _ in range(self.dice.randrange(most))]

    def call(self, owner: str, function: Callable[..., Any], name: str) -> None:
        arguments = self.arguments()
        try:  # often with as many as it takes
            required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
            if self.dice.random() < 0.7:
                arguments = [self.dice.choice(self.odd) for p in required if p.kind in (0, 1)]
        except (TypeError, ValueError):
            pass
        if name == "bind_output":  # not with an address
            arguments = arguments[:5]
        made = self.attempt(f"call {owner}.{name}", lambda: function(*arguments))
        if inspect.iscoroutine(made):
            self.attempt(f"coroutine {owner}.{name}", made.close)
        elif isinstance(made, (fastort.OrtValue, fastort.SparseTensor)):
            self.attempt("value numpy", lambda: repr(made))
            if isinstance(made, fastort.OrtValue):
                self.attempt("value to_python", made.to_python)
                self.attempt("value pickle", lambda: pickle.loads(pickle.dumps(made)))
                self.attempt("value run", lambda: self.session.run(None, {"x": made}, timed()))

    def model(self) -> None:
        data = mutated(self.dice, self.dice.choice(self.sources))
        options = fastort.SessionOptions()
        options.intra_op_num_threads = 1
        session = self.attempt("model load", lambda: fastort.InferenceSession(data, options))
        if session is None:
            return
        for _ in range(3):
            names = self.dice.choice([None, [], ["y"], self.dice.choice(self.odd)])
            self.attempt("model run", session.run, names, feed_for(self.dice, session, self.odd), timed())
        self.attempt("model explain", session.explain)

    def run(self) -> None:
        data = self.dice.choice(self.sources)
        session = fastort.InferenceSession(data)
        feed = feed_for(self.dice, session, self.odd)
        self.attempt(
            "run plain", lambda: session.run(self.dice.choice([None, self.dice.choice(self.odd)]), feed, timed())
        )
        self.attempt("run values", lambda: session.run_with_ort_values(None, feed, timed()))
        binding = session.io_binding()
        for name, value in feed.items():
            self.attempt("run bind", binding.bind_cpu_input, name, value)
            self.attempt("run bind_value", binding.bind_ortvalue_input, name, value)
        for argument in session.get_outputs():
            value = self.dice.choice(self.odd)
            self.attempt("run bind_output", binding.bind_output, argument.name)
            self.attempt("run bind_output_value", binding.bind_ortvalue_output, argument.name, value)
        self.attempt("run iobinding", lambda: session.run_with_iobinding(binding, timed()))
        self.attempt("run copy", binding.copy_outputs_to_cpu)

    def value(self) -> None:
        dice, odd = self.dice, self.odd
        sizes = [dice.choice([0, 1, 2, 3, 2**31, 2**62, -1]) for _ in range(dice.randrange(4))]
        if dice.random() < 0.2:
            sizes = dice.choice(odd)
        array = dice.choice([thing for thing in odd if isinstance(thing, np.ndarray)])
        number = dice.randrange(-1, 30)
        kind = dice.choice([number, array.dtype, dice.choice(odd)])
        cpu = fastort.OrtDevice.make("cpu", 0)
        places = [np.array([0, 3]), np.array([[0, 1]]), np.array([7, -1]), dice.choice(odd)]
        makers: list[Callable[[], Any]] = [
            lambda: fastort.OrtValue.ortvalue_from_numpy(array),
            lambda: fastort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, number),
            lambda: fastort.OrtValue.ortvalue_from_shape_and_type(sizes, kind),
            lambda: fastort.OrtValue.from_dlpack(array),
            lambda: fastort.SparseTensor.sparse_coo_from_numpy(sizes, np.ones(2, np.float32), dice.choice(places), cpu),
            lambda: fastort.SparseTensor.sparse_csr_from_numpy(
                [2, 3], dice.choice([array, np.ones(2)]), dice.choice(places), dice.choice(places), cpu
            ),
        ]
        made = self.attempt("value make", dice.choice(makers))
        if isinstance(made, fastort.SparseTensor):
            self.attempt("value sparse", lambda: (made.values(), made.as_coo_view().indices(), repr(made)))
            made = self.attempt("value make", lambda: fastort.OrtValue.ort_value_from_sparse_tensor(made))
        if not isinstance(made, fastort.OrtValue) or (made.is_tensor() and made.tensor_size_in_bytes() > 1 << 20):
            return
        uses: list[Callable[[], Any]] = [
            lambda: made.numpy().copy(),
            lambda: np.from_dlpack(made).copy(),
            lambda: made.update_inplace(dice.choice(odd)),
            lambda: fastort.OrtValue.ortvalue_from_numpy(np.ones((2, 3), np.float32)).update_inplace(made),
            lambda: pickle.loads(pickle.dumps(made)),
            lambda: self.session.run_with_ort_values(None, {"x": made}),
            lambda: self.session.run(None, {"x": made}),
            lambda: fastort.copy_tensors([made], [dice.choice(odd)]),
            lambda: fastort.SessionOptions().add_initializer("w", made),
            lambda: made.__dlpack__(max_version=(1, 0), copy=True),
            lambda: (repr(made), made.shape(), made.data_type(), made.to_python(), made.element_type()),
        ]
        for use in dice.sample(uses, 4):
            self.attempt("value use", use)

    def member(self) -> None:
        owner = self.dice.choice(OWNERS)
        names = [name for name in dir(owner) if name not in LEFT_OUT and (not name.startswith("_") or name in MAGIC)]
        name = self.dice.choice(names)
        target: Any = owner
        if inspect.isclass(owner) and self.dice.random() < 0.7:
            target = self.instance(owner)
        if target is owner and name in MAGIC:  # a class's own is not the only way
            name = self.dice.choice(("__reduce__", "__reduce_ex__", "__init__", "__getstate__"))
            self.call(getattr(owner, "__name__", "?"), getattr(object, name), name)
            return
        member = getattr(owner, name, None)
        found = self.attempt(f"get {name}", lambda: getattr(target, name)) if target is not None else None
        if callable(found):
            self.call(getattr(owner, "__name__", "?"), found, name)
        elif target is not None and target is not owner and not callable(member):
            self.attempt(f"set {name}", lambda: setattr(target, name, self.dice.choice(self.odd)))

    def instance(self, owner: type) -> Any:
        """Makes an object of a class: half-made, or by a call with anything."""
        fitting = [thing for thing in self.odd if type(thing) is owner]
        if fitting and self.dice.random() < 0.5:
            return self.dice.choice(fitting)
        if self.dice.random() < 0.6:
            made = self.attempt(f"new {owner.__name__}", lambda: owner.__new__(owner))
        else:
            made = self.attempt(f"init {owner.__name__}", lambda: owner(*self.arguments(4)))
        for use in (repr, hash, bool, len, copy.copy, copy.deepcopy, pickle.dumps, lambda m: m == m):
            if made is not None and self.dice.random() < 0.2:
                self.attempt("use magic", use, made)
        return made


MAGIC = frozenset(
    (
        "__init__",
        "__repr__",
        "__eq__",
        "__hash__",
        "__reduce__",
        "__getstate__",
        "__setstate__",
        "__dlpack__",
        "__dlpack_device__",
        "__array__",
        "__enter__",
        "__exit__",
        "__copy__",
        "__call__",
    )
)
OWNERS: list[Any] = [
    fastort,
    _engine,
    *dict.fromkeys(
        thing
        for module in (fastort, state, _engine)
        for name, thing in sorted(vars(module).items())
        if inspect.isclass(thing) and not issubclass(thing, BaseException) and not name.startswith("_")
    ),
]


def timed() -> fastort.RunOptions:
    options = fastort.RunOptions()
    options.timeout_seconds = 1.0
    return options


def main(seconds: float, seed: int) -> int:
    faulthandler.enable()
    faulthandler.dump_traceback_later(seconds + HANGS, exit=True)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    warnings.simplefilter("ignore")
    fastort.set_default_logger_severity(4)
    os.chdir(tempfile.mkdtemp())
    fuzzer = Fuzzer(seed)
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end and len(fuzzer.problems) < 20:
        if rounds % 200 == 0:  # what was handed around has been used up or changed
            fuzzer.session = fastort.InferenceSession(models.negate())
            fuzzer.odd = odd_things(fuzzer.dice, fuzzer.session)
            gc.collect()
        fuzzer.dice.choices((fuzzer.member, fuzzer.value, fuzzer.model, fuzzer.run), (12, 4, 2, 1))[0]()
        rounds += 1
    print(f"{rounds} rounds, {sum(fuzzer.seen.values())} calls: {dict(fuzzer.seen.most_common(12))}")
    for problem in fuzzer.problems:
        print("PROBLEM", problem)
    return 1 if fuzzer.problems else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
