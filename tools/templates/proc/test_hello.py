"""What /proc/hello says: in the kernel under CPython, at once, and in a machine."""

from tools.project_tests import Krait, Machine


def read(machine: Machine, path: str) -> bytes:
    """What a program of the machine reads from a file."""
    descriptor = machine.host.open(path, 0, 0)
    buffer = bytearray(100)
    count = machine.host.read(descriptor, buffer, len(buffer))
    machine.host.close(descriptor)
    return bytes(buffer[:count])


def test_each_reader_has_a_number(machine: Machine) -> None:
    assert read(machine, "/proc/hello") == b"Hello, reader 1\n"
    assert read(machine, "/proc/hello") == b"Hello, reader 2\n"


def test_a_shell_reads_it(krait: Krait) -> None:
    done = krait("--command", "cat /proc/hello /proc/hello; ! echo x >/proc/hello")
    assert (done.returncode, done.stdout) == (0, "Hello, reader 1\nHello, reader 2\n")
