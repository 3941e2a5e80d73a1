"""ELF headers: good ones are understood, hostile ones are errors and nothing else."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arch import USER_END
from kernel.lang import EIO, ELIBBAD, Errno, Span, span_of, u8
from kernel.lib.user import Buffer
from kernel.task.elf import Image, read_image, read_loader


class FakeFile:
    """As much of a file as reading headers needs."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def pread(self, buffer: Buffer, offset: int) -> int:
        part = self.data[offset : offset + buffer.remaining]
        return buffer.put(span_of(part)) if part else 0


def header(phoff: int = 64, phnum: int = 1, kind: int = 2, entry: int = 0x401000, phentsize: int = 56) -> bytes:
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    return identity + struct.pack(
        "<HHIQQQIHHHHHH", kind, 62, 1, entry & (1 << 64) - 1, phoff & (1 << 64) - 1, 0, 0, 64, phentsize, phnum, 0, 0, 0
    )


def program(kind: int, flags: int, offset: int, address: int, file_size: int, memory_size: int) -> bytes:
    mask = (1 << 64) - 1
    return struct.pack(
        "<IIQQQQQQ", kind, flags, offset & mask, address & mask, 0, file_size & mask, memory_size & mask, 4096
    )


def parse(data: bytes) -> Image:
    head: Span[u8] = span_of(data[:256])
    return read_image(FakeFile(data), head)  # type: ignore[arg-type]


def test_static_program() -> None:
    data = header(phnum=2) + program(1, 5, 0, 0x400000, 0x1234, 0x1234) + program(1, 6, 0x2000, 0x402000, 16, 0x3000)
    image = parse(data + bytes(0x3000))
    assert (image.low, image.high) == (0x400000, 0x405000)
    assert image.header_address == 0x400040 and image.entry == 0x401000
    assert [s.prot for s in image.segments] == [5, 3]


def test_interpreter() -> None:
    path = b"/lib/ld-musl-x86_64.so.1\0"
    table = program(3, 4, 64 + 112, 0, len(path), len(path)) + program(1, 5, 0, 0, 0x500, 0x500)
    image = parse(header(phnum=2, kind=3, entry=0x100) + table + path)
    assert image.interpreter == path[:-1] and image.is_relocatable()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        header()[:63],
        header(phnum=0),
        header(phentsize=32) + program(1, 5, 0, 0, 1, 1),
        header(phoff=-8) + program(1, 5, 0, 0, 1, 1),
        header(phoff=1 << 40) + program(1, 5, 0, 0, 1, 1),
        header(kind=1) + program(1, 5, 0, 0, 1, 1),
        header() + program(3, 4, 0, 0, 1 << 40, 1 << 40),
    ],
)
def test_files_that_are_no_programs(data: bytes) -> None:
    with pytest.raises(Errno):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [
        header() + program(1, 5, 0, 0x400000, 2, 1),
        header() + program(1, 5, 0, USER_END - 4096, 1, 8192),
        header() + program(1, 5, 8, 0x400000, 1, 1),
        header() + program(1, 5, 0, -4096, 1, 1),
        header() + program(1, 5, 0, 0x400000, 1, -1),
        header() + program(1, 5, 0, 0x400000, 1, 0),
        header(entry=1 << 63) + program(1, 5, 0, 0x400000, 1, 1),
        header() + program(6, 4, 64, 0x40, 56, 56),
    ],
)
def test_programs_that_cannot_be_laid_out(data: bytes) -> None:
    assert parse(data).is_broken


def test_segments_may_overlap_and_descend() -> None:
    image = parse(header(phnum=2) + program(1, 5, 0, 0x402000, 1, 0x2000) + program(1, 5, 0, 0x400000, 1, 0x3000))
    assert not image.is_broken
    assert (image.low, image.high) == (0x400000, 0x404000)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (header()[:40], EIO),
        (b"#!" + bytes(100), ELIBBAD),
        (header(phnum=0), ELIBBAD),
        (header(), ELIBBAD),
    ],
)
def test_files_that_are_no_interpreters(data: bytes, code: int) -> None:
    with pytest.raises(Errno) as caught:
        read_loader(FakeFile(data))  # type: ignore[arg-type]
    assert caught.value.code == code


def test_an_interpreter_that_names_another() -> None:
    loader = read_loader(FakeFile(header(phnum=2) + program(3, 4, -1, 0, 7, 7) + program(1, 5, 0, 0, 64, 64)))  # type: ignore[arg-type]
    assert not loader.is_broken and loader.interpreter == b""


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 500), st.binary(min_size=1, max_size=8)), max_size=8))
def test_any_damage(damage: list[tuple[int, bytes]]) -> None:
    data = bytearray(header(phnum=2) + program(1, 5, 0, 0x400000, 200, 200) + program(1, 6, 0, 0x401000, 16, 0x3000))
    data += bytes(400)
    for place, junk in damage:
        data[place : place + len(junk)] = junk
    try:
        image = parse(bytes(data))
    except Errno:
        return
    if image.is_broken:
        return
    for segment in image.segments:
        assert 0 <= image.low <= segment.address <= segment.address + segment.memory_size <= image.high <= USER_END
        assert 0 <= segment.file_size <= segment.memory_size
        assert 0 <= segment.offset or segment.file_size == 0
