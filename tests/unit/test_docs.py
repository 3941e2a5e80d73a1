"""The pages of docs/: one width, links to what is there, and plain English there and in the comments of sources."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tools.front_end import EXAMPLES
from tools.paths import ROOT

WIDTH = 120
GENERATED = {"compatibility.md", "performance-twins.md", "proc-files.md"}
COMPATIBILITY = ROOT / "docs" / "compatibility.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Habits of other languages' grammar, and what to write.
PHRASES = {
    r"\b(for|by|to|of|with|from) who\b": "whoever, callers",
    r"(?:^|[.;:] )\**Who (?!am\b|is\b|are\b|does\b|has\b|maps\b)[a-z]+\b(?![^.:]*\?)": "the thread that, a caller that",
    r"\b[Bb]ehind (the|a|its|their) (end|last|first|handler|label|loop|try|sequence|table|header|gap)\b": "past, after",
    r"\b[Cc]osts nothing where\b": "is free where",
    r"\bleads? further\b": "forwards more",
    r"\bso many (?!(and|extents|that)\b)": "that many",
    r"\b(is|are|was|were) told\b(?! otherwise)": "sees, gets, is notified of",
    r"\bin vain\b": "finds nothing, without effect",
}
# The same with less around them, and with any white space or sign of a comment between words: a source in which none of
# it is has no such habit.
NEGATIVE = re.compile(r"\(\?!(?:[^()]|\([^()]*\))*\)")
HINTS = re.compile("|".join(
    NEGATIVE.sub("", phrase).replace("(?:^|[.;:] )", "").replace(" ", r"[\s#*/]+") for phrase in PHRASES
))  # fmt: skip
ROOMS = ("arch", "boot", "compiler", "kernel", "tests", "tools", "userland")
NOT_SOURCES = {
    ROOT / "tests/unit/test_docs.py",
    ROOT / "tests/compiler/fail/syntax.py",  # is no Python
}
COMMENT_OF_C = re.compile(r"/\*(.*?)\*/|((?:^[ \t]*(?:#|//) [^\n]*\n)+)|(?:#|//) ([^\n]*)$", re.DOTALL | re.MULTILINE)
VARIABLE = re.compile(r"environ(?:\.get)?[(\[]\s*\"(KRAIT_(?!UPDATE|KERNEL)\w+)\"")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]*)(?:#(?P<section>[^)]*))?\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines, with their numbers, that are neither code nor of a table."""
    is_fenced = False
    is_code = False
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        is_code = line.startswith("    ") and (is_code or not before)
        before = line
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif not is_fenced and not is_code and not line.startswith("|"):
            yield number, line


def anchors(page: Path) -> set[str]:
    """What links can name: headings as web pages of repositories write them."""
    headings = [line.lstrip("# ") for line in page.read_text().splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in GENERATED], ids=name_of)
def test_pages_have_one_width(page: Path) -> None:
    assert [f"line {number}" for number, line in prose(page.read_text()) if len(line) > WIDTH and " " in line] == []


def paragraphs(page: Path) -> Iterator[tuple[int, str]]:
    """The paragraphs, items and rows of a page, each as one line with the number of its first."""
    begin, last = 0, 0
    parts: list[str] = []
    is_fenced = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        is_mark = line.lstrip().startswith("```")
        is_fenced ^= is_mark
        is_out = is_fenced or is_mark or line.startswith("#") or (line.startswith("    ") and not parts)
        text = "" if is_out else line.strip(" |")
        if parts and (not text or number != last + 1 or re.match(r"\s*([-*] |\d+\. |\|)", line)):
            yield begin, " ".join(parts)
            parts = []
        if text:
            begin = begin if parts else number
            parts.append(re.sub(r"^([-*]|\d+\.) ", "", text))
            last = number
    if parts:
        yield begin, " ".join(parts)


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Comments and docstrings of a source, each as one line with the number of its first."""
    if path.suffix == ".py":
        last, begin = -1, 0
        parts: list[str] = []
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.COMMENT:
                if token.start[0] != last + 1 or token.line[: token.start[1]].strip():
                    yield begin, " ".join(parts)
                    begin, parts = token.start[0], []
                parts.append(token.string.strip("# "))
                last = token.start[0]
            elif token.type == tokenize.STRING and token.string.startswith('"""'):
                yield token.start[0], re.sub(r"\s*\n\s*", " ", token.string.strip('" \n'))
        yield begin, " ".join(parts)
    else:
        text = path.read_text()
        for found in COMMENT_OF_C.finditer(text):
            comment = re.sub(r"\s*\n\s*(\*|#|//)?\s*", " ", found[1] or found[2] or found[3] or "")
            yield text.count("\n", 0, found.start()) + 1, comment.strip("#/ ")


