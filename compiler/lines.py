"""The line table: from a code address to Python frames, inlined ones included.

`extract` reads the DWARF of one object (with pyelftools), once for each object: `compiler/backend.py` caches the
result beside it. `build` puts the objects of an image together, at the addresses that the linker's map gives, and
encodes the table. The kernel carries it in the section `.krait_lines` and reads it in `kernel/lib/traceback.py`; for
programs on the host, `Table` reads it here.

Format, little-endian, all offsets in bytes from the start of the table:

    header   12 u32: MAGIC, size of the table; then count and offset of blocks, scopes, rows; offset of functions, of
             strings; low and high half of the image's base address
    blocks   u32 address, u32 offset in rows: every BLOCK_ROWS rows, in the order of addresses
    rows     variable-length numbers: address minus that of the row before, times four, plus 2 if the line changes and
             1 if the scope does; then line minus the line before and scope minus the scope before (signed, zigzag),
             those that change; for a block's first row "before" is its address, 0 and 0
    scopes   u16 function, u16 line of the call in the parent, u16 how many scopes before it the parent is, or 0 if it
             has none; scope 0 is "no Python code"
    functions  u32 offset of its name, u32 offset of its file's name
    strings  UTF-8, each with a NUL after it

A variable-length number has 7 bits a byte, the lowest first, bit 7 set in all but the last byte. Addresses are
relative to the base. A row holds from its address to the next row's. Scopes with a parent are inlined functions. A
return address is looked up at the address minus 1: the call is what counts.
"""

from __future__ import annotations

import bisect
import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAGIC = 0x4E494C4B  # "KLIN"
HEADER_WORDS = 12
BLOCK_ROWS = 64
SCOPE_BYTES = 6
LAST_DEPTH = 1000  # of functions that are inlined in each other
FARTHEST = 0xFFFF  # from a scope to its parent
LAST_LINE = 0xFFFF
SECTION_SHIFT = 28  # while an object is read, its code section number n begins at n << 28
SHF_EXECINSTR = 4
RELOCATIONS = {1: "<Q", 10: "<I"}  # R_X86_64_64, R_X86_64_32: what LLVM uses in debug information
# Opcodes of line programs, standard and extended (DWARF 5, 6.2.5).
LNS_COPY, LNS_ADVANCE_PC, LNS_ADVANCE_LINE, LNS_CONST_ADD_PC, LNS_FIXED_ADVANCE_PC = 1, 2, 3, 8, 9
LNE_END_SEQUENCE, LNE_SET_ADDRESS = 1, 2


@dataclass(frozen=True)
class FrameLine:
    """One line of a traceback."""

    file: str
    line: int
    function: str


@dataclass
class ObjectLines:
    """What one object's DWARF says. Scope and function numbers are the object's own; scope 0 is no scope."""

    functions: list[tuple[str, str]] = field(default_factory=list)  # name, file
    scopes: list[tuple[int, int, int]] = field(default_factory=list)  # function, call line, parent
    rows: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # section -> (offset, line, scope)

    def to_json(self) -> str:
        return json.dumps([self.functions, self.scopes, self.rows], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ObjectLines:
        functions, scopes, rows = json.loads(text)
        return cls(functions, scopes, rows)


# Reading DWARF --------------------------------------------------------------------------------------------------------


def extract(data: bytes) -> ObjectLines:
    """Read an object file. An object without debug information gives an empty result."""
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(relocated(data)))
    result = ObjectLines(scopes=[(0, 0, 0)])
    if not elf.has_dwarf_info():
        return result
    reader = Reader(elf.get_dwarf_info(relocate_dwarf_sections=False), result)
    for unit in reader.dwarf.iter_CUs():
        reader.unit(unit)
    reader.finish([section.name for section in elf.iter_sections()])
    return result


def relocated(data: bytes) -> bytes:
    """The object with its debug information relocated, as if code section n lay at n << SECTION_SHIFT. pyelftools can
    relocate, but takes ten times as long.
    """
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    symbols = elf.get_section_by_name(".symtab")
    if symbols is None:
        return data
    sections = list(elf.iter_sections())
    code = {number for number, section in enumerate(sections) if section["sh_flags"] & SHF_EXECINSTR}
    values: list[int] = []
    for section, value, _size in struct.iter_unpack("<6xHQQ", symbols.data()):
        values.append(value + (section << SECTION_SHIFT) if section in code else value)
    patched = bytearray(data)
    for section in sections:
        if section["sh_type"] == "SHT_RELA" and section.name.startswith(".rela.debug_"):
            base = sections[section["sh_info"]]["sh_offset"]
            for offset, kind, symbol, addend in struct.iter_unpack("<QIIq", section.data()):
                struct.pack_into(RELOCATIONS[kind], patched, base + offset, values[symbol] + addend)
    return bytes(patched)


