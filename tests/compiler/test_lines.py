"""The line table: what DWARF says comes out again, inlined frames included."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from compiler import dwarf
from compiler.backend import KERNEL, compile_modules
from compiler.lines import (
    SECTION_SHIFT,
    FrameLine,
    ObjectLines,
    Placed,
    Table,
    build,
    extract,
    program_rows,
    relocated,
)

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


def test_rows_are_those_that_pyelftools_reads(tmp_path: Path) -> None:
    data = compile_modules({"a": IR}, KERNEL, "dev", cache=tmp_path).objects["a"].read_bytes()
    ours = ELFFile(io.BytesIO(relocated(data))).get_dwarf_info(relocate_dwarf_sections=False)
    theirs = ELFFile(io.BytesIO(data)).get_dwarf_info()
    (our_unit,), (their_unit,) = list(ours.iter_CUs()), list(theirs.iter_CUs())
    rows = [
        (address & (1 << SECTION_SHIFT) - 1, line) for address, line in program_rows(ours.line_program_for_CU(our_unit))
    ]
    entries = theirs.line_program_for_CU(their_unit).get_entries()
    states = [entry.state for entry in entries if entry.state is not None]
    assert rows == [(state.address, None if state.end_sequence else state.line) for state in states]
    assert len(rows) > 6


def test_scopes_are_those_that_pyelftools_reads(tmp_path: Path) -> None:
    data = compile_modules({"a": IR}, KERNEL, "release", cache=tmp_path).objects["a"].read_bytes()
    elf = ELFFile(io.BytesIO(relocated(data)))
    info = elf.get_dwarf_info(relocate_dwarf_sections=False)
    (unit,) = dwarf.units({section.name: section.data() for section in elf.iter_sections()})
    (theirs,) = info.iter_CUs()
    functions = [die for die in theirs.iter_DIEs() if die.tag in ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine")]
    placed = [die for die in functions if {"DW_AT_low_pc", "DW_AT_ranges"} & die.attributes.keys()]
    assert len(placed) == len(unit.scopes) == 4
    numbers = {die.offset: number for number, die in enumerate(placed, 1)}
    for die, scope in zip(placed, unit.scopes, strict=True):
        named = (
            die.get_DIE_from_attribute("DW_AT_abstract_origin") if "DW_AT_abstract_origin" in die.attributes else die
        )
        name, file = unit.names[scope.names]
        assert name == named.attributes["DW_AT_name"].value.decode()
        assert file == named.attributes["DW_AT_decl_file"].value
        above = die.get_parent()
        assert above is not None and scope.parent == numbers.get(above.offset, 0)
        line = die.attributes.get("DW_AT_call_line")
        assert scope.line == (line.value if line is not None else 0)
        low = die.attributes["DW_AT_low_pc"].value
        assert scope.ranges == [(low, low + die.attributes["DW_AT_high_pc"].value)]


def listed(*parts: int | bytes) -> list[tuple[int, int]]:
    """The ranges of a list of these bytes, in a unit that begins at 0x1000 and has the addresses 0x2000 and 0x3000."""
    unit = object.__new__(dwarf.Unit)
    unit.sections = {".debug_addr": bytes(8) + (0x2000).to_bytes(8, "little") + (0x3000).to_bytes(8, "little")}
    unit.bases = {dwarf.ADDRESSES_BASE: 8}
    unit.base = 0x1000
    data = b"".join(part if isinstance(part, bytes) else bytes([part]) for part in parts)
    return list(unit.listed(data, 0))


def test_every_kind_of_range() -> None:
    """LLVM writes two of these kinds for the kernel."""
    far = (0x1_0000_0000).to_bytes(8, "little")
    end = (0x1_0000_0010).to_bytes(8, "little")
    assert listed(0) == []
    assert listed(4, 1, 0x90, 1, 0) == [(0x1001, 0x1090)]
    assert listed(1, 1, 4, 1, 2, 0) == [(0x3001, 0x3002)]
    assert listed(2, 0, 1, 0) == [(0x2000, 0x3000)]
    assert listed(3, 1, 5, 3, 0, 0x80, 1, 0) == [(0x3000, 0x3005), (0x2000, 0x2080)]
    assert listed(5, far, 4, 1, 2, 0) == [(0x1_0000_0001, 0x1_0000_0002)]
    assert listed(6, far, end, 7, far, 7, 0) == [(0x1_0000_0000, 0x1_0000_0010), (0x1_0000_0000, 0x1_0000_0007)]


def test_opcodes_of_line_programs() -> None:
    """Of each kind one, also those that LLVM seldom writes."""
    code = bytes.fromhex(
        "00 09 02 0010000000000000"  # set_address 0x1000
        "03 0a 01"  # advance_line 10, copy
        "03 7c"  # advance_line -4
        "3d"  # special: 3 bytes, 1 line
        "08"  # const_add_pc: 17
        "09 0200"  # fixed_advance_pc
        "04 02 05 8101 06"  # set_file, set_column, negate_stmt
        "02 8001 01"  # advance_pc 128, copy
        "00 02 04 05"  # set_discriminator
        "00 01 01"  # end_sequence
        "01"
    )
    header = {"opcode_base": 13, "line_base": -5, "line_range": 14,
              "standard_opcode_lengths": [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]}  # fmt: skip
    stream = io.BytesIO(b"before" + code + b"\x01behind")
    program = SimpleNamespace(
        header=header, stream=stream, program_start_offset=6, program_end_offset=6 + len(code)
    )  # fmt: skip
    assert list(program_rows(program)) == [
        (0x1000, 11), (0x1003, 8), (0x1096, 8), (0x1096, None), (0, 1),
    ]  # fmt: skip


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
