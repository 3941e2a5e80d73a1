"""The log as a device: what lines say, and what is lost on the way to a slow reader (Linux's dev-kmsg, syslog(2))."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from kernel.fs.devices import kmsg
from kernel.fs.devices.kmsg import ConsumingReader, escaped, line_of, parse_priority
from kernel.lang import Span, u8
from kernel.lib.log import Log, log
from kernel.lib.user import KernelBuffer
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096


class Slow(KernelBuffer):
    """A program's memory at which another thread acts in the middle of the first copy."""

    def __init__(self, storage: bytearray, act: Callable[[], object]) -> None:
        super().__init__(storage)
        self.act: Callable[[], object] | None = act

    def put(self, source: Span[u8]) -> int:
        act = self.act
        self.act = None
        if act is not None:
            act()
        return super().put(source)


class Faulty(KernelBuffer):
    """A program's memory of which only `good` bytes are there."""

    def __init__(self, storage: bytearray, good: int) -> None:
        super().__init__(storage)
        self.good = good

    def put(self, source: Span[u8]) -> int:
        moved = super().put(source[: min(len(source), self.good - self.position)])
        self.faulted = moved < len(source)
        return moved


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        (b"<6>text", 6), (b"<13>text", 13), (b"<0>", 0), (b"<191>x", 191), (b"text", -1), (b"<", -1), (b"", -1),
        (b"<6", -1), (b"<a>", -1), (b"<-1>", -1), (b"6>", -1), (b"<1234567>", -1), (b"< 6>", -1),
    ],
)  # fmt: skip
def test_the_priority_that_a_line_begins_with(text: bytes, priority: int) -> None:
    assert parse_priority(text) == priority


def test_what_is_not_printable_is_escaped() -> None:
    assert escaped(b"plain text ~") == b"plain text ~"
    assert escaped(b"tab\tline\nback\\slash\x7f\xff") == rb"tab\x09line\x0aback\x5cslash\x7f\xff"


def device(host: Program, flags: int = os.O_RDWR | os.O_NONBLOCK) -> int:
    """The log, open."""
    host.mount("none", "/dev", "devtmpfs", 0, None)
    return host.open("/dev/kmsg", flags)


def line(host: Program, fd: int) -> bytes:
    buffer = bytearray(PAGE)
    return bytes(buffer[: host.read(fd, buffer, PAGE)])


@booted
def test_what_is_written_is_read_with_its_priority(machine: Machine) -> None:
    host = machine.host
    fd = device(host)
    host.lseek(fd, 0, os.SEEK_END)
    for text, head in ((b"<3>broken\n", b"11,"), (b"plain", b"12,"), (b"<30>other", b"30,")):
        assert host.write(fd, text, len(text)) == len(text)
        shown = line(host, fd)
        assert shown.startswith(head), shown  # a program's line is of the facility "user" at least
        assert shown.endswith(b";" + text.rpartition(b">")[2].rstrip(b"\n") + b"\n")
    with pytest.raises(OSError) as caught:
        line(host, fd)
    assert caught.value.errno == errno.EAGAIN


@booted
def test_a_reader_whose_records_are_gone_learns_of_it_once(machine: Machine) -> None:
    host = machine.host
    fd = device(host)
    host.lseek(fd, 0, os.SEEK_SET)
    first = log.oldest_sequence()
    while log.oldest_sequence() == first:
        host.write(fd, b"x" * 900, 900)
    with pytest.raises(OSError) as caught:
        line(host, fd)
    assert caught.value.errno == errno.EPIPE
    assert int(line(host, fd).split(b",")[1]) == log.oldest_sequence()


@booted
def test_a_record_that_does_not_fit_is_passed_over(machine: Machine) -> None:
    host = machine.host
    fd = device(host)
    host.lseek(fd, 0, os.SEEK_END)
    for text in (b"a long line", b"next"):
        host.write(fd, text, len(text))
    with pytest.raises(OSError) as caught:
        host.read(fd, bytearray(10), 10)
    assert caught.value.errno == errno.EINVAL
    assert line(host, fd).endswith(b";next\n")


