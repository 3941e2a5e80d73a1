"""Flame graphs: boxes are as wide as their share, stand on their callers, and names are text, not markup."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.profile import record
from tools.profile.flame_graph import SMALLEST, WIDTH, draw, pile_up

SVG = "{http://www.w3.org/2000/svg}"
STACKS = Counter({("a", "b"): 60, ("a",): 20, ("a", "c<int>&"): 19, ("(program)",): 100, ("tiny",): 1})


def boxes(stacks: Counter[tuple[str, ...]]) -> dict[str, tuple[float, float, float]]:
    """x, y and width by title."""
    found = {}
    for group in ElementTree.fromstring(draw(stacks, "a <title> & more", "10 instructions")).iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None and title.text is not None and rect is not None
        found[title.text.partition(":")[0]] = tuple(float(rect.get(name, "")) for name in ("x", "y", "width"))
    return found  # type: ignore[return-value]  # three of them


def test_boxes_are_shares() -> None:
    found = boxes(STACKS)
    whole = found["all"][2]
    assert found["a"][2] == pytest.approx(whole * 99 / 200, abs=0.1)
    assert found["b"][2] == pytest.approx(whole * 60 / 200, abs=0.1)
    assert found["b"][1] < found["a"][1] < found["all"][1]  # callees stand above
    assert found["b"][0] >= found["a"][0] and found["c<int>&"][0] + found["c<int>&"][2] <= sum(found["a"][::2]) + 0.2
    assert all(x >= 0 and x + width <= WIDTH for x, _, width in found.values())


def test_what_cannot_be_seen_is_left_out() -> None:
    found = boxes(Counter({("much",): 10**6, ("little",): 1}))
    assert "little" not in found and 1 / 10**6 * WIDTH < SMALLEST
    assert pile_up(Counter()).count == 0 and "all" not in boxes(Counter())


def test_samples_become_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inlined functions stand above those that they are in; code of programs has no name."""
    answer = "0x0000000000000010\ninner\nx.py:1\nkernel.fs.outer\nx.py:9\n0x0000000000000020\n??\n??:0\n"
    calls: list[str] = []

    def run(command: list[str], **options: str) -> object:
        calls.append(options["input"])
        return type("Done", (), {"stdout": answer})

    monkeypatch.setattr("subprocess.run", run)
    (tmp_path / "samples").write_text("10 20\n10 20\n0\n20\n")
    assert record.read_stacks(tmp_path / "samples", tmp_path) == Counter({
        ("(assembly)", "fs.outer", "inner"): 2, ("(program)",): 1, ("(assembly)",): 1,
    })  # fmt: skip
    assert calls == ["0x10\n0x20"]
