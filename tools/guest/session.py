"""Attend a program in a guest: carry its streams, signals and the terminal's size until it ends, and return its status.

Nothing here waits for one stream alone: a reader that is slow keeps the program waiting, but not the keyboard.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import stat
import struct
import termios
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tools.guest.protocol import (
    CREDIT,
    DONE,
    ERRORS,
    EXITED,
    FAILED,
    HELLO,
    INPUT,
    INPUT_END,
    LONGEST,
    OUTPUT,
    READER_GONE,
    SIGNAL,
    STARTED,
    WINDOW,
    WINDOW_SIZE,
    Parser,
    ProtocolError,
    Request,
    frame,
)
from tools.guest.standstill import SILENCE_S, does_not_start
from tools.guest.terminal import terminal_size

STOPPED = 125  # our exit status when the machine stopped before the program ended
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
ANSWER_S = 20.0
GRACE_S = 3.0  # for a program that was asked to end, or whose reader has gone
INSISTENCE = 3  # how many ^C end the machine
LEAVE = b"\x10\x11"  # Ctrl-P Ctrl-Q, as docker has it
FILE_SHARE = 1 << 20  # bytes of one write
PIPE_SHARE = 1 << 16  # what a pipe holds unless somebody has changed that
QUEUE_LIMIT = 1 << 20  # bytes for the program, and bytes of it, that wait here


class MachineStopped(Exception):
    """The port closed before the program's status came, or the machine stands still."""


