"""Limits for the import of sources, which is arbitrary code that runs while the program is compiled.

`ends_raise` applies to every import. In a child of `apart`, `bounded` also limits processor time and memory, and
separates input and output. If the child dies all the same, its parent notices, and reads the last line that ran from a
file that `faulthandler` wrote. `bounded` restores what the import changed in the process: signals, timers, the working
directory.
"""

from __future__ import annotations

import _thread
import contextlib
import faulthandler
import os
import posix
import re
import resource
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from compiler import apart

MOST_BYTES = 1 << 30  # of memory beyond what the process has
LEAST_S = 20.0  # of processor time
SHARE = 5.0  # of the time that the process has used so far: a slow machine needs more for both
WAITING = 4.0  # elapsed time, as a multiple of processor time: the import may sleep, or the machine may be busy
THREADS_S = 5.0  # for threads to end
SETTING = "KRAIT_IMPORT_SECONDS"  # instead of the two above
MODULE_HINT = "module-level code runs when the program is compiled"
LONGEST = 500  # letters of an exception's text that are shown
COMPILER = f"{Path(__file__).parent}{os.sep}"
LIBRARIES = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib"))

_FRAME = re.compile(r'  File "(.+)", line (\d+) in (.*)')
_is_watched = False  # whether an interrupt would be noted here:
_is_interrupted = False


class ImportEnds(BaseException):
    """An import did something that is not allowed; the text continues "importing this"."""

    def __init__(self, text: str, hint: str = MODULE_HINT) -> None:
        super().__init__(text)
        self.hint = hint


def seconds_allowed() -> float:
    """Processor time that an import may take from now on."""
    setting = os.environ.get(SETTING)
    return float(setting) if setting else LEAST_S + SHARE * time.process_time()


# What ends a process --------------------------------------------------------------------------------------------------


def _refused(name: str) -> Callable[..., NoReturn]:
    def refuse(*arguments: object, **_: object) -> NoReturn:
        if name == "_exit":
            raise SystemExit(*arguments[:1])
        raise ImportEnds(f"calls os.{name}")

    return refuse


@contextlib.contextmanager
def ends_raise() -> Iterator[None]:
    """Functions that would silently end this process or another one raise an exception."""
    names = ("_exit", "abort", "execv", "execve", "fork", "forkpty", "kill", "killpg")
    modules: tuple[Any, ...] = (os, posix)
    before = [(module, name, getattr(module, name)) for module in modules for name in names]
    sent = [(signal, name, getattr(signal, name)) for name in ("raise_signal", "pthread_kill")]
    for module, name, _ in before:
        setattr(module, name, _refused(name))
    for module, name, _ in sent:
        setattr(module, name, _signals)
    try:
        yield
    finally:
        for module, name, function in (*before, *sent):
            setattr(module, name, function)


def _signals(*_: object) -> NoReturn:
    raise ImportEnds("sends itself a signal")


def is_interrupted() -> bool:
    """Whether a KeyboardInterrupt came from the keyboard, and not from the sources."""
    return not _is_watched or _is_interrupted


def _interrupt(*_: object) -> NoReturn:
    global _is_interrupted
    _is_interrupted = True
    raise KeyboardInterrupt


def text_of(error: BaseException) -> str:
    """The text of an exception, shortened; the exception's own code may fail to produce it."""
    try:
        text = str(error)
    except Exception:
        return "(it has no text)"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


# Limits ---------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def bounded(trail: Path) -> Iterator[Callable[[Path], None]]:
    """Limits for imports in a child of `apart`. Yields a function to call with each file before its import. A process
    that dies writes a traceback to `trail`.
    """
    seconds = seconds_allowed()
    until = time.monotonic() + WAITING * seconds

    def at(file: Path) -> None:
        apart.tell(str(file), max(until - time.monotonic(), 0.1))

    with contextlib.ExitStack() as stack:
        stack.callback(apart.tell, "", 0.0)
        stack.enter_context(_same_process())
        stack.enter_context(_told_where(trail))
        stack.enter_context(_streams_apart())
        stack.enter_context(_processor_time(seconds))
        stack.enter_context(_memory())
        stack.enter_context(_threads_end(seconds))
        yield at


@contextlib.contextmanager
def _same_process() -> Iterator[None]:
    """Restore the working directory, the recursion limit, the timer and the handlers of signals."""
    global _is_watched
    depth = sys.getrecursionlimit()
    folder = os.open(".", os.O_PATH)  # it may have no name any more
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if handlers[signal.SIGINT] is signal.default_int_handler:  # else no key raises KeyboardInterrupt
        signal.signal(signal.SIGINT, _interrupt)
    _is_watched = True
    try:
        yield
    finally:
        _is_watched = False
        sys.setrecursionlimit(depth)
        os.fchdir(folder)
        os.close(folder)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextlib.contextmanager
def _told_where(trail: Path) -> Iterator[None]:
    """A fatal signal leaves a traceback, even while code in C runs."""
    with trail.open("wb") as file:
        faulthandler.enable(file, all_threads=False)
        faulthandler.register(signal.SIGXCPU, file, all_threads=False, chain=True)
        try:
            yield
        finally:
            faulthandler.unregister(signal.SIGXCPU)
            faulthandler.disable()


@contextlib.contextmanager
def _streams_apart() -> Iterator[None]:
    """Standard input is empty; standard output goes to standard error."""
    kept = [(0, os.dup(0)), (1, os.dup(1))]
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


@contextlib.contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """A timer raises an exception in Python code; a limit of the system ends code in C that does not return."""

    def stop(*_: object) -> NoReturn:
        raise ImportEnds(too_long(seconds), f"compute less at import; {MODULE_HINT}")

    used = time.process_time()
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    last = int(used + 1.5 * seconds) + 2
    before = signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_CPU, (last if hard == resource.RLIM_INFINITY else min(last, hard), hard))
    signal.setitimer(signal.ITIMER_PROF, seconds, max(seconds / 8, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def too_long(seconds: float) -> str:
    """The message about an import that does not end."""
    return f"takes more than {seconds:.0f} s"


@contextlib.contextmanager
def _memory() -> Iterator[None]:
    """Allocations beyond MOST_BYTES fail, so that Python raises MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    for limit in (soft, hard):
        most = most if limit == resource.RLIM_INFINITY else min(most, limit)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def _threads_end(seconds: float) -> Iterator[None]:
    """Wait for threads that the import started; one that runs on could change what is compiled at any time."""
    before = _thread._count()
    yield
    latest = time.monotonic() + min(THREADS_S, seconds)
    while _thread._count() > before:
        if time.monotonic() > latest:
            raise ImportEnds("leaves a thread running", f"join it; {MODULE_HINT}")
        time.sleep(0.01)


# What the parent finds ------------------------------------------------------------------------------------------------


def new_trail() -> Path:
    """A file for `bounded`; the caller removes it."""
    number, name = tempfile.mkstemp(prefix="krait-import-")
    os.close(number)
    return Path(name)


def last_place(trail: Path) -> tuple[str, int] | None:
    """The file and line of the sources where a process died, if it left a traceback."""
    with contextlib.suppress(OSError):
        for found in _FRAME.finditer(trail.read_text(errors="replace")):
            if not found[1].startswith(("<", COMPILER, *LIBRARIES)):
                return found[1], int(found[2])
    return None
