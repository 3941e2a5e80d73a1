"""A device with a state for each open file."""

import errno
import os

import pytest

from tools.project_tests import Machine


def open_device(machine: Machine) -> int:
    return machine.host.open("/dev/rot13", os.O_RDWR, 0)


def read(machine: Machine, descriptor: int, count: int = 100) -> bytes:
    buffer = bytearray(count)
    return bytes(buffer[: machine.host.read(descriptor, buffer, count)])


def test_letters_are_turned(machine: Machine) -> None:
    file = open_device(machine)
    assert machine.host.write(file, b"Hello, World 42!", 16) == 16
    assert read(machine, file, 5) == b"Uryyb"
    assert read(machine, file) == b", Jbeyq 42!"
    assert read(machine, file) == b""
    machine.host.close(file)


def test_files_do_not_mix(machine: Machine) -> None:
    one, two = open_device(machine), open_device(machine)
    machine.host.write(one, b"one", 3)
    machine.host.write(two, b"two", 3)
    assert (read(machine, one), read(machine, two)) == (b"bar", b"gjb")
    machine.host.close(one)
    machine.host.close(two)


def test_there_is_an_end_of_room(machine: Machine) -> None:
    file = open_device(machine)
    assert machine.host.write(file, b"x" * 5000, 5000) == 4096
    with pytest.raises(OSError) as caught:
        machine.host.write(file, b"x", 1)
    assert caught.value.errno == errno.ENOSPC
    assert read(machine, file, 5000) == b"k" * 4096
    assert machine.host.write(file, b"x", 1) == 1
    machine.host.close(file)
