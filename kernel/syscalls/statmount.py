"""Querying mounts by number: statmount(2), listmount(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import device_major, device_minor
from kernel.fs.mount_status import (
    UNIQUE_MOUNTS,
    WHOLE_NAMESPACE,
    NamespaceView,
    attributes_of,
    find_namespace,
    instance_flags_of,
    parent_number,
    propagation_of,
    view_of,
)
from kernel.fs.mount_text import nearest_master, root_name
from kernel.fs.namespace import NamespaceFile
from kernel.fs.path import Mount, MountNamespace, Path, path_name
from kernel.fs.peers import PeerGroup
from kernel.lang import E2BIG, EINVAL, ENOENT, EOVERFLOW, EPERM, Errno, UserAddr, final, span_of, u32
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.task.task import current
from kernel.task.words import load_i64

_SB_BASIC: Final = 0x1  # STATMOUNT_…
_MNT_BASIC: Final = 0x2
_PROPAGATE_FROM: Final = 0x4
_MNT_ROOT: Final = 0x8
_MNT_POINT: Final = 0x10
_FS_TYPE: Final = 0x20
_MNT_NS_ID: Final = 0x40
_MNT_OPTS: Final = 0x80
_TEXTS: Final = _MNT_ROOT | _MNT_POINT | _FS_TYPE | _MNT_OPTS

_SIZE: Final = 512  # struct statmount without its strings
_REQUEST_LEAST: Final = 24  # struct mnt_id_req: without the number of a namespace
_REQUEST_SIZE: Final = 32
_PAGE: Final = 4096
_REVERSE: Final = 1  # LISTMOUNT_REVERSE
_MOST_NUMBERS: Final = 1_000_000
_NUMBER_COST: Final = 60  # instructions for one that is written


@final
class _Request:
    """struct mnt_id_req. Raises EFAULT, E2BIG, EINVAL."""

    def __init__(self, address: UserAddr) -> None:
        size = user.read_u32(address)
        if size > _PAGE:
            raise Errno(E2BIG)
        if size < _REQUEST_LEAST:
            raise Errno(EINVAL)
        user.require_zeros(address, _REQUEST_SIZE, size)
        storage = bytearray(_REQUEST_SIZE)
        words = span_of(storage)
        user.read_into(words[0 : min(size, _REQUEST_SIZE)], address)
        self.number: int = load_i64(words, 8)
        self.parameter: int = load_i64(words, 16)
        self.descriptor: int = words.load_u32(4)  # of a namespace's file; 0 for none
        self.namespace: int = load_i64(words, 24)
        if not _is_number(self.number):
            raise Errno(EINVAL)


def _view(request: _Request, refusal: int) -> NamespaceView:
    """The namespace of a request. A number that the caller may not inspect is a `refusal`; an open file may always be
    queried. Raises ENOENT, EINVAL, EBADF.
    """
    task = current()
    if request.descriptor == 0:
        return view_of(task.fs, find_namespace(task.fs, request.namespace, refusal))
    if request.namespace != 0:
        raise Errno(EINVAL)
    file = task.files.get(request.descriptor)
    namespace = file.namespace if isinstance(file, NamespaceFile) else None
    if not isinstance(namespace, MountNamespace):
        raise Errno(EINVAL)
    return view_of(task.fs, namespace)


def _is_number(number: int) -> bool:
    """Whether it can be a mount's number, which is never reused: as 64 bits without a sign, it is large."""
    return number < 0 or number > UNIQUE_MOUNTS


@final
class _Report:
    """struct statmount, as it is filled in."""

    def __init__(self, room: int) -> None:
        self.head: bytearray = bytearray(_SIZE)
        self.texts: bytearray = bytearray(1)  # an empty one, for strings that were not requested
        self.room: int = room  # in bytes, for both
        self.mask: int = 0

    def put_u32(self, offset: int, value: int) -> None:
        span_of(self.head).store_u32(offset, value)

    def put_u64(self, offset: int, value: int) -> None:
        """A number that may not be negative."""
        span_of(self.head).store_u32(offset, value & 0xFFFF_FFFF)
        span_of(self.head).store_u32(offset + 4, value >> 32)

    def put_text(self, bit: int, offset: int, text: bytes) -> None:
        """A string, and where it begins. Raises EOVERFLOW."""
        self.put_u32(offset, len(self.texts))
        self.texts.extend(text)
        if _SIZE + len(self.texts) >= self.room:
            raise Errno(EOVERFLOW)
        self.texts.append(0)
        self.mask |= bit


