"""What /dev/hello does: in the kernel under CPython, at once, and in a machine."""

from tools.project_tests import Krait, Machine

O_RDWR = 2


def test_whom_it_greets(machine: Machine) -> None:
    descriptor = machine.host.open("/dev/hello", O_RDWR, 0)
    assert machine.host.write(descriptor, b"world\n", 6) == 6
    buffer = bytearray(100)
    count = machine.host.read(descriptor, buffer, len(buffer))
    assert buffer[:count] == b"Hello, world\n"
    assert machine.host.read(descriptor, buffer, len(buffer)) == 0
    machine.host.close(descriptor)


def test_a_shell_uses_it(krait: Krait) -> None:
    done = krait("--command", "cat /dev/hello; echo world >/dev/hello; cat /dev/hello")
    assert (done.returncode, done.stdout) == (0, "Hello, nobody\nHello, world\n")
