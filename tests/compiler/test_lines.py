"""The line table: what DWARF says comes out again, inlined frames included."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from compiler.backend import KERNEL, compile_modules
from compiler.lines import FrameLine, ObjectLines, Placed, Table, build, extract

BASE = 0xFFFF_FFFF_8000_0000

IR = """
define i64 @f(i64 %x) !dbg !4 {
  %y = call i64 @g(i64 %x), !dbg !6
  ret i64 %y, !dbg !6
}
define internal i64 @g(i64 %x) alwaysinline !dbg !7 {
  %y = call i64 @outside(i64 %x), !dbg !8
  %z = add i64 %y, %x, !dbg !9
  ret i64 %z, !dbg !9
}
declare i64 @outside(i64)
define i64 @rare(i64 %x) cold !dbg !10 {
  %y = call i64 @g(i64 %x), !dbg !11
  ret i64 %y, !dbg !11
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!1, !2}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !3, emissionKind: FullDebug)
!1 = !{i32 2, !"Debug Info Version", i32 3}
!2 = !{i32 7, !"Dwarf Version", i32 5}
!3 = !DIFile(filename: "kernel/a.py", directory: ".")
!4 = distinct !DISubprogram(name: "f", file: !3, line: 1, scopeLine: 1, type: !5, unit: !0, spFlags: DISPFlagDefinition)
!5 = !DISubroutineType(types: !{})
!6 = !DILocation(line: 2, scope: !4)
!7 = distinct !DISubprogram(name: "A.g", file: !12, line: 11, type: !5, unit: !0, spFlags: DISPFlagDefinition)
!8 = !DILocation(line: 12, scope: !7)
!9 = !DILocation(line: 13, scope: !7)
!10 = distinct !DISubprogram(name: "rare", file: !3, line: 20, type: !5, unit: !0, spFlags: DISPFlagDefinition)
!11 = !DILocation(line: 21, scope: !10)
!12 = !DIFile(filename: "/elsewhere/b.py", directory: "/")
"""


def test_inlined_calls_in_several_sections(tmp_path: Path) -> None:
    path = compile_modules({"a": IR}, KERNEL, "release", cache=tmp_path).objects["a"]
    lines = extract(path.read_bytes())
    assert lines == ObjectLines(**vars(extract(path.read_bytes())))
    sections = sorted(lines.rows)
    assert len(sections) == 2, "the cold function has a section of its own"
    placed = [Placed(lines, name, BASE + 0x1000 * (i + 1), 64) for i, name in enumerate(sections)]
    table = Table(build(placed, BASE))
    callers = (FrameLine("kernel/a.py", 2, "f"), FrameLine("kernel/a.py", 21, "rare"))
    for number, (name, outer) in enumerate(zip(sections, callers, strict=True)):
        seen = [tuple(table.frames(BASE + 0x1000 * (number + 1) + offset)) for offset, _, _ in lines.rows[name]]
        assert (FrameLine("/elsewhere/b.py", 12, "A.g"), outer) in seen
        assert (FrameLine("/elsewhere/b.py", 13, "A.g"), outer) in seen


def test_the_cached_form_is_the_same(tmp_path: Path) -> None:
    path = compile_modules({"a": IR}, KERNEL, "dev", cache=tmp_path).objects["a"]
    again = ObjectLines.from_json(path.with_suffix(".lines").read_text())
    lines = extract(path.read_bytes())
    assert build([Placed(again, ".text", BASE, 100)], BASE) == build([Placed(lines, ".text", BASE, 100)], BASE)


def test_nothing_is_known_outside() -> None:
    table = Table(build([Placed(ObjectLines(), ".text", BASE + 64, 10)], BASE))
    for address in (0, BASE, BASE + 64, BASE + 200, 1 << 64):
        assert list(table.frames(address)) == []


def test_code_without_lines_does_not_belong_to_what_is_before_it() -> None:
    known = ObjectLines([("f", "a.py")], [(0, 0, 0), (0, 0, 0)], {".text": [(0, 5, 1)]})
    table = Table(build([Placed(known, ".text", BASE, 16), Placed(ObjectLines(), ".text", BASE + 16, 16)], BASE))
    assert list(table.frames(BASE + 15)) == [FrameLine("a.py", 5, "f")]
    assert list(table.frames(BASE + 16)) == []


@st.composite
def objects(draw: st.DrawFn) -> ObjectLines:
    functions = [(f"f{i}", f"file{i % 3}.py") for i in range(draw(st.integers(1, 5)))]
    scopes = [(0, 0, 0)]
    for number in range(1, draw(st.integers(2, 12))):
        parent = draw(st.integers(0, number - 1))
        scopes.append((draw(st.integers(0, len(functions) - 1)), draw(st.integers(0, 0xFFFF)) if parent else 0, parent))
    offsets = sorted(draw(st.sets(st.integers(0, 5000), min_size=1, max_size=150)))
    row = st.tuples(st.integers(1, 70_000), st.integers(0, len(scopes) - 1))
    return ObjectLines(functions, scopes, {".text": [(offset, *draw(row)) for offset in offsets]})


@given(objects(), st.integers(0, 5100))
def test_every_address_finds_its_row(lines: ObjectLines, probe: int) -> None:
    table = Table(build([Placed(lines, ".text", BASE + 4096, 5001)], BASE))
    before = [row for row in lines.rows[".text"] if row[0] <= probe]
    expected: list[FrameLine] = []
    if before and probe < 5001:
        _, line, scope = before[-1]
        while scope:
            function, call_line, parent = lines.scopes[scope]
            name, file = lines.functions[function]
            expected.append(FrameLine(file, line, name))
            line, scope = call_line, parent
    assert list(table.frames(BASE + 4096 + probe)) == expected
