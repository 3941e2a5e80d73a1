"""The unwind table: how a trap leaves functions, and where clean-up (`finally`, `with`) begins.

LLVM writes it in the form of the C++ ABI: call frame information in `.eh_frame`, landing pads in `.gcc_except_table`.
`extract` reads both from one object, `build` puts the objects of an image together. The linker drops the sections
themselves; `arch/x86_64/unwinding.py` reads the table from `.krait_unwind`. On the host, libgcc reads LLVM's own.

Format, little-endian: u32 number of frame rows, u32 number of landing rows, then the rows, each u32 address and u32
value, in the order of addresses. Addresses are relative to the image's base. A row holds up to the next one.

- frame rows: bit 31 set: rbp points to the frame (the caller's rbp and the return address at 0 and 8), and three bits
  for each of rbx, r12, r13, r14, r15, the lowest first, say how many words below rbp it was saved, 0 for not at all.
  Else (a function that calls none has no frame) the twelve lowest bits say how many words lie between the stack pointer
  and the end of the frame, 1 if only the return address does; three bits for each of these registers and for rbp
  follow, which say how many words below the return address it was saved.
- landing rows: where a trap lands that leaves by this call or this instruction; 0 for nowhere.

Source: Itanium C++ ABI, "Exception Handling"; DWARF 5, section 6.4; System V ABI for x86-64, section 3.7.
"""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass, field
from typing import Any

FRAMED = 1 << 31
RBP, RSP = 6, 7
SAVED = (3, 12, 13, 14, 15, RBP)  # rbx, r12 … r15, rbp, by their DWARF numbers
WORD_BITS = 12  # of a row without a frame: how many words there are
TRAP = b"\x67\x0f\xb9\x40"  # how the instruction of a trap begins
ABSENT = 0xFF  # an encoding: there is no such value

Rows = list[tuple[int, int]]


