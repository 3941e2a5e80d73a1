"""Draw which room of the kernel imports which into docs/imports.svg: `python -m tools.import_map`.

The rooms are those of docs/architecture.md, lowest first, as rows and as columns; a mark says that a module of the
row's room imports one of the column's. Imports run downwards, so nothing lies above the diagonal.
`tests/unit/test_layers.py` holds the code to the same imports, and the picture to what is drawn here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tools.paths import ROOT

PICTURE = ROOT / "docs" / "imports.svg"
CELL = 12
LEFT = 170
TOP = 150
INK = "#24476b"
KERNEL = ("kernel", "arch")


class Import(NamedTuple):
    importer: str
    imported: str
    line: int
    only_types: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules(tops: tuple[str, ...] = KERNEL) -> dict[str, Path]:
    """Those of the kernel and the architecture, or below other directories, by name."""
    return {module_name(path): path for top in tops for path in (ROOT / top).rglob("*.py")}


def is_type_checking(statement: ast.stmt) -> bool:
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def import_statements(node: ast.AST, only_types: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """All of them, those in functions as well, and whether each is there for types alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, only_types
        else:
            yield from import_statements(child, only_types or (isinstance(child, ast.stmt) and is_type_checking(child)))


@cache
def imports(tops: tuple[str, ...] = KERNEL) -> list[Import]:
    """All imports of modules by modules."""
    found = []
    known = modules(tops)
    for name, path in known.items():
        for statement, only_types in import_statements(ast.parse(path.read_text())):
            if isinstance(statement, ast.Import):
                targets = [alias.name for alias in statement.names]
            else:
                assert statement.module is not None and statement.level == 0, f"{path}: a relative import"
                inside = [f"{statement.module}.{alias.name}" for alias in statement.names]
                targets = [target if target in known else statement.module for target in inside]
            found += [Import(name, target, statement.lineno, only_types) for target in targets if target in known]
    return found


@cache
def layers() -> dict[str, int]:
    """Rooms and their heights, from the table of the architecture page."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split("## Rooms and layers", 1)[1].split("\n## ", 1)[0]
    rooms = re.findall(r"^\| `((?:kernel|arch)(?:/\w+)*)` \|", section, re.MULTILINE)
    return {room.replace("/", "."): height for height, room in enumerate(rooms)}


@cache
def room_of(module: str) -> str | None:
    """The innermost room that the module lies in."""
    rooms = [room for room in layers() if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


def text(x: int, y: int, words: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}"{more}>{words}</text>'


def draw(rooms: list[str], edges: set[tuple[str, str]]) -> str:
    """The picture, of rooms from the lowest up and of pairs: importer, imported."""
    side = len(rooms) * CELL
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + side + 10} {TOP + side + 10}" '
        f'font-family="sans-serif" font-size="9" fill="#222">',
        "<title>Which room of the kernel imports which</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, room in enumerate(rooms):
        start = place * CELL
        name = room.replace(".", "/")
        if place % 2 == 0:
            for x, y, width, height in ((LEFT, TOP + start, side, CELL), (LEFT + start, TOP, CELL, side)):
                parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#888" opacity="0.1"/>')
        parts.append(text(LEFT - 4, TOP + start + 9, name, ' text-anchor="end"'))
        parts.append(text(0, 0, name, f' transform="translate({LEFT + start + 9} {TOP - 4}) rotate(-90)"'))
        parts.append(
            f'<rect x="{LEFT + start + 1}" y="{TOP + start + 1}" width="{CELL - 2}" height="{CELL - 2}" fill="#ccc"/>'
        )
    places = {room: place for place, room in enumerate(rooms)}
    for row, column in sorted((places[importer], places[imported]) for importer, imported in edges):
        parts.append(
            f'<rect x="{LEFT + column * CELL + 2}" y="{TOP + row * CELL + 2}" width="{CELL - 4}" height="{CELL - 4}" '
            f'fill="{INK}"><title>{rooms[row]} imports {rooms[column]}</title></rect>'
        )
    return "\n".join([*parts, "</svg>\n"])


def picture() -> str:
    """Of the kernel as it is."""
    edges = {(room_of(each.importer), room_of(each.imported)) for each in imports()}
    named = {(upper, lower) for upper, lower in edges if upper is not None and lower is not None and upper != lower}
    return draw(list(layers()), named)


if __name__ == "__main__":
    PICTURE.write_text(picture())
