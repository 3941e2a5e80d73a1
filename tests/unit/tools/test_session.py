"""A session with an agent that the test plays: streams, credit, status, readers that go away."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.guest.protocol import (
    CREDIT,
    DONE,
    ERRORS,
    EXITED,
    FAILED,
    HEADER,
    INPUT,
    INPUT_END,
    KINDS,
    LONGEST,
    OUTPUT,
    READER_GONE,
    REQUEST,
    STARTED,
    WINDOW,
    Parser,
    ProtocolError,
    Request,
    frame,
)
from tools.guest.running import Running
from tools.guest.session import STOPPED, Attendant, MachineStopped
from tools.run_program import attend


class Agent(threading.Thread):
    """The other side of a session, in a thread of its own."""

    def __init__(self, port: socket.socket) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.frames: list[tuple[int, bytes]] = []
        self.file = port.makefile("rb")

    def next(self) -> tuple[int, bytes]:
        kind, length = HEADER.unpack(self.file.read(HEADER.size))
        self.frames.append((kind, self.file.read(length)))
        return self.frames[-1]

    def say(self, kind: int, data: bytes = b"") -> None:
        self.port.sendall(frame(kind, data))

    def number(self, kind: int, value: int) -> None:
        self.say(kind, struct.pack("<I", value))


class Echo(Agent):
    """Starts `cat`."""

    def run(self) -> None:
        assert self.next()[0] == REQUEST
        self.number(STARTED, 7)
        while True:
            kind, data = self.next()
            if kind == INPUT_END:
                break
            assert kind == INPUT
            self.say(OUTPUT, data)
            self.number(CREDIT, len(data))
        self.number(EXITED, 3)


@pytest.fixture
def ports() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def attendant(port: socket.socket, tmp_path: Path, data: bytes = b"", **more: object) -> Attendant:
    source = tmp_path / "in"
    source.write_bytes(data)
    return Attendant(
        port=port, request=Request(arguments=["x"]), input=os.open(source, os.O_RDONLY),
        output=os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        errors=os.open(tmp_path / "err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), **more,  # type: ignore[arg-type]  # few
    )  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(list(KINDS)), st.binary(max_size=200))), st.integers(1, 50))
def test_frames_survive_any_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    stream = b"".join(frame(kind, data) for kind, data in frames)
    parser = Parser()
    got = [each for at in range(0, len(stream), size) for each in parser.feed(stream[at : at + size])]
    assert got == frames


@pytest.mark.parametrize("bad", [b"?" + bytes(7), HEADER.pack(OUTPUT, LONGEST + 1)])
def test_what_is_no_frame(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Parser().feed(bad))


def test_input_and_output_are_whole(ports: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    data = random.Random(1).randbytes(5 * WINDOW + 17)
    agent = Echo(ports[1])
    agent.start()
    assert attendant(ports[0], tmp_path, data).run() == 3
    assert (tmp_path / "out").read_bytes() == data


def test_input_waits_for_credit(ports: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    class Stingy(Agent):
        def run(self) -> None:
            self.next()
            self.number(STARTED, 7)
            got = 0
            while got < WINDOW:
                got += len(self.next()[1])
            self.port.settimeout(0.3)
            try:
                self.port.recv(1)
            except TimeoutError:
                self.number(EXITED, 0)

    Stingy(ports[1]).start()
    assert attendant(ports[0], tmp_path, bytes(3 * WINDOW)).run() == 0


def test_output_that_looks_like_a_status(ports: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    forged = frame(EXITED, struct.pack("<I", 0))

    class Printer(Agent):
        def run(self) -> None:
            self.next()
            self.number(STARTED, 7)
            self.say(OUTPUT, forged)
            self.say(ERRORS, forged)
            self.number(EXITED, 137)

    Printer(ports[1]).start()
    assert attendant(ports[0], tmp_path).run() == 137
    assert (tmp_path / "out").read_bytes() == (tmp_path / "err").read_bytes() == forged


def test_a_program_that_cannot_be_started(ports: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    class Refuser(Agent):
        def run(self) -> None:
            self.next()
            self.say(FAILED, struct.pack("<I", 127) + b"x: not found")

    Refuser(ports[1]).start()
    session = attendant(ports[0], tmp_path)
    assert (session.run(), session.complaint) == (127, "x: not found")


def test_a_reader_that_leaves(ports: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    class Yes(Agent):
        def run(self) -> None:
            self.next()
            self.number(STARTED, 7)
            self.say(OUTPUT, b"y\n" * 1000)
            while self.next()[0] != READER_GONE:
                pass
            self.number(EXITED, 141)

    agent = Yes(ports[1])
    agent.start()
    session = attendant(ports[0], tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    session._sinks[0].descriptor = writer
    assert session.run() == 141
    assert agent.frames[-1] == (READER_GONE, b"\1")


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_full_disk_is_no_reader_that_has_seen_enough(
    ports: tuple[socket.socket, socket.socket], tmp_path: Path, goes_on: bool
) -> None:
    class Printer(Agent):
        def run(self) -> None:
            self.next()
            self.number(STARTED, 7)
            self.say(OUTPUT, b"hi\n")
            if goes_on:
                while self.next()[0] != READER_GONE:
                    pass
            self.number(EXITED, 141 if goes_on else 0)

    Printer(ports[1]).start()
    session = attendant(ports[0], tmp_path)
    session._sinks[0].descriptor = os.open("/dev/full", os.O_WRONLY)
    assert session.run() == STOPPED
    assert session.complaint == "what the program printed cannot be written: no space left on device"


def test_a_machine_says_all_before_it_ends(
    ports: tuple[socket.socket, socket.socket], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It writes a byte at a time, as a serial line does, of which a socket takes a few hundred that nobody reads."""
    log, end = socket.socketpair()
    qemu = subprocess.Popen(["cat"], stdin=subprocess.PIPE)

    class Talker(Agent):
        def run(self) -> None:
            self.next()
            self.number(STARTED, 7)
            self.number(EXITED, 3)
            assert self.next()[0] == DONE
            for _ in range(5000):
                end.send(b"x")
            end.close()
            assert qemu.stdin is not None
            qemu.stdin.close()

    Talker(ports[1]).start()
    with open(tmp_path / "errors", "w+b") as errors, log:
        machine = Running(ports[0], log, qemu, tmp_path, errors.fileno())
        request = Request(arguments=["x"], input=False)
        assert attend(machine, request, lambda data: data, lambda program: None, "512M") == 3
        assert qemu.wait() == 0
    assert capfd.readouterr().err == "x" * 5000