@dataclass
class ObjectUnwind:
    """What one object says; addresses are offsets in its sections."""

    frames: dict[str, Rows] = field(default_factory=dict)
    landings: dict[str, Rows] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps([self.frames, self.landings], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ObjectUnwind:
        frames, landings = json.loads(text)
        return cls({name: [(a, v) for a, v in rows] for name, rows in frames.items()},
                   {name: [(a, v) for a, v in rows] for name, rows in landings.items()})  # fmt: skip


# Reading --------------------------------------------------------------------------------------------------------------


class Bytes:
    """A cursor over bytes."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.data = data
        self.place = place

    def take(self, count: int) -> bytes:
        self.place += count
        return self.data[self.place - count : self.place]

    def word(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.word(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def sleb(self) -> int:
        start = self.place
        value = self.uleb()
        bits = 7 * (self.place - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def text(self) -> bytes:
        end = self.data.index(0, self.place)
        return self.take(end + 1 - self.place)[:-1]

    def pointer(self, encoding: int) -> int:
        """The place of a pointer, which a relocation fills."""
        place = self.place
        self.take({0x00: 8, 0x03: 4, 0x04: 8, 0x0B: 4, 0x0C: 8}[encoding & 0x0F])
        return place


@dataclass
class Common:
    """A common information entry."""

    code_factor: int
    data_factor: int
    pointers: int
    exceptions: int
    rules: bytes


@dataclass
class State:
    """Where the frame of a function ends, and which registers it has saved: words below the return address."""

    register: int = RSP
    offset: int = 8
    saved: dict[int, int] = field(default_factory=dict)

    def value(self) -> int:
        if self.register == RSP:
            if self.offset // 8 >= 1 << WORD_BITS:
                raise ValueError(f"a frame of {self.offset} bytes in a function that calls none")
            return self.offset // 8 | self.places(self.saved) << WORD_BITS
        return FRAMED | self.places({r: words - 1 for r, words in self.saved.items() if r != RBP})

    def places(self, saved: dict[int, int]) -> int:
        """Three bits for each register that is saved."""
        if not all(1 <= words <= 7 for words in saved.values()):
            raise ValueError(f"registers are saved {saved} words below the frame")
        return sum(words << 3 * SAVED.index(register) for register, words in saved.items())


def extract(data: bytes) -> ObjectUnwind:
    """Read an object file."""
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    result = ObjectUnwind()
    section = elf.get_section_by_name(".eh_frame")
    if section is None:
        return result
    relocated = targets(elf, ".rela.eh_frame")
    wanted = (".gcc_except_table", ".text")
    tables = {s.name: s.data() for s in elf.iter_sections() if s.name.startswith(wanted)}
    commons: dict[int, Common] = {}
    frames: dict[str, Rows] = {}
    cursor = Bytes(section.data())
    while cursor.place < len(cursor.data) and (length := cursor.word(4)):
        start = cursor.place
        entry = Bytes(cursor.data[: start + length], start)
        back = entry.word(4)
        cursor.take(length)
        if back == 0:
            commons[start - 4] = read_common(entry)
            continue
        common = commons[start - back]
        text, begin = relocated[entry.pointer(common.pointers)]
        size = entry.word(4)
        end = entry.uleb() + entry.place
        if common.exceptions != ABSENT and (place := entry.pointer(common.exceptions)) in relocated:
            table, offset = relocated[place]
            result.landings.setdefault(text, []).extend(read_landings(Bytes(tables[table], offset), begin))
        entry.place = end
        frames.setdefault(text, []).extend(thin(read_rules(entry, common, begin, begin + size), tables[text]))
    for text, found in frames.items():
        result.frames[text] = merge(sorted(found))
    for rows in result.landings.values():
        rows.sort(key=lambda row: row[0])
    return result


def targets(elf: Any, name: str) -> dict[int, tuple[str, int]]:  # noqa: ANN401  (elftools has no types)
    """What the relocations of a section point to: section and offset, by the place of the relocation."""
    section = elf.get_section_by_name(name)
    found: dict[int, tuple[str, int]] = {}
    if section is None:
        return found
    symbols = elf.get_section(section["sh_link"])
    names = [s.name for s in elf.iter_sections()]
    known: dict[int, tuple[str, int] | None] = {}
    for place, info, addend in struct.iter_unpack("<QQq", section.data()):
        number = info >> 32
        if number not in known:
            symbol = symbols.get_symbol(number)
            index = symbol["st_shndx"]
            known[number] = (names[index], symbol["st_value"]) if isinstance(index, int) else None
        target = known[number]
        if target is not None:
            found[place] = (target[0], target[1] + addend)
    return found


def read_common(entry: Bytes) -> Common:
    entry.take(1)
    augmentation = entry.text()
    code, data = entry.uleb(), entry.sleb()
    entry.uleb()
    pointers, exceptions = 0, ABSENT
    if augmentation.startswith(b"z"):
        end = entry.uleb() + entry.place
        for letter in augmentation[1:].decode():
            if letter == "R":
                pointers = entry.word(1)
            elif letter == "L":
                exceptions = entry.word(1)
            elif letter == "P":
                entry.pointer(entry.word(1))
        entry.place = end
    return Common(code, data, pointers, exceptions, entry.data[entry.place :])


def read_rules(entry: Bytes, common: Common, begin: int, end: int) -> list[tuple[int, int, int]]:
    """The rows of one function: start, end, value."""
    found: list[tuple[int, int, int]] = []
    state = State()
    kept: list[State] = []
    here = begin
    for rules in (Bytes(common.rules), entry):
        while rules.place < len(rules.data):
            step = apply_rule(rules, common, state, kept)
            if isinstance(step, State):
                state = step
            elif step:
                found.append((here, here + step, state.value()))
                here += step
    found.append((here, end, state.value()))
    return found


def apply_rule(rules: Bytes, common: Common, state: State, kept: list[State]) -> int | State:
    """One call frame instruction; returns how far the address moves on, or another state."""
    code = rules.word(1)
    if code >> 6 == 1:
        return (code & 0x3F) * common.code_factor
    if code >> 6 == 2:
        save(state, code & 0x3F, rules.uleb() * common.data_factor)
    elif code >> 6 == 3:
        state.saved.pop(code & 0x3F, None)
    elif code in (0x02, 0x03, 0x04):
        return rules.word(1 << (code - 2)) * common.code_factor
    elif code == 0x0A:
        kept.append(State(state.register, state.offset, dict(state.saved)))
    elif code == 0x0B:
        return kept.pop()
    elif code == 0x0C:
        state.register, state.offset = rules.uleb(), rules.uleb()
    elif code == 0x0D:
        state.register = rules.uleb()
    elif code == 0x0E:
        state.offset = rules.uleb()
    elif code == 0x2E:
        rules.uleb()  # the size of arguments on the stack, which stay there
    elif code != 0:
        raise ValueError(f"call frame instruction {code:#x}")
    return 0


def save(state: State, register: int, offset: int) -> None:
    """A register is saved at an offset from the end of the frame; the return address lies 8 bytes before the end."""
    if register in SAVED:
        state.saved[register] = -(offset + 8) // 8


def read_landings(table: Bytes, begin: int) -> Rows:
    """The call sites of one function: where a landing begins to hold, and where none does any more."""
    if table.word(1) != ABSENT:
        raise ValueError("a landing base of its own")
    if table.word(1) != ABSENT:
        table.uleb()
    if table.word(1) != 0x01:
        raise ValueError("call sites in another encoding than uleb128")
    end = table.uleb() + table.place
    found: Rows = []
    while table.place < end:
        start, length, pad, _ = table.uleb(), table.uleb(), table.uleb(), table.uleb()
        if pad:
            if found and found[-1][0] == begin + start:
                found.pop()
            found += [(begin + start, begin + pad), (begin + start + length, 0)]
    return found


def thin(rows: list[tuple[int, int, int]], code: bytes) -> Rows:
    """A function's rows without those at which nothing can trap: where a frame is only made or taken down."""
    framed = any(value & FRAMED for _, _, value in rows)
    return [(start, value) for start, end, value in rows
            if start < end and (not framed or value & FRAMED or TRAP in code[start:end])]  # fmt: skip


def merge(rows: Rows) -> Rows:
    """Rows without those that say the same as the one before."""
    return [row for before, row in zip([(0, -1), *rows], rows, strict=False) if row[1] != before[1]]


# An image -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """A section of an object in an image."""

    unwind: ObjectUnwind
    section: str
    address: int


def build(placed: list[Placed], base: int) -> bytes:
    """The table of an image."""
    frames: Rows = []
    landings: Rows = []
    for part in sorted(placed, key=lambda part: part.address):
        start = part.address - base
        frames += [(start + offset, value) for offset, value in part.unwind.frames.get(part.section, ())]
        for offset, pad in part.unwind.landings.get(part.section, ()):
            landings.append((start + offset, start + pad if pad else 0))
    words = [len(frames), len(landings), *(w for row in (*frames, *landings) for w in row)]
    return struct.pack(f"<{len(words)}I", *words)
