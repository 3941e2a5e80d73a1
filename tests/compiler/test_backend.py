"""IR text to objects: the cache, and what LLVM refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.backend import HOST, KERNEL, BackendError, compile_modules

GOOD = """
define i64 @f(i64 %x) !dbg !4 {
  %y = add i64 %x, 1, !dbg !6
  ret i64 %y, !dbg !6
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!1, !2}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !3, emissionKind: FullDebug)
!1 = !{i32 2, !"Debug Info Version", i32 3}
!2 = !{i32 7, !"Dwarf Version", i32 5}
!3 = !DIFile(filename: "a.py", directory: ".")
!4 = distinct !DISubprogram(name: "f", file: !3, line: 1, type: !5, unit: !0, spFlags: DISPFlagDefinition)
!5 = !DISubroutineType(types: !{})
!6 = !DILocation(line: 2, scope: !4)
"""


def refusal(ir: str, cache: Path) -> str:
    with pytest.raises(BackendError) as raised:
        compile_modules({"good": GOOD.replace("@f", "@other"), "bad": ir}, KERNEL, "dev", cache=cache)
    assert raised.value.package == "bad"
    return raised.value.message


def test_second_time_comes_from_the_cache(tmp_path: Path) -> None:
    first = compile_modules({"a": GOOD, "b": GOOD.replace("@f", "@g")}, KERNEL, "release", cache=tmp_path)
    second = compile_modules({"a": GOOD}, KERNEL, "release", cache=tmp_path)
    assert first.cached == 0 and second.cached == 1
    assert first.objects["a"] == second.objects["a"]


def test_targets_and_profiles_have_objects_of_their_own(tmp_path: Path) -> None:
    variants = [(KERNEL, "dev"), (KERNEL, "release"), (HOST, "dev")]
    paths = {compile_modules({"a": GOOD}, target, profile, cache=tmp_path).objects["a"] for target, profile in variants}
    assert len(paths) == len(variants)


def test_broken_syntax(tmp_path: Path) -> None:
    assert "expected instruction opcode" in refusal(GOOD.replace("add i64", "ad i64"), tmp_path)


def test_broken_assembly_kills_only_the_worker(tmp_path: Path) -> None:
    ir = 'define void @h() {\n  call void asm sideeffect "bogus ; kernel/a.py:3", ""()\n  ret void\n}'
    message = refusal(ir, tmp_path)
    assert "invalid instruction mnemonic 'bogus'" in message and "kernel/a.py:3" in message


def test_invalid_debug_information_is_an_error(tmp_path: Path) -> None:
    message = refusal(GOOD.replace("scope: !4", "scope: !3"), tmp_path)
    assert "debug information is invalid" in message and "DILocalScope" in message
