"""Sources that are no program, or one that is too large or nested too deep to be looked at: one message with a code, a
line each. Files at a limit are read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.front.sources import DEEPEST, MOST_ANCESTORS, MOST_BRANCHES, MOST_LINES, unreadable


def family(count: int) -> str:
    """A class, and `count` classes below it."""
    return "class C0:\n    pass\n" + "".join(f"class C{i}(C{i - 1}):\n    pass\n" for i in range(1, count + 1))


REFUSED = {
    "ancestors": (
        family(MOST_ANCESTORS + 1),
        2 * MOST_ANCESTORS + 3,
        f"C{MOST_ANCESTORS + 1} has more than {MOST_ANCESTORS} base classes above it",
    ),
    "lines": ("\n" * MOST_LINES, 1, f"a file of {MOST_LINES + 1:,} lines"),
    "carriage returns": ("\r" * MOST_LINES, 1, f"a file of {MOST_LINES + 1:,} lines"),
    "managers": (
        "x = 1\nwith " + ", ".join(["x"] * (DEEPEST + 1)) + ":\n    pass\n",
        2,
        f"this is nested more than {DEEPEST} levels deep",
    ),
    "clauses": (
        "x = 1\ny = [x" + " for x in y" * (DEEPEST + 1) + "]\n",
        2,
        f"this is nested more than {DEEPEST} levels deep",
    ),
    "alternatives": (
        "x = 1\nmatch x:\n    case " + " | ".join(["1"] * (DEEPEST + 1)) + ":\n        pass\n",
        3,
        f"this is nested more than {DEEPEST} levels deep",
    ),
    "brackets": ("x = " + "[" * 250 + "]" * 250 + "\n", 1, "too many nested parentheses"),
    "operators": ("x = 1" + " + 1" * DEEPEST + "\n", 1, f"this is nested more than {DEEPEST} levels deep"),
    "operands": (
        "x = 1\ny = " + " and ".join(["x"] * (DEEPEST + 1)) + "\n",
        2,
        f"this is nested more than {DEEPEST} levels deep",
    ),
    "comparisons": ("x = 1" + " < 1" * (DEEPEST + 1) + "\n", 1, f"this is nested more than {DEEPEST} levels deep"),
    "branches": (
        "x = 1\nif x:\n    pass\n" + "elif x:\n    pass\n" * MOST_BRANCHES,
        2,
        f"an if of more than {MOST_BRANCHES:,} branches",
    ),
    "zero": ("x = 1\ny = '\0'\n", 2, "this is no text: it has a byte of value 0"),
}
READ = {
    "ancestors": family(MOST_ANCESTORS),
    "lines": "\n" * (MOST_LINES - 1),
    "line ends": "\r\n" * (MOST_LINES - 1),
    "managers": "x = 1\nwith " + ", ".join(["x"] * DEEPEST) + ":\n    pass\n",
    "operands": "x = 1\ny = " + " and ".join(["x"] * DEEPEST) + "\n",
    "branches": "x = 1\nif x:\n    pass\n" + "elif x:\n    pass\n" * (MOST_BRANCHES - 1),
    "many ifs": "x = 1\n" + "if x:\n    pass\n" * (2 * MOST_BRANCHES),
    "items": f"x = [{'1, ' * 50_000}]\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    text, line, message = REFUSED[name]
    file = tmp_path / "source.py"
    file.write_text(text)
    found = unreadable(file)
    assert found is not None and found.code == "KP100" and found.message.startswith(message)
    assert found.loc.line == line and found.loc.column >= 0


@pytest.mark.parametrize("name", READ)
def test_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / "source.py"
    file.write_text(READ[name])
    assert unreadable(file) is None
