"""What hello(2) does: in the kernel under CPython, at once, and in a machine."""

import errno

import pytest

from tools.project_tests import Krait, Machine

PROGRAM = """
import ctypes
buffer = ctypes.create_string_buffer(100)
count = ctypes.CDLL(None).syscall(500, buffer, 100)
print(count, buffer.value)
"""


def test_a_process_is_greeted(machine: Machine) -> None:
    buffer = bytearray(100)
    assert machine.host.hello(buffer, len(buffer)) == 17
    assert buffer[:17] == b"Hello, process 1\n"


def test_too_little_room(machine: Machine) -> None:
    with pytest.raises(OSError) as caught:
        machine.host.hello(bytearray(8), 8)
    assert caught.value.errno == errno.ERANGE


def test_memory_of_nobody(machine: Machine) -> None:
    with pytest.raises(OSError) as caught:
        machine.host.hello(0, 100)
    assert caught.value.errno == errno.EFAULT


def test_a_program_is_greeted(krait: Krait) -> None:
    """Python of this machine, in the guest."""
    done = krait("python3", "-c", PROGRAM)
    assert done.returncode == 0 and "Hello, process" in done.stdout, done.stderr
