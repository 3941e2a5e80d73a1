"""The layers of docs/architecture.md: every module has a room, imports run downwards, and there are no circles."""

from __future__ import annotations

import re

import pytest

from tools.import_map import KERNEL, PICTURE, imports, layers, modules, picture, room_of
from tools.paths import ROOT

PACKAGES_OF_ROOMS = {"kernel", "kernel.drivers", "kernel.net"}  # their __init__ is a docstring


def test_every_module_has_a_room() -> None:
    assert [name for name in modules() if room_of(name) is None and name not in PACKAGES_OF_ROOMS] == []


def test_every_room_has_modules() -> None:
    assert set(layers()) == {room_of(name) for name in modules()} - {None}


def test_imports_run_downwards() -> None:
    upwards = []
    for found in imports():
        lower, upper = room_of(found.imported), room_of(found.importer)
        if lower is not None and upper is not None and layers()[lower] > layers()[upper]:
            upwards.append(f"{modules()[found.importer].relative_to(ROOT)}:{found.line}: imports {found.imported}")
    assert upwards == []


@pytest.mark.parametrize("tops", [KERNEL, ("compiler", "tools")], ids=" ".join)
def test_no_module_imports_one_that_imports_it(tops: tuple[str, ...]) -> None:
    """Function-local imports count: they hide a circle, they do not open it."""
    below: dict[str, set[str]] = {name: set() for name in modules(tops)}
    for found in imports(tops):
        if not found.only_types and found.imported != found.importer:
            below[found.importer].add(found.imported)
    settled: set[str] = set()
    while True:  # take away whatever needs nothing that is still there: what stays is a circle, or stands above one
        ready = {name for name, needed in below.items() if name not in settled and needed <= settled}
        if not ready:
            break
        settled |= ready
    assert sorted(set(below) - settled) == []


def circles() -> set[frozenset[str]]:
    """Sets of modules of which each leads to each other, by imports for types too."""
    below: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports():
        below[found.importer].add(found.imported)

    def reached(name: str) -> set[str]:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            more = below[waiting.pop()] - seen
            seen |= more
            waiting += more
        return seen

    far = {name: reached(name) for name in modules()}
    alike = [frozenset(other for other in far[name] if name in far[other]) for name in modules() if name in far[name]]
    return {circle for circle in alike if len(circle) > 1}


def named_circles() -> set[frozenset[str]]:
    """Those of the architecture page: one thing in several files."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split("### One thing in several files", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([\w/]+)`: ([^|]*) \|", section, re.MULTILINE)
    return {
        frozenset(f"{room.replace('/', '.')}.{name.replace('/', '.')}" for name in re.findall(r"`([\w/]+)`", names))
        for room, names in rows
    }


def test_circles_of_types_are_things_that_the_page_names() -> None:
    assert {tuple(sorted(circle)) for circle in circles()} == {tuple(sorted(circle)) for circle in named_circles()}


def test_types_refer_back_inside_a_room_only() -> None:
    height = {name: layers()[room_of(name) or name] for name in modules() if name not in PACKAGES_OF_ROOMS}
    of_types = [found for found in imports() if found.only_types]
    assert [found for found in of_types if height[found.imported] > height[found.importer]] == []


def test_the_map_of_imports_is_up_to_date() -> None:
    assert PICTURE.read_text() == picture(), "python -m tools.import_map"
