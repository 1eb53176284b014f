"""Operators of ai.onnx.ml: expected values are NumPy's, or the standard's reference evaluator's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.ops.case import Case

_rng = np.random.default_rng(12)
_x = _rng.standard_normal((37, 4)).astype(np.float32)
_holes = _x.copy()
_holes[::3, 1] = np.nan


def case(op: str, inputs: list[Any], attributes: dict[str, Any] | None = None, **rest: Any) -> Case:
    return Case(op, inputs, attributes or {}, domain="ai.onnx.ml", **rest)


def a(*values: Any, t: type = np.float32) -> np.ndarray:
    return np.array(values, t)


MODES = {
    "BRANCH_LEQ": np.less_equal,
    "BRANCH_LT": np.less,
    "BRANCH_GTE": np.greater_equal,
    "BRANCH_GT": np.greater,
    "BRANCH_EQ": np.equal,
    "BRANCH_NEQ": np.not_equal,
}


def forest(modes: list[str], trees: int = 3, depth: int = 4, full: float = 1) -> dict[str, list[Any]]:
    """Binary trees; node i has the children 2i + 1 and 2i + 2. A share of the inner nodes are leaves unless full."""
    rng = np.random.default_rng(len(modes))
    nodes: dict[str, list[Any]] = {
        key: [] for key in ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]
    }
    nodes["missing_value_tracks_true"] = []
    inner, count = 2**depth - 1, 2 ** (depth + 1) - 1
    for tree in range(trees):
        for i in range(count):
            leaf = i >= inner or (full < 1 and rng.random() > full)
            nodes["treeids"].append(tree)
            nodes["nodeids"].append(i)
            nodes["featureids"].append(0 if leaf else int(rng.integers(4)))
            nodes["values"].append(0.0 if leaf else float(np.float32(rng.standard_normal() * 0.5)))
            nodes["modes"].append("LEAF" if leaf else modes[i % len(modes)])
            nodes["truenodeids"].append(0 if leaf else 2 * i + 1)
            nodes["falsenodeids"].append(0 if leaf else 2 * i + 2)
            nodes["missing_value_tracks_true"].append(int(rng.integers(2)))
    return {f"nodes_{key}": value for key, value in nodes.items()}


def votes(nodes: dict[str, list[Any]], prefix: str, targets: int) -> dict[str, list[Any]]:
    rng = np.random.default_rng(targets)
    found: dict[str, list[Any]] = {f"{prefix}_{key}": [] for key in ["treeids", "nodeids", "ids", "weights"]}
    for tree, node, mode in zip(nodes["nodes_treeids"], nodes["nodes_nodeids"], nodes["nodes_modes"], strict=True):
        for target in range(targets if mode == "LEAF" else 0):
            found[f"{prefix}_treeids"].append(tree)
            found[f"{prefix}_nodeids"].append(node)
            found[f"{prefix}_ids"].append(target)
            found[f"{prefix}_weights"].append(float(np.float32(rng.standard_normal())))
    return found


def scores(x: np.ndarray, nodes: dict[str, list[Any]], found: dict[str, list[Any]], prefix: str, targets: int):
    """The leaves' weights as [rows, trees, targets]."""
    weights = {
        key: weight
        for *key3, weight in zip(
            *(found[f"{prefix}_{k}"] for k in ["treeids", "nodeids", "ids", "weights"]), strict=True
        )
        for key in [tuple(key3)]
    }
    count = nodes["nodes_treeids"].count(0)
    trees = max(nodes["nodes_treeids"]) + 1
    result = np.zeros((len(x), trees, targets))
    for r, row in enumerate(x):
        for tree in range(trees):
            i = 0
            while nodes["nodes_modes"][tree * count + i] != "LEAF":
                at = tree * count + i
                value, threshold = row[nodes["nodes_featureids"][at]], x.dtype.type(nodes["nodes_values"][at])
                taken = MODES[nodes["nodes_modes"][at]](value, threshold)
                taken |= np.isnan(value) and nodes["nodes_missing_value_tracks_true"][at] != 0
                i = nodes["nodes_truenodeids" if taken else "nodes_falsenodeids"][at]
            result[r, tree] = [weights[tree, i, t] for t in range(targets)]
    return result


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


AGGREGATES = {"SUM": np.sum, "AVERAGE": np.mean, "MIN": np.min, "MAX": np.max}


