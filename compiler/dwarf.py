"""The functions that an object's debug information describes, with the calls that were inlined into them.

pyelftools reads all of it, into an object for each entry; that takes a tenth of the time that LLVM takes to make the
object. This reads what `lines.py` asks for, and skips the rest: most entries are variables and types.

Source: DWARF 5, sections 7.5 (entries, abbreviations, forms), 7.25 (lists of ranges), 7.26 and 7.27 (tables of strings
and addresses).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

VERSION = 5
UNIT_HEAD = 12  # bytes: length, version, kind, size of an address, place of the abbreviations
LEXICAL_BLOCK, INLINED_SUBROUTINE, SUBPROGRAM = 0x0B, 0x1D, 0x2E  # tags
# Attributes.
NAME, LOW_PC, HIGH_PC, ORIGIN, DECL_FILE = 0x03, 0x11, 0x12, 0x31, 0x3A
RANGES, CALL_LINE, STRINGS_BASE, ADDRESSES_BASE, RANGES_BASE = 0x55, 0x59, 0x72, 0x73, 0x74
# Forms by how long a value is: a number of bytes, or one of these.
VARIABLE, BLOCK, TEXT, CONSTANT = -1, -2, -3, -4
ADDRESS, STRING_OFFSET, LINE_STRING_OFFSET, RANGE_INDEX, IMPLICIT, TEXT_HERE = 0x01, 0x0E, 0x1F, 0x23, 0x21, 0x08
SIZES = {
    0x01: 8, 0x05: 2, 0x06: 4, 0x07: 8, 0x08: TEXT, 0x09: BLOCK, 0x0B: 1, 0x0C: 1, 0x0D: VARIABLE, 0x0E: 4,
    0x0F: VARIABLE, 0x10: 4, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x15: VARIABLE, 0x17: 4, 0x18: BLOCK, 0x19: 0,
    0x1A: VARIABLE, 0x1B: VARIABLE, 0x1E: 16, 0x1F: 4, 0x20: 8, 0x21: CONSTANT, 0x22: VARIABLE, 0x23: VARIABLE,
    0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4,
}  # fmt: skip
ADDRESS_INDICES = frozenset({0x1B, 0x29, 0x2A, 0x2B, 0x2C})
STRING_INDICES = frozenset({0x1A, 0x25, 0x26, 0x27, 0x28})
# Kinds of entries in a list of ranges; what each has: indices of addresses, offsets, addresses, lengths.
LAST, BASE_INDEX, INDEX_INDEX, INDEX_LENGTH, OFFSETS, BASE, START_END, START_LENGTH = range(8)


@dataclass(slots=True)
class Scope:
    """A function, or a call that was inlined. Its name is at `names`, which may say so only later in the unit."""

    names: int  # offset of the entry that has name and file
    line: int  # of the call, in the parent
    parent: int  # number of the scope, from 1; 0: none
    depth: int  # of the entry in the tree, lexical blocks included
    ranges: list[tuple[int, int]]


@dataclass(slots=True)
class Abbreviation:
    """What entries with one code have. Entries of no interest are skipped by `skips`, in which neighbours are joined:
    numbers of bytes, and kinds of others.
    """

    tag: int
    has_children: bool
    attributes: list[tuple[int, int, int, int]] = field(default_factory=list)  # attribute, form, size, constant
    skips: list[int] = field(default_factory=list)


def variable(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place after it."""
    byte = data[place]
    if byte < 0x80:
        return byte, place + 1
    value = shift = 0
    while byte >= 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        byte = data[place]
    return value | byte << shift, place + 1


def word(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "little")


def units(sections: Mapping[str, bytes]) -> Iterator[Unit]:
    """The compile units of an object, given its sections, in which addresses are relocated."""
    data, start = sections.get(".debug_info", b""), 0
    while start < len(data):
        unit = Unit(sections, start)
        yield unit
        start = unit.end


