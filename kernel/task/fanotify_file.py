"""The file of a group of fanotify(7): reading events, answering questions.

Each event with a path is opened for its reader when it is read. The reader's own operations on that file are not
reported, so that reading does not feed itself.

Context: reads and closing sleep. Source: fanotify(7), proc_pid_fdinfo(5).
"""

from typing import Final

from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK, O_RDWR, READABLE
from kernel.fs.file import DESCRIPTION_BYTES, File, Listing
from kernel.fs.marks import FAN_ONDIR, FAN_RENAME, Mark
from kernel.fs.open import open_silently
from kernel.lang import EAGAIN, EBADF, EFAULT, EINVAL, ENOENT, ENOTTY, ESRCH, Errno, Span, UserAddr, final, span_of, u8
from kernel.lib import user
from kernel.lib.ids import KernelUid
from kernel.lib.pace import pace
from kernel.lib.pid import Pid
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter
from kernel.task.fanotify import GROUP_BYTES, Group
from kernel.task.fanotify_event import (
    METADATA_SIZE,
    PIDFD_SIZE,
    RECORD_DIRECTORY,
    RECORD_DIRECTORY_NAME,
    RECORD_FID,
    RECORD_NEW_NAME,
    RECORD_OLD_NAME,
    Event,
    PermissionState,
    error_record,
    handle_of,
    metadata,
    pidfd_record,
    record,
)
from kernel.task.fanotify_flags import (
    ENTRY_EVENTS,
    FAN_FS_ERROR,
    FAN_MARK_EVICTABLE,
    FAN_MARK_IGNORE,
    FAN_MARK_IGNORED_SURV_MODIFY,
    FAN_REPORT_FID,
    FAN_REPORT_NAME,
    FAN_REPORT_PIDFD,
    HANDLE_FLAGS,
)
from kernel.task.fanotify_limits import INT_MAX
from kernel.task.pidfd import PidFile
from kernel.task.pids import find_process
from kernel.task.task import Task, current
from kernel.task.words import load_i32

FAN_ENABLE_AUDIT: Final = 0x40
FAN_REPORT_FD_ERROR: Final = 0x2000

_FIONREAD: Final = 0x541B
_EVENT_COST: Final = 3000  # instructions, for `pace`
_SHOW_COST: Final = 8000
_MARK_BYTES: Final = 320  # what a mark costs, about
_NO_FILE: Final = -1  # FAN_NOFD, FAN_NOPIDFD
_NO_PIDFD: Final = -2  # FAN_EPIDFD

# An answer: struct fanotify_response, and the optional record after it
_ANSWER_SIZE: Final = 8
_ALLOW: Final = 1
_DENY: Final = 2
_AUDIT: Final = 0x10
_INFO: Final = 0x20
_RULE_SIZE: Final = 16  # struct fanotify_response_info_audit_rule
_AUDIT_RULE: Final = 1