def habits(texts: Iterable[tuple[int, str]], phrases: dict[str, str]) -> list[str]:
    """What to write instead, by line."""
    return [
        f"line {number}: not “{found[0].strip()}”: {instead}"
        for number, text in texts
        for phrase, instead in phrases.items()
        if (found := re.search(phrase, text))
    ]


def habits_of_source(path: Path) -> list[str]:
    """Those of its comments, which take long to find: few sources have a hint of one."""
    return habits(comments(path), PHRASES) if HINTS.search(path.read_text()) else []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_are_plain(page: Path) -> None:
    assert habits(paragraphs(page), PHRASES) == []


@pytest.mark.parametrize("room", ROOMS)
def test_sources_are_plain(room: str) -> None:
    found = []
    for path in sorted((ROOT / room).rglob("*")):
        if path.suffix in {".py", ".S", ".c", ".h"} and path not in NOT_SOURCES:
            found += [f"{name_of(path)}: {habit}" for habit in habits_of_source(path)]
    assert found == []


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("page.md", "# Who may\n\n- It is kept for\n  who asks.\n", 3),
        ("page.md", "| what | it is |\n| --- | --- |\n| bytes | are told |\n", 3),
        ("source.py", 'X = 1\n"""A lock. Who\nwaits sleeps."""\n', 2),
        ("source.py", "# It looks in\n# vain.\nX = 1\n", 1),
        ("source.py", "X = 1\n\n# Bytes for\n#   who asks.\n", 3),
        ("source.py", '"""A lock.\n\n    It leads\n    further.\n    """\n', 1),
        ("source.c", "int x;\n/* Bytes behind the\n * end. */\n", 2),
        ("source.S", "nop\n# room for so\n# many words\n", 2),
    ],
)
def test_habits_are_found(tmp_path: Path, name: str, text: str, line: int) -> None:
    """Over two lines, in rows of tables, and in each kind of source."""
    path = tmp_path / name
    path.write_text(text)
    found = habits(paragraphs(path), PHRASES) if path.suffix == ".md" else habits_of_source(path)
    assert [each.partition(":")[0] for each in found] == [f"line {line}"]


def test_pages_name_what_makes_tests_longer() -> None:
    """Each variable that a test reads stands in a page, and what is skipped without one in "What takes minutes"."""
    pages = "".join(page.read_text() for page in PAGES)
    rows = (ROOT / "docs" / "testing.md").read_text().partition("## What takes minutes")[2].partition("\n## ")[0]
    lost = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        named = [each for each in VARIABLE.findall(text) if not re.search(rf"`{each}\b", pages)]
        lost += [f"{name_of(path)}: no page names {each}" for each in named]
        if re.search(r"skipif\(not [A-Z]", text) and f"`{name_of(path)}`" not in rows:
            lost.append(f"{name_of(path)}: skipped without a variable, and not in the table")
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text())  # a[0](1) of a program is no link
    for link in LINK.finditer(text):
        if "://" in link["target"]:
            continue
        target = page.parent / link["target"] if link["target"] else page
        assert target.exists(), link[0]
        if link["section"]:
            assert link["section"] in anchors(target), link[0]


def named_places() -> list[tuple[str, Path]]:
    """Names in links to Python files: [`WaitQueue`](../kernel/sched/wait.py)."""
    found = []
    for page in PAGES:
        text = FENCED.sub("", page.read_text())  # a[0](1) of a program is no link
        for link in LINK.finditer(text):
            name = re.fullmatch(r"`(\w+)`", link["text"])
            if name and link["target"].endswith(".py"):
                found.append((name[1], (page.parent / link["target"]).resolve()))
    return found