@dataclass
class Sink:
    """Where one of the program's streams goes."""

    descriptor: int
    number: int  # 1 or 2
    waiting: bytearray = field(default_factory=bytearray)
    is_gone: bool = False

    def __post_init__(self) -> None:
        self._own: int | None = None  # a descriptor of ours for the same pipe, which does not block
        # More than this may block a pipe that a select found writable.
        self._share = select.PIPE_BUF
        mode = os.fstat(self.descriptor).st_mode
        if stat.S_ISREG(mode):
            self._share = FILE_SHARE
        elif stat.S_ISFIFO(mode):
            with contextlib.suppress(OSError):  # another user's
                self._own = os.open(f"/proc/self/fd/{self.descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                self._share = PIPE_SHARE

    def write(self) -> None:
        """Write a share of what waits. Raises BrokenPipeError, OSError."""
        with contextlib.suppress(BlockingIOError):
            target = self.descriptor if self._own is None else self._own
            done = os.write(target, self.waiting[: self._share])
            del self.waiting[:done]

    def close(self) -> None:
        if self._own is not None:
            os.close(self._own)
            self._own = None


@dataclass(kw_only=True)
class Attendant:
    """One session. `port` is connected to the agent; `log` is the machine's serial line, if it is ours to read."""

    port: socket.socket
    request: Request
    output: int = 1
    errors: int = 2
    input: int | None = 0
    log: socket.socket | None = None
    shown_log: Callable[[bytes], bytes] | None = None  # what of the log is shown among the errors; None: nothing
    on_start: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        self.log_text = bytearray()
        self.status: int | None = None
        self.complaint = ""
        self._parser = Parser()
        self._outgoing = bytearray(self.request.encode())
        self._credit = WINDOW
        self._sinks = (Sink(self.output, 1), Sink(self.errors, 2))
        self._started = False
        self._interrupts = 0
        # An agent that has the request says so first; nobody may be there to do it.
        self._deadline: float | None = time.monotonic() + ANSWER_S if self.request.nonce else None
        self._verdict = STOPPED  # our status when the deadline is over
        self._loss = ""  # why some of the program's output is nowhere
        self._leaving = b""
        self._has_left = False
        self.stands_still = False
        self._silence: float | None = None  # until when the machine has to say more, if it is not to stand still

    def run(self) -> int:
        """Attend the program; its status, or 125 … 127 as docker has them: 125 too if not all that it printed could be
        written. Raises MachineStopped, KeyboardInterrupt when the user insisted.
        """
        self.port.setblocking(False)
        with contextlib.ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)
            signals = stack.enter_context(_signals())
            stack.enter_context(_raw_terminal(self.request.tty, self.input))
            while self.status is None or any(sink.waiting and not sink.is_gone for sink in self._sinks):
                self._turn(signals)
                if self._has_left:
                    return 0
                if self._silence is not None and time.monotonic() > self._silence:
                    self.stands_still = True
                    raise MachineStopped
                if self._deadline is not None and time.monotonic() > self._deadline and self.status is None:
                    if self._verdict == STOPPED:
                        self.complaint = "the machine does not answer"
                    return self._told_of_loss(self._verdict)
        return self._told_of_loss(self.status)

    def _told_of_loss(self, status: int) -> int:
        if not self._loss:
            return status
        self.complaint = f"what the program printed cannot be written: {self._loss}"
        return STOPPED

    def _turn(self, signals: socket.socket) -> None:
        readers: list[int | socket.socket] = [signals]
        waiting = sum(len(sink.waiting) for sink in self._sinks)
        if self.status is None and waiting < QUEUE_LIMIT:
            readers.append(self.port)
        if self.log is not None:
            readers.append(self.log)
        wants_input = self.request.input and self._started and self.status is None and self._credit > 0
        if self.input is not None and wants_input and len(self._outgoing) < QUEUE_LIMIT:
            readers.append(self.input)
        writers: list[int | socket.socket] = [sink.descriptor for sink in self._sinks if sink.waiting]
        if self._outgoing and self.status is None:
            writers.append(self.port)
        ends = [each for each in (self._deadline, self._silence) if each is not None]
        patience = max(0.0, min(ends) - time.monotonic()) + 0.01 if ends else None
        readable, writable, _ = select.select(readers, writers, [], patience)
        if signals in readable:
            self._signalled(signals.recv(64))
        if self.port in writable:
            self._send()
        if self.log is not None and self.log in readable:
            self._read_log(self.log)
        if self.input in readable and self.input is not None:
            self._read_input(self.input)
        for sink in self._sinks:
            if sink.descriptor in writable:
                self._write(sink)
        if self.port in readable:
            self._receive()

    # ---- To the program ----

    def _send(self) -> None:
        try:
            del self._outgoing[: self.port.send(self._outgoing[:LONGEST])]
        except (BrokenPipeError, ConnectionResetError) as error:
            raise MachineStopped from error

    def _read_input(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, min(LONGEST, self._credit))
        except OSError:  # a terminal that hung up
            data = b""
        if not data:
            self._outgoing += frame(INPUT_END)
            self.input = None
            return
        if self.request.tty:
            self._leaving = (self._leaving + data)[-len(LEAVE) :]
            self._has_left = self._leaving == LEAVE
        self._credit -= len(data)
        self._outgoing += frame(INPUT, data)

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGWINCH:
                self._outgoing += frame(WINDOW_SIZE, struct.pack("<HH", *terminal_size()))
                continue
            if number == signal.SIGINT:
                self._interrupts += 1
            if not self._started or self._interrupts >= INSISTENCE:
                self._verdict, self._deadline = 128 + number, 0.0
                continue
            self._outgoing += frame(SIGNAL, struct.pack("<I", number))
            if number in (signal.SIGTERM, signal.SIGHUP) and self._deadline is None:
                self._verdict, self._deadline = 128 + number, time.monotonic() + GRACE_S

    # ---- From the program ----

    def _write(self, sink: Sink) -> None:
        try:
            sink.write()
        except OSError as error:
            if not _reader_has_gone(error, sink.descriptor):  # a full disk
                self._loss = (error.strerror or "").lower()
            sink.waiting.clear()
            sink.is_gone = True
            self._outgoing += frame(READER_GONE, bytes([sink.number]))
            if self._deadline is None:
                self._verdict, self._deadline = 128 + signal.SIGPIPE, time.monotonic() + GRACE_S

    def _read_log(self, log: socket.socket) -> None:
        try:
            data = log.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.log = None
        if self.shown_log is not None and not self._sinks[1].is_gone:
            self._sinks[1].waiting += self.shown_log(data)
        self.log_text = (self.log_text + data)[-65536:]
        is_over = not self._started and does_not_start(bytes(self.log_text))
        self._silence = time.monotonic() + SILENCE_S if is_over else None

    def _receive(self) -> None:
        try:
            data = self.port.recv(4 * LONGEST)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            raise MachineStopped
        try:
            for kind, contents in self._parser.feed(data):
                self._handle(kind, contents)
        except ProtocolError as error:
            raise MachineStopped from error

    def _handle(self, kind: int, contents: bytes) -> None:
        if kind in (OUTPUT, ERRORS):
            sink = self._sinks[kind == ERRORS]
            if not sink.is_gone:
                sink.waiting += contents
        elif kind == CREDIT:
            self._credit += struct.unpack("<I", contents)[0]
        elif kind == STARTED:
            self._started = True
            self._silence = None
            if self.request.tty:
                self._outgoing += frame(WINDOW_SIZE, struct.pack("<HH", *terminal_size()))
            if self.on_start is not None:
                self.on_start(struct.unpack("<I", contents)[0])
        elif kind == EXITED:
            self.status = struct.unpack("<I", contents)[0] & 0xFF
        elif kind == FAILED:
            self.status = struct.unpack("<I", contents[:4])[0] & 0xFF
            self.complaint = contents[4:].decode(errors="replace")
        else:
            assert kind == HELLO
            self._deadline = None

    def whole_log(self) -> bytes:
        """What the serial line brought, with what is still under way."""
        while self.log is not None:
            self._read_log(self.log)
        return bytes(self.log_text)

    def read_rest(self, patience: float) -> None:
        """Read what the machine says until it has ended, or for `patience` seconds: it stands still if nobody reads."""
        deadline = time.monotonic() + patience
        while self.log is not None and (left := deadline - time.monotonic()) > 0:
            if select.select([self.log], [], [], left)[0]:
                self._read_log(self.log)

    def show_rest(self) -> None:
        """Show what was read and not shown."""
        rest = self._sinks[1].waiting
        with contextlib.suppress(OSError):
            while rest:
                del rest[: os.write(self.errors, rest)]

    def finish(self) -> None:
        """Tell the agent that its work is done; it is a courtesy, and nobody waits for it."""
        with contextlib.suppress(OSError):
            self.port.setblocking(True)
            self.port.sendall(frame(DONE))


def _reader_has_gone(error: OSError, descriptor: int) -> bool:
    """Whether whoever reads has seen enough, or hung up. Otherwise what was to be written is lost."""
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return True
    return error.errno == errno.EIO and os.isatty(descriptor)


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket from which the numbers of signals can be read, instead of what they would do."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    old_descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    numbers = (*FORWARDED, signal.SIGWINCH)
    # What the caller ignores stays ignored (nohup).
    before = {n: signal.signal(n, lambda *_: None) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_descriptor)
        reader.close()
        writer.close()


@contextlib.contextmanager
def _raw_terminal(wanted: bool, descriptor: int | None) -> Iterator[None]:
    if not wanted or descriptor is None or not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
