"""docs/language/diagnostics.md: each code's first program is refused with that code, its second one is accepted.

A step of the compiler that finds errors is the last one. So the refused programs are checked in rounds: those whose
code was shown leave, and the rest is checked again, until a round shows nothing new.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "language" / "diagnostics.md"
SECTION = re.compile(r"^### (?P<code>KP\d{3}): (?P<title>.*)\n(?P<body>(?:(?!^##).*\n)*)", re.MULTILINE)
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ERROR = re.compile(r"^(?P<file>\w+)\.py:\d+:\d+: error (?P<code>KP\d{3}): (?P<message>.*)$", re.MULTILINE)
INTERNAL = re.compile(r"^\| (KP\d{3}) \|", re.MULTILINE)
# Those that `compiler check` does not look for, and the test that has them instead.
ELSEWHERE = {
    "KP190": "tests/compiler/test_driver.py",
    "KP191": "tests/compiler/test_driver.py",
    "KP721": "tests/compiler/test_stacks.py",
    "KP722": "tests/compiler/test_stacks.py",
}


@dataclass(frozen=True)
class Section:
    """A code's part of the page."""

    code: str
    title: str
    refused: str
    accepted: str


def sections() -> list[Section]:
    found = []
    for section in SECTION.finditer(PAGE.read_text(encoding="utf-8")):
        programs = PROGRAM.findall(section["body"])
        assert len(programs) == 2, f"{section['code']} has {len(programs)} programs"
        found.append(Section(section["code"], section["title"], *programs))
    return found


SECTIONS = sections()
CHECKED = [section for section in SECTIONS if section.code not in ELSEWHERE]


def check(folder: Path, programs: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Codes and messages that `compiler check` shows for programs, by name."""
    folder.mkdir()
    for name, text in programs.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "compiler", "check", *(f"{name}.py" for name in programs)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in programs}
    for error in ERROR.finditer(done.stderr):
        message = error["message"].replace(f"{error['file']}.", "")  # the module's name
        found[error["file"]].append((error["code"], message))
    assert done.returncode == (1 if any(found.values()) else 0), done.stderr
    return found


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    """What the refused programs get, by code."""
    folder = tmp_path_factory.mktemp("refused")
    left = {section.code: section.refused for section in CHECKED}
    everything: dict[str, list[tuple[str, str]]] = {}
    for number in range(len(CHECKED)):
        found = {code: errors for code, errors in check(folder / str(number), left).items() if errors}
        everything.update(found)
        left = {code: text for code, text in left.items() if code not in found}
        if not found or not left:
            break
    return everything


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    folder = tmp_path_factory.mktemp("accepted")
    return check(folder / "all", {section.code: section.accepted for section in SECTIONS})


@pytest.mark.parametrize("section", CHECKED, ids=lambda section: section.code)
def test_refused(section: Section, refused: dict[str, list[tuple[str, str]]]) -> None:
    """The title is how the message begins. What follows from the first mistake does not count."""
    found = refused.get(section.code, [])
    assert any(code == section.code and message.startswith(section.title) for code, message in found), found


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.code)
def test_accepted(section: Section, accepted: dict[str, list[tuple[str, str]]]) -> None:
    assert accepted[section.code] == []


@pytest.mark.parametrize("code", ELSEWHERE)
def test_elsewhere(code: str) -> None:
    assert code in (ROOT / ELSEWHERE[code]).read_text(encoding="utf-8")


def test_every_code_is_on_the_page() -> None:
    """Each code of the compiler has a section, or is said to be a mistake of the compiler's own."""
    text = PAGE.read_text(encoding="utf-8")
    internal = INTERNAL.findall(text)
    codes = [section.code for section in SECTIONS]
    known = set()
    for path in (ROOT / "compiler").rglob("*.py"):
        known |= set(re.findall(r'"(KP\d{3})"', path.read_text(encoding="utf-8")))
    assert sorted(codes + internal) == sorted(known)
    assert codes == sorted(codes)
