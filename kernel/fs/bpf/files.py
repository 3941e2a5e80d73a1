"""Maps, programs and links of bpf(2) as open files, which share them with whoever else refers to them: names in the
file system bpf among others (`Pinnable`).

A map's memory counts for the processes that have it open, divided among them; maps kept only by a group's program are
bounded by the check at their creation (`check_room_to_keep`).

Context: may raise MemoryError, ENFILE.
Source: bpf(2), proc_pid_fdinfo(5).
"""

from kernel.bpf.btf import Btf, keep_btf, release_btf
from kernel.bpf.kept_maps import close_map, open_map
from kernel.bpf.link import OF_EVENT, OF_RAW_POINT, Link, release_link
from kernel.bpf.maps import Map
from kernel.bpf.program import Program, keep_program, release_program
from kernel.bpf.ring import RingMap
from kernel.bpf.statistics import STATISTICS
from kernel.fs.anonymous import anonymous_path
from kernel.fs.bpf.mapping import mapped_part, mapping_limit, may_be_mapped
from kernel.fs.constants import O_RDONLY, O_RDWR, POLLERR, READABLE
from kernel.fs.file import DESCRIPTION_BYTES, File
from kernel.lang import EINVAL, Errno, final
from kernel.mm.objects import MemoryObject
from kernel.sched import PollWaiter


@final
class MapFile(File):
    """An open map, which counts it (`open_map_file`)."""

    def __init__(self, map_: Map, flags: int) -> None:
        super().__init__(anonymous_path(b"bpf-map"), flags)
        self.map: Map = map_

    def close(self) -> None:
        close_map(self.map)

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + self.map.held_bytes() // max(self.map.users, 1)

    def poll(self, waiter: PollWaiter | None) -> int:
        map_ = self.map
        if not isinstance(map_, RingMap):
            return POLLERR
        if waiter is not None:
            waiter.wait_on(map_.news.waiters)
        return READABLE if map_.unread() != 0 else 0

    def can_be_watched(self) -> bool:
        return True

    def must_be_shared(self) -> bool:
        return may_be_mapped(self.map)

    def mapping_limit(self, offset: int, size_bytes: int, prot: int, most: int) -> int:
        return mapping_limit(self.map, offset, size_bytes, prot, most)

    def mapped_part(self, offset: int, size_bytes: int) -> MemoryObject:
        return mapped_part(self, self.map, offset, size_bytes)

    def describe(self) -> bytes:
        map_ = self.map
        return (
            f"map_type:\t{map_.kind}\nkey_size:\t{map_.key_size}\nvalue_size:\t{map_.value_size}\n"
            f"max_entries:\t{map_.most}\nmap_flags:\t0x{map_.flags:x}\nmap_extra:\t0x{map_.extra:x}\n"
            f"memlock:\t{map_.held_bytes()}\nmap_id:\t{map_.identifier}\nfrozen:\t{int(map_.is_frozen)}\n"
        ).encode()


@final
class ProgramFile(File):
    """An open program, which counts it (`open_program_file`)."""

    def __init__(self, program: Program) -> None:
        super().__init__(anonymous_path(b"bpf-prog"), O_RDWR)
        self.program: Program = program

    def close(self) -> None:
        release_program(self.program)

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + self.program.share_bytes()

    def describe(self) -> bytes:
        program = self.program
        return (
            f"prog_type:\t{program.kind}\nprog_jited:\t0\nprog_tag:\t{_tag_of(program)}\nmemlock:\t{program.held_bytes()}\n"
            f"prog_id:\t{program.identifier}\nrun_time_ns:\t{program.run_ns}\nrun_cnt:\t{program.runs}\n"
            f"recursion_misses:\t0\n"
            f"verified_insns:\t{program.steps}\n"
        ).encode()


@final
class LinkFile(File):
    """An open link, of which it is a user already (`open_link_file`)."""

    def __init__(self, link: Link, name: bytes) -> None:
        super().__init__(anonymous_path(name), O_RDONLY)
        self.link: Link = link

    def close(self) -> None:
        release_link(self.link)

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + self.link.program.share_bytes()

    def describe(self) -> bytes:
        link = self.link
        kind = "perf" if link.kind == OF_EVENT else "raw_tracepoint" if link.kind == OF_RAW_POINT else "cgroup"
        head = (
            f"link_type:\t{kind}\nlink_id:\t{link.identifier}\nprog_tag:\t{_tag_of(link.program)}\n"
            f"prog_id:\t{link.program.identifier}\n"
        ).encode()
        return head + link.lines()


