"""Fill the line counts of docs/reading-order.md in from the source: `python -m tools.reading_order`.

The page names places in two notations; a path is relative to the root of the repository:

- in the spine, an item of a list: - `kernel/ipc/pipe.py`: `Pipe.read`, `ring_size` (60 lines). Without names it is the
  whole file. A name is a function, a class, a method, or a label of assembly, which reaches to the next global label or
  heading. The docstring of the file counts too.
- in a chapter, a row of a table: | `kernel/mm/slabs.py`, `heap.py` | 740 | what to look for |. A file without a
  directory lies in that of the one before; a directory, with a slash at its end, is everything in it that no other row
  names.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tools.paths import ROOT

PAGE = ROOT / "docs" / "reading-order.md"
WIDTH = 120
SPINE_LIMIT = 6000  # lines: a weekend
TREES = ("boot", "arch", "kernel", "compiler")
"""Every file of these with code in it has a place in one chapter."""

ITEM = re.compile(r"^- `(?P<path>[^`]+)`(?::(?P<names>(?: `[^`]+`,?)+))? \((?P<lines>[\d,]+) lines?\)")
ROW = re.compile(r"^\| (?P<files>`[^|]+`) \| (?P<lines>[\d,]+) \| ")
CONTENTS = re.compile(r"(?<=<!-- contents: begin -->\n).*(?=<!-- contents: end -->)", re.DOTALL)


class Place(NamedTuple):
    """What an item or a row names, and the number of lines that the page gives it."""

    path: str
    names: tuple[str, ...]  # empty: the whole file, or directory
    stated: int


class Part(NamedTuple):
    """A step of the spine or a chapter, with an entry for each of its items or rows."""

    title: str
    is_spine: bool
    entries: list[list[Place]]


# ---- The source ---------------------------------------------------------------------------------------------------


def has_code(path: Path) -> bool:
    """Whether a file must be named: a package's __init__.py may only say what the package is, and pass names on."""
    if path.name != "__init__.py":
        return True
    faces = (ast.Import, ast.ImportFrom, ast.Assign)
    return not all(is_docstring(node) or isinstance(node, faces) for node in ast.parse(path.read_text()).body)


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@cache
def sources() -> frozenset[str]:
    """Paths of all files that a chapter must name."""
    found = [path for tree in TREES for suffix in ("*.py", "*.S") for path in (ROOT / tree).rglob(suffix)]
    return frozenset(str(path.relative_to(ROOT)) for path in found if has_code(path))


def files_of(path: str, named: set[str]) -> list[str]:
    """The files that a path of the page means; `named` are those that it names one by one. Raises KeyError."""
    if not path.endswith("/"):
        if not (ROOT / path).is_file():
            raise KeyError(f"{path}: there is no such file")
        return [path]
    found = [source for source in sorted(sources() - named) if source.startswith(path)]
    if not found:
        raise KeyError(f"{path}: there is nothing else in this directory")
    return found


def lines_of_names(path: str, names: tuple[str, ...]) -> set[int]:
    """The numbers of the lines that are read. Raises KeyError for a name that is not there."""
    text = (ROOT / path).read_text()
    if not names:
        return set(range(1, len(text.splitlines()) + 1))
    found = assembly_places(text) if path.endswith(".S") else python_places(text)
    missing = [name for name in names if name not in found]
    if missing:
        raise KeyError(f"{path}: there is no {', '.join(missing)}")
    return set().union(found.get("", range(0)), *(found[name] for name in names))


