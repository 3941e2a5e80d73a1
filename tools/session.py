"""Run one program in a guest: pass its output on, and nothing else, and find out its exit status.

The image's /init prints a marker line before and after the program. Keys go to the guest when standard input is a
terminal; Ctrl-A X leaves then. Otherwise the program's standard input is empty.
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import termios
import tty

BEGIN = re.compile(rb"@krait-begin@\r?\n")
END = re.compile(rb"@krait-end@ (\d+)\r?\n")
END_WORD = b"@krait-end@ "
UNFINISHED = re.compile(rb"@krait-end@ \d*\r?")
LONGEST_MARKER = 32
ESCAPE = 0x01  # Ctrl-A
POWER_OFF_SECONDS = 5
STOPPED = 125  # our exit status when the machine stopped before the program ended


class Filter:
    """Passes on what stands between the markers, however the line cuts it into pieces."""

    def __init__(self, keep_carriage_returns: bool) -> None:
        self.log = b""  # what came before the beginning
        self.status: int | None = None
        self._begun = False
        self._held = b""
        self._keep_carriage_returns = keep_carriage_returns

    def feed(self, data: bytes, last: bool = False) -> bytes:
        """Take what the line brought and give what may be passed on now."""
        if self.status is not None:
            return b""
        self._held += data
        if not self._begun:
            match = BEGIN.search(self._held)
            if match is None:
                if last:
                    self.log += self._held
                return b""
            self.log = self._held[: match.start()]
            self._held = self._held[match.end() :]
            self._begun = True
        match = END.search(self._held)
        if match is not None:
            self.status = int(match[1])
            return self._clean(self._held[: match.start()])
        keep = 0 if last else self._undecided()
        ready = self._held[: len(self._held) - keep]
        self._held = self._held[len(ready) :]
        return self._clean(ready)

    def _undecided(self) -> int:
        """How many bytes at the end may be part of a marker or of a line's end."""
        tail = self._held[-LONGEST_MARKER:]
        at = tail.find(END_WORD[:1])  # from the left: the longest candidate counts
        while at >= 0:
            rest = tail[at:]
            if END_WORD.startswith(rest) or UNFINISHED.fullmatch(rest):
                return len(rest)
            at = tail.find(END_WORD[:1], at + 1)
        return 1 if tail.endswith(b"\r") else 0

    def _clean(self, output: bytes) -> bytes:
        # The guest's terminal puts a carriage return before each newline: undone exactly, unless a terminal wants it.
        return output if self._keep_carriage_returns else output.replace(b"\r\n", b"\n")


def run_program(command: list[str], keyboard: bool) -> int:
    """Start QEMU with its serial line here and return the program's exit status."""
    line, line_end = socket.socketpair()
    qemu = subprocess.Popen(
        [*command, "-chardev", f"socket,id=serial,fd={line_end.fileno()}", "-serial", "chardev:serial"],
        pass_fds=(line_end.fileno(),), stdin=subprocess.DEVNULL,
    )
    line_end.close()
    before = termios.tcgetattr(0) if keyboard else None
    filtered = Filter(keep_carriage_returns=keyboard and os.isatty(1))
    try:
        if keyboard:
            tty.setraw(0)
        left = _pump(line, filtered, keyboard)
        if left:
            return STOPPED
        qemu.wait(POWER_OFF_SECONDS)
    except KeyboardInterrupt:
        return 130
    except subprocess.TimeoutExpired:
        pass  # the program has ended, that is what matters
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        if qemu.poll() is None:
            qemu.kill()
        qemu.wait()
        line.close()
    if filtered.status is None:
        sys.stdout.flush()
        sys.stderr.write(filtered.log.decode(errors="replace").replace("\r\n", "\n"))
        sys.stderr.write("krait: the machine stopped before the program ended\n")
        return STOPPED
    return filtered.status


def _pump(line: socket.socket, filtered: Filter, keyboard: bool) -> bool:
    """Carry bytes between terminal and guest until the program or the machine ends; True if the user left."""
    escaped = False
    sources: list[socket.socket | int] = [line, 0] if keyboard else [line]
    while filtered.status is None:
        ready, _, _ = select.select(sources, [], [])
        if 0 in ready:
            keys = os.read(0, 1024)
            if not keys:
                sources.remove(0)
            for key in keys:
                if escaped and key in b"xX":
                    return True
                if key != ESCAPE or escaped:
                    line.sendall(bytes([key]))
                escaped = key == ESCAPE and not escaped
        if line in ready:
            try:
                data = line.recv(65536)
            except ConnectionResetError:
                data = b""
            sys.stdout.buffer.write(filtered.feed(data, last=not data))
            sys.stdout.buffer.flush()
            if not data:
                break
    return False
