"""docs/reading-order.md: a spine that is short enough, and chapters that hold every file once. After an edit of the
source `python -m tools.reading_order` says which row is missing, or brings the numbers up to date.
"""

from __future__ import annotations

import re

import pytest

from tools import reading_order
from tools.paths import ROOT
from tools.reading_order import PAGE, SPINE_LIMIT, Part, Place

TOLERANCE = 0.15  # of a count, so that not every commit has to refresh the page
SLACK = 3  # lines, for short functions

TEXT = PAGE.read_text()
PARTS = reading_order.parts(TEXT)
NAMED = reading_order.named_files(TEXT)
CHAPTERS = [part for part in PARTS if not part.is_spine]
ENTRIES = [entry for part in PARTS for entry in part.entries]


def label(entry: list[Place]) -> str:
    return f"{entry[0].path}:{','.join(entry[0].names)}"


def text_of(chapter: Part) -> str:
    return TEXT.split(f"### {chapter.title}\n", 1)[1].split("\n### ", 1)[0]


def test_every_file_is_in_one_chapter_and_every_place_is_there() -> None:
    assert reading_order.problems(TEXT) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("| `kernel/mm/fault.py` | 1 | |", "kernel/mm/fault.py: 2 rows name it"),
        ("| `kernel/mm/gone.py` | 1 | |", "kernel/mm/gone.py: there is no such file"),
        ("- `kernel/mm/fault.py`: `gone` (1 lines).", "kernel/mm/fault.py: there is no gone"),
    ],
)
def test_problems_are_found(row: str, problem: str) -> None:
    assert problem in reading_order.problems(f"{TEXT}\n{row}\n")


def test_a_file_without_a_row_is_found() -> None:
    shorter = "\n".join(line for line in TEXT.splitlines() if not line.startswith("| `kernel/mm/frames.py`"))
    assert reading_order.problems(shorter) == ["kernel/mm/frames.py: no row in a chapter names it"]


@pytest.mark.parametrize("entry", ENTRIES, ids=label)
def test_counts_are_close(entry: list[Place]) -> None:
    count = reading_order.lines_of(entry, NAMED)
    assert abs(entry[0].stated - count) <= max(SLACK, TOLERANCE * count), f"there are {count} lines"


def test_the_spine_is_short() -> None:
    assert reading_order.spine_lines(TEXT) <= SPINE_LIMIT


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
def test_questions_have_an_answer_and_tests_are_there(chapter: Part) -> None:
    text = " ".join(text_of(chapter).split())
    answer = re.search(r"- \*\*Question\.\*\* .+\? Answer: `([^`]+)`(?:: `([^`]+)`)?\.", text)
    assert answer is not None
    reading_order.lines_of_names(answer[1], (answer[2],) if answer[2] else ())
    command = re.search(r"- \*\*Test\.\*\* `\.venv/bin/python -m (pytest|tests\.conformance) ([^`]+)`", text)
    assert command is not None
    for word in command[2].split():
        path = ROOT / word if command[1] == "pytest" else ROOT / "tests" / "conformance" / "c" / f"{word}.c"
        assert path.exists(), word


def test_places_of_python() -> None:
    text = '"""Two\nlines."""\n\n\n@final\nclass A:\n    def f(self) -> int:\n        return 1\n'
    places = reading_order.python_places(text)
    assert [len(places[name]) for name in ("", "A", "A.f")] == [2, 4, 2]


def test_places_of_assembly() -> None:
    text = "# Head.\n\n.globl first\nfirst:\n        nop\ninner:  ret\n# ---- Heading ----\nsecond: ret\n"
    places = reading_order.assembly_places(text)
    assert [len(places[name]) for name in ("", "first", "inner", "second")] == [1, 3, 1, 1]