def regressors() -> list[Case]:
    rows = []
    ordered = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]
    for modes in [["BRANCH_LEQ"], ["BRANCH_LT"], ["BRANCH_GTE"], ordered, list(MODES)]:
        for name, aggregate in AGGREGATES.items():
            nodes = forest(modes)
            found = votes(nodes, "target", 2)
            for x in [_holes, _holes.astype(np.float64)]:
                y = aggregate(scores(x, nodes, found, "target", 2), 1) + np.array([0.5, -1.0])
                attributes = {**nodes, **found, "n_targets": 2, "aggregate_function": name, "base_values": [0.5, -1.0]}
                what = f"{len(modes)}-{modes[0]}-{name}-{x.dtype}"
                rows.append(
                    case("TreeEnsembleRegressor", [x], attributes, expected=[y.astype(np.float32)], id=what, opset=3)
                )
    return rows


def classifiers() -> list[Case]:
    nodes = forest(["BRANCH_LEQ"])
    found = votes(nodes, "class", 3)
    y = scores(_x, nodes, found, "class", 3).sum(1)
    rows = []
    names = ["a", "b", "c"]
    for post, transform in {
        "NONE": lambda v: v,
        "SOFTMAX": softmax,
        "LOGISTIC": lambda v: 1 / (1 + np.exp(-v)),
    }.items():
        attributes = {**nodes, **found, "post_transform": post}
        result = transform(y).astype(np.float32)
        ints, strings = {"classlabels_int64s": [7, 5, 9]}, {"classlabels_strings": names}
        labels = np.array([7, 5, 9])[y.argmax(1)]
        words = np.array(names, object)[y.argmax(1)]
        for kind, given, answer in [("ints", ints, labels), ("strings", strings, words)]:
            rows.append(
                case(
                    "TreeEnsembleClassifier",
                    [_x],
                    {**attributes, **given},
                    outputs=2,
                    expected=[answer, result],
                    id=f"{post}-{kind}",
                    opset=3,
                )
            )
    return rows


def one_target() -> list[Case]:
    """Blocks of rows that are full, nearly full and nearly empty, with numbers of every type."""
    nodes = forest(["BRANCH_LEQ"], trees=11)
    found = votes(nodes, "target", 1)
    rows = []
    for count in [0, 1, 3, 8, 15, 300]:
        x = np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)
        x[::7, 2] = np.nan
        y = scores(x, nodes, found, "target", 1).sum(1)
        rows.append(case("TreeEnsembleRegressor", [x], {**nodes, **found}, expected=[y], id=f"rows-{count}", opset=3))
    for dtype in [np.int32, np.int64, np.float64]:
        x = (_x * 3).astype(dtype)
        y = scores(x.astype(np.float64), nodes, found, "target", 1).mean(1)
        attributes = {**nodes, **found, "aggregate_function": "AVERAGE"}
        name = f"one-target-{np.dtype(dtype)}"
        rows.append(case("TreeEnsembleRegressor", [x], attributes, expected=[y], id=name, opset=3))
    return [replace(row, expected=[row.expected[0].astype(np.float32)]) for row in rows if row.expected]


