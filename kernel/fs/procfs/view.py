"""What one mount of /proc shows of processes: its options `hidepid`, `gid` and `subset` (proc(5)).

Context: never sleeps.
"""

from typing import Final

from kernel.fs.filesystem import parse_size
from kernel.fs.path import FsContext
from kernel.lang import EINVAL, ENOENT, EPERM, Errno, final
from kernel.lib.credentials import gid_from_caller
from kernel.lib.ids import NO_GROUP, OVERFLOW, ROOT_GROUP, KernelGid
from kernel.task.inspection import may_look_into
from kernel.task.pid_namespace import FIRST_PID, PidNamespace
from kernel.task.process import Process
from kernel.task.task import current

# hidepid: what a program cannot see of a process that it may not inspect.
_SHOW: Final = 0
_NO_ACCESS: Final = 1  # the contents of its directory
_INVISIBLE: Final = 2  # the directory itself, too, in listings and look-ups
_ONLY_TRACEABLE: Final = 4  # everything, whatever group the program is in
_WORDS: Final[dict[bytes, int]] = {
    b"0": _SHOW,
    b"off": _SHOW,
    b"1": _NO_ACCESS,
    b"noaccess": _NO_ACCESS,
    b"2": _INVISIBLE,
    b"invisible": _INVISIBLE,
    b"4": _ONLY_TRACEABLE,
    b"ptraceable": _ONLY_TRACEABLE,
}
_SHOWN: Final[dict[int, bytes]] = {_NO_ACCESS: b"noaccess", _INVISIBLE: b"invisible", _ONLY_TRACEABLE: b"ptraceable"}


@final
class View:
    """The options of one mount, and the pid namespace that it shows."""

    def __init__(self, pids: PidNamespace) -> None:
        self.pids: PidNamespace = pids
        self.hides: int = _SHOW
        self.gid: KernelGid = ROOT_GROUP  # members see all processes
        self.has_only_processes: bool = False  # subset=pid

    def parse(self, options: bytes) -> None:
        """Take the options of mount(2). Raises EINVAL."""
        for option in options.split(b","):
            if len(option) == 0:
                continue
            if option.startswith(b"hidepid="):
                chosen = _WORDS.get(option[8:])
                if chosen is None:
                    raise Errno(EINVAL)
                self.hides = chosen
            elif option.startswith(b"gid="):
                self.gid = gid_from_caller(parse_size(option[4:], 0))  # nobody is in it if it has no number
            elif option == b"subset=pid":
                self.has_only_processes = True
            else:
                raise Errno(EINVAL)

    def shown(self) -> bytes:
        """As /proc/mounts shows them."""
        number = OVERFLOW.group if self.gid == NO_GROUP else int(self.gid)
        text = b"" if number == 0 else f",gid={number}".encode()
        word = _SHOWN.get(self.hides)
        if word is not None:
            text += b",hidepid=" + word
        if self.has_only_processes:
            text += b",subset=pid"
        return text

    def may_find(self, process: Process) -> bool:
        """Whether its number can be looked up."""
        return self.hides != _ONLY_TRACEABLE or self._may_see(process, _NO_ACCESS)

    def may_list(self, process: Process) -> bool:
        """Whether the directory of all processes lists it."""
        return self._may_see(process, _INVISIBLE)

    def require_entry(self, process: Process) -> None:
        """Check that the running thread may use its directory. Raises EPERM; ENOENT where the process is invisible."""
        if not self._may_see(process, _NO_ACCESS):
            raise Errno(ENOENT if self.hides == _INVISIBLE else EPERM)

    def require_attributes(self, process: Process) -> None:
        """The same for stat(2). Raises ENOENT."""
        if not self._may_see(process, _INVISIBLE):
            raise Errno(ENOENT)

    def _may_see(self, process: Process, least: int) -> bool:
        """Whether it is visible to the running thread, in places that hidepid hides from level `least` on."""
        if self.hides < least:
            return True
        task = current()
        if self.hides != _ONLY_TRACEABLE and task.credentials.in_group(self.gid):
            return True
        return may_look_into(task, process, process.leader)


def check_options(context: FsContext, text: bytes) -> None:
    """Raise EINVAL for options of mount(2) that cannot be."""
    View(FIRST_PID).parse(text)
