"""What of a machine must not outlive us: QEMU, gdb beside it, and directories of ours; however we end.

A small process of its own, the guard, waits for our end. If we did not say good-bye, it ends the processes
whose numbers it has read, and removes the directories. Every QEMU of `krait` is started here, by `guarded_process`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.errors import KraitError, storing

PATIENCE_S = 2.0  # for a process that was asked to end; it may have a terminal to put back

# Its arguments: a directory to remove if it is empty, or "", and those that go with all that they hold. It reads
# numbers of processes, then the good-bye. Its input ends when we do.
_GUARD = """\
end() {
    kill "$1" || return
    for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        sleep 0.1
        kill -0 "$1" || return
    done
    kill -9 "$1"
}
processes=
while read -r word; do
    [ "$word" = bye ] && exit
    processes="$processes $word"
done
exec 2>/dev/null
for each in $processes; do
    end "$each" &
done
wait
above=$1
shift
rm -rf -- "$@"
[ -z "$above" ] || rmdir -- "$above"
"""


class Guard:
    """A guard that runs."""

    def __init__(self, directories: tuple[Path, ...], above: Path | None) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", "" if above is None else str(above), *map(str, directories)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.is_needed = False  # a process may run that nobody else will end

    def watch_this_process(self) -> None:
        """To be called in a new process before it becomes another program. It holds the guard's input until then, so
        the guard hears of it even if we end in between.
        """
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), b"%d\n" % os.getpid())

    def dismiss(self) -> None:
        """Let it go, after it has done what it is needed for."""
        with contextlib.suppress(OSError):
            self._process.communicate(b"" if self.is_needed else b"bye\n")


@contextlib.contextmanager
def guarded(*directories: Path, above: Path | None = None) -> Iterator[Guard]:
    """A guard for as long as the context lasts, which has removed the directories itself then. `above` is removed with
    the last one in it. The guard hears of it last: a signal that ends us on the way out leaves the rest to it.
    """
    guard = Guard(directories, above)
    try:
        yield guard
    finally:
        guard.dismiss()


@contextlib.contextmanager
def scratch_directory(prefix: str) -> Iterator[tuple[Path, Guard]]:
    """A directory among the temporary ones that is gone afterwards, and its guard."""
    import shutil
    import tempfile

    with storing(Path("temporary files")):
        place = Path(tempfile.gettempdir()).absolute() / f"{prefix}{os.urandom(8).hex()}"
    with guarded(place) as guard:
        with storing(place.parent):
            place.mkdir(mode=0o700)
        try:
            yield place, guard
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def guarded_process(
    guard: Guard, arguments: list[str], inherited: tuple[int, ...] = (), *, has_terminal: bool = False,
    directory: Path | None = None, errors: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the context. One with our terminal gets the time to put it back; if it was ended before
    it could, we do. `errors`: a file for what it writes among its errors, instead of ours; and among its output, unless
    that is for the terminal.
    """
    settings = _settings() if has_terminal else None
    guard.is_needed = True  # a signal may end us between its start and the block that ends it
    try:
        process = subprocess.Popen(
            arguments, pass_fds=inherited, stdin=None if has_terminal else subprocess.DEVNULL,
            stdout=None if has_terminal else errors, stderr=errors, start_new_session=not has_terminal, cwd=directory,
            preexec_fn=guard.watch_this_process,
        )  # fmt: skip
    except OSError as error:
        guard.is_needed = False
        raise KraitError(f"krait: {arguments[0]} cannot be started: {(error.strerror or '').lower()}") from error
    try:
        guard.is_needed = False
        yield process
    finally:
        if has_terminal:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
        if process.poll() is None:
            process.kill()
        process.wait()
        if settings is not None:
            _put_back(settings)


@dataclass(frozen=True)
class _Settings:
    """Of the terminal that is our input."""

    attributes: list[int | list[bytes | int]]
    blocks: bool


def _settings() -> _Settings | None:
    import termios

    return _Settings(termios.tcgetattr(0), os.get_blocking(0)) if os.isatty(0) else None


def _put_back(settings: _Settings) -> None:
    import signal
    import termios

    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # the terminal may have become another's
    with contextlib.suppress(OSError, termios.error):  # it hung up
        if termios.tcgetattr(0) != settings.attributes:
            termios.tcsetattr(0, termios.TCSANOW, settings.attributes)
        os.set_blocking(0, settings.blocks)
    signal.signal(signal.SIGTTOU, before)


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end us with the status 128 + n, and what is under way is left in order: terminals get their
    settings back. What the caller ignores stays ignored.
    """
    import signal

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    wanted = (signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.signal(n, end) for n in wanted if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
