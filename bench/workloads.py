"""What is measured beside the zoo's models: growing sequences, many clients, trees, single operators, a step's cost.

A workload is a model with one or several requests. Several are answered one after the other, and one run is all of
them. Files are kept beside the exported models, under the hash of this file.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models import export, zoo

if TYPE_CHECKING:
    import torch

Feeds = dict[str, np.ndarray]
MEBI = 1 << 20
OPSET = 23


@dataclass(frozen=True)
class Workload:
    """One workload.

    Attributes:
        name: Name of the workload and of its folder in the cache.
        make: Writes ``model.onnx`` into a folder and returns the requests and the first output of the last one.
        module: Returns the PyTorch module or function that takes a request's arrays as tensors, where there is one.
        settings: What ``worker.py`` must know: ``clients`` (threads that send requests at once), ``fresh`` (a new
            session for every run, so that the first sight of each shape counts), ``fusion`` (``False``: every
            optimisation off), ``feedback`` (outputs that become inputs of the next request).
        traffic: Bytes that a run must read and write at least, for workloads that memory bounds.
        counted: Whether the multiply-adds of a run are what bounds it, and are counted.
    """

    name: str
    make: Callable[[Path], tuple[list[Feeds], np.ndarray]]
    module: Callable[[], Callable[..., torch.Tensor]] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    traffic: int = 0
    counted: bool = False


def save(folder: Path, nodes: Iterable[onnx.NodeProto], feeds: Feeds, outputs: Iterable[str], constants: Feeds) -> None:
    """Writes a model whose inputs are typed and shaped as ``feeds``."""
    types = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in feeds.items()}
    graph = helper.make_graph(
        list(nodes),
        "workload",
        [helper.make_tensor_value_info(name, types[name], array.shape) for name, array in feeds.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.save(model, folder / "model.onnx")


# Single operators and chains.

ADDS = 1000


def added() -> np.ndarray:
    """The summands of the chain."""
    return np.random.default_rng(0).standard_normal((ADDS, 1), dtype=np.float32)


def add_chain(folder: Path) -> tuple[list[Feeds], np.ndarray]:
    """A chain of one-element additions, which costs nothing but its steps."""
    feeds = {"x0": np.ones(1, np.float32)}
    nodes = [helper.make_node("Add", [f"x{i}", f"c{i}"], [f"x{i + 1}"]) for i in range(ADDS)]
    save(folder, nodes, feeds, [f"x{ADDS}"], {f"c{i}": row for i, row in enumerate(added())})
    want = feeds["x0"]
    for row in added():
        want = want + row
    return [feeds], want


def add_chain_torch() -> Callable[..., torch.Tensor]:
    """The chain as PyTorch's operators."""
    import torch

    rows = list(torch.from_numpy(added()))

    def run(x: torch.Tensor) -> torch.Tensor:
        for row in rows:
            x = x + row
        return x

    return run


ROWS, COLUMNS = 4096, 1024  # 16 MB of float32


def matrix(seed: int = 0) -> np.ndarray:
    """16 MB of float32."""
    return np.random.default_rng(seed).standard_normal((ROWS, COLUMNS), dtype=np.float32)


def row_vector(seed: int) -> np.ndarray:
    """One value per column."""
    return np.random.default_rng(seed).standard_normal(COLUMNS, dtype=np.float32)


def large(
    nodes: list[onnx.NodeProto], torch_form: Callable[..., torch.Tensor], operands: int = 1, constants: int = 0
) -> tuple[Callable[[Path], tuple[list[Feeds], np.ndarray]], Callable[[], Callable[..., torch.Tensor]]]:
    """Returns both makers of a workload on 16 MB tensors ``x0``, ``x1``, … and vectors ``c0``, …, with result ``y``."""

    def module() -> Callable[..., torch.Tensor]:
        import torch

        vectors = [torch.from_numpy(row_vector(i)) for i in range(constants)]
        return lambda *tensors: torch_form(*tensors, *vectors)

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        import torch

        feeds = {f"x{i}": matrix(i) for i in range(operands)}
        save(folder, nodes, feeds, ["y"], {f"c{i}": row_vector(i) for i in range(constants)})
        return [feeds], module()(*map(torch.from_numpy, feeds.values())).numpy()

    return make, module


