"""A file of /proc that can be read and written."""

import errno
import os

import pytest

from tools.project_tests import Machine


def read(machine: Machine) -> bytes:
    descriptor = machine.host.open("/proc/motd", os.O_RDONLY, 0)
    buffer = bytearray(200)
    count = machine.host.read(descriptor, buffer, len(buffer))
    machine.host.close(descriptor)
    return bytes(buffer[:count])


def write(machine: Machine, text: bytes) -> None:
    descriptor = machine.host.open("/proc/motd", os.O_WRONLY, 0)
    try:
        machine.host.write(descriptor, text, len(text))
    finally:
        machine.host.close(descriptor)


def test_the_first_message(machine: Machine) -> None:
    assert read(machine) == b"Welcome to Krait\n"


def test_another_one(machine: Machine) -> None:
    write(machine, b"  Back at noon\n")
    assert read(machine) == b"Back at noon\n"


@pytest.mark.parametrize("text", [b"\n", b"x" * 101])
def test_what_is_refused(machine: Machine, text: bytes) -> None:
    before = read(machine)
    with pytest.raises(OSError) as caught:
        write(machine, text)
    assert caught.value.errno == errno.EINVAL and read(machine) == before