def many_trees() -> list[Case]:
    """Enough trees that numbers are replaced by ranks; leaves that 32 and 64 bits hold and more, few and many rows, and
    more than 255 thresholds of a feature."""
    rows = []
    ordered = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]
    for trees, depth, full in [(40, 4, 0.9), (40, 6, 0.95), (40, 7, 0.97), (90, 5, 1), (40, 1, 0.5)]:
        nodes = forest(ordered, trees, depth, full)
        all_found = votes(nodes, "target", 3)
        first_found = {key: value[::3] for key, value in all_found.items()}
        all_x = np.random.default_rng(depth).standard_normal((70, 4)).astype(np.float32)
        all_x[::5, 2] = np.nan
        all_x[1::5, 1] = [np.inf, -np.inf, np.float32(nodes["nodes_values"][0])][depth % 3]
        all_y = scores(all_x, nodes, all_found, "target", 3).sum(1).astype(np.float32)
        for count in [1, 13, 70]:
            for targets, found in [(1, first_found), (3, all_found)]:
                for dtype in [np.float32, np.float64]:
                    x, y = all_x[-count:].astype(dtype), all_y[-count:, :targets]
                    attributes = {**nodes, **found, "n_targets": targets}
                    name = f"trees-{trees}-{depth}-rows-{count}-targets-{targets}-{np.dtype(dtype)}"
                    rows.append(case("TreeEnsembleRegressor", [x], attributes, expected=[y], id=name, opset=3))
    # Each tree votes for a class of its own, as boosted trees do.
    nodes = forest(["BRANCH_LEQ"], 60, 3)
    found = votes(nodes, "class", 1)
    classes = {**found, "class_ids": [tree % 3 for tree in found["class_treeids"]]}
    for count in [2, 100]:
        x = np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)
        y = scores(x, nodes, found, "class", 1)[:, :, 0].reshape(count, 20, 3).sum(1)
        attributes = {**nodes, **classes, "classlabels_int64s": [4, 5, 6], "post_transform": "NONE"}
        expected = [y.argmax(1) + 4, y.astype(np.float32)]
        name = f"class-of-tree-rows-{count}"
        rows.append(case("TreeEnsembleClassifier", [x], attributes, outputs=2, expected=expected, id=name, opset=3))
    # The nodes of all trees in turn, each tree's root first.
    nodes = forest(["BRANCH_LEQ"], 5, 3)
    order = sorted(range(75), key=lambda i: (nodes["nodes_nodeids"][i] * 7 % 15, nodes["nodes_treeids"][i]))
    found = votes(nodes, "target", 1)
    mixed = {key: [value[i] for i in order] for key, value in nodes.items()}
    expected = [scores(_x, nodes, found, "target", 1).sum(1).astype(np.float32)]
    rows.append(case("TreeEnsembleRegressor", [_x], {**mixed, **found}, expected=expected, id="mixed-nodes", opset=3))
    return rows


def two_classes() -> list[Case]:
    """All votes for one of two classes: ONNX Runtime takes the sum for the second class's score."""
    nodes = forest(["BRANCH_LEQ"], trees=5)
    mixed = votes(nodes, "class", 1)
    positive = {**mixed, "class_weights": [abs(w) / 8 for w in mixed["class_weights"]]}
    rows = []
    for name, found, middle in [("mixed", mixed, 0.0), ("positive", positive, 0.5)]:
        for base in [None, [0.25]]:
            y = scores(_x, nodes, found, "class", 1).sum((1, 2)) + (base or [0])[0]
            logistic = 1 / (1 + np.exp(-y))
            plain = np.stack([1 - y if name == "positive" else -y, y], 1)
            labels = np.where(y > middle, 8, 3)
            for post, result in [("NONE", plain), ("LOGISTIC", np.stack([1 - logistic, logistic], 1))]:
                rows.append(
                    case(
                        "TreeEnsembleClassifier",
                        [_x],
                        {**nodes, **found, "post_transform": post, "base_values": base, "classlabels_int64s": [3, 8]},
                        outputs=2,
                        expected=[labels, result.astype(np.float32)],
                        id=f"two-{name}-{post}-{'base' if base else 'plain'}",
                        opset=3,
                    )
                )
    return rows


