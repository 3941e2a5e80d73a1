"""A pseudo terminal, its line discipline and job control, on a booted machine."""

import os
import signal
import struct
from collections.abc import Callable

import pytest

from kernel.fs.walk import resolve
from kernel.lang import Span, u8
from kernel.lib.user import UserBuffer
from kernel.task import current
from kernel.tty import devpts, pty
from kernel.tty.pty import OUTPUT_LIMIT, TIOCPKT, Pty, PtyHome, PtyMaster, make_pair, pair_count
from tests.unit.booted import booted
from tests.unit.tty.terminal import open_pair, receive, send, take_terminal
from tools.simulated.machine import Machine
from tools.simulated.program import Program

TIOCSWINSZ = 0x5414
TIOCGWINSZ = 0x5413
MOMENT = struct.pack("<QQ", 0, 10_000_000)
TEXTS = (b"a", b"b")
SECOND = struct.pack("<QQ", 1, 0)


@booted
def test_a_line_is_edited_before_it_is_read(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    send(host, master, b"helo\x7flo\n")
    assert receive(host, slave) == b"hello\n"
    assert receive(host, master) == b"helo\b \blo\r\n"  # the echo
    send(host, slave, b"answer\n")
    assert receive(host, master) == b"answer\r\n"


@booted
def test_the_end_of_input(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    send(host, master, b"part\x04\x04")
    assert receive(host, slave) == b"part"
    assert receive(host, slave) == b""


@booted
def test_control_c_reaches_the_foreground(machine: Machine) -> None:
    host = machine.host
    master, _, name = open_pair(host)

    def shell(program: Program) -> None:
        terminal = take_terminal(program, name)
        receive(program, terminal)

    child = host.fork(shell)
    host.nanosleep(SECOND, None)
    send(host, master, b"\x03")
    assert machine.wait(child) == signal.SIGINT
    assert receive(host, master) == b"^C"


@booted
def test_the_background_is_stopped_when_it_reads(machine: Machine) -> None:
    host = machine.host
    _, _, name = open_pair(host)

    def shell(program: Program) -> None:
        terminal = take_terminal(program, name)

        def job(program: Program) -> None:
            program.setpgid(0, 0)
            receive(program, terminal)

        child = program.fork(job)
        status = bytearray(4)
        assert program.wait4(child, status, os.WUNTRACED, 0) == child
        code = int.from_bytes(status, "little")
        assert os.WIFSTOPPED(code) and os.WSTOPSIG(code) == signal.SIGTTIN
        program.kill(child, signal.SIGKILL)
        program.wait4(child, 0, 0, 0)

    assert machine.run(shell) == 0


@booted
def test_the_size_of_the_window(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    host.ioctl(master, TIOCSWINSZ, bytearray(struct.pack("<HHHH", 50, 132, 0, 0)))
    size = bytearray(8)
    host.ioctl(slave, TIOCGWINSZ, size)
    assert struct.unpack("<HHHH", size) == (50, 132, 0, 0)


@booted
def test_the_last_master_hangs_up(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    host.close(master)
    assert receive(host, slave) == b""
    with pytest.raises(OSError, match="EIO"):
        host.write(slave, b"x", 1)


@booted
def test_the_slave_may_close_while_the_home_forgets_the_pair(machine: Machine) -> None:
    """It sleeps if that ends a mount: the pair ends then, and the number may have become that of another one."""

    class Home(PtyHome):
        def forget(self, number: int) -> None:
            pair.slave_closed()
            later.append(make_pair(PtyHome()))

    later: list[Pty] = []
    before = pair_count()
    pair = make_pair(Home())
    pair.close_master()
    assert later[0].number == pair.number and pair_count() == before + 1
    later[0].close_master()
    assert pair_count() == before


@pytest.mark.parametrize("failing", [pty.PtyMaster, pty.Pty, devpts.SlaveInode])
@booted
def test_a_failed_opening_leaves_the_mount_as_it_was(machine: Machine, failing: type) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    host = machine.host
    open_pair(host)
    place = resolve(current().fs, None, b"/dev/pts", 0)
    kept = (place.mount.users, place.dentry.pins, pair_count())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failing, "__init__", fail)
        with pytest.raises(OSError, match="ENOMEM"):
            host.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    assert (place.mount.users, place.dentry.pins, pair_count()) == kept


@booted
def test_what_one_program_writes_at_once_stays_together(machine: Machine) -> None:
    host = machine.host
    master, slave, name = open_pair(host)
    size = 3 * OUTPUT_LIMIT

    def writing(text: bytes) -> Callable[[Program], int]:
        return lambda program: program.write(slave, text * size, size) - size

    writers = [host.fork(writing(text)) for text in TEXTS]
    host.nanosleep(MOMENT, None)
    hurried = host.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="EAGAIN"):
        host.write(hurried, b"c", 1)
    shown = b""
    buffer = bytearray(OUTPUT_LIMIT)
    while len(shown) < 2 * size:
        shown += buffer[: host.read(master, buffer, len(buffer))]
    assert shown in (TEXTS[0] * size + TEXTS[1] * size, TEXTS[1] * size + TEXTS[0] * size)
    for writer in writers:
        assert machine.wait(writer) == 0


@booted
def test_a_signal_ends_the_wait_for_another_writer(machine: Machine) -> None:
    host = machine.host
    _, slave, _ = open_pair(host)
    size = 3 * OUTPUT_LIMIT
    writers = [host.fork(lambda program: program.write(slave, bytes(size), size) - size) for _ in range(2)]
    host.nanosleep(MOMENT, None)
    for writer in reversed(writers):  # the one that waits first
        host.kill(writer, signal.SIGTERM)
        assert machine.wait(writer) == signal.SIGTERM


@booted
def test_a_packet_is_whole_though_others_read_meanwhile(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    host.ioctl(master, TIOCPKT, (1).to_bytes(4, "little"))
    send(host, slave, b"abc")
    file = current().files.get(master)
    assert isinstance(file, PtyMaster)
    put = UserBuffer.put

    def after_another(self: UserBuffer, source: Span[u8]) -> int:
        file.pair.driver.output.clear()  # the other has read it
        return put(self, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UserBuffer, "put", after_another)
        assert receive(host, master) == b"\0abc"
