"""The operators on strings and TfIdfVectorizer: expected values are Python's own or written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case


def text(items: Any) -> np.ndarray:
    return np.array(items, dtype=object)


def concat(x: Any, y: Any, id: str) -> Case:
    x, y = text(x), text(y)
    return Case("StringConcat", [x, y], expected=[np.asarray(x + y, dtype=object)], id=id)


def split(x: Any, parts: Any, counts: Any, id: str, **attributes: Any) -> Case:
    expected = [text(parts), np.array(counts, np.int64)]
    return Case("StringSplit", [text(x)], attributes, outputs=2, expected=expected, id=id)


def normalize(x: Any, y: Any, id: str, **attributes: Any) -> Case:
    return Case("StringNormalizer", [text(x)], attributes, expected=[text(y)], id=id)


def full_match(x: Any, y: Any, id: str, pattern: str) -> Case:
    return Case("RegexFullMatch", [text(x)], {"pattern": pattern}, expected=[np.array(y, bool)], id=id)


def ngrams(x: np.ndarray, y: Any, lengths: tuple[int, int], skips: int, id: str, **attributes: Any) -> Case:
    pool: dict[str, Any] = {"ngram_counts": [0, 4], "ngram_indexes": [0, 1, 2, 3, 4, 5, 6]}
    pool["pool_int64s"] = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]
    limits = {"min_gram_length": lengths[0], "max_gram_length": lengths[1], "max_skip_count": skips}
    expected = [np.array(y, np.float32)]
    return Case("TfIdfVectorizer", [x], {"mode": "TF", **limits, **pool, **attributes}, expected=expected, id=id)


NUMBERS = np.array([1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8], np.int32)
WORDS = text(["a", "b", "b", "c", "ä", "b"])
BY_NAME = {
    "pool_int64s": None,
    "pool_strings": ["b", "ä", "a", "b", "b", "b"],
    "ngram_counts": [0, 2],
    "ngram_indexes": [3, 0, 1, 2],
}
WEIGHTS = [0.5, 2.0, 3.0, 0.25, 7.0, 1.5, 4.0]

CASES = [
    concat(["abc", "def"], [".com", ".net"], "same"),
    concat([["cat"], ["dog"]], ["s", "", "的"], "broadcast"),
    concat(["的", ""], "中", "scalar"),
    concat(np.zeros((0, 2), object), ["a", "b"], "empty"),
    split(["abc.com", "def.net"], [["abc", "com"], ["def", "net"]], [2, 2], "basic", delimiter="."),
    split(["o-n--x-", "-"], [["o", "n", "", "x", ""], ["", "", "", "", ""]], [5, 2], "consecutive", delimiter="-"),
    split(["a<>b<>c", "<>"], [["a", "b<>c"], ["", ""]], [2, 2], "long", delimiter="<>", maxsplit=1),
    split([" hello \t world  ", "", "x"], [["hello", "world"], ["", ""], ["x", ""]], [2, 0, 1], "spaces"),
    split([["a b c d"], [" a  b "]], [[["a", "b", "c d"]], [["a", "b", ""]]], [[3], [2]], "most", maxsplit=2),
    split([" a b "], [["a b"]], [1], "none", maxsplit=0),
    split("a b", ["a", "b"], 2, "scalar", delimiter=""),
    split(np.zeros((0,), object), np.zeros((0, 0), object), np.zeros(0), "empty"),
    normalize(["monday", "Tuesday"], ["monday", "Tuesday"], "keep"),
    normalize(["monday", "tuesday"], ["TUESDAY"], "upper", case_change_action="UPPER", stopwords=["monday"]),
    normalize([["Monday", "friday"]], [["friday"]], "row", case_change_action="LOWER", stopwords=["MONDAY"]),
    normalize(["Monday", "monday"], ["Monday"], "exact", is_case_sensitive=1, stopwords=["monday"]),
    normalize(["monday"], [""], "all-removed", stopwords=["monday"]),
    normalize([["monday"]], [[""]], "row-removed", stopwords=["monday"]),
]
for sample in ("ÀÉÎÕÜÿŸĀĐĹŇŒŽ", "ΆΈΏΑΣΩ", "ЀЯЖҐ", "ԱՖ", "abcÄ的😀ß"):
    lower, upper = sample.lower(), sample.upper().replace("SS", "ß")
    CASES += [
        normalize([sample], [lower], f"lower-{sample[0]}", case_change_action="LOWER"),
        normalize([lower], [upper], f"upper-{sample[0]}", case_change_action="UPPER"),
    ]
# One letter for one letter, as the C library has it: what becomes two letters stays. The other locales' rules are
# Unicode's for Turkish and Azerbaijani, whose i keeps its dot, and those of "C", which knows ASCII alone.
LETTERS = "ǅǆ ꭰꮿ 𐐀𐐨 ⅳ ⓐ ﬁ ŉ \u017f ς"
CASES += [
    normalize([LETTERS], ["ǆǆ ꭰꮿ 𐐨𐐨 ⅳ ⓐ ﬁ ŉ \u017f ς"], "lower-scripts", case_change_action="LOWER"),
    normalize([LETTERS], ["ǄǄ ᎠᏯ 𐐀𐐀 Ⅳ Ⓐ ﬁ ŉ S Σ"], "upper-scripts", case_change_action="UPPER"),
    normalize(["Iİ\u0131i"], ["ii\u0131i"], "lower-dots", case_change_action="LOWER", locale="en_US"),
    normalize(["Iİ\u0131i"], ["IİII"], "upper-dots", case_change_action="UPPER"),
    normalize(["Iİ\u0131i"], ["\u0131i\u0131i"], "lower-turkish", case_change_action="LOWER", locale="tr_TR.UTF-8"),
    normalize(["Iİ\u0131i"], ["IİIİ"], "upper-azerbaijani", case_change_action="UPPER", locale="az-Latn-AZ"),
    normalize(["Iİ\u0131i į̇"], ["IİII Į̇"], "upper-lithuanian", case_change_action="UPPER", locale="lt"),
    normalize(["Iİ\u0131iä"], ["iİ\u0131iä"], "lower-c", case_change_action="LOWER", locale="C"),
    normalize(
        ["İnce", "KIRIK"],
        ["k\u0131r\u0131k"],
        "words-turkish",
        case_change_action="LOWER",
        locale="tr",
        stopwords=["ince"],
    ),
    full_match(["www.google.com", "www.bbc.co.uk", ""], [True, False, False], "host", r"www\.[\w.-]+\.\bcom\b"),
    full_match([["ab", "abc"], ["ABC", "的"]], [[True, False], [False, False]], "rank-2", "[a-b]+"),
    full_match("的😀", True, "scalar", "..$"),
    full_match(["ΣΑΣ", "Ä\n", "a\nb"], [True, False, False], "flags", r"(?i)σας|ä|a.b"),
    full_match(["a" * 5000, "a" * 5000 + "b"], [False, True], "linear", "(a*)*b"),
    full_match(["ⅣΩ", "K3"], [True, False], "classes", r"\p{Nl}\p{Greek}"),
    full_match(np.zeros((2, 0), object), np.zeros((2, 0)), "empty", "x"),
    full_match(["", "x"], [True, False], "empty-pattern", ""),
]
CASES += [
    ngrams(NUMBERS, [0, 0, 0, 0, 1, 1, 1], (2, 2), 0, "bigrams"),
    ngrams(NUMBERS, [0, 0, 0, 0, 1, 3, 1], (2, 2), 5, "bigrams-skips"),
    ngrams(NUMBERS, [0, 3, 1, 0, 1, 3, 1], (1, 2), 5, "both-skips"),
    ngrams(NUMBERS.reshape(2, 6), [[0, 3, 0, 0, 0, 0, 0], [0, 0, 1, 0, 1, 0, 1]], (1, 2), 0, "batch"),
    ngrams(NUMBERS.astype(np.int64), [0, 1, 1, 0, 1, 1, 1], (1, 2), 5, "idf", mode="IDF"),
    ngrams(NUMBERS, [0, 6, 3, 0, 7, 4.5, 4], (1, 2), 5, "tfidf", mode="TFIDF", weights=WEIGHTS),
    ngrams(NUMBERS[:0], [0] * 7, (1, 2), 5, "nothing"),
    ngrams(WORDS, [1, 1, 1, 3], (1, 2), 0, "strings", **BY_NAME),
]
