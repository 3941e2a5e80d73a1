"""The texts of bpf(2): which buffers may be asked for, and what lies in one that is too small. What is expected is what
Linux answers (the case bpf_types).
"""

from __future__ import annotations

import errno
import struct

import pytest

from tests.unit.booted import booted
from tests.unit.bpf.test_btf import blob, kind
from tests.unit.syscalls.test_bpf import Calls
from tools.simulated.machine import Machine

WRONG = blob(kind(0, 31, 0))
FIXED = 8
LOG = 8192
ROOM = 1000


class Logged(Calls):
    """Descriptions of types that are wrong, and what is said of them."""

    def refused(self, level: int, size: int, log: int = LOG) -> tuple[int, int]:
        """The error, and how long the whole text is with its NUL."""
        self.program.store(self.memory + LOG, b"#" * ROOM)
        types = self.at(20000, WRONG)
        buffer = self.memory + log if log else 0
        place = self.at(0, struct.pack("<QQIIIIII", types, buffer, len(WRONG), size, level, 0, 0, 0))
        result = self.answers.bpf(18, place, 40)
        return -result, struct.unpack_from("<I", self.program.load(place + 28, 4))[0]

    def written(self) -> bytes:
        return self.program.load(self.memory + LOG, ROOM).rstrip(b"#")


@booted
def test_a_small_buffer_has_the_end_of_the_text_or_its_beginning(machine: Machine) -> None:
    calls = Logged(machine.host)
    code, length = calls.refused(1, ROOM)
    text = calls.written()
    assert (code, length) == (errno.EINVAL, len(text)) and text.endswith(b"\n\0") and text.count(b"\0") == 1
    for size in (1, 2, 7, length - 1):
        assert calls.refused(1, size) == (errno.ENOSPC, length)
        assert calls.written() == text[length - size :]
        assert calls.refused(1 | FIXED, size) == (errno.ENOSPC, length)
        assert calls.written() == text[: size - 1] + b"\0"
    assert calls.refused(1, length) == (errno.EINVAL, length)
    assert calls.written() == text


@booted
def test_without_a_buffer_only_the_length_is_told(machine: Machine) -> None:
    calls = Logged(machine.host)
    _, length = calls.refused(1, ROOM)
    assert calls.refused(1, 0, log=0) == (errno.EINVAL, length) and calls.written() == b""
    assert calls.refused(0, 0, log=0) == (errno.EINVAL, 0)


@booted
@pytest.mark.parametrize(("level", "size", "log"), [(0, ROOM, LOG), (1, 0, LOG), (1, ROOM, 0), (16, ROOM, LOG)])
def test_buffers_that_make_no_sense(machine: Machine, level: int, size: int, log: int) -> None:
    calls = Logged(machine.host)
    assert calls.refused(level, size, log) == (errno.EINVAL, 0)
    assert calls.written() == b""
