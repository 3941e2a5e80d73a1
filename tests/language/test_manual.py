"""The examples of docs/language/: each prints what stands below it, under CPython with checks and compiled.

An example is a block of Python with a `main`, and a block after it: `text` is what it prints, `traps` the exception
that ends it. Examples that only print are compiled together, as modules of one program; those that trap, as modules of
another one, which runs the one that its input names.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.language.runner import ROOT, Outcome, run_compiled, run_in_turn, run_python

PAGES = sorted((ROOT / "docs" / "language").glob("*.md"))
BUILD = ROOT / "build" / "manual"
EXAMPLE = re.compile(
    r"^```python\n(?P<code>(?:(?!^```).*\n)*)^```\n\n"
    r"^```(?P<kind>text|traps)\n(?P<end>(?:(?!^```).*\n)*)^```$",
    re.MULTILINE,
)
BLOCK = re.compile(r"^```python$", re.MULTILINE)
PROFILES = ("dev", "release")


@dataclass(frozen=True)
class Example:
    """One program of a page."""

    name: str
    code: str
    traps: bool
    end: str

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.py"
        path.write_text(self.code, encoding="utf-8")
        return path


def examples() -> list[Example]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        name = page.stem.replace("-", "_")
        for number, match in enumerate(EXAMPLE.finditer(text), 1):
            found.append(Example(f"{name}_{number}", match["code"], match["kind"] == "traps", match["end"]))
    return found


EXAMPLES = examples()
PRINTING = [example for example in EXAMPLES if not example.traps]
TRAPPING = [example for example in EXAMPLES if example.traps]


def test_every_program_is_an_example() -> None:
    """Nothing on the pages stays unchecked: diagnostics.md has a test of its own."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if page.stem != "diagnostics":
            assert len(BLOCK.findall(text)) == len(EXAMPLE.findall(text)), page.name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_under_cpython(example: Example, tmp_path: Path) -> None:
    outcome = run_python(example.write(tmp_path), checked=True)
    if example.traps:
        assert outcome.trap is not None, outcome.message
        assert outcome.trap.kind == example.end.strip()
    else:
        assert outcome.trap is None and not outcome.broken, outcome.message
        assert "".join(f"{line}\n" for line in outcome.lines) == example.end


@pytest.fixture(scope="module")
def printed() -> dict[str, dict[str, str]]:
    """What the compiled examples print, by profile and name."""
    found = {}
    for profile in PROFILES:
        folder = BUILD / profile
        shutil.rmtree(folder, ignore_errors=True)
        for example in PRINTING:
            example.write(folder)
        lines = [f"import {example.name}" for example in PRINTING] + ["\n\ndef main() -> None:"]
        lines += [f'    print("=== {example.name}")\n    {example.name}.main()' for example in PRINTING]
        everything = folder / "all_examples.py"
        everything.write_text('"""All examples."""\n\n' + "\n".join(lines) + "\n", encoding="utf-8")
        outcome = run_compiled(everything, profile)
        assert outcome.trap is None and not outcome.broken, outcome.message
        parts = "".join(f"{line}\n" for line in outcome.lines).split("=== ")[1:]
        found[profile] = dict(part.split("\n", 1) for part in parts)
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("example", PRINTING, ids=lambda example: example.name)
def test_compiled(example: Example, profile: str, printed: dict[str, dict[str, str]]) -> None:
    assert printed[profile][example.name] == example.end


@pytest.fixture(scope="module")
def trapped() -> dict[str, Outcome]:
    """How the compiled examples end that trap, by name."""
    folder = BUILD / "traps"
    shutil.rmtree(folder, ignore_errors=True)
    found = run_in_turn([example.write(folder) for example in TRAPPING], "release")
    assert found is not None, (folder / "message.txt").read_text()
    return {example.name: outcome for example, outcome in zip(TRAPPING, found, strict=True)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", TRAPPING, ids=lambda example: example.name)
def test_compiled_traps(example: Example, tmp_path: Path, trapped: dict[str, Outcome]) -> None:
    outcome = trapped[example.name]
    assert outcome.trap is not None, outcome.message
    assert outcome.lines == run_python(example.write(tmp_path), checked=True).lines