class Reader:
    """Collects scopes and rows of all compile units of an object."""

    def __init__(self, dwarf: Any, result: ObjectLines) -> None:  # noqa: ANN401
        self.dwarf = dwarf
        self.result = result
        self.ranges_of = dwarf.range_lists()
        self.functions: dict[tuple[str, str], int] = {}
        self.intervals: list[tuple[int, int, int, int]] = []  # start, -end, depth, scope
        self.rows: dict[int, int] = {}  # address -> line
        self.ends: set[int] = set()

    def unit(self, unit: Any) -> None:  # noqa: ANN401
        program = self.dwarf.line_program_for_CU(unit)
        self.files: list[str] = file_names(program)
        self.names: dict[int, tuple[str, str]] = {}
        top = unit.get_top_DIE()
        for die in top.iter_children():
            if die.tag == "DW_TAG_subprogram":
                self.walk(die, 0, 0)
        for address, line in program_rows(program):
            if line is None:
                self.ends.add(address)
            elif line:
                self.rows[address] = line

    def walk(self, die: Any, parent: int, depth: int) -> None:  # noqa: ANN401
        """Enter a subprogram, inlined subroutine or block, and those inside it."""
        scope = parent
        if die.tag in ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine"):
            ranges = self.ranges(die)
            if not ranges:
                return
            call_line = die.attributes.get("DW_AT_call_line")
            function = self.function_number(*self.name_of(die))
            line = min(call_line.value, LAST_LINE) if call_line is not None else 0
            self.result.scopes.append((function, line, parent))
            scope = len(self.result.scopes) - 1
            self.intervals += [(low, -high, depth, scope) for low, high in ranges if high > low]
        elif die.tag != "DW_TAG_lexical_block":
            return
        if die.has_children:
            for child in die.iter_children():
                self.walk(child, scope, depth + 1)

    def ranges(self, die: Any) -> list[tuple[int, int]]:  # noqa: ANN401
        attributes = die.attributes
        if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
            low = attributes["DW_AT_low_pc"].value
            high = attributes["DW_AT_high_pc"]
            return [(low, high.value if high.form == "DW_FORM_addr" else low + high.value)]
        if "DW_AT_ranges" not in attributes:
            return []
        found: list[tuple[int, int]] = []
        base = 0
        top = die.cu.get_top_DIE().attributes.get("DW_AT_low_pc")
        if top is not None:
            base = top.value
        for entry in self.ranges_of.get_range_list_at_offset(attributes["DW_AT_ranges"].value, cu=die.cu):
            if hasattr(entry, "base_address"):
                base = entry.base_address
            elif entry.is_absolute:
                found.append((entry.begin_offset, entry.end_offset))
            else:
                found.append((base + entry.begin_offset, base + entry.end_offset))
        return found

    def name_of(self, die: Any) -> tuple[str, str]:  # noqa: ANN401
        """Name and file of a function, from its abstract origin where it has one."""
        if "DW_AT_abstract_origin" in die.attributes:
            die = die.get_DIE_from_attribute("DW_AT_abstract_origin")
        known = self.names.get(die.offset)
        if known is None:
            name = die.attributes["DW_AT_name"].value.decode() if "DW_AT_name" in die.attributes else "?"
            file = die.attributes.get("DW_AT_decl_file")
            known = (name, self.files[file.value] if file is not None else "?")
            self.names[die.offset] = known
        return known

    def function_number(self, name: str, file: str) -> int:
        number = self.functions.get((name, file))
        if number is None:
            number = self.functions[name, file] = len(self.result.functions)
            self.result.functions.append((name, file))
        return number

    def finish(self, sections: list[str]) -> None:
        """Turn intervals and lines into rows, by section."""
        self.intervals.sort()
        points = sorted({*self.rows, *self.ends, *(i[0] for i in self.intervals), *(-i[1] for i in self.intervals)})
        open_scopes: list[tuple[int, int]] = []  # end, scope
        upcoming = 0
        line, last = 0, (-1, 0, 0)
        for point in points:
            while open_scopes and open_scopes[-1][0] <= point:
                open_scopes.pop()
            while upcoming < len(self.intervals) and self.intervals[upcoming][0] <= point:
                _, minus_end, depth, scope = self.intervals[upcoming]
                upcoming += 1
                if -minus_end > point:
                    line = line if depth else 0
                    open_scopes.append((-minus_end, scope))
            if point in self.rows:
                line = self.rows[point]
            row = (point >> SECTION_SHIFT, line, open_scopes[-1][1]) if open_scopes else (point >> SECTION_SHIFT, 0, 0)
            if row != last:
                last = row
                offset = point & ((1 << SECTION_SHIFT) - 1)
                self.result.rows.setdefault(sections[row[0]], []).append((offset, row[1], row[2]))


