"""com.microsoft's Tokenizer: expected values are written out, and were compared once with ONNX Runtime's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case

TEXTS = ["a bb  ccc, d.", "", "héllo wörld 日本", "..,"]
START, END = "\x02", "\x03"


def texts(*items: Any) -> np.ndarray:
    return np.array(items, object)


def case(id: str, x: np.ndarray, tokens: list[list[str]], mark: int = 0, least: int = 1, **rest: Any) -> Case:
    """The tokens of each text are filled up to the longest list."""
    rows = [[START, *row, END] if mark and any(tokens) else row for row in tokens]
    width = max(map(len, rows), default=0)
    y = np.array([row + ["#"] * (width - len(row)) for row in rows], object).reshape(*x.shape, width)
    attributes = {"mark": mark, "pad_value": "#", "mincharnum": least, **rest}
    return Case("Tokenizer", [x], attributes, domain="com.microsoft", expected=[y], id=id)


CHARACTERS = [list("a bb  ccc, d."), [], list("héllo wörld 日本"), list("..,")]
CASES = [
    *[
        row
        for mark in [0, 1]
        for row in [
            case(
                f"space-{mark}",
                texts(*TEXTS),
                [["a", "bb", "ccc,", "d."], [], ["héllo", "wörld", "日本"], ["..,"]],
                mark,
                separators=[" "],
            ),
            case(
                f"class-{mark}",
                texts(*TEXTS),
                [["a", "bb", "ccc", "d"], [], ["héllo", "wörld", "日本"], []],
                mark,
                separators=["[ ,.]+"],
            ),
            case(f"characters-{mark}", texts(*TEXTS), CHARACTERS, mark, separators=[""]),
            case(
                f"words-{mark}",
                texts(*TEXTS),
                [["a", "bb", "ccc", "d"], [], ["h", "llo", "w", "rld"], []],
                mark,
                tokenexp="[a-z]+",
            ),
            case(f"nothing-{mark}", texts("", ""), [[], []], mark, separators=[" "]),
        ]
    ],
    case("matrix", texts(["a b", ""], ["c", "d e f"]), [["a", "b"], [], ["c"], ["d", "e", "f"]], separators=[" "]),
    case("no-columns", texts([], []), [], separators=[" "]),
    case("dot", texts("a\nb"), [["a", "\n", "b"]], tokenexp="."),
    case("dots", texts("a\nb"), [["a", "b"]], tokenexp=".+"),
    case("long-separated", texts("a bb 日本 語"), [["bb", "日本"]], least=2, separators=[" "]),
    case("long-matches", texts("a bb ccc"), [["bb", "ccc"]], least=2, tokenexp="[a-z]+"),
    case("one-after-the-other", texts("abcabc"), [["a", "ca", "c"]], separators=["b", "ab"]),
    case("longest", texts("ab aab"), [["ab", "a", "ab"]], tokenexp="a|ab"),
    case("empty-matches", texts("aab abb b"), [["aa", "a"]], tokenexp="a*"),
    case("groups", texts("foo bar"), [["fo"]], tokenexp="(f)(o)"),
    case("anchor", texts("abab"), [["ab"]], tokenexp="^ab"),
    case("anchored-pieces", texts("aXb"), [["b"]], separators=["a", "^X"]),
    case("separators-first", texts("a b"), [["a", "b"]], separators=[" "], tokenexp="x"),
]