def python_places(text: str) -> dict[str, range]:
    """Functions, classes and methods with their lines, decorators included; under "" the module's docstring."""
    tree = ast.parse(text)
    found: dict[str, range] = {}
    if tree.body and is_docstring(tree.body[0]):
        found[""] = range(1, (tree.body[0].end_lineno or 0) + 1)

    def enter(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                found[prefix + node.name] = range(first, (node.end_lineno or node.lineno) + 1)
                if isinstance(node, ast.ClassDef):
                    enter(node.body, f"{prefix}{node.name}.")

    enter(tree.body, "")
    return found


def assembly_places(text: str) -> dict[str, range]:
    """Labels, each to the next global label or heading; under "" the comment that opens the file."""
    lines = text.splitlines()
    borders = [i for i, line in enumerate(lines) if re.match(r"\.globl|# ----", line)] + [len(lines)]
    found = {"": range(1, next(i for i, line in enumerate(lines) if not line.startswith("#")) + 1)}
    for i, line in enumerate(lines):
        label = re.match(r"(\w*[A-Za-z_]\w*):", line)
        if label:
            found[label[1]] = range(i + 1, next(border for border in borders if border > i) + 1)
    return found


def lines_of(places: list[Place], named: set[str]) -> int:
    """How many lines these are."""
    return sum(len(lines_of_names(path, place.names)) for place in places for path in files_of(place.path, named))


# ---- The page -----------------------------------------------------------------------------------------------------


def number(text: str) -> int:
    return int(text.replace(",", ""))


def blocks(text: str) -> list[str]:
    """The page in pieces that have one meaning each: an item of a list with all its lines, or any other line."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith("  ") and found and found[-1].startswith("- "):
            found[-1] += " " + line.strip()
        else:
            found.append(line)
    return found


def entry_of(block: str) -> list[Place] | None:
    """The places that an item or a row names; None for everything else."""
    item = ITEM.match(block)
    if item:
        names = tuple(re.findall(r"`([^`]+)`", item["names"] or ""))
        return [Place(item["path"], names, number(item["lines"]))]
    row = ROW.match(block)
    if row is None:
        return None
    places: list[Place] = []
    directory = ""
    for path in re.findall(r"`([^`]+)`", row["files"]):
        if "/" in path:
            directory = path[: path.rfind("/") + 1]
        places.append(Place(path if "/" in path else directory + path, (), number(row["lines"])))
    return places


def parts(text: str) -> list[Part]:
    """The steps of the spine, and the chapters, in their order."""
    found: list[Part] = []
    is_spine = False
    for block in blocks(text):
        if block.startswith("## "):
            is_spine = "spine" in block.lower()
        elif block.startswith("### "):
            found.append(Part(block.removeprefix("### "), is_spine, []))
        entry = entry_of(block)
        if entry is not None:
            found[-1].entries.append(entry)
    return found


def named_files(text: str) -> set[str]:
    """What the chapters name one by one."""
    entries = [entry for part in parts(text) if not part.is_spine for entry in part.entries]
    return {place.path for entry in entries for place in entry}


def spine_lines(text: str) -> int:
    """Lines of the spine; what two steps name counts once."""
    read: dict[str, set[int]] = {}
    for part in parts(text):
        for place in [place for entry in part.entries for place in entry if part.is_spine]:
            read.setdefault(place.path, set()).update(lines_of_names(place.path, place.names))
    return sum(len(lines) for lines in read.values())


def problems(text: str) -> list[str]:
    """What the page gets wrong about the source, but for numbers: files without a row, places that are not there."""
    found: list[str] = []
    named = named_files(text)
    held: Counter[str] = Counter()
    for part in parts(text):
        for place in [place for entry in part.entries for place in entry]:
            try:
                files = files_of(place.path, named)
                for path in files:
                    lines_of_names(path, place.names)
            except KeyError as error:
                found.append(error.args[0])
                continue
            if not part.is_spine:
                held.update(files)
    found += [f"{path}: no row in a chapter names it" for path in sorted(sources() - set(held))]
    found += [f"{path}: {count} rows name it" for path, count in held.items() if count > 1]
    return found


def contents(text: str) -> str:
    """The table of steps and chapters."""
    rows = ["| | lines |", "| --- | ---: |"]
    rows.append(f"| **The spine** | **{spine_lines(text):,}** |")
    chapters = ["| **The chapters** | |"]
    named = named_files(text)
    for part in parts(text):
        total = sum(lines_of(entry, named) for entry in part.entries)
        (rows if part.is_spine else chapters).append(f"| {part.title} | {total:,} |")
    return "\n".join(rows + chapters) + "\n"


def refreshed(text: str) -> str:
    """The page with all its numbers right."""
    done: list[str] = []
    named = named_files(text)
    for block in blocks(text):
        entry = entry_of(block)
        if entry is not None and block.startswith("- "):
            count = lines_of(entry, named)
            block = re.sub(r"\([\d,]+ lines?\)", f"({count:,} line{'s' if count != 1 else ''})", block, count=1)
        elif entry is not None:
            block = re.sub(r" \| [\d,]+ \| ", f" | {lines_of(entry, named):,} | ", block, count=1)
        if block.startswith("- "):
            block = textwrap.fill(
                block, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
        done.append(block)
    page = "\n".join(done) + "\n"
    return CONTENTS.sub(lambda _: contents(page), page)


def main() -> None:
    text = PAGE.read_text()
    wrong = problems(text)
    if wrong:
        sys.exit("\n".join(wrong))
    page = refreshed(text)
    PAGE.write_text(page)
    print(f"the spine has {spine_lines(page):,} lines, {SPINE_LIMIT:,} at most")


if __name__ == "__main__":
    main()
