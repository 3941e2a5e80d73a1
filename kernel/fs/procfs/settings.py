"""/proc/sys: what the kernel is called and how it is set (proc_sys_kernel(5), proc_sys_vm(5), proc_sys_fs(5)).

The host's names and the console's log level can be changed, and caches dropped; the others say what is compiled in.
"""

from typing import Final

from kernel.cache.limits import BACKGROUND_PERCENT, EXPIRE_NS, HARD_PERCENT, INTERVAL_NS
from kernel.cache.reclaim import drop_clean_pages
from kernel.fs.dentry import CACHE
from kernel.fs.file import FILE_LIMIT, OPEN_FILES
from kernel.fs.procfs.process_control import parse_signed
from kernel.ipc.shared_memory import MOST_SEGMENTS
from kernel.lang import EINVAL, EPERM, Errno, final, span_of
from kernel.lib import random
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import caller_credentials
from kernel.lib.log import log
from kernel.lib.panic import PANIC
from kernel.mm.reclaim import reclaim_now
from kernel.sched.stacks import drop_cached_stacks
from kernel.task.fork import task_limit
from kernel.task.host import HOST, NAME_LIMIT, RELEASE, SYSTEM_NAME, VERSION
from kernel.task.pids import PID_LIMIT
from kernel.task.seccomp import set_logged_actions
from kernel.tty.pty import pair_count

_LEVELS: Final = 8


def _line(value: int) -> bytes:
    return f"{value}\n".encode()


def _name_of(text: bytes) -> bytes:
    """What was written, up to the end of its first line."""
    end = text.find(b"\n")
    name = text if end < 0 else text[:end]
    if len(name) > NAME_LIMIT:
        raise Errno(EINVAL)
    return name


def hostname() -> bytes:
    """uname's nodename."""
    return HOST.name + b"\n"


def set_hostname(text: bytes) -> None:
    """As sethostname(2)."""
    HOST.name = _name_of(text)


def domainname() -> bytes:
    """The NIS domain's name."""
    return HOST.domain + b"\n"


def set_domainname(text: bytes) -> None:
    """As setdomainname(2)."""
    HOST.domain = _name_of(text)


def osrelease() -> bytes:
    """uname's release."""
    return RELEASE + b"\n"


def ostype() -> bytes:
    """uname's sysname."""
    return SYSTEM_NAME + b"\n"


def version() -> bytes:
    """uname's version."""
    return VERSION + b"\n"


def pid_max() -> bytes:
    """One past the highest process number."""
    return _line(PID_LIMIT)


def threads_max() -> bytes:
    """How many threads memory allows."""
    return _line(task_limit())


def cap_last_cap() -> bytes:
    """The highest capability's number."""
    return _line(40)


def ngroups_max() -> bytes:
    """How many supplementary groups a process can have."""
    return _line(65536)


def printk() -> bytes:
    """Log levels: the console's, the default one, the console's lowest and default."""
    return f"{log.console_level}\t4\t1\t7\n".encode()


def set_printk(text: bytes) -> None:
    """The console's level is the first number; the others are ignored."""
    if len(text) == 0 or not 49 <= text[0] <= 48 + _LEVELS:
        raise Errno(EINVAL)
    if len(text) > 1 and text[1] != 10 and text[1] != 32 and text[1] != 9:
        raise Errno(EINVAL)
    log.console_level = text[0] - 48


@final
class BootIdentity:
    """A number that is another at each boot: made when it is first asked for."""

    def __init__(self) -> None:
        self.text: bytes = b""


_BOOT: Final = BootIdentity()


def set_logged_calls(text: bytes) -> None:
    """What seccomp(2) logs: for who administers the system, not only for who owns the file."""
    who = caller_credentials()
    if who is not None and not who.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    set_logged_actions(text)


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


def boot_id() -> bytes:
    """The same until the next boot."""
    if len(_BOOT.text) == 0:
        _BOOT.text = _random_uuid()
    return _BOOT.text


def uuid() -> bytes:
    """A new one each time."""
    return _random_uuid()


def entropy_available() -> bytes:
    """The generator is always full."""
    return _line(256)


def overcommit_memory() -> bytes:
    """Memory is promised without limit (1): nothing is reserved."""
    return _line(1)


def drop_caches() -> bytes:
    """What was written last: nothing is kept of it."""
    return _line(0)


def set_drop_caches(text: bytes) -> None:
    """1: clean pages of the page cache go; 2: unused names, and objects that wait to be reclaimed; 3: all. Others:
    EINVAL.
    """
    what = text.strip()
    if what not in (b"1", b"2", b"3"):
        raise Errno(EINVAL)
    if what != b"1":
        CACHE.shrink(CACHE.count)
        drop_cached_stacks()
        reclaim_now()
    if what != b"2":
        drop_clean_pages()


def file_nr() -> bytes:
    """How many files are open, how many are free without having been given back (none), how many can be."""
    FILE_LIMIT.prepare()
    return f"{OPEN_FILES.count}\t0\t{FILE_LIMIT.value}\n".encode()


def pty_nr() -> bytes:
    """How many pseudo terminals there are."""
    return _line(pair_count())


def shmmax() -> bytes:
    """How large a segment of shared memory can be: on Linux there is no limit, and this is how it says so."""
    return b"18446744073692774399\n"


def shmall() -> bytes:
    """How many pages all segments can have: the same."""
    return b"18446744073692774399\n"


def shmmni() -> bytes:
    """How many segments there can be."""
    return _line(MOST_SEGMENTS)


def overflow_id() -> bytes:
    """What an id that does not fit would be shown as."""
    return _line(65534)


def randomize_va_space() -> bytes:
    """Stack, mappings, vDSO and heap of a program are at random places."""
    return _line(2)


def panic_timeout() -> bytes:
    """After how many seconds a panic restarts the machine; 0: never, negative: at once."""
    return _line(PANIC.timeout_seconds)


def set_panic_timeout(text: bytes) -> None:
    """As the parameter `panic=`. Raises EINVAL."""
    PANIC.timeout_seconds = parse_signed(text)


def dirty_ratio() -> bytes:
    """Percent of memory that may be dirty before who dirties it must wait."""
    return _line(HARD_PERCENT)


def dirty_background_ratio() -> bytes:
    """Percent above which the flusher writes."""
    return _line(BACKGROUND_PERCENT)


def dirty_expire() -> bytes:
    """For how long a page may stay dirty, in hundredths of a second."""
    return _line(EXPIRE_NS // 10_000_000)


def dirty_writeback() -> bytes:
    """How often the flusher looks."""
    return _line(INTERVAL_NS // 10_000_000)
