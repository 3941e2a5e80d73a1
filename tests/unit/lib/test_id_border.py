"""The kernel's numbers of users and groups are for the kernel: a text shows them only where that is meant.

mypy refuses to return or store a `KernelUid` as an int, but formatting takes anything. So no formatted value in kernel
code is an attribute, a parameter or a variable that is declared as one: it is `shown_uid(...)` or `uid_for_caller(...)`
for programs, or `int(...)` for the kernel's own log. (A variable without a declaration is not seen.)
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lib.ids import NO_GROUP, NO_ID, NO_USER, OVERFLOW, Extent, IdMap, KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace
from tools.paths import ROOT

SOURCES = sorted((ROOT / "kernel").rglob("*.py"))
DECLARES = re.compile(r"Kernel[UG]id")  # to read a source whole takes long: most need not be
FORMATS = re.compile(r"""\b[rR]?[fF][rR]?["']""")


def is_id(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation).strip("\"'") in ("KernelUid", "KernelGid")


@cache
def id_attributes() -> frozenset[str]:
    """The names of attributes that are declared as such anywhere in the kernel."""
    return frozenset(
        node.target.attr
        for source in map(Path.read_text, SOURCES)
        if DECLARES.search(source)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute) and is_id(node.annotation)
    )


def id_names(function: ast.AST) -> set[str]:
    """The parameters and variables of a function that are declared as such."""
    arguments = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg) and is_id(node.annotation)}
    return arguments | {
        node.target.id
        for node in ast.walk(function)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and is_id(node.annotation)
    }


def findings(source: str) -> list[int]:
    """The lines in which such a number is formatted."""
    if not FORMATS.search(source):
        return []
    tree = ast.parse(source)
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if DECLARES.search(source) else []
    lines = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.FormattedValue)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in id_attributes()
    }
    for scope in scopes:
        names = id_names(scope)
        lines |= {
            node.lineno
            for node in ast.walk(scope)
            if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) and node.value.id in names
        }
    return sorted(lines)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('f"{inode.uid}"', [1]),
        ('\nf"{who.egid:5d}"\nf"{devpts.gid}"', [2, 3]),
        ('def f(a: KernelUid, b: int):\n return f"{a}"\ndef g(a: int):\n return f"{a}"', [2]),
        ('f"{int(inode.uid)} {namespace.shown_uid(inode.uid)} {uid}"', []),
    ],
)
def test_what_is_found(source: str, lines: list[int]) -> None:
    assert findings(source) == lines


def test_texts_show_no_number_of_the_kernel() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in SOURCES for line in findings(path.read_text())]
    assert found == []
    assert {"uid", "fsgid", "owner_uid", "root_gid"} <= id_attributes()


# ---- Maps -----------------------------------------------------------------------------------------------------------


@st.composite
def maps(draw: st.DrawFn) -> list[Extent]:
    """Extents that do not overlap on either side, in any order."""
    counts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    inside, kernel = 0, 1000
    found = []
    for count in counts:
        inside += draw(st.integers(0, 3))
        found.append(Extent(inside, 0, count))
        inside += count
    for extent in draw(st.permutations(found)):
        kernel += draw(st.integers(0, 3))
        extent.kernel = kernel
        kernel += extent.count
    return draw(st.permutations(found))


@given(maps())
def test_a_map_is_what_its_extents_say(extents: list[Extent]) -> None:
    tested = IdMap(extents)
    model = {each.inside + i: each.kernel + i for each in extents for i in range(each.count)}
    back = {kernel: inside for inside, kernel in model.items()}
    for number in range(-1, 120):
        assert tested.to_kernel(number) == model.get(number, NO_ID)
        assert tested.from_kernel(number + 1000) == back.get(number + 1000, NO_ID)


@given(maps(), st.integers(0, 80), st.integers(1, 8))
def test_a_range_lies_in_one_extent(extents: list[Extent], first: int, count: int) -> None:
    holds = any(each.inside <= first and first + count <= each.inside + each.count for each in extents)
    assert (IdMap(extents).to_kernel(first, count) != NO_ID) == holds


def test_the_border() -> None:
    below = UserNamespace(FIRST_USER, 0, KernelUid(1000), KernelGid(1000))
    assert below.kernel_uid(0) == NO_USER and below.shown_uid(KernelUid(1000)) == OVERFLOW.user
    below.uids = IdMap([Extent(0, 1000, 10)])
    assert below.kernel_uid(5) == KernelUid(1005) and below.kernel_uid(10) == NO_USER
    assert below.kernel_gid(5) == NO_GROUP
    assert (below.shown_uid(KernelUid(1009)), below.uid_or_none(KernelUid(1010))) == (9, NO_ID)
    assert FIRST_USER.contains(below) and not below.contains(FIRST_USER) and below.contains(below)
    assert FIRST_USER.shown_uid(KernelUid(77)) == 77
