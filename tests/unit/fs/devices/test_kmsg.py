"""The log as a device: what lines say, and what is lost on the way to a slow reader (Linux's dev-kmsg, syslog(2))."""

from __future__ import annotations

import errno
import os

import pytest

from kernel.fs.devices.kmsg import escaped, parse_priority
from kernel.lib.log import log
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096


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