def tensor(values: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor("t", kind, [len(values)], values)


_split = {
    "n_targets": 2,
    "aggregate_function": 1,
    "post_transform": 0,
    "tree_roots": [0],
    "nodes_featureids": [0, 0, 0],
    "nodes_truenodeids": [0, 0, 1],
    "nodes_falsenodeids": [2, 1, 0],
    "nodes_trueleafs": [0, 1, 1],
    "nodes_falseleafs": [0, 0, 1],
    "leaf_targetids": [0, 1, 0, 0],
}
# Node 0: x in {1.2, 3.7, 8} leads to node 1, else to node 2.


def _member_numbers(kind: int) -> dict[str, Any]:
    return {
        "nodes_splits": tensor([11.0, 23234.0, 10.0], kind),
        "leaf_weights": tensor([5.0, -4.0, 2.5, 7.0], kind),
        "membership_values": tensor([1.2, 3.7, 8.0, np.nan, 1.2, 7.0, np.nan], kind),
    }


_member = {
    **_split,
    **_member_numbers(TensorProto.FLOAT),
    "nodes_modes": tensor([6, 6, 0], TensorProto.UINT8),
    "nodes_truenodeids": [1, 0, 2],
    "nodes_falsenodeids": [2, 1, 3],
    "nodes_trueleafs": [0, 1, 1],
    "nodes_falseleafs": [0, 1, 1],
}
_member_x = a([1.2], [3.7], [8.0], [0.5], [12.0])
_member_y = a([5, 0], [0, -4], [0, -4], [2.5, 0], [7, 0])

_weights = _rng.standard_normal((3, 4)).astype(np.float32)
_linear = {"coefficients": _weights.ravel().tolist(), "intercepts": [0.5, -0.25, 1.0]}
_linear_y = _x @ _weights.T + a(0.5, -0.25, 1)
_names = np.array(["a", "b", "c"], object)


def linear_models() -> list[Case]:
    """Many rows and awkward sizes in every type and with every transform, computed in double."""
    rng = np.random.default_rng(3)
    cases = []
    sizes = ((1, 1, 1), (1, 67, 11), (613, 67, 11), (1009, 5, 2), (7, 130, 33), (0, 5, 3), (65, 4, 24), (9, 3, 25))
    for rows, features, classes in sizes:
        weights = rng.standard_normal((classes, features)).astype(np.float32)
        bias = rng.standard_normal(classes).astype(np.float32)
        linear = {"coefficients": weights.ravel().tolist(), "intercepts": bias.tolist()}
        for kind in (np.float32, np.float64, np.int64, np.int32):
            x = (rng.standard_normal((rows, features)) * 3).astype(kind)
            scores = x.astype(np.float64) @ weights.T.astype(np.float64) + bias
            name = f"{rows}x{features}x{classes}-{np.dtype(kind)}"
            for post in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"):
                if post != "NONE" and kind is not np.float32:
                    continue
                wanted = {"NONE": lambda y: y, "LOGISTIC": lambda y: 1 / (1 + np.exp(-y))}.get(post, softmax)(scores)
                chosen = scores.argmax(1) if classes > 1 else (scores[:, 0] > 0).astype(int)
                labels = np.array([10 + i for i in range(classes)])
                named = labels[chosen] if classes > 1 else np.where(chosen, 10, 0)
                cases += [
                    case(
                        "LinearRegressor",
                        [x],
                        {**linear, "targets": classes, "post_transform": post},
                        expected=[wanted.astype(np.float32)],
                        id=f"{name}-{post}",
                        rtol=1e-4,
                        atol=2e-5,
                    ),
                    case(
                        "LinearClassifier",
                        [x],
                        {**linear, "classlabels_ints": labels.tolist(), "post_transform": post},
                        outputs=2,
                        expected=[named.astype(np.int64), wanted.astype(np.float32)],
                        id=f"{name}-{post}",
                        rtol=1e-4,
                        atol=2e-5,
                    ),
                ]
    # The first of equal scores, scores whose exponentials leave float32, and none at all.
    extreme = a([1, 1, 1, 1], [0, 2, 2, 1], [1e4, -1e4, 1e4, 0], [-1e4, -1e4, -1e4, -1e4], [0, 0, 0, np.nan])
    scores = extreme.astype(np.float64) @ np.eye(4)
    for post in ("NONE", "SOFTMAX"):
        cases.append(
            case(
                "LinearClassifier",
                [extreme],
                {"coefficients": np.eye(4).ravel().tolist(), "classlabels_ints": [5, 6, 7, 8], "post_transform": post},
                outputs=2,
                expected=[
                    a(5, 6, 5, 5, 5, t=np.int64),
                    (scores if post == "NONE" else softmax(scores)).astype("f4"),
                ],
                id=f"extreme-{post}",
            )
        )
    x = rng.standard_normal((501, 9)).astype(np.float32)
    weights = rng.standard_normal(9).astype(np.float32)
    score = x.astype(np.float64) @ weights.astype(np.float64) - 0.25
    for post in ("NONE", "LOGISTIC", "SOFTMAX"):
        pair = np.stack([-score, score], 1)
        wanted = {"NONE": lambda y: y, "LOGISTIC": lambda y: 1 / (1 + np.exp(-y))}.get(post, softmax)(pair)
        one = {"coefficients": weights.tolist(), "intercepts": [-0.25], "post_transform": post}
        cases.append(
            case(
                "LinearClassifier",
                [x],
                {**one, "classlabels_strings": ["no", "yes"]},
                outputs=2,
                expected=[np.where(score > 0, "yes", "no").astype(object), wanted.astype(np.float32)],
                id=f"one-score-{post}",
                rtol=1e-4,
                atol=2e-5,
            )
        )
    return cases


def scaled_rows() -> list[Case]:
    """Normalizer and Scaler over short and long rows, and sizes at the ends of what float32 holds."""
    rng = np.random.default_rng(4)
    cases = []
    for rows, features in ((1, 1), (3001, 1), (517, 7), (31, 331)):
        x = rng.standard_normal((rows, features)).astype(np.float32)
        x[rows // 2] = 0
        exact = x.astype(np.float64)
        sizes = {"MAX": np.abs(exact).max(1), "L1": np.abs(exact).sum(1), "L2": np.sqrt((exact**2).sum(1))}
        for norm, size in sizes.items():
            wanted = (exact / np.where(size == 0, 1, size)[:, None]).astype(np.float32)
            cases.append(case("Normalizer", [x], {"norm": norm}, expected=[wanted], id=f"{norm}-{rows}x{features}"))
        offset, scale = rng.standard_normal((2, features)).astype(np.float32)
        cases.append(
            case(
                "Scaler",
                [x],
                {"offset": offset.tolist(), "scale": scale.tolist()},
                expected=[((exact - offset) * scale).astype(np.float32)],
                id=f"{rows}x{features}",
            )
        )
    huge = a([3e38, 3e38, 3e38], [1e30, -1e30, 0], [1e-30, 2e-30, 2e-30], [1e-41, 0, 0], [np.inf, 1, 2], [np.nan, 1, 2])
    exact = huge.astype(np.float64)
    with np.errstate(all="ignore"):
        for norm, size in (("L1", np.abs(exact).sum(1)), ("L2", np.sqrt((exact**2).sum(1)))):
            wanted = (exact / size[:, None]).astype(np.float32)
            cases.append(case("Normalizer", [huge], {"norm": norm}, expected=[wanted], id=f"{norm}-extreme"))
    return cases


CASES = [
    case("LinearRegressor", [_x], {**_linear, "targets": 3}, expected=[_linear_y]),
    case(
        "LinearClassifier",
        [_x],
        {**_linear, "classlabels_strings": ["a", "b", "c"], "post_transform": "SOFTMAX"},
        outputs=2,
        expected=[_names[_linear_y.argmax(1)], softmax(_linear_y)],
        id="softmax",
    ),
    case(
        "LinearClassifier",
        [_x],
        {"coefficients": _weights[0].tolist(), "intercepts": [0.5], "classlabels_ints": [3, 8]},
        outputs=2,
        expected=[np.where(_linear_y[:, 0] > 0, 8, 3), np.stack([-_linear_y[:, 0], _linear_y[:, 0]], 1)],
        id="two-classes",
    ),
    *linear_models(),
    *regressors(),
    *classifiers(),
    *one_target(),
    *many_trees(),
    *two_classes(),
    case(
        "TreeEnsembleRegressor",
        [a([0, 1], [0, -1], [0, np.nan])],
        {
            "nodes_treeids": [0, 0, 0, 0],
            "nodes_nodeids": [0, 1, 2, 3],
            "nodes_featureids": [1, 0, 0, 1_000_000],
            "nodes_values": [0.5, 0.0, 0.0, 0.0],
            "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ"],
            "nodes_truenodeids": [1, 0, 0, 1],
            "nodes_falsenodeids": [2, 0, 0, 2],
            "target_treeids": [0, 0],
            "target_nodeids": [1, 2],
            "target_ids": [0, 0],
            "target_weights": [3.0, 4.0],
        },
        expected=[a([4], [3], [4])],
        id="node-out-of-reach",
        opset=3,
    ),
    *[
        case(
            "TreeEnsemble",
            [_member_x.astype(dtype)],
            {**_member, **_member_numbers(kind), "aggregate_function": function},
            expected=[_member_y.astype(dtype)],
            id=f"{np.dtype(dtype)}-aggregate-{function}",
        )
        for dtype, kind in [(np.float32, TensorProto.FLOAT), (np.float16, TensorProto.FLOAT16)]
        for function in range(4)
    ],
    case("TreeEnsemble", [_member_x], _member, expected=[_member_y], id="membership"),
    case("ArrayFeatureExtractor", [_x, a(2, 0, 2, t=np.int64)], expected=[_x[:, [2, 0, 2]]]),
    case("ArrayFeatureExtractor", [a(1, 2, 3), a(1, t=np.int64)], expected=[a([2])], id="vector"),
    case(
        "ArrayFeatureExtractor",
        [np.array([["a", "b"], ["c", "d"]], object), a(1, t=np.int64)],
        expected=[np.array([["b"], ["d"]], object)],
        id="strings",
    ),
    *[
        case("Binarizer", [x], {"threshold": 1.0}, expected=[(x > 1).astype(x.dtype)], id=str(x.dtype))
        for x in [_x, _x.astype(np.float64), a(0, 1, 2, t=np.int64), a(0, 1, 2, t=np.int32)]
    ],
    *[
        case(
            "Scaler",
            [x],
            {"offset": [1.0, 2.0, 3.0, 4.0], "scale": [2.0]},
            expected=[((x - a(1, 2, 3, 4)) * 2).astype(np.float32)],
            id=str(x.dtype),
        )
        for x in [_x, (_x * 9).astype(np.int32), (_x * 9).astype(np.int64)]
    ],
    case(
        "Imputer",
        [_holes],
        {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": np.nan},
        expected=[np.where(np.isnan(_holes), np.float32(2), _holes)],
    ),
    case(
        "Imputer",
        [a([1, 2], [2, 3], t=np.int64)],
        {"imputed_value_int64s": [9], "replaced_value_int64": 2},
        expected=[a([1, 9], [9, 3], t=np.int64)],
        id="ints",
    ),
    *scaled_rows(),
    case("Normalizer", [_x], {"norm": "MAX"}, expected=[_x / np.abs(_x).max(1, keepdims=True)], id="max"),
    case("Normalizer", [_x], {"norm": "L1"}, expected=[_x / np.abs(_x).sum(1, keepdims=True)], id="l1"),
    case("Normalizer", [_x], {"norm": "L2"}, expected=[_x / np.linalg.norm(_x, axis=1, keepdims=True)], id="l2"),
    case(
        "OneHotEncoder",
        [a(3, 1, 9, t=np.int64)],
        {"cats_int64s": [1, 2, 3]},
        expected=[a([0, 0, 1], [1, 0, 0], [0, 0, 0])],
    ),
    case(
        "OneHotEncoder",
        [np.array([["b"], ["a"]], object)],
        {"cats_strings": ["a", "b"], "zeros": 0},
        expected=[a([[0, 1]], [[1, 0]])],
        id="strings",
    ),
    case(
        "FeatureVectorizer",
        [_x, _x[:, :2]],
        {"inputdimensions": [3, 4]},
        expected=[np.concatenate([_x[:, :3], _x[:, :2], np.zeros((37, 2), np.float32)], 1)],
    ),
    case(
        "LabelEncoder",
        [np.array([["a", "b"], ["x", "a"]], object)],
        {"keys_strings": ["a", "b"], "values_int64s": [4, 5], "default_int64": -7},
        expected=[a([4, 5], [-7, 4], t=np.int64)],
        id="strings",
    ),
    case(
        "LabelEncoder",
        [a(1, np.nan, 3)],
        {"keys_floats": [1.0, np.nan], "values_strings": ["one", "nan"]},
        expected=[np.array(["one", "nan", "_Unused"], object)],
        id="nan",
    ),
    case(
        "LabelEncoder",
        [a(1, 2, 3, t=np.int16)],
        {
            "keys_tensor": tensor([1, 3], TensorProto.INT16),
            "values_tensor": tensor([0.5, 0.25], TensorProto.DOUBLE),
            "default_tensor": tensor([9.0], TensorProto.DOUBLE),
        },
        expected=[a(0.5, 9, 0.25, t=np.float64)],
        id="tensors",
    ),
    case(
        "CategoryMapper",
        [np.array(["b", "z"], object)],
        {"cats_strings": ["a", "b"], "cats_int64s": [10, 20]},
        expected=[a(20, -1, t=np.int64)],
    ),
    case(
        "CategoryMapper",
        [a(20, 3, t=np.int64)],
        {"cats_strings": ["a", "b"], "cats_int64s": [10, 20]},
        expected=[np.array(["b", "_Unused"], object)],
        id="ints",
    ),
]