def program_rows(program: Any) -> Iterator[tuple[int, int | None]]:  # noqa: ANN401
    """Address and line of each row that a line program makes; no line where a sequence ends."""
    header, data = program.header, program.stream.getvalue()
    place, end = program.program_start_offset, program.program_end_offset
    first, lowest, lines = header["opcode_base"], header["line_base"], header["line_range"]
    address, line = 0, 1
    while place < end:
        opcode = data[place]
        place += 1
        if opcode >= first:
            address += (opcode - first) // lines
            line += lowest + (opcode - first) % lines
            yield address, line
        elif opcode == 0:
            size, place = read_number(data, place)
            if data[place] == LNE_END_SEQUENCE:
                yield address, None
                address, line = 0, 1
            elif data[place] == LNE_SET_ADDRESS:
                address = int.from_bytes(data[place + 1 : place + size], "little")
            place += size
        elif opcode == LNS_COPY:
            yield address, line
        elif opcode == LNS_CONST_ADD_PC:
            address += (255 - first) // lines
        elif opcode == LNS_FIXED_ADVANCE_PC:
            address += int.from_bytes(data[place : place + 2], "little")
            place += 2
        elif opcode == LNS_ADVANCE_LINE:
            before = place
            value, place = read_number(data, place)
            line += value - (1 << 7 * (place - before)) if data[place - 1] & 0x40 else value
        else:
            for number in range(header["standard_opcode_lengths"][opcode - 1]):
                value, place = read_number(data, place)
                if opcode == LNS_ADVANCE_PC and number == 0:
                    address += value


def file_names(program: Any) -> list[str]:  # noqa: ANN401
    """The file table of a line program, DWARF 5: directories joined unless they are "."."""
    header = program.header
    directories = [d.decode() if isinstance(d, bytes) else d.DW_LNCT_path.decode() for d in header["include_directory"]]
    names: list[str] = []
    for entry in header["file_entry"]:
        name = entry.name.decode()
        directory = directories[entry.dir_index] if entry.dir_index < len(directories) else "."
        names.append(name if directory == "." or name.startswith("/") else f"{directory.rstrip('/')}/{name}")
    return names


# Encoding -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """A section of an object in an image."""

    lines: ObjectLines
    section: str
    address: int
    size: int


class Encoder:
    """Numbers of the whole image for what its objects number by themselves."""

    def __init__(self) -> None:
        self.strings = bytearray()
        self.string_offsets: dict[str, int] = {}
        self.functions: dict[tuple[str, str], int] = {}
        self.scopes: list[tuple[int, int, int]] = [(0, 0, 0)]
        self.scope_numbers: dict[tuple[int, int, int], int] = {}

    def string(self, text: str) -> int:
        offset = self.string_offsets.get(text)
        if offset is None:
            offset = self.string_offsets[text] = len(self.strings)
            self.strings += text.encode() + b"\0"
        return offset

    def scope_map(self, lines: ObjectLines) -> list[int]:
        """The image's number of each of an object's scopes; equal scopes are shared."""
        numbers = [0]
        for function, call_line, parent in lines.scopes[1:]:
            name_file = (lines.functions[function][0], lines.functions[function][1])
            whole = self.functions.setdefault(name_file, len(self.functions))
            key = (whole, call_line, numbers[parent])
            number = self.scope_numbers.get(key)
            if number is None:
                number = self.scope_numbers[key] = self.append(*key)
            numbers.append(number)
        return numbers

    def append(self, function: int, call_line: int, parent: int) -> int:
        """Enter a scope, and its parent once more if that is too far away."""
        if parent and len(self.scopes) - parent > FARTHEST - LAST_DEPTH:
            parent = self.append(*self.scopes[parent])
        self.scopes.append((function, call_line, parent))
        return len(self.scopes) - 1


def build(placed: list[Placed], base: int) -> bytes:
    """The table of an image."""
    encoder = Encoder()
    rows: list[tuple[int, int, int]] = []
    maps: dict[int, list[int]] = {}
    end = 0
    for part in sorted(placed, key=lambda part: part.address):
        start = part.address - base
        if rows:
            rows.append((end, 0, 0))  # what lies between, and a beginning that no row describes
        scopes = maps.get(id(part.lines))
        if scopes is None:
            scopes = maps[id(part.lines)] = encoder.scope_map(part.lines)
        for offset, line, scope in part.lines.rows.get(part.section, ()):
            if offset < part.size:
                rows.append((start + offset, line, scopes[scope]))
        end = start + part.size
    rows.append((end, 0, 0))
    return encode(encoder, rows, base)