@final
class GroupFile(DescriptorFile):
    """A group's file; they end together."""

    def __init__(self, uid: KernelUid, flags: int, event_flags: int, is_privileged: bool, is_nonblocking: bool) -> None:
        group = Group(uid, flags, is_privileged)
        opened = False
        try:
            super().__init__(anonymous_path(b"[fanotify]"), O_RDWR | (O_NONBLOCK if is_nonblocking else 0))
            opened = True
        finally:
            if not opened:
                group.close()
        self.group: Group = group
        self.event_flags: int = event_flags  # the open flags for the files of events

    def held_bytes(self) -> int:
        group = self.group
        return DESCRIPTION_BYTES + GROUP_BYTES + group.mark_count() * _MARK_BYTES + group.event_bytes

    def close(self) -> None:
        self.group.close()

    def poll(self, waiter: PollWaiter | None) -> int:
        group = self.group
        if waiter is not None:
            waiter.wait_on(group.queue)
        return 0 if group.events.is_empty() else READABLE

    def ioctl(self, command: int, argument: int) -> int:
        if command != _FIONREAD:
            raise Errno(ENOTTY)
        user.write_i32(UserAddr(argument), min(self.group.count * METADATA_SIZE, INT_MAX))
        return 0

    # ---- Reading ------------------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        group = self.group
        done = 0
        while True:
            event = group.events.first()
            if event is None:
                if done > 0:
                    return done
                if self.flags & O_NONBLOCK != 0:
                    raise Errno(EAGAIN)
                group.queue.sleep()
                continue
            try:
                size = self._read_one(event, buffer)
            except Errno as error:
                if done == 0 or error.code == EFAULT:
                    raise
                return done
            except MemoryError:
                if done == 0:
                    raise
                return done
            done += size
            pace(_EVENT_COST)

    def _read_one(self, event: Event, buffer: Buffer) -> int:
        """Give the oldest event to the reader; its size. Raises EINVAL if it does not fit, and as `_hand_over`."""
        group = self.group
        records = self._records(event)
        size = METADATA_SIZE + len(records) + (PIDFD_SIZE if group.flags & FAN_REPORT_PIDFD != 0 else 0)
        if size > buffer.remaining:
            raise Errno(EINVAL)
        group.take()
        self._hand_over(event, records, size, buffer)
        return size

    def _hand_over(self, event: Event, records: bytes, size: int, buffer: Buffer) -> None:
        """Deliver an event to the reader. An undelivered question is denied. May sleep. Raises EFAULT and what
        opening raises, and then the event is lost.
        """
        group = self.group
        is_question = event.state == PermissionState.NEW
        if is_question:
            event.state = PermissionState.TAKEN
        is_taken = False
        try:
            descriptor = self._put(event, records, size, buffer)
            if is_question and descriptor >= 0:
                group.was_taken(event, descriptor)
                is_taken = True
        finally:
            if not is_taken:
                if is_question:
                    group.answer(event, is_denied=True)
                else:
                    event.let_go()

    def _put(self, event: Event, records: bytes, size: int, buffer: Buffer) -> int:
        """Write an event to the reader's memory; returns its descriptor, or the value for none."""
        task = current()
        flags = self.group.flags
        shows_errors = flags & FAN_REPORT_FD_ERROR != 0
        descriptor = -EBADF if shows_errors else _NO_FILE
        path = event.path
        file: File | None = None
        if path is not None:
            try:
                file = open_silently(task.fs, path, self.event_flags)
                descriptor = task.files.install(file, self.event_flags & O_CLOEXEC != 0)
            except Errno as error:
                if not shows_errors:
                    raise
                descriptor = -error.code
                file = None
        pidfd = _NO_FILE
        pid_file: PidFile | None = None
        arrived = False
        try:
            pid = self._shown_pid(task, event)
            head = metadata(size, event.mask, descriptor, pid)
            if flags & FAN_REPORT_PIDFD != 0:
                pid_file = self._pid_file(event, pid)
                pidfd = _install(task, pid_file, shows_errors)
                records += pidfd_record(pidfd)
            put = buffer.put_bytes(head + records)
            arrived = put == size
            if not arrived:
                raise Errno(EFAULT)
            return descriptor
        finally:
            if not arrived:
                _take_back(task, descriptor, file)
                _take_back(task, pidfd, pid_file)

    def _shown_pid(self, task: Task, event: Event) -> int:
        """The number of the process that caused it, as the reader may see it."""
        process = event.process
        if process is None or (not self.group.is_privileged and process is not task.process.bearer):
            return 0
        return task.pids.shown(Pid(event.tid)) if event.tid != 0 else task.pids.shown_bearer(process)

    def _pid_file(self, event: Event, pid: int) -> PidFile | None:
        """The process as a file; None if it has gone, or the reader cannot see it. Raises MemoryError."""
        bearer = event.process
        if bearer is None or pid == 0:
            return None
        process = find_process(bearer.pid)
        return None if process is None or process.bearer is not bearer else PidFile(process, 0)

    def _records(self, event: Event) -> bytes:
        """The records after the metadata of an event, except for the process. Raises MemoryError."""
        flags = self.group.flags & HANDLE_FLAGS
        if flags == 0 or len(event.key) == 0:
            return b""
        mask = event.mask
        text = b""
        if len(event.directory) > 0:
            kind = RECORD_DIRECTORY_NAME if len(event.name) > 0 else RECORD_DIRECTORY
            if mask & FAN_RENAME != 0:
                kind = RECORD_OLD_NAME
            text = record(kind, event.fsid, event.directory, event.name)
        if len(event.new_directory) > 0:
            text += record(RECORD_NEW_NAME, event.fsid, event.new_directory, event.new_name)
        if len(event.object) == 0:
            return text
        kind = RECORD_FID
        name = b""
        if flags != FAN_REPORT_FID and len(text) == 0:
            if flags & FAN_REPORT_NAME != 0 and mask & FAN_ONDIR != 0:
                kind = RECORD_DIRECTORY_NAME
                name = b"."
            elif mask & (ENTRY_EVENTS | FAN_ONDIR) != 0:
                kind = RECORD_DIRECTORY
        text += record(kind, event.fsid, event.object, name)
        return text + error_record(event) if mask & FAN_FS_ERROR != 0 else text

    # ---- Answers ------------------------------------------------------------------------------------------------

    def write(self, buffer: Buffer) -> int:
        size = buffer.remaining
        if size < _ANSWER_SIZE:
            raise Errno(EINVAL)
        storage = bytearray(_ANSWER_SIZE)
        if buffer.take(span_of(storage)) < _ANSWER_SIZE:
            raise Errno(EFAULT)
        words = span_of(storage)
        descriptor = load_i32(words, 0)
        answer = words.load_u32(4)
        if answer & ~(_ALLOW | _DENY | _AUDIT | _INFO) != 0 or answer & (_ALLOW | _DENY) not in (_ALLOW, _DENY):
            raise Errno(EINVAL)
        if answer & _AUDIT != 0 and self.group.flags & FAN_ENABLE_AUDIT == 0:
            raise Errno(EINVAL)
        used = _ANSWER_SIZE
        if answer & _INFO != 0:
            _check_rule(buffer, size - _ANSWER_SIZE)
            used = size
            if descriptor == _NO_FILE:
                return used
        if descriptor < 0:
            raise Errno(EINVAL)
        if not self.group.answer_descriptor(descriptor, answer & _DENY != 0):
            raise Errno(ENOENT)
        return used

    # ---- Showing ------------------------------------------------------------------------------------------------

    def describe(self) -> bytes:
        group = self.group
        flags = group.flags & ~FAN_ENABLE_AUDIT
        return f"fanotify flags:{flags:x} event-flags:{self.event_flags:x}\n".encode()

    def listing(self) -> Listing:
        return _Marks(self.group.newest_mark)


