"""RNN, GRU and LSTM. Expected values come from the equations of the standard, written out in NumPy in double
precision; the plain layers are also compared with PyTorch's in tests of whole models."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case

CASES: list[Case] = []

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_FUNCTIONS: dict[str, Any] = {
    "Relu": lambda x, a, b: np.maximum(x, 0),
    "Tanh": lambda x, a, b: np.tanh(x),
    "Sigmoid": lambda x, a, b: (1 + np.tanh(x / 2)) / 2,
    "Affine": lambda x, a, b: a * x + b,
    "LeakyRelu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "ThresholdedRelu": lambda x, a, b: np.where(x >= a, x, 0),
    "ScaledTanh": lambda x, a, b: a * np.tanh(b * x),
    "HardSigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "Elu": lambda x, a, b: np.where(x >= 0, x, a * (np.exp(x) - 1)),
    "Softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "Softplus": lambda x, a, b: np.log1p(np.exp(x)),
}
_WITH_ALPHA = {
    "Affine": 1.0,
    "LeakyRelu": 0.01,
    "ThresholdedRelu": 1.0,
    "ScaledTanh": 1.0,
    "HardSigmoid": 0.2,
    "Elu": 1.0,
}
_WITH_BETA = {"Affine": 0.0, "ScaledTanh": 1.0, "HardSigmoid": 0.5}


def _activations(names: list[str], alphas: list[float], betas: list[float]) -> list[Any]:
    alphas, betas = list(alphas), list(betas)
    functions = []
    for name in names:
        a = alphas.pop(0) if name in _WITH_ALPHA and alphas else _WITH_ALPHA.get(name, 0.0)
        b = betas.pop(0) if name in _WITH_BETA and betas else _WITH_BETA.get(name, 0.0)
        functions.append(lambda x, f=_FUNCTIONS[name], a=a, b=b: f(x, a, b))
    return functions


def _direction(
    op: str, x: Any, w: Any, r: Any, b: Any, p: Any, h: Any, c: Any, acts: Any, attrs: dict[str, Any]
) -> Any:
    """One sequence [steps, inputs] of one batch item; returns all h, the last h and the last c."""
    n = r.shape[1]
    wb, rb = np.split(b, 2)
    clip = attrs.get("clip", 0)

    def bounded(v: np.ndarray) -> np.ndarray:
        return np.clip(v, -clip, clip) if clip else v

    rows = []
    for step in x:
        if op == "RNN":
            h = acts[0](bounded(w @ step + r @ h + wb + rb))
        elif op == "GRU":
            wz, wr, wh = np.split(w @ step + wb, 3)
            rz, rr, rh = np.split(r @ h + rb, 3)
            z, reset = acts[0](bounded(wz + rz)), acts[0](bounded(wr + rr))
            if attrs.get("linear_before_reset"):
                fresh = acts[1](bounded(wh + reset * rh))
            else:
                fresh = acts[1](bounded(wh + r[2 * n :] @ (reset * h) + rb[2 * n :]))
            h = (1 - z) * fresh + z * h
        else:
            i, o, f, g = np.split(w @ step + wb + r @ h + rb, 4)
            pi, po, pf = np.split(p, 3)
            i = acts[0](bounded(i + pi * c))
            f = 1 - i if attrs.get("input_forget") else acts[0](bounded(f + pf * c))
            c = f * c + i * acts[1](bounded(g))
            h = acts[0](bounded(o + po * c)) * acts[2](c)
        rows.append(h)
    return rows, h, c


def layer(
    op: str,
    steps: int = 5,
    batch: int = 2,
    inputs: int = 4,
    hidden: int = 3,
    *,
    direction: str = "forward",
    bias: bool = True,
    peepholes: bool = False,
    states: bool = False,
    lengths: list[int] | None = None,
    dtype: str = "float32",
    scale: float = 1.0,
    skip: tuple[int, ...] = (),
    **attrs: Any,
) -> None:
    """`skip` names outputs that are left out."""
    rng = np.random.default_rng(steps * 101 + hidden)
    d, g, lstm = 2 if direction == "bidirectional" else 1, _GATES[op], op == "LSTM"

    def make(*shape: int) -> np.ndarray:
        # Small enough that no error grows from step to step.
        return (rng.standard_normal(shape) * 1.2 / (2 + shape[-1] ** 0.5)).astype(dtype)

    x, w, r = (
        make(steps, batch, inputs) * np.dtype(dtype).type(scale),
        make(d, g * hidden, inputs),
        make(d, g * hidden, hidden),
    )
    b = make(d, 2 * g * hidden) if bias else None
    h0 = make(d, batch, hidden) if states else None
    c0 = make(d, batch, hidden) if states and lstm else None
    p = make(d, 3 * hidden) if peepholes else None
    names = attrs.get("activations", _DEFAULTS[op] * d)
    acts = _activations(names, attrs.get("activation_alpha", []), attrs.get("activation_beta", []))
    each = len(_DEFAULTS[op])
    y = np.zeros((steps, d, batch, hidden))
    y_h, y_c = np.zeros((d, batch, hidden)), np.zeros((d, batch, hidden))
    zero = np.zeros(1)
    for k in range(d):
        for i in range(batch):
            length = steps if lengths is None else lengths[i]
            sequence = x[:length, i].astype(np.float64)
            back = direction == "reverse" or k == 1
            rows, y_h[k, i], y_c[k, i] = _direction(
                op,
                sequence[::-1] if back else sequence,
                w[k].astype(np.float64),
                r[k].astype(np.float64),
                np.zeros(2 * g * hidden) if b is None else b[k].astype(np.float64),
                np.zeros(3 * hidden) if p is None else p[k].astype(np.float64),
                zero.repeat(hidden) if h0 is None else h0[k, i].astype(np.float64),
                zero.repeat(hidden) if c0 is None else c0[k, i].astype(np.float64),
                acts[k * each : (k + 1) * each],
                attrs,
            )
            if length:
                y[:length, k, i] = rows[::-1] if back else rows
    outputs = [y, y_h, y_c][: 3 if lstm else 2]
    if attrs.get("layout"):
        x = x.swapaxes(0, 1)
        h0 = None if h0 is None else h0.swapaxes(0, 1)
        c0 = None if c0 is None else c0.swapaxes(0, 1)
        outputs = [outputs[0].transpose(2, 0, 1, 3)] + [state.swapaxes(0, 1) for state in outputs[1:]]
    sequence_lens = None if lengths is None else np.array(lengths, np.int32)
    arguments = [x, w, r, b, sequence_lens, h0] + ([c0, p] if lstm else [])
    arguments = [None if value is None else np.ascontiguousarray(value) for value in arguments]
    while arguments[-1] is None:
        arguments.pop()
    tolerance = {"float32": 1e-5, "float64": 1e-12, "float16": 4e-3}[dtype]
    text = "-".join(f"{key}{value}" for key, value in attrs.items())
    CASES.append(
        Case(
            op,
            arguments,
            {"hidden_size": hidden, "direction": direction, **attrs},
            outputs=len(outputs),
            expected=[None if i in skip else value.astype(dtype) for i, value in enumerate(outputs)],
            rtol=tolerance,
            atol=tolerance,
            id=f"{steps}-{batch}-{inputs}-{hidden}-{direction}-b{int(bias)}-p{int(peepholes)}-s{int(states)}-{lengths}-"
            f"{dtype}-{scale}-{text}".replace(" ", "").replace("'", ""),
        )
    )


for _op in ["RNN", "GRU", "LSTM"]:
    for _way in ["forward", "reverse", "bidirectional"]:
        layer(_op, direction=_way)
        layer(_op, 7, 3, 5, 17, direction=_way, states=True, lengths=[7, 0, 3])
        layer(_op, 4, 3, 5, 9, direction=_way, states=True, layout=1)
        layer(_op, 4, 3, 5, 9, direction=_way, lengths=[1, 4, 2], layout=1)
    layer(_op, bias=False)
    layer(_op, 1, 1, 1, 1)
    layer(_op, 26, 1, 64, 70, direction="bidirectional")
    layer(_op, 3, 20, 33, 40)
    layer(_op, clip=0.3, states=True)
    layer(_op, scale=1e4)
    layer(_op, 0, 2, 4, 3, states=True)
    layer(_op, 3, 0, 4, 3)
    layer(_op, dtype="float64", direction="bidirectional", states=True, lengths=[2, 5])
    layer(_op, dtype="float16", states=True)
    layer(
        _op,
        hidden=8,
        activations=_DEFAULTS[_op][:1] + ["Relu"] * (len(_DEFAULTS[_op]) - 1) if _op != "RNN" else ["Relu"],
    )
layer("GRU", 6, 3, 5, 17, linear_before_reset=1, states=True)
layer("GRU", 6, 3, 5, 17, linear_before_reset=1, direction="bidirectional", bias=False)
layer("GRU", 6, 3, 5, 17, linear_before_reset=1, dtype="float64")
layer("GRU", 6, 3, 5, 17, linear_before_reset=1, activations=["HardSigmoid", "Softsign"])
layer("LSTM", peepholes=True)
layer("LSTM", 6, 3, 5, 9, peepholes=True, direction="bidirectional", states=True, clip=1.0)
layer("LSTM", input_forget=1)
layer("LSTM", peepholes=True, input_forget=1, dtype="float64", states=True)
for _name in _FUNCTIONS:
    layer("RNN", activations=[_name])
    layer("RNN", activations=[_name], activation_alpha=[0.4], activation_beta=[0.3])
layer(
    "LSTM",
    activations=["HardSigmoid", "ScaledTanh", "Elu"],
    activation_alpha=[0.3, 1.2, 0.7],
    activation_beta=[0.4, 0.9],
)
layer(
    "GRU",
    direction="bidirectional",
    activations=["Sigmoid", "Tanh", "HardSigmoid", "LeakyRelu"],
    activation_alpha=[0.3, 0.2],
    activation_beta=[0.4],
)