def encode(encoder: Encoder, rows: list[tuple[int, int, int]], base: int) -> bytes:
    blocks = bytearray()
    stream = bytearray()
    address = line = scope = 0
    for number, row in enumerate(rows):
        if number % BLOCK_ROWS == 0:
            blocks += struct.pack("<II", row[0], len(stream))
            address, line, scope = row[0], 0, 0
        append_number(stream, (row[0] - address) << 2 | (row[1] != line) << 1 | (row[2] != scope))
        for change in (row[1] - line, row[2] - scope):
            if change:
                append_number(stream, zigzag(change))
        address, line, scope = row
    functions = b"".join(
        struct.pack("<II", encoder.string(name), encoder.string(file)) for name, file in encoder.functions
    )
    scopes = b"".join(
        struct.pack("<HHH", function, line, number - parent if parent else 0)
        for number, (function, line, parent) in enumerate(encoder.scopes)
    )
    offsets: list[int] = []
    body = bytearray()
    for part in (bytes(blocks), scopes, functions, bytes(stream), bytes(encoder.strings)):
        offsets.append(HEADER_WORDS * 4 + len(body))
        body += part + b"\0" * (-len(part) % 4)
    header = struct.pack(
        f"<{HEADER_WORDS}I", MAGIC, HEADER_WORDS * 4 + len(body), len(blocks) // 8, offsets[0],
        len(encoder.scopes), offsets[1], len(rows), offsets[3], offsets[2], offsets[4],
        base & 0xFFFF_FFFF, base >> 32 & 0xFFFF_FFFF,
    )  # fmt: skip
    return header + bytes(body)


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def append_number(stream: bytearray, value: int) -> None:
    while value >= 0x80:
        stream.append(value & 0x7F | 0x80)
        value >>= 7
    stream.append(value)


# Looking up -----------------------------------------------------------------------------------------------------------


class Table:
    """A line table, for programs on the host and for tests."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        words = struct.unpack_from(f"<{HEADER_WORDS}I", data)
        if words[0] != MAGIC:
            raise ValueError("not a line table")
        self.block_count, self.blocks = words[2:4]
        self.scopes, self.row_count, self.rows, self.functions, self.strings = words[5:10]
        self.base = words[10] | words[11] << 32
        self.block_addresses = [
            struct.unpack_from("<I", data, self.blocks + 8 * number)[0] for number in range(self.block_count)
        ]

    def find(self, address: int) -> tuple[int, int]:
        """Line and scope of the instruction at an address."""
        offset = address - self.base
        block = bisect.bisect_right(self.block_addresses, offset) - 1
        if block < 0:
            return 0, 0
        found = (0, 0)
        for at, line, scope in self.rows_of(block):
            if at > offset:
                break
            found = (line, scope)
        return found

    def rows_of(self, block: int) -> Iterator[tuple[int, int, int]]:
        """The rows of a block: where each begins, relative to the base, its line and its scope."""
        place = self.rows + int(struct.unpack_from("<I", self.data, self.blocks + 8 * block + 4)[0])
        at, line, scope = self.block_addresses[block], 0, 0
        for _ in range(min(BLOCK_ROWS, self.row_count - block * BLOCK_ROWS)):
            first, place = read_number(self.data, place)
            at += first >> 2
            if first & 2:
                change, place = read_number(self.data, place)
                line += unzigzag(change)
            if first & 1:
                change, place = read_number(self.data, place)
                scope += unzigzag(change)
            yield at, line, scope

    def frames(self, address: int) -> Iterator[FrameLine]:
        """The Python frames at an address, innermost first."""
        line, scope = self.find(address)
        while scope:
            function, call_line, distance = struct.unpack_from("<HHH", self.data, self.scopes + SCOPE_BYTES * scope)
            name, file = struct.unpack_from("<II", self.data, self.functions + 8 * function)
            yield FrameLine(self._string(file), line, self._string(name))
            line, scope = call_line, scope - distance if distance else 0

    def _string(self, offset: int) -> str:
        start = self.strings + offset
        return self.data[start : self.data.index(0, start)].decode()


def read_number(data: bytes, place: int) -> tuple[int, int]:
    """A variable-length number, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def unzigzag(value: int) -> int:
    return -((value + 1) >> 1) if value & 1 else value >> 1
