"""docs/operators.md says what the engine has."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("operators", ROOT / "tools" / "operators.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = tool.PAGE.read_text().splitlines()
    wanted = tool.render().splitlines()
    changed = sorted(set(wanted) ^ set(written))
    assert written == wanted, f"docs/operators.md is out of date; write it with: {tool.COMMAND}\n" + "\n".join(changed)