@syscall("statmount", status="Full", args="<mnt_id_req >bytes[size]? size flags:0|1")
def statmount(request_address: UserAddr, address: UserAddr, size: int, flags: u32) -> int:
    """statmount(2)."""
    if flags != 0:
        raise Errno(EINVAL)
    request = _Request(request_address)
    view = _view(request, EPERM)
    user.check(address, size)
    wanted = request.parameter
    if wanted & _TEXTS != 0 and size == _SIZE:
        raise Errno(EOVERFLOW)
    mount = view.find(request.number)
    view.check(Path(mount, mount.root))
    report = _Report(size)
    _fill(report, view, mount, wanted)
    count = min(size, _SIZE)
    length = count
    if wanted & _TEXTS != 0:
        user.write_from(user.at(address, _SIZE), span_of(report.texts))
        length += len(report.texts)
    report.put_u32(0, length)
    report.put_u64(8, report.mask)
    user.write_from(address, span_of(report.head)[0:count])
    return 0


def _fill(report: _Report, view: NamespaceView, mount: Mount, wanted: int) -> None:
    """Fill in the requested fields that are known. Takes safe points. Raises EOVERFLOW, ENOENT."""
    file_system = mount.file_system
    if wanted & _SB_BASIC != 0:
        report.mask |= _SB_BASIC
        report.put_u32(16, device_major(file_system.device))
        report.put_u32(20, device_minor(file_system.device))
        report.put_u64(24, file_system.magic)
        report.put_u32(32, instance_flags_of(file_system))
    if wanted & _MNT_BASIC != 0:
        report.mask |= _MNT_BASIC
        _fill_basics(report, mount)
    if wanted & _PROPAGATE_FROM != 0:
        report.mask |= _PROPAGATE_FROM
        known: dict[PeerGroup, int] = {}
        report.put_u64(96, nearest_master(mount, current().fs.root, known))
        if mount.namespace is not view.namespace:
            raise Errno(ENOENT)  # it was unmounted at a safe point, and its file system may have ended
    if wanted & _FS_TYPE != 0:
        report.put_text(_FS_TYPE, 36, file_system.type_name)
    if wanted & _MNT_ROOT != 0:
        report.put_text(_MNT_ROOT, 104, root_name(mount))
    if wanted & _MNT_POINT != 0:
        name = path_name(Path(mount, mount.root), view.root, marks_outside=True)
        report.put_text(_MNT_POINT, 108, b"" if name.startswith(b"(unreachable)") else name)
    if wanted & _MNT_OPTS != 0:
        report.put_text(_MNT_OPTS, 4, file_system.options_at(mount.root)[1:])  # it begins with a comma
    if wanted & _MNT_NS_ID != 0:
        report.mask |= _MNT_NS_ID
        report.put_u64(112, view.namespace.sequence)


def _fill_basics(report: _Report, mount: Mount) -> None:
    parent = parent_number(mount)
    report.put_u64(40, UNIQUE_MOUNTS + mount.identifier)
    report.put_u64(48, UNIQUE_MOUNTS + parent)
    report.put_u32(56, mount.identifier)
    report.put_u32(60, parent)
    report.put_u64(64, attributes_of(mount))
    report.put_u64(72, propagation_of(mount))
    group = mount.group
    if group is not None:
        report.put_u64(80, group.number)
    master = mount.master
    if master is not None:
        report.put_u64(88, master.number)


@syscall("listmount", status="Full", args="<mnt_id_req >bytes[count]? count flags:1|2")
def listmount(request_address: UserAddr, address: UserAddr, count: int, flags: u32) -> int:
    """listmount(2): numbers of mounts, 64 bits each; the result is their count."""
    if flags & ~_REVERSE != 0:
        raise Errno(EINVAL)
    if not 0 <= count <= _MOST_NUMBERS:
        raise Errno(EOVERFLOW)
    user.check(address, count * 8)
    request = _Request(request_address)
    last = request.parameter
    if last != 0 and not _is_number(last):
        raise Errno(EINVAL)
    view = _view(request, ENOENT)
    top = view.root
    if request.number != WHOLE_NAMESPACE:
        mount = view.find(request.number)
        top = Path(mount, mount.root)
    view.check(top)
    backwards = flags & _REVERSE != 0
    if last < 0:  # as 64 bits without a sign, it is larger than all
        if not backwards:
            return 0
        last = 0
    place = top.pin()
    try:
        numbers = view.list_below(place, request.number, last, backwards, count)
    finally:
        place.unpin()
    for index in range(len(numbers)):
        user.write_u64(user.at(address, index * 8), numbers[index])
        pace(_NUMBER_COST)
    return len(numbers)