def logged(monkeypatch: pytest.MonkeyPatch, *texts: bytes) -> list[bytes]:
    """Have a log with these records alone; their lines."""
    log = Log()
    monkeypatch.setattr(kmsg, "log", log)
    for text in texts:
        log.add(6, text)
    return [line_of(record) for record in log.records]


@pytest.mark.parametrize("rest", [0, 10])
def test_others_read_during_a_copy(monkeypatch: pytest.MonkeyPatch, rest: int) -> None:
    lines = logged(monkeypatch, b"first", b"second", b"third")
    reader = ConsumingReader()
    seen = KernelBuffer(bytearray(len(lines[1]) + rest))
    slow = Slow(bytearray(len(lines[0])), lambda: reader.read(seen, waits=False))
    assert reader.read(slow, waits=False) == len(lines[0])
    assert bytes(slow.storage) == lines[0]
    assert bytes(seen.storage) == lines[1] + bytes(rest)  # not a part of a line after a whole one
    assert reader.unread() == len(lines[2])


def test_others_read_a_part_during_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = logged(monkeypatch, b"only")
    reader = ConsumingReader()
    seen = KernelBuffer(bytearray(6))
    slow = Slow(bytearray(4), lambda: reader.read(seen, waits=False))
    assert reader.read(slow, waits=False) == 4
    assert bytes(slow.storage + seen.storage) == line[:10]
    assert reader.unread() == len(line) - 10


def test_lines_come_while_the_unread_ones_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = logged(monkeypatch, b"first", b"second", b"third")
    reader = ConsumingReader()
    with meanwhile(lambda: vars(kmsg)["log"].add(6, b"fourth"), 2):
        assert reader.unread() == sum(len(line) for line in lines)
    assert reader.has_unread()
    reader.read(KernelBuffer(bytearray(PAGE)), waits=False)
    assert not reader.has_unread() and reader.unread() == 0


@booted
def test_lines_come_and_go_while_the_last_ones_are_read(machine: Machine) -> None:
    host = machine.host

    def fill() -> None:
        for _ in range(160):
            log.add(7, b"x" * 900)

    def last(act: Callable[[], None], place: int, action: int = 3) -> bytes:
        buffer = bytearray(1 << 18)
        with meanwhile(act, place):
            return bytes(buffer[: host.syslog(action, buffer, len(buffer))])

    fill()
    count = log.next_sequence - log.oldest_sequence()
    for place in (1, count // 2):  # while it is seen how many fit
        assert last(fill, place) == b""
    for place in (count + 10, count + count // 2):  # while they are copied
        assert 0 < last(fill, place).count(b"x\n") < count
    for action, place in ((3, 1), (3, count + 1), (4, 1)):
        text = last(lambda: log.add(7, b"fresh"), place, action)
        assert text.endswith(b"x\n") and b"fresh" not in text
        fill()
    assert last(lambda: log.add(7, b"fresh"), 3, 4).count(b"x\n") > 100
    assert last(lambda: None, 1).count(b"\n") == 1  # the line that came was not cleared


def test_a_fault_loses_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = logged(monkeypatch, b"first", b"second", b"third")
    reader = ConsumingReader()
    faulty = Faulty(bytearray(100), len(lines[0]) + 3)
    assert reader.read(faulty, waits=False) == len(lines[0])
    assert reader.unread() == len(lines[2])


@booted
def test_places_that_there_are_not(machine: Machine) -> None:
    host = machine.host
    fd = device(host)
    for offset, whence, code in ((1, os.SEEK_SET, errno.ESPIPE), (0, os.SEEK_CUR, errno.EINVAL)):
        with pytest.raises(OSError) as caught:
            host.lseek(fd, offset, whence)
        assert caught.value.errno == code
    with pytest.raises(OSError) as caught:
        host.write(fd, bytes(1025), 1025)
    assert caught.value.errno == errno.EINVAL