@final
class _Marks(Listing):
    """The marks of a group, newest first."""

    def __init__(self, mark: Mark | None) -> None:
        self.mark: Mark | None = mark  # the next one

    def next_piece(self) -> bytes | None:
        mark = self.mark
        if mark is None:
            return None
        self.mark = mark.older
        pace(_SHOW_COST)
        return _describe_mark(mark)


def _check_rule(buffer: Buffer, size: int) -> None:
    """Check the audit record of an answer, about the rule that it follows. Raises EINVAL, EFAULT."""
    if size != _RULE_SIZE:
        raise Errno(EINVAL)
    storage = bytearray(_RULE_SIZE)
    rule = span_of(storage)
    if buffer.take(rule) < _RULE_SIZE:
        raise Errno(EFAULT)
    if not _is_rule(rule):
        raise Errno(EINVAL)


def _is_rule(rule: Span[u8]) -> bool:
    return rule[0] == _AUDIT_RULE and rule[1] == 0 and rule.load_u16(2) == _RULE_SIZE


def _install(task: Task, pid_file: PidFile | None, shows_errors: bool) -> int:
    """A descriptor of a process, or the code for its absence. Raises MemoryError."""
    if pid_file is None:
        return -ESRCH if shows_errors else _NO_FILE
    try:
        return task.files.install(pid_file, cloexec=True)
    except Errno as error:
        return -error.code if shows_errors else _NO_PIDFD


def _take_back(task: Task, descriptor: int, file: File | None) -> None:
    """Close a descriptor that no one saw."""
    if file is not None:
        task.files.take_back(descriptor, file)


def _describe_mark(mark: Mark) -> bytes:
    """A line of /proc/PID/fdinfo; empty if the mark has gone. Raises MemoryError."""
    flags = FAN_MARK_IGNORED_SURV_MODIFY if mark.survives else 0
    flags |= FAN_MARK_EVICTABLE if mark.is_evictable else 0
    flags |= FAN_MARK_IGNORE if mark.has_flags else 0
    what = f"mflags:{flags:x} mask:{mark.mask:x} ignored_mask:{mark.ignored:x}"
    inode = mark.inode
    mount = mark.mount
    file_system = mark.file_system
    if inode is not None:
        device = inode.file_system.device
        return f"fanotify ino:{inode.ino:x} sdev:{device:x} {what} ".encode() + shown_handle(handle_of(inode)) + b"\n"
    if mount is not None:
        return f"fanotify mnt_id:{mount.identifier:x} {what}\n".encode()
    return b"" if file_system is None else f"fanotify sdev:{file_system.device:x} {what}\n".encode()


def shown_handle(handle: bytes) -> bytes:
    """A handle in the format of fdinfo. Raises MemoryError."""
    words = span_of(handle)
    text = f"fhandle-bytes:{words.load_u32(0):x} fhandle-type:{words.load_u32(4):x} f_handle:"
    parts: list[bytes] = [text.encode()]
    for index in range(8, len(handle)):
        parts.append(f"{handle[index]:02x}".encode())
    return b"".join(parts)
