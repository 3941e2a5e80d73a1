"""/proc/sys: the names and settings of the kernel (proc_sys_kernel(5), proc_sys_vm(5), proc_sys_fs(5)).

The host's names and the console's log level can be changed, and caches dropped; the others say what is compiled in.
"""

from typing import Final

from kernel.cache.eviction import drop_clean_pages
from kernel.fs.dentry import CACHE
from kernel.fs.file import FILE_LIMIT, OPEN_FILES
from kernel.lang import EINVAL, Errno, final, span_of
from kernel.lib import random
from kernel.lib.ids import OVERFLOW
from kernel.lib.pace import pace
from kernel.lib.panic import PANIC
from kernel.lib.proc_files import proc_file, proc_line
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.mm.reclaim import reclaim_in_parts
from kernel.sched.stacks import drop_cached_stacks
from kernel.task.host import NAME_LIMIT, RELEASE, SYSTEM_NAME, VERSION
from kernel.task.task import host_names
from kernel.tty.pty import pair_count

_NAMES_AT_ONCE: Final = 256
_NAME_COST: Final = 400  # instructions, for `pace`
_NAME_ROUNDS: Final = 8  # each drops directories whose names the previous one has dropped


def _line(value: int) -> bytes:
    return f"{value}\n".encode()


def _name_of(text: bytes) -> bytes:
    """What was written, up to the end of its first line."""
    end = text.find(b"\n")
    name = text if end < 0 else text[:end]
    if len(name) > NAME_LIMIT:
        raise Errno(EINVAL)
    return name


def set_hostname(text: bytes) -> None:
    """As sethostname(2)."""
    host_names().host = _name_of(text)


@proc_line("sys/kernel/hostname", set_hostname)
def hostname() -> bytes:
    """uname's nodename."""
    return host_names().host + b"\n"


def set_domainname(text: bytes) -> None:
    """As setdomainname(2)."""
    host_names().domain = _name_of(text)


@proc_line("sys/kernel/domainname", set_domainname)
def domainname() -> bytes:
    """The NIS domain's name."""
    return host_names().domain + b"\n"


@proc_line("sys/kernel/osrelease")
def osrelease() -> bytes:
    """uname's release."""
    return RELEASE + b"\n"


@proc_line("sys/kernel/ostype")
def ostype() -> bytes:
    """uname's sysname."""
    return SYSTEM_NAME + b"\n"


@proc_line("sys/kernel/version")
def version() -> bytes:
    """uname's version."""
    return VERSION + b"\n"


@proc_file("sys/kernel/cap_last_cap")
def cap_last_cap() -> bytes:
    """The highest capability's number."""
    return _line(40)


@proc_file("sys/kernel/ngroups_max")
def ngroups_max() -> bytes:
    """How many supplementary groups a process can have."""
    return _line(65536)


@final
class BootIdentity:
    """A number that differs at each boot, created when it is first read."""

    def __init__(self) -> None:
        self.text: bytes = b""


_BOOT: Final = BootIdentity()


def _random_uuid() -> bytes:
    """Version 4 of RFC 9562."""
    data = bytearray(16)
    random.fill(span_of(data))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = ""
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            text += "-"
        text += f"{data[i]:02x}"
    return text.encode() + b"\n"


@proc_line("sys/kernel/random/boot_id")
def boot_id() -> bytes:
    """Constant until the next boot."""
    if len(_BOOT.text) == 0:
        _BOOT.text = _random_uuid()
    return _BOOT.text


@proc_line("sys/kernel/random/uuid")
def uuid() -> bytes:
    """A new one each time."""
    return _random_uuid()


@proc_file("sys/kernel/random/entropy_avail")
@proc_file("sys/kernel/random/poolsize")
def entropy_available() -> bytes:
    """Always full: the generator never blocks."""
    return _line(256)


def set_drop_caches(text: bytes) -> None:
    """1: drop clean pages of the page cache; 2: unused names, and objects that wait to be reclaimed; 3: all. Others:
    EINVAL.
    """
    what = text.strip()
    if what not in (b"1", b"2", b"3"):
        raise Errno(EINVAL)
    if what != b"1":
        for _ in range(_NAME_ROUNDS):
            left = CACHE.count
            while left > 0:
                CACHE.shrink(_NAMES_AT_ONCE)
                left -= _NAMES_AT_ONCE
                pace(_NAMES_AT_ONCE * _NAME_COST)
        drop_cached_stacks()
        reclaim_in_parts()
    if what != b"2":
        drop_clean_pages()


@proc_file("sys/vm/drop_caches", set_drop_caches)
def drop_caches() -> bytes:
    """The last value written, which is not kept."""
    return _line(0)


@proc_file("sys/fs/file-nr")
def file_nr() -> bytes:
    """How many files are open, how many are free without having been given back (none), how many can be."""
    FILE_LIMIT.prepare()
    return f"{OPEN_FILES.count}\t0\t{FILE_LIMIT.value}\n".encode()


@proc_file("sys/kernel/pty/nr")
def pty_nr() -> bytes:
    """How many pseudo terminals there are."""
    return _line(pair_count())


@final
class _PanicTimeout(SystemSetting):
    """After how many seconds a panic restarts the machine; 0: never, negative: at once. As the parameter `panic=`."""

    def prepare(self) -> None:
        self.values[0] = PANIC.timeout_seconds

    def store(self, numbers: list[int]) -> None:
        PANIC.timeout_seconds = numbers[0]


@final
class _OverflowUser(SystemSetting):
    """What programs are given for users without a number in their namespace."""

    def store(self, numbers: list[int]) -> None:
        super().store(numbers)
        OVERFLOW.user = numbers[0]


@final
class _OverflowGroup(SystemSetting):
    """The same for groups."""

    def store(self, numbers: list[int]) -> None:
        super().store(numbers)
        OVERFLOW.group = numbers[0]


_PANIC: Final = _PanicTimeout(b"kernel/panic", [0], INT_LEAST, INT_MOST)
_USER: Final = _OverflowUser(b"kernel/overflowuid", [OVERFLOW.user], 0, 0xFFFF)
_GROUP: Final = _OverflowGroup(b"kernel/overflowgid", [OVERFLOW.group], 0, 0xFFFF)
