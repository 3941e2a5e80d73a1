"""Build ids in the first page of a program, well and badly formed."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernel.fs.procfs.build_id import _in_page, build_id_of
from kernel.lang import EIO, Errno, span_of
from kernel.mm.frames import Frame
from kernel.mm.objects import MemoryObject

ID = bytes(range(1, 21))


def page(notes: bytes, count: int = 1, kind: int = 4, offset: int = 512, size: int | None = None) -> bytearray:
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", kind, 4, offset, 0, 0, len(notes) if size is None else size, 0, 4)
    text = bytearray((header + segment).ljust(4096, b"\0"))
    place = min(offset, 4096)
    text[place : place + len(notes)] = notes
    return text[:4096]


def note(name: bytes, kind: int, content: bytes) -> bytes:
    padded = content + b"\0" * (-len(content) % 4)
    return struct.pack("<III", len(name), len(content), kind) + name + b"\0" * (-len(name) % 4) + padded


def found(text: bytearray) -> bytes:
    return _in_page(span_of(text))


def test_it_is_found_behind_other_notes() -> None:
    assert found(page(note(b"GNU\0", 3, ID))) == ID
    assert found(page(note(b"GNU\0", 5, b"x" * 9) + note(b"stapsdt\0", 3, b"abc") + note(b"GNU\0", 3, ID))) == ID


def test_what_is_none() -> None:
    good = note(b"GNU\0", 3, ID)
    for text in (
        page(good, kind=1),
        page(good, count=0),
        page(good, count=100),
        page(good, offset=4090),
        page(good, size=20),
        page(note(b"GNU\0", 3, b"")),
        page(note(b"GNU\0", 3, b"x" * 21)),
        page(note(b"XYZ\0", 3, ID)),
        bytearray(4096),
    ):
        assert found(text) == b""


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_any_bytes_do(notes: bytes, offset: int, size: int) -> None:
    text = page(notes)
    text[72:80] = offset.to_bytes(8, "little")
    text[96:104] = size.to_bytes(8, "little")
    assert len(found(text)) <= 20


def test_what_is_asked_for_its_page_is_held() -> None:
    """Reading it sleeps, and its area may be unmapped."""

    class Source(MemoryObject):
        held = 0

        def acquire(self) -> None:
            self.held += 1

        def release(self) -> None:
            self.held -= 1

        def page(self, index: int, for_write: bool) -> Frame:
            assert self.held == 1
            raise Errno(EIO)

    source = Source()
    assert build_id_of(source) == b""
    assert source.held == 0