@pytest.mark.parametrize("last", [b"", b"garbage that is no frame", frame(OUTPUT, b"x")[:5]])
def test_a_machine_that_stops(ports: tuple[socket.socket, socket.socket], tmp_path: Path, last: bytes) -> None:
    class Crasher(Agent):
        def run(self) -> None:
            self.next()
            self.number(STARTED, 7)
            self.port.sendall(last)
            self.port.shutdown(socket.SHUT_RDWR)

    log, line = socket.socketpair()
    line.sendall(b"Kernel panic")
    line.close()
    Crasher(ports[1]).start()
    session = attendant(ports[0], tmp_path, log=log)
    with pytest.raises(MachineStopped):
        session.run()
    assert session.whole_log() == b"Kernel panic"


@pytest.mark.parametrize("last", [b"krait: this processor has no 64-bit mode\r\n", b"Kernel panic\r\nPanic: no NX\r\n"])
def test_a_machine_that_stands_still_ends(
    ports: tuple[socket.socket, socket.socket], tmp_path: Path, capfd: pytest.CaptureFixture[str], last: bytes
) -> None:
    """It says why it does not start, and goes on running: neither its port nor its serial line close."""
    log, end = socket.socketpair()
    qemu = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=end.fileno())
    end.send(last)
    end.close()
    with open(tmp_path / "errors", "w+b") as errors, log:
        machine = Running(ports[0], log, qemu, tmp_path, errors.fileno())
        request = Request(arguments=["x"], input=False)
        assert attend(machine, request, None, lambda program: None, "512M") == STOPPED
        assert qemu.wait() == -signal.SIGKILL
    said = capfd.readouterr().err
    assert said == last.decode().replace("\r", "") + "krait: the machine stopped before the program ended\n"


def test_a_program_may_print_what_looks_like_the_end(
    ports: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    class Slow(Agent):
        def run(self) -> None:
            self.next()
            self.number(STARTED, 7)
            line.sendall(b"Kernel panic\r\nPanic: no NX\r\n")
            time.sleep(1.5)
            self.number(EXITED, 3)

    log, line = socket.socketpair()
    Slow(ports[1]).start()
    assert attendant(ports[0], tmp_path, log=log).run() == 3


@pytest.mark.parametrize("request_", [Request(arguments=["a\0b"]), Request(arguments=["x" * 70_000])])
def test_requests_that_do_not_fit(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"NUL|more than"):
        request_.encode()