def chain_torch(x: torch.Tensor, y: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Six elementwise operators on two tensors and a vector."""
    import torch

    return torch.sigmoid(torch.clamp((x * c + y) * x, -3.0, 3.0)) * y


CHAIN = [
    helper.make_node("Mul", ["x0", "c0"], ["a"]),
    helper.make_node("Add", ["a", "x1"], ["b"]),
    helper.make_node("Mul", ["b", "x0"], ["c"]),
    helper.make_node("Clip", ["c", "low", "high"], ["d"]),
    helper.make_node("Sigmoid", ["d"], ["e"]),
    helper.make_node("Mul", ["e", "x1"], ["y"]),
]
BOUNDS = [
    helper.make_node("Constant", [], ["low"], value_float=-3.0),
    helper.make_node("Constant", [], ["high"], value_float=3.0),
]


def operator_workloads() -> list[Workload]:
    """Elementwise chains, normalisation, softmax and moves on tensors that no cache holds."""
    import operator as op

    def normalised(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.nn.functional.layer_norm(x, (COLUMNS,), scale, bias)

    rows: list[tuple[str, list[onnx.NodeProto], Callable[..., torch.Tensor], int, int, int]] = [
        ("add_16mb", [helper.make_node("Add", ["x0", "x1"], ["y"])], op.add, 2, 0, 3),
        ("chain_16mb", [*BOUNDS, *CHAIN], chain_torch, 2, 1, 3),
        (
            "layer_norm_16mb",
            [helper.make_node("LayerNormalization", ["x0", "c0", "c1"], ["y"], epsilon=1e-5)],
            normalised,
            1,
            2,
            2,
        ),
        ("softmax_16mb", [helper.make_node("Softmax", ["x0"], ["y"])], lambda x: x.softmax(-1), 1, 0, 2),
        (
            "transpose_16mb",
            [helper.make_node("Transpose", ["x0"], ["y"], perm=[1, 0])],
            lambda x: x.t().contiguous(),
            1,
            0,
            2,
        ),
        ("concat_16mb", [helper.make_node("Concat", ["x0", "x1"], ["y"], axis=1)], concatenated, 2, 0, 4),
    ]
    found = []
    for name, nodes, torch_form, operands, constants, passes in rows:
        make, module = large(nodes, torch_form, operands, constants)
        found.append(Workload(name, make, module, traffic=passes * ROWS * COLUMNS * 4))
    return found


def concatenated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Columns of two matrices side by side."""
    import torch

    return torch.cat([x, y], 1)


# Transformers.


def bert_requests(lengths: Iterable[int]) -> list[Feeds]:
    """One sentence of each length; the last tenth is padding."""
    rng = np.random.default_rng(7)
    found = []
    for length in lengths:
        mask = np.ones((1, length), np.int64)
        mask[:, length - length // 10 :] = 0
        found.append({"input_ids": rng.integers(0, 30522, (1, length)), "attention_mask": mask})
    return found


def bert_of(layers: int, lengths: Iterable[int]) -> Callable[[Path], tuple[list[Feeds], np.ndarray]]:
    """Returns the maker of a BERT whose batch and sequence are dynamic."""

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        import torch

        module = zoo.bert(layers)
        sample = zoo.bert_feeds(2)
        axes = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
        torch.onnx.export(
            module,
            tuple(map(torch.from_numpy, sample.values())),
            str(folder / "model.onnx"),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            input_names=list(sample),
            output_names=["output"],
            dynamic_shapes=(axes, axes),
        )
        requests = bert_requests(lengths)
        with torch.inference_mode():
            return requests, module(*map(torch.from_numpy, requests[-1].values())).numpy()

    return make


def random_lengths() -> list[int]:
    """Lengths of 64 requests; the first, which a session warms up with, is another one."""
    return [77, *(int(length) for length in np.random.default_rng(64).integers(1, 513, 64))]


def zoo_model(name: str) -> Callable[[Path], tuple[list[Feeds], np.ndarray]]:
    """Returns the maker of a workload on a model of the zoo."""

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        (folder / "model.onnx").hardlink_to(export.path_of(name))
        feeds, want = export.sample_of(name)
        return [feeds], want

    return make


def quantize_products(model: onnx.ModelProto) -> None:
    """Makes products with constant weights those of bytes, as dynamic quantization does: one scale for all weights."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    nodes: list[onnx.NodeProto] = []
    asked: set[str] = set()
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in weights:
            nodes.append(node)
            continue
        x, name, y = node.input[0], node.input[1], node.output[0]
        weight = numpy_helper.to_array(weights[name])
        scale = np.float32(np.abs(weight).max() / 127)
        graph.initializer.append(numpy_helper.from_array(np.rint(weight / scale).astype(np.int8), y + "_weight"))
        graph.initializer.append(numpy_helper.from_array(np.asarray(scale), y + "_weight_scale"))
        if x not in asked:
            nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [x + "_bytes", x + "_scale", x + "_zero"]))
            asked.add(x)
        nodes += [
            helper.make_node("MatMulInteger", [x + "_bytes", y + "_weight", x + "_zero"], [y + "_sums"]),
            helper.make_node("Cast", [y + "_sums"], [y + "_floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [x + "_scale", y + "_weight_scale"], [y + "_scales"]),
            helper.make_node("Mul", [y + "_floats", y + "_scales"], [y]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def dynamic_bytes(name: str) -> Callable[[Path], tuple[list[Feeds], np.ndarray]]:
    """Returns the maker of a model of the zoo whose products are those of bytes; the answer is the float model's."""

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        model = onnx.load(export.path_of(name))
        quantize_products(model)
        onnx.save(model, folder / "model.onnx")
        feeds, want = export.sample_of(name)
        return [feeds], want

    return make


TRAINED = Path(__file__).resolve().parents[2] / "shared" / "models" / "mobilenet_v2_qdq.onnx"


def trained_bytes(folder: Path) -> tuple[list[Feeds], np.ndarray]:
    """A trained MobileNetV2 of DequantizeLinear, operator and QuantizeLinear."""

    def read(name: str) -> np.ndarray:
        return numpy_helper.to_array(onnx.TensorProto.FromString(TRAINED.with_name(name).read_bytes()))

    shutil.copy(TRAINED, folder / "model.onnx")
    (graph_input,) = onnx.load(folder / "model.onnx").graph.input
    return [{graph_input.name: read("mobilenet_v2_qdq_input_0.pb")}], read("mobilenet_v2_qdq_output_0.pb")


GPT2_LAYERS, GPT2_HEADS, GPT2_SIZE = 12, 12, 64


def gpt2_bytes(past: int) -> int:
    """What a step reads and writes at least.

    Each weight is read once, but for the embeddings of other tokens and places: 124,439,808 numbers, of which the
    786,432 of the places are left out; those of the tokens are the last product's weights. Keys and values of the past
    are read, and handed out with those of the new token.
    """
    keys_and_values = 2 * GPT2_LAYERS * GPT2_HEADS * GPT2_SIZE
    return (124_439_808 - 786_432 + keys_and_values * (past + past + 1)) * 4


def gpt2() -> torch.nn.Module:
    """GPT-2 (124M) with seeded random weights, its past given and returned as plain tensors."""
    import torch

    zoo.allow_torchvision()
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.cache_utils import DynamicCache

    class Gpt2(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = GPT2LMHeadModel(GPT2Config(n_layer=GPT2_LAYERS, attn_implementation="eager"))

        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *past: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            cache = DynamicCache(config=self.model.config)
            for layer in range(GPT2_LAYERS):
                cache.update(past[2 * layer], past[2 * layer + 1], layer)
            out = self.model(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
            present = [tensor for layer in out.past_key_values.layers for tensor in (layer.keys, layer.values)]
            return (out.logits, *present)

    torch.manual_seed(0)
    return Gpt2().eval()


def gpt2_request(tokens: int, past: int, seed: int = 0) -> Feeds:
    """A request of so many tokens after so many."""
    rng = np.random.default_rng(seed)
    feeds = {
        "input_ids": rng.integers(0, 50257, (1, tokens)),
        "attention_mask": np.ones((1, past + tokens), np.int64),
    }
    for index in range(2 * GPT2_LAYERS):
        feeds[f"past_{index}"] = rng.standard_normal((1, GPT2_HEADS, past, GPT2_SIZE), dtype=np.float32)
    return feeds


def gpt2_model() -> Path:
    """Returns the exported GPT-2, which several workloads share."""

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        import torch

        sample = gpt2_request(5, 7)
        auto = torch.export.Dim.AUTO
        torch.onnx.export(
            gpt2(),
            tuple(map(torch.from_numpy, sample.values())),
            str(folder / "model.onnx"),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            input_names=list(sample),
            output_names=["logits", *(f"present_{index}" for index in range(2 * GPT2_LAYERS))],
            dynamic_shapes=({1: auto}, {1: auto}, tuple({2: auto} for _ in range(2 * GPT2_LAYERS))),
        )
        return [], np.empty(0)

    return ensure(Workload("gpt2", make)) / "model.onnx"


def gpt2_of(requests: Callable[[], list[Feeds]]) -> Callable[[Path], tuple[list[Feeds], np.ndarray]]:
    """Returns the maker of a workload on GPT-2."""

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        import torch

        (folder / "model.onnx").hardlink_to(gpt2_model())
        feeds = requests()
        if len(feeds) > 1:
            return feeds, np.empty(0)  # a later request wants the answers to the ones before
        with torch.inference_mode():
            return feeds, gpt2()(*map(torch.from_numpy, feeds[0].values()))[0].numpy()

    return make


DECODE_STEPS = 65


def decode_requests() -> list[Feeds]:
    """A token, and 64 more, each after one more; all but the first take their past from the one before."""
    first = gpt2_request(1, 64)
    steps = range(1, DECODE_STEPS)
    later = [{key: gpt2_request(1, 64 + step)[key] for key in ("input_ids", "attention_mask")} for step in steps]
    return [first, *later]


# Trees.


def forest(rows: int) -> Callable[[Path], tuple[list[Feeds], np.ndarray]]:
    """Returns the maker of a random forest of 200 trees of depth 12."""

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        from skl2onnx import to_onnx
        from sklearn.ensemble import RandomForestRegressor

        rng = np.random.default_rng(0)
        x = rng.standard_normal((20000, 20), dtype=np.float32)
        y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.standard_normal(len(x), dtype=np.float32)
        model = RandomForestRegressor(200, max_depth=12, random_state=0, n_jobs=2).fit(x, y)
        onnx.save(to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}), folder / "model.onnx")
        asked = rng.standard_normal((rows, 20), dtype=np.float32)
        return [{"X": asked}], model.predict(asked).astype(np.float32)[:, None]

    return make


def boosted(rows: int) -> Callable[[Path], tuple[list[Feeds], np.ndarray]]:
    """Returns the maker of a LightGBM model of 500 trees of 31 leaves; its text goes to ``model.txt`` for lleaves."""

    def make(folder: Path) -> tuple[list[Feeds], np.ndarray]:
        import lightgbm
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        rng = np.random.default_rng(0)
        x = rng.standard_normal((20000, 20), dtype=np.float32)
        y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.standard_normal(len(x), dtype=np.float32)
        model = lightgbm.LGBMRegressor(n_estimators=500, num_leaves=31, verbose=-1).fit(x, y)
        model.booster_.save_model(folder / "model.txt")
        proto = convert_lightgbm(model, initial_types=[("X", FloatTensorType([None, 20]))], zipmap=False)
        onnx.save(proto, folder / "model.onnx")
        asked = rng.standard_normal((rows, 20), dtype=np.float32)
        return [{"X": asked}], np.asarray(model.predict(asked), np.float32)[:, None]

    return make


def gpt2_logits() -> Callable[..., torch.Tensor]:
    """GPT-2's first output alone."""
    module = gpt2()
    return lambda *tensors: module(*tensors)[0]


FEEDBACK = {f"present_{index}": f"past_{index}" for index in range(2 * GPT2_LAYERS)}

WORKLOADS = (
    Workload("add_chain", add_chain, add_chain_torch, {"fusion": False}),
    Workload("add_chain_fused", add_chain, add_chain_torch),
    *operator_workloads(),
    Workload("bert_384", bert_of(12, [384]), lambda: zoo.bert(12), counted=True),
    Workload("bert_lengths", bert_of(12, random_lengths()), lambda: zoo.bert(12), {"fresh": True}, counted=True),
    Workload("bert_3_clients", bert_of(3, [128]), lambda: zoo.bert(3), {"clients": 8}, counted=True),
    Workload("mobilenet_v3_clients", zoo_model("mobilenet_v3_large"), None, {"clients": 8}, counted=True),
    Workload("bert_3_int8", dynamic_bytes("bert_3")),
    *([Workload("mobilenet_v2_int8", trained_bytes)] if TRAINED.exists() else []),
    Workload("gpt2_prefill", gpt2_of(lambda: [gpt2_request(128, 0)]), gpt2_logits, counted=True),
    Workload("gpt2_step", gpt2_of(lambda: [gpt2_request(1, 128)]), gpt2_logits, traffic=gpt2_bytes(128)),
    Workload(
        "gpt2_decode",
        gpt2_of(decode_requests),
        None,
        {"fresh": True, "feedback": FEEDBACK},
        traffic=sum(gpt2_bytes(64 + step) for step in range(DECODE_STEPS)),
    ),
    Workload("forest_1", forest(1)),
    Workload("forest_10000", forest(10000)),
    Workload("lightgbm_1", boosted(1)),
    Workload("lightgbm_10000", boosted(10000)),
)
PACKAGES = (*export.PACKAGES, "scikit-learn", "skl2onnx", "lightgbm", "onnxmltools")


def by_name(name: str) -> Workload | None:
    """Returns the workload called ``name``, if there is one."""
    return next((workload for workload in WORKLOADS if workload.name == name), None)


def version(package: str) -> str:
    """Returns the version of a package, empty where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def ensure(workload: Workload) -> Path:
    """Writes ``model.onnx``, ``requests.npz`` and ``settings.json`` unless they exist, and returns the folder."""
    parts = [Path(__file__).read_text(), Path(zoo.__file__).read_text(), *map(version, PACKAGES)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    folder = export.cache_root() / f"bench-{workload.name}-{digest}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        requests, want = workload.make(scratch)
        arrays = {f"{i:03d}/{name}": array for i, feeds in enumerate(requests) for name, array in feeds.items()}
        np.savez(scratch / "requests.npz", want=want, **arrays)
        (scratch / "settings.json").write_text(json.dumps(workload.settings))
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def operations(workload: Workload, folder: Path) -> float:
    """Returns the floating-point operations of a run, counted once; 0 where they are not what bounds it."""
    if not workload.counted:
        return 0.0
    path = folder / "operations.json"
    if not path.exists():
        from fastort.analysis import count_flops

        with np.load(folder / "requests.npz") as archive:
            names = [name for name in archive.files if name != "want"]
            requests: dict[str, Feeds] = {}
            for name in names:
                request, _, argument = name.partition("/")
                requests.setdefault(request, {})[argument] = archive[name]
        # A new session warms up with the first of several requests.
        given = list(requests.values())[1 if workload.settings.get("fresh") else 0 :]
        path.write_text(json.dumps(sum(count_flops(folder / "model.onnx", feeds).flops for feeds in given)))
    return float(json.loads(path.read_text()))