@pytest.mark.parametrize(("name", "target"), named_places(), ids=lambda part: part if isinstance(part, str) else "")
def test_linked_names_are_there(name: str, target: Path) -> None:
    assert re.search(rf"^\s*(def|class) {name}\b|^{name}: ", target.read_text(), re.MULTILINE)


def test_what_the_readme_lacks_is_missing() -> None:
    """The paragraph names a system call with what is not there yet; as soon as the call is full, it is out of date."""
    status = dict(re.findall(r"^\| \d+ +\| (\w+) +\| (\w[\w ()]*?) +\|", COMPATIBILITY.read_text(), re.MULTILINE))
    (paragraph,) = re.findall(r"^Not there yet: (.*?\.)\n", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    calls = re.findall(r"`(\w+)`", paragraph)
    assert calls and {name: status[name] for name in calls if status[name] != "Partial"} == {}
    assert "namespace" not in paragraph and status["unshare"] == "Full"


# A line of one of our files, after the function that a traceback, or before that a debugger's frame shows.
FILE = r"(?P<file>(?:kernel|arch|boot|compiler|tools|userland|tests)/[\w/]+\.\w+)"
TRACEBACK_LINE = re.compile(rf'File "{FILE}", line (?P<line>\d+), in (?P<function>[\w.]+)')
FRAME = re.compile(rf"(?P<function>[\w.]+) \([^\n]*\) at {FILE}:(?P<line>\d+)")
BARE_LINE = re.compile(rf"{FILE}:(?P<line>\d+)")
FUNCTION_OF_GDB = re.compile(r"\bbreak (?P<function>(?:kernel|arch)(?:\.\w+)+)")


def shown_texts() -> list[tuple[str, str]]:
    """What shows places of the source to a reader: the pages, and the examples of the help."""
    pages = [(name_of(page), page.read_text()) for page in PAGES]
    return [*pages, ("examples of the help", "\n".join(line for lines in EXAMPLES.values() for line in lines))]


def functions_of(path: Path) -> Iterator[tuple[str, int, int]]:
    """Qualified name, first and last line of each function, outer ones first."""

    def visit(node: ast.AST, before: str) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from visit(child, before)
                continue
            name = f"{before}{child.name}"
            if not isinstance(child, ast.ClassDef):
                assert child.end_lineno is not None
                yield name, child.lineno, child.end_lineno
            yield from visit(child, f"{name}.")

    yield from visit(ast.parse(path.read_text()), "")


def function_at(path: Path, line: int) -> str:
    """The innermost function that a line lies in, or ""."""
    return next((name for name, first, last in reversed([*functions_of(path)]) if first <= line <= last), "")


def test_a_line_is_found_in_its_function() -> None:
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "yield name, child" in text)
    assert function_at(Path(__file__), line) == "functions_of.visit" and function_at(Path(__file__), 1) == ""


@pytest.mark.parametrize(("name", "text"), shown_texts(), ids=lambda part: part if "\n" not in part else "")
def test_lines_lie_in_the_functions_that_are_shown(name: str, text: str) -> None:
    """What is shown without a function has a line that moves unseen: a page names a function there."""
    named = [*TRACEBACK_LINE.finditer(text), *FRAME.finditer(text)]
    for found in named:
        path = ROOT / found["file"]
        module = found["file"].removesuffix(".py").replace("/", ".")
        function = found["function"].removeprefix(f"{module}.")
        assert function_at(path, int(found["line"])) == function, f"{name}: {found[0]}"
    starts = {found.start("file") for found in named}
    assert [found[0] for found in BARE_LINE.finditer(text) if found.start("file") not in starts] == []


@pytest.mark.parametrize(("name", "text"), shown_texts(), ids=lambda part: part if "\n" not in part else "")
def test_functions_to_stop_at_are_there(name: str, text: str) -> None:
    for found in FUNCTION_OF_GDB.finditer(text):
        parts = found["function"].split(".")
        (length,) = [n for n in range(1, len(parts)) if (ROOT / ("/".join(parts[:n]) + ".py")).is_file()]
        path = ROOT / ("/".join(parts[:length]) + ".py")
        assert ".".join(parts[length:]) in [each for each, _, _ in functions_of(path)], f"{name}: {found[0]}"
