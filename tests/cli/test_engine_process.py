"""Processes of other engines: what they say, and what becomes of what they complain of."""

from __future__ import annotations

import sys

import pytest

from fastort.cli.engine_process import EngineProcess

# Complains of more than a pipe holds before it is ready and before each answer.
TALKER = """
import sys
sys.stderr.write("a warning\\n" * 100_000)
print('{"ready": 1}', flush=True)
for line in sys.stdin:
    sys.stderr.write("another warning\\n" * 100_000)
    if line.strip() == "fail":
        sys.exit("no such thing")
    print('{"answer": 2}', flush=True)
"""


def test_a_process_may_complain_as_much_as_it_likes() -> None:
    process = EngineProcess("talker", sys.executable, ["-c", TALKER])
    assert process.start == {"ready": 1}
    assert process.ask("go") == {"answer": 2}
    with pytest.raises(RuntimeError, match=r"^talker: no such thing$"):
        process.ask("fail")
    process.close()


def test_one_that_does_not_start_tells_why() -> None:
    with pytest.raises(RuntimeError, match=r"^engine: ValueError: not today$"):
        EngineProcess("engine", sys.executable, ["-c", "raise ValueError('not today')"])
