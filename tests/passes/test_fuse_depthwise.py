"""1x1 and depthwise convolutions in one, with the mean behind them; gates in the convolution that reads them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.graphs import check, model, operators, random, session

WEIGHTS = {
    "we": random(24, 12, 1, 1) * np.float32(0.3),
    "be": random(24, seed=1),
    "wd": random(24, 1, 3, 3, seed=2) * np.float32(0.3),
    "bd": random(24, seed=3),
    "wide": random(24, 12, 3, 3, seed=4) * np.float32(0.1),
    "wp": random(10, 24, 1, 1, seed=5) * np.float32(0.2),
    "bp": random(10, seed=6),
    "axes": np.array([2, 3], np.int64),
    "negative": np.array([-1, -2], np.int64),
    "one": np.array([2], np.int64),
}
BLOCK, GATED = "fastort::DepthwiseBlock", "fastort::GatedConv"
HEAD = "(float[n,12,9,7] x, float[n,24,1,1] s, float[n,24,9,7] m, float[n,10,9,7] r)"
FEEDS = {"x": random(2, 12, 9, 7), "s": random(2, 24, 1, 1), "m": random(2, 24, 9, 7), "r": random(2, 10, 9, 7)}
DEPTHWISE = "Conv<group=24, pads=[1,1,1,1]>"
EXPANDED = f"e = Conv(x, we, be)\n f = Relu(e)\n d = {DEPTHWISE}(f, wd, bd)\n y = HardSwish(d)"


@pytest.mark.parametrize(
    ("body", "outputs", "expected"),
    [
        (EXPANDED, "float[n,24,9,7] y", {BLOCK: 1}),
        (f"e = Conv(x, we)\n y = {DEPTHWISE}(e, wd)", "float[n,24,9,7] y", {BLOCK: 1}),
        (f"{EXPANDED}\n z = GlobalAveragePool(y)", "float[n,24,9,7] y, float[n,24,1,1] z", {BLOCK: 1}),
        (f"{EXPANDED}\n z = ReduceMean(y, negative)", "float[n,24,9,7] y, float[n,24,1,1] z", {BLOCK: 1}),
        (
            f"d = {DEPTHWISE}(m, wd, bd)\n y = Relu(d)\n z = ReduceMean(y, axes)",
            "float[n,24,9,7] y, float[n,24,1,1] z",
            {BLOCK: 1},
        ),
        ("g = Mul(s, m)\n y = Conv(g, wp, bp)", "float[n,10,9,7] y", {GATED: 1}),
        ("g = Mul(m, s)\n p = Conv(g, wp)\n q = Add(p, r)\n y = Relu(q)", "float[n,10,9,7] y", {GATED: 1}),
        (
            f"{EXPANDED}\n z = ReduceMean(y, axes)\n t = Sigmoid(z)\n g = Mul(y, t)\n o = Conv(g, wp, bp)",
            "float[n,10,9,7] o",
            {BLOCK: 1, "Sigmoid": 1, GATED: 1},
        ),
    ],
)
@pytest.mark.parametrize("blocks", ["1", "0"])
def test_fires(body: str, outputs: str, expected: dict[str, int], blocks: str) -> None:
    proto = model(f"{HEAD} => ({outputs}) {{ {body} }}", WEIGHTS)
    assert operators(proto) == expected
    check(proto, FEEDS, "fuse_depthwise", 1e-4, {"fastort.allow_blocked_layouts": blocks})


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        # The map between the convolutions is read by others too.
        (EXPANDED, "float[n,24,9,7] y, float[n,24,9,7] f"),
        (f"{EXPANDED}\n z = Softmax(f)", "float[n,24,9,7] y, float[n,24,9,7] z"),
        # The first is no 1x1 convolution, or has a stride, pads or a residual.
        (f"e = Conv<pads=[1,1,1,1]>(x, wide)\n y = {DEPTHWISE}(e, wd)", "float[n,24,9,7] y"),
        (f"e = Conv<strides=[2,2]>(x, we)\n y = {DEPTHWISE}(e, wd)", "float[n,24,5,4] y"),
        (f"e = Conv<pads=[1,0,1,0]>(x, we)\n y = {DEPTHWISE}(e, wd)", "float[n,24,11,7] y"),
        (f"e = Conv(x, we)\n f = Add(e, m)\n y = {DEPTHWISE}(f, wd)", "float[n,24,9,7] y"),
        # The depthwise one has dilations or a stride of three columns.
        ("e = Conv(x, we)\n y = Conv<group=24, dilations=[2,2]>(e, wd)", "float[n,24,5,3] y"),
        ("e = Conv(x, we)\n y = Conv<group=24, strides=[3,3]>(e, wd)", "float[n,24,3,2] y"),
    ],
)
def test_must_not_fire(body: str, outputs: str) -> None:
    proto = model(f"{HEAD} => ({outputs}) {{ {body} }}", WEIGHTS)
    assert BLOCK not in operators(proto)
    check(proto, FEEDS, "fuse_depthwise", 1e-4)


@pytest.mark.parametrize(
    "body",
    [
        "z = ReduceMean(y, one)",
        "z = ReduceMean<keepdims=0>(y, axes)",
        "z = ReduceMax(y, axes)",
    ],
)
def test_other_reductions_stay(body: str) -> None:
    kind = "float[n,24]" if "keepdims" in body else "float[n,24,1,7]" if "one" in body else "float[n,24,1,1]"
    proto = model(f"{HEAD} => (float[n,24,9,7] y, {kind} z) {{ {EXPANDED}\n {body} }}", WEIGHTS)
    counts = operators(proto)
    assert counts[BLOCK] == 1
    assert counts["ReduceMean"] + counts["ReduceMax"] == 1
    check(proto, FEEDS, "fuse_depthwise", 1e-4)


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("g = Mul(s, m)\n y = Conv(g, wp)", "float[n,10,9,7] y, float[n,24,9,7] g"),
        ("g = Mul(m, m)\n y = Conv(g, wp)", "float[n,10,9,7] y"),
        ("g = Mul(s, m)\n y = Conv<strides=[2,2]>(g, wp)", "float[n,10,5,4] y"),
        ("g = Mul(s, m)\n y = Conv(g, w3)", "float[n,10,7,5] y"),
    ],
)
def test_gate_must_not_fire(body: str, outputs: str) -> None:
    proto = model(f"{HEAD} => ({outputs}) {{ {body} }}", WEIGHTS | {"w3": random(10, 24, 3, 3, seed=8)})
    assert GATED not in operators(proto)
    check(proto, FEEDS, "fuse_depthwise", 1e-3)


@pytest.mark.parametrize("channels", [8, 13, 16, 17, 40])
@pytest.mark.parametrize(("height", "width", "kernel", "stride"), [(1, 1, 3, 1), (14, 14, 5, 2), (31, 5, 3, 2)])
@pytest.mark.parametrize("blocks", ["1", "0"])
def test_sizes(channels: int, height: int, width: int, kernel: int, stride: int, blocks: str) -> None:
    weights = {
        "we": random(channels, 5, 1, 1),
        "wd": random(channels, 1, kernel, kernel, seed=2),
        "bd": random(channels, seed=3),
        "wp": random(7, channels, 1, 1, seed=4) * np.float32(0.1),
        "axes": np.array([2, 3], np.int64),
    }
    window = f"Conv<group={channels}, strides=[{stride},{stride}], pads=[{', '.join([str(kernel // 2)] * 4)}]>"
    proto = model(
        f"(float[n,5,{height},{width}] x) => (float[n,7,h,w] y) {{ e = Conv(x, we)\n f = HardSwish(e)\n"
        f" d = {window}(f, wd, bd)\n g = Relu(d)\n m = ReduceMean(g, axes)\n s = Sigmoid(m)\n p = Mul(s, g)\n"
        " y = Conv(p, wp) }",
        weights,
    )
    assert operators(proto) == {BLOCK: 1, "Sigmoid": 1, GATED: 1}
    feeds = {"x": random(3, 5, height, width)}
    check(proto, feeds, "fuse_depthwise", 1e-4, {"fastort.allow_blocked_layouts": blocks})


def test_an_empty_batch() -> None:
    proto = model(
        f"{HEAD} => (float[n,10,9,7] o) {{ {EXPANDED}\n z = ReduceMean(y, axes)\n g = Mul(y, z)\n o = Conv(g, wp) }}",
        WEIGHTS,
    )
    assert operators(proto)[BLOCK] == 1
    feeds = {name: array[:0] for name, array in FEEDS.items()}
    assert session(proto).run(None, feeds)[0].shape == (0, 10, 9, 7)
