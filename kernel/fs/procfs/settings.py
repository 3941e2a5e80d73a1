"""/proc/sys: the names and settings of the kernel (proc_sys_kernel(5), proc_sys_vm(5), proc_sys_fs(5)).

The host's names and the console's log level can be changed, and caches dropped; the others say what is compiled in.
"""

from typing import Final

from kernel.cache.eviction import drop_clean_pages
from kernel.cache.limits import BACKGROUND_PERCENT, EXPIRE_NS, HARD_PERCENT, INTERVAL_NS
from kernel.fs.dentry import CACHE
from kernel.fs.file import FILE_LIMIT, OPEN_FILES
from kernel.fs.procfs.process_control import parse_signed
from kernel.ipc.shared_memory import MOST_SEGMENTS
from kernel.lang import EINVAL, Errno, final, span_of
from kernel.lib import random
from kernel.lib.log import log
from kernel.lib.pace import pace
from kernel.lib.panic import PANIC
from kernel.lib.proc_files import proc_file, proc_line
from kernel.mm.reclaim import reclaim_in_parts
from kernel.sched.stacks import drop_cached_stacks
from kernel.task.fork import task_limit
from kernel.task.host import NAME_LIMIT, RELEASE, SYSTEM_NAME, VERSION
from kernel.task.pid_namespace import PID_LIMIT
from kernel.task.task import host_names
from kernel.tty.pty import pair_count

_LEVELS: Final = 8
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


@proc_file("sys/kernel/pid_max")
def pid_max() -> bytes:
    """One past the highest process number."""
    return _line(PID_LIMIT)


@proc_file("sys/kernel/threads-max")
def threads_max() -> bytes:
    """How many threads memory allows."""
    return _line(task_limit())


@proc_file("sys/kernel/cap_last_cap")
def cap_last_cap() -> bytes:
    """The highest capability's number."""
    return _line(40)


@proc_file("sys/kernel/ngroups_max")
def ngroups_max() -> bytes:
    """How many supplementary groups a process can have."""
    return _line(65536)


def set_printk(text: bytes) -> None:
    """The console's level is the first number; the others are ignored."""
    if len(text) == 0 or not ord("1") <= text[0] <= ord("0") + _LEVELS:
        raise Errno(EINVAL)
    if len(text) > 1 and text[1] != ord("\n") and text[1] != ord(" ") and text[1] != ord("\t"):
        raise Errno(EINVAL)
    log.console_level = text[0] - ord("0")


@proc_file("sys/kernel/printk", set_printk)
def printk() -> bytes:
    """Log levels: the console's, the default one, the console's lowest and default."""
    return f"{log.console_level}\t4\t1\t7\n".encode()


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


@proc_file("sys/kernel/shmmax")
def shmmax() -> bytes:
    """How large a segment of shared memory can be: Linux has no limit, and shows it this way."""
    return b"18446744073692774399\n"


@proc_file("sys/kernel/shmall")
def shmall() -> bytes:
    """How many pages all segments can have: the same."""
    return b"18446744073692774399\n"


@proc_file("sys/kernel/shmmni")
def shmmni() -> bytes:
    """How many segments there can be."""
    return _line(MOST_SEGMENTS)


@proc_file("sys/kernel/overflowuid")
@proc_file("sys/kernel/overflowgid")
def overflow_id() -> bytes:
    """What an id that does not fit would be shown as."""
    return _line(65534)


@proc_file("sys/kernel/randomize_va_space")
def randomize_va_space() -> bytes:
    """Stack, mappings, vDSO and heap of a program are at random places."""
    return _line(2)


def set_panic_timeout(text: bytes) -> None:
    """As the parameter `panic=`. Raises EINVAL."""
    PANIC.timeout_seconds = parse_signed(text)


@proc_file("sys/kernel/panic", set_panic_timeout)
def panic_timeout() -> bytes:
    """After how many seconds a panic restarts the machine; 0: never, negative: at once."""
    return _line(PANIC.timeout_seconds)


@proc_file("sys/vm/dirty_ratio")
def dirty_ratio() -> bytes:
    """Percent of memory that may be dirty before writers must wait."""
    return _line(HARD_PERCENT)


@proc_file("sys/vm/dirty_background_ratio")
def dirty_background_ratio() -> bytes:
    """Percent above which the flusher writes."""
    return _line(BACKGROUND_PERCENT)


@proc_file("sys/vm/dirty_expire_centisecs")
def dirty_expire() -> bytes:
    """For how long a page may stay dirty, in hundredths of a second."""
    return _line(EXPIRE_NS // 10_000_000)


@proc_file("sys/vm/dirty_writeback_centisecs")
def dirty_writeback() -> bytes:
    """How often the flusher looks."""
    return _line(INTERVAL_NS // 10_000_000)
