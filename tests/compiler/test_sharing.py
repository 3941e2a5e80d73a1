"""Instances of generic functions that are the same have one body, and others have none of it."""

from __future__ import annotations

import re

from compiler.lower.interfaces import NoDebugInfo, Options
from compiler.lower.module import Module
from compiler.lower.sharing import classes, share_bodies


def body(name: str, *lines: str) -> tuple[str, str]:
    return name, "\n".join([f'define LINKAGE void @"{name}"(ptr %p1) #0 !dbg !{len(name)} {{', *lines, "}"])


def call(name: str, number: int = 1) -> str:
    return f'  call void @"{name}"(ptr %p1), !dbg !{number}'


def trap(number: int) -> str:
    return f'  call void asm sideeffect unwind "ud1l ${{0:c}}(%eax), %eax # {number}", "i"(i32 8) #1'


def same(*functions: tuple[str, str]) -> set[frozenset[str]]:
    return {frozenset(members) for members in classes(dict(functions), {}) if len(members) > 1}


def test_debug_information_and_traps_do_not_matter() -> None:
    variable = "    #dbg_declare(ptr %s1, !{}, !DIExpression(), !{})"
    first = body("f[int]", variable.format(1, 2), trap(1), "  ret void, !dbg !4")
    other = body("f[Task]", variable.format(3, 4), trap(2), "  ret void, !dbg !5")
    assert same(first, other) == {frozenset({"f[int]", "f[Task]"})}


def test_what_they_do_matters() -> None:
    functions = [body("f[int]", "  ret void"), body("f[Task]", "  unreachable"), body("g[int]", "  ret void")]
    assert not same(*functions)
    types = [body(f"f[{t}]", f'  store ptr @"krait.type.{t}", ptr %p1', "  ret void") for t in ("A", "B")]
    assert not same(*types)
    alike = {"krait.type.A": "an array of references", "krait.type.B": "an array of references"}
    assert classes(dict(types), alike) == [["f[A]", "f[B]"]]
    assert len(classes(dict(types), alike | {"krait.type.B": "an array of numbers"})) == 2


def test_what_they_call_matters() -> None:
    """`h` is the same if `g` is, which is if `f` is."""
    names = ("A", "B", "C")
    chain = [body(f"{f}[{t}]", call(f"{g}[{t}]"), "  ret void") for f, g in (("h", "g"), ("g", "f")) for t in names]
    leaves = [body("f[A]", "  ret void"), body("f[B]", "  ret void"), body("f[C]", "  unreachable")]
    assert same(*chain, *leaves) == {frozenset({f"{name}[A]", f"{name}[B]"}) for name in "fgh"}


def test_circles() -> None:
    """Each calls itself, or each other in turn."""
    itself = [body(f"f[{t}]", call(f"f[{t}]"), "  ret void") for t in ("A", "B")]
    assert same(*itself) == {frozenset({"f[A]", "f[B]"})}
    assert not same(body("f[A]", call("f[B]"), "  ret void"), body("f[B]", call("f[B]"), "  ret void"))


def module_of(*functions: tuple[str, str]) -> Module:
    module = Module("test", Options("kernel", True), NoDebugInfo())
    for name, text in functions:
        module.define(name, text)
    return module


def test_others_become_names() -> None:
    module = module_of(
        body("f[A]", "  ret void"), body("f[B]", "  ret void"), body("f[C]", "  ret void"), body("user", call("f[A]"))
    )
    assert share_bodies(module, {"f[B]", "f[C]"}, set(), {}) == 2
    assert set(module.definitions) == {"f[B]", "f[C]", "user"}
    assert module.definitions["f[C]"] == '@"f[C]" = dso_local hidden alias void (), ptr @"f[B]"'
    assert call("f[B]") in module.definitions["user"]


def test_some_are_kept_apart() -> None:
    module = module_of(body("f[A]", "  ret void"), body("f[B]", "  ret void"), body("plain", "  ret void"))
    before = dict(module.definitions)
    assert share_bodies(module, set(), {"f[B]"}, {}) == 0
    assert module.definitions == before


def test_a_trap_keeps_no_more_than_a_call_does() -> None:
    """A clean-up in which it lands finds registers as they are after a call; the kernel uses no wide ones."""
    host, kernel = (Module("test", Options(target), NoDebugInfo()).trap(8) for target in ("host", "kernel"))
    narrow = {"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "flags"}
    assert set(re.findall(r"~{(\w+)}", kernel)) == narrow
    assert set(re.findall(r"~{(\w+)}", host)) == narrow | {f"xmm{number}" for number in range(16)}