@final
class BtfFile(File):
    """An open description of types, which counts it (`open_btf_file`)."""

    def __init__(self, btf: Btf) -> None:
        super().__init__(anonymous_path(b"btf"), O_RDONLY)
        self.btf: Btf = btf

    def close(self) -> None:
        release_btf(self.btf)

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + self.btf.held_bytes() // max(self.btf.users, 1)

    def describe(self) -> bytes:
        return f"btf_id:\t{self.btf.identifier}\n".encode()


@final
class StatisticsFile(File):
    """While it is open, runs of programs are counted."""

    def __init__(self) -> None:
        super().__init__(anonymous_path(b"bpf-stats"), O_RDONLY)
        STATISTICS.files += 1

    def close(self) -> None:
        STATISTICS.files -= 1


def _tag_of(program: Program) -> str:
    return "".join([f"{octet:02x}" for octet in program.tag])


def open_map_file(map_: Map, flags: int) -> MapFile:
    """Open a map. Raises ENFILE, MemoryError."""
    open_map(map_)
    try:
        return MapFile(map_, flags)
    except (Errno, MemoryError):
        close_map(map_)
        raise


def open_program_file(program: Program) -> ProgramFile:
    """The same for a program."""
    keep_program(program)
    try:
        return ProgramFile(program)
    except (Errno, MemoryError):
        release_program(program)
        raise


def open_btf_file(btf: Btf) -> BtfFile:
    """The same for a description of types."""
    keep_btf(btf)
    try:
        return BtfFile(btf)
    except (Errno, MemoryError):
        release_btf(btf)
        raise


def open_link_file(link: Link, name: bytes) -> LinkFile:
    """Open a link: the file takes over a use of it, or ends that if there is no file. Raises ENFILE, MemoryError."""
    try:
        return LinkFile(link, name)
    except (Errno, MemoryError):
        release_link(link)
        raise


# ---- What can be pinned ----------------------------------------------------------------------------------------------


class Pinnable:
    """A map, program or link that a name can lead to. Base class."""

    def keep(self) -> None:
        """One user more, of an object that has some."""

    def release(self) -> None:
        """One user fewer."""

    def open(self, flags: int) -> File:
        """Open it with O_RDONLY, O_WRONLY or O_RDWR. Raises EINVAL, ENFILE, MemoryError."""
        raise Errno(EINVAL)


@final
class PinnableMap(Pinnable):
    """A map."""

    def __init__(self, map_: Map) -> None:
        self.map: Map = map_

    def keep(self) -> None:
        open_map(self.map)

    def release(self) -> None:
        close_map(self.map)

    def open(self, flags: int) -> File:
        return open_map_file(self.map, flags)


@final
class PinnableProgram(Pinnable):
    """A program, which is opened for both whatever is asked for, as on Linux."""

    def __init__(self, program: Program) -> None:
        self.program: Program = program

    def keep(self) -> None:
        keep_program(self.program)

    def release(self) -> None:
        release_program(self.program)

    def open(self, flags: int) -> File:
        return open_program_file(self.program)


@final
class PinnableLink(Pinnable):
    """A link, which must be asked for as for both."""

    def __init__(self, link: Link) -> None:
        self.link: Link = link

    def keep(self) -> None:
        self.link.users += 1

    def release(self) -> None:
        release_link(self.link)

    def open(self, flags: int) -> File:
        if flags != O_RDWR:
            raise Errno(EINVAL)
        self.keep()
        return open_link_file(self.link, b"bpf-link")


def pinnable_of(file: File) -> Pinnable:
    """What an open file shares. Raises EINVAL if that has nothing to do with bpf(2), MemoryError."""
    if isinstance(file, MapFile):
        return PinnableMap(file.map)
    if isinstance(file, ProgramFile):
        return PinnableProgram(file.program)
    if isinstance(file, LinkFile):
        return PinnableLink(file.link)
    raise Errno(EINVAL)