class Unit:
    """A compile unit: its scopes, callers first, and the names of functions, with the number of their file or None."""

    def __init__(self, sections: Mapping[str, bytes], start: int) -> None:
        self.sections = sections
        self.data = data = sections[".debug_info"]
        self.start = start
        self.end = start + 4 + word(data, start, 4)
        if word(data, start + 4, 2) != VERSION or data[start + 7] != 8:
            raise ValueError("this is not DWARF 5 for 64 bits")
        self.abbreviations = read_abbreviations(sections[".debug_abbrev"], word(data, start + 8, 4))
        self.scopes: list[Scope] = []
        self.names: dict[int, tuple[str, int | None]] = {}
        self.bases = {STRINGS_BASE: 0, ADDRESSES_BASE: 0, RANGES_BASE: 0}
        self.base = 0  # address, for ranges
        code, place = variable(data, start + UNIT_HEAD)
        values, forms, place = self._values(self.abbreviations[code], place)
        self.bases |= {base: values[base] for base in self.bases.keys() & values.keys()}
        if LOW_PC in values:
            self.base = self._address(values[LOW_PC], forms[LOW_PC])
        if self.abbreviations[code].has_children:
            self._read(place)

    def _read(self, place: int) -> None:
        """Read all entries from the first below the unit's own on."""
        data = self.data
        parents = [0]  # the scopes of the entries around; -1 where nothing counts
        while parents:
            start = place
            code, place = variable(data, place)
            if code == 0:
                parents.pop()
                continue
            abbreviation = self.abbreviations[code]
            tag = abbreviation.tag
            parent = parents[-1]
            inner = -1
            if tag in (SUBPROGRAM, INLINED_SUBROUTINE):
                values, forms, place = self._values(abbreviation, place)
                if tag == SUBPROGRAM:
                    name = self._text(values[NAME], forms[NAME]) if NAME in values else "?"
                    self.names[start] = name, values.get(DECL_FILE)
                if parent >= 0 and (ranges := self._ranges(values, forms)):
                    names = values[ORIGIN] + self.start if ORIGIN in values else start
                    self.scopes.append(Scope(names, values.get(CALL_LINE, 0), parent, len(parents) - 1, ranges))
                    inner = len(self.scopes)
            else:
                place = self._skip(abbreviation, place)
                if tag == LEXICAL_BLOCK:
                    inner = parent
            if abbreviation.has_children:
                parents.append(inner)

    def _skip(self, abbreviation: Abbreviation, place: int) -> int:
        """The place after an entry's values."""
        data = self.data
        for size in abbreviation.skips:
            if size >= 0:
                place += size
            elif size == VARIABLE:
                while data[place] >= 0x80:
                    place += 1
                place += 1
            elif size == BLOCK:
                length, place = variable(data, place)
                place += length
            else:
                place = data.index(0, place) + 1
        return place

    def _values(self, abbreviation: Abbreviation, place: int) -> tuple[dict[int, int], dict[int, int], int]:
        """The values of an entry and their forms, by attribute, and the place after them. That of a text or block is
        where it lies.
        """
        data = self.data
        values: dict[int, int] = {}
        forms: dict[int, int] = {}
        for attribute, form, size, constant in abbreviation.attributes:
            forms[attribute] = form
            if size > 0:
                values[attribute] = int.from_bytes(data[place : place + size], "little")
                place += size
            elif size == VARIABLE:
                values[attribute], place = variable(data, place)
            elif size == BLOCK:
                length, place = variable(data, place)
                values[attribute] = place
                place += length
            elif size == TEXT:
                values[attribute] = place
                place = data.index(0, place) + 1
            else:
                values[attribute] = constant
        return values, forms, place

    def _address(self, value: int, form: int) -> int:
        return self._address_at(value) if form in ADDRESS_INDICES else value

    def _address_at(self, index: int) -> int:
        return word(self.sections[".debug_addr"], self.bases[ADDRESSES_BASE] + 8 * index, 8)

    def _text(self, value: int, form: int) -> str:
        data = self.sections.get(".debug_str", b"")
        if form in STRING_INDICES:
            value = word(self.sections[".debug_str_offsets"], self.bases[STRINGS_BASE] + 4 * value, 4)
        elif form == TEXT_HERE:
            data = self.data
        elif form == LINE_STRING_OFFSET:
            data = self.sections[".debug_line_str"]
        return data[value : data.index(0, value)].decode()

    def _ranges(self, values: dict[int, int], forms: dict[int, int]) -> list[tuple[int, int]]:
        """Where the code of an entry lies: from, to."""
        if LOW_PC in values and HIGH_PC in values:
            low = self._address(values[LOW_PC], forms[LOW_PC])
            high = values[HIGH_PC]
            return [(low, high if forms[HIGH_PC] == ADDRESS else low + high)]
        if RANGES not in values:
            return []
        data, place = self.sections[".debug_rnglists"], values[RANGES]
        if forms[RANGES] == RANGE_INDEX:
            table = self.bases[RANGES_BASE]
            place = table + word(data, table + 4 * place, 4)
        return list(self.listed(data, place))

    def listed(self, data: bytes, place: int) -> Iterator[tuple[int, int]]:
        """The ranges of a list."""
        base = self.base
        while (kind := data[place]) != LAST:
            place += 1
            if kind in (BASE, START_END, START_LENGTH):
                first = word(data, place, 8)
                place += 8
            else:
                first, place = variable(data, place)
                if kind in (BASE_INDEX, INDEX_INDEX, INDEX_LENGTH):
                    first = self._address_at(first)
            if kind in (BASE_INDEX, BASE):
                base = first
                continue
            if kind == START_END:
                second = word(data, place, 8)
                place += 8
            else:
                second, place = variable(data, place)
                if kind == INDEX_INDEX:
                    second = self._address_at(second)
            if kind == OFFSETS:
                yield base + first, base + second
            elif kind in (INDEX_LENGTH, START_LENGTH):
                yield first, first + second
            else:
                yield first, second


def read_abbreviations(data: bytes, place: int) -> dict[int, Abbreviation]:
    """A table of abbreviations, by code."""
    found: dict[int, Abbreviation] = {}
    while True:
        code, place = variable(data, place)
        if code == 0:
            return found
        tag, place = variable(data, place)
        entry = found[code] = Abbreviation(tag, data[place] != 0)
        place += 1
        while True:
            attribute, place = variable(data, place)
            form, place = variable(data, place)
            if attribute == form == 0:
                break
            constant = 1  # of a flag that is there
            if form == IMPLICIT:
                start = place
                constant, place = variable(data, place)
                if data[place - 1] & 0x40:
                    constant -= 1 << 7 * (place - start)
            if form not in SIZES:
                raise ValueError(f"form {form:#x} of debug information is not known")
            size = SIZES[form]
            entry.attributes.append((attribute, form, size, constant))
            if size >= 0 and entry.skips and entry.skips[-1] >= 0:
                entry.skips[-1] += size
            elif size != CONSTANT:
                entry.skips.append(size)
