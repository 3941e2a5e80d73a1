"""The machines of this user: each has a directory with what is known of it, its sockets, and its output if nobody
watches it.

A machine runs as long as its attendant holds the lock of the directory. What a machine left that ended by violence is
removed by whoever looks next.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path

from tools.errors import KraitError, UsageError, storing

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
STATE = "state.json"
STATE_LOCK = "lock"
LOGS = ("stdout", "stderr")
_FRESH_S = 10.0  # a directory without a machine is this old at most while it gets one
_FIRST = ("brisk", "calm", "clever", "early", "fair", "gentle", "keen", "lucid", "merry", "nimble", "quiet", "sunny")
_SECOND = ("adder", "boa", "cobra", "coral", "garter", "krait", "mamba", "racer", "rinkhals", "taipan", "viper")


def base() -> Path:
    """$XDG_RUNTIME_DIR/krait, or a directory of ours among the temporary ones. Raises KraitError if it is not ours."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "krait"
    places = (*map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp")
    for place in places:
        if place and os.access(place, os.W_OK | os.X_OK):
            return Path(place).absolute() / f"krait-{os.getuid()}"
    raise KraitError("krait: there is no directory for temporary files")


def _prepare_base() -> Path:
    place = base()
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise KraitError(f"krait: {place} is not a directory that is ours alone")
    return place


@dataclass
class State:
    """What is known of a machine. Times are in seconds since 1970."""

    name: str
    image: str
    command: list[str]
    created: float = field(default_factory=time.time)
    attendant: int = 0  # process numbers
    qemu: int = 0
    program: int = 0  # in the guest
    status: int | None = None  # once the program has ended
    memory: str = ""
    ports: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    detached: bool = False


class Entry:
    """A machine's directory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._lock: int | None = None

    @property
    def name(self) -> str:
        return self.place.name

    def write(self, state: State) -> None:
        import json

        text = json.dumps(asdict(state)).encode()
        with self._open_state() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            data = text.ljust(os.fstat(file.fileno()).st_size, b"\0")
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def reserve(self, size: int) -> None:
        """Take the room that the state will need, in bytes, so that it can be written whenever the disk is full. Raises
        KraitError.
        """
        with self._open_state() as file:
            os.posix_fallocate(file.fileno(), 0, size)

    @contextlib.contextmanager
    def _open_state(self) -> Iterator[FileIO]:
        with storing(self.place):
            descriptor = os.open(self.place / STATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with FileIO(descriptor, "r+") as file:
                yield file

    def read(self) -> State | None:
        """None while the machine comes up, or if it is gone."""
        import json

        try:
            with (self.place / STATE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return State(**json.loads(file.read().rstrip(b"\0")))
        except (OSError, ValueError, TypeError):
            return None

    def hold(self) -> None:
        """Mark the machine as running, for as long as this process or a copy of it lives."""
        self._lock = os.open(self.place / STATE_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def is_running(self) -> bool:
        try:
            lock = os.open(self.place / STATE_LOCK, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            for name in os.listdir(self.place):
                with contextlib.suppress(OSError):
                    os.unlink(self.place / name)
            self.place.rmdir()
        _remove_empty(self.place.parent)

    def remove_sockets(self) -> None:
        for place in self.place.glob("port-*"):
            place.unlink(missing_ok=True)

    def log(self, which: int) -> Path:
        return self.place / LOGS[which]


def _remove_empty(base: Path) -> None:
    """Remove the directory of all machines with the last of them."""
    with contextlib.suppress(OSError):
        base.rmdir()


def _some_name() -> str:
    number = int.from_bytes(os.urandom(4))
    number, last = divmod(number, 100)
    number, second = divmod(number, len(_SECOND))
    return f"{_FIRST[number % len(_FIRST)]}-{_SECOND[second]}-{last}"


def create(name: str | None) -> Entry:
    """A new machine's directory, which is held. Raises UsageError if there is one with this name."""
    if name is not None and NAME.fullmatch(name) is None:
        raise UsageError(f"krait run: {name!r} is no name: up to 40 letters, digits, dots, dashes, and underscores")
    for _ in range(1000):
        wanted = name or _some_name()
        try:
            place = _prepare_base() / wanted
            place.mkdir(mode=0o700)
        except FileNotFoundError:
            continue  # the last machine ended, and took the directory above with it
        except FileExistsError:
            if name is None:
                continue
            entry = Entry(place)
            if entry.is_running() or entry.read() is not None:
                raise UsageError(f"krait run: there is a machine {name} already (krait rm {name})") from None
            entry.remove()
            continue
        except OSError as error:
            _remove_empty(base())
            raise KraitError(f"krait: {base()}: {(error.strerror or '').lower()}") from error
        entry = Entry(place)
        try:
            with storing(place):
                entry.hold()
        except KraitError:
            entry.remove()
            raise
        return entry
    raise KraitError(f"krait run: no directory can be made in {base()}")


def entries() -> Iterator[Entry]:
    """All machines, in the order of their names. What is left of a killed one is removed on the way."""
    place = base()
    if not place.is_dir():
        return
    for path in sorted(place.iterdir()):
        entry = Entry(path)
        if not entry.is_running():
            state = entry.read()
            if state is None or state.status is None:
                if time.time() - path.stat().st_mtime > _FRESH_S:  # else somebody is making it
                    entry.remove()
                continue
        yield entry


def find(name: str) -> Entry:
    """The machine with this name. Raises KraitError."""
    for entry in entries():
        if entry.name == name:
            return entry
    raise KraitError(f"krait: there is no machine {name} (krait ps -a lists them)", 1)


def find_running(name: str) -> tuple[Entry, State]:
    entry = find(name)
    state = entry.read()
    if state is None or not entry.is_running():
        raise KraitError(f"krait: machine {name} does not run", 1)
    return entry, state
