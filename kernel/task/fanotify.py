"""Groups of fanotify(7): the events they receive, the queue of these, and the permission questions that they answer.

A group of class CONTENT or PRE_CONTENT may be asked whether a file may be opened, run or read: the asker waits until a
reader of the group has taken the question and written an answer, or until the group ends, which allows everything. Only
a kill ends the wait earlier.

Invariants: an event is in the queue, among the questions that were `taken`, or unreferenced. Events that may be
merged are also in a table, as long as they are in the queue: `newest` has the last of those with equal hashes,
older ones are linked by `older_there`. The table never grows: a dictionary would, in all groups with the same event. A
mark is in the list of its group, in one of its dictionaries and in the list of the marked object, or in none of them;
the links back are removed when it goes.

Context: `happened` and `renamed` neither sleep nor raise: without memory, an event reports that some were lost. `ask`
sleeps. Source: fanotify(7), fanotify_init(2), fanotify_mark(2).
"""

from typing import Final

from kernel.fs.filesystem import FILE_HANDLE_TYPE, FileSystem
from kernel.fs.inode import Inode
from kernel.fs.marks import (
    FAN_ONDIR,
    FAN_RENAME,
    MARKS,
    Mark,
    MarkGroup,
)
from kernel.fs.notification import (
    IN_MODIFY,
    IN_Q_OVERFLOW,
    add_mark,
    remove_mark,
)
from kernel.fs.path import Mount, Path
from kernel.lang import EEXIST, EMFILE, ENOENT, ENOSPC, EPERM, ERESTARTSYS, Errno, final, noraise
from kernel.lib.ids import KernelUid
from kernel.lib.linked import LinkedList
from kernel.lib.pace import pace, spend
from kernel.lib.user_account import UserAccount, account_of
from kernel.sched import WaitQueue
from kernel.task.fanotify_event import HASH_MASK, NO_HANDLE, Event, PermissionState, handle_of, handle_with_head
from kernel.task.fanotify_flags import (
    EVENT_FLAGS,
    FAN_CLASS_CONTENT,
    FAN_CLASS_PRE_CONTENT,
    FAN_FS_ERROR,
    FAN_MARK_EVICTABLE,
    FAN_MARK_FILESYSTEM,
    FAN_MARK_IGNORE,
    FAN_MARK_IGNORED_MASK,
    FAN_MARK_IGNORED_SURV_MODIFY,
    FAN_MARK_INODE,
    FAN_MARK_MOUNT,
    FAN_REPORT_DIR_FID,
    FAN_REPORT_FID,
    FAN_REPORT_NAME,
    FAN_REPORT_TARGET_FID,
    FAN_REPORT_TID,
    FAN_UNLIMITED_MARKS,
    FAN_UNLIMITED_QUEUE,
    HANDLE_FLAGS,
    IGNORING,
    PERMISSION_EVENTS,
    REPORTED,
)
from kernel.task.fanotify_limits import EVENT_LIMIT, GROUP_LIMIT, INT_MAX, MARK_LIMIT
from kernel.task.task import Task, current_or_none

_MERGE_LIMIT: Final = 128  # events to compare
_TABLE_SIZE: Final = 256
_TABLE_MASK: Final = _TABLE_SIZE - 1
GROUP_BYTES: Final = 8 * _TABLE_SIZE  # what a group costs, about
# Instructions, for `pace`
_CLOSE_COST: Final = 1000  # for a mark or an event
_LOOK_COST: Final = 600  # to decide whether a group wants an event
_EVENT_COST: Final = 1400  # an event more
_MERGE_SHIFT: Final = 5  # 32 for each event that is compared
_KEYED: Final = FAN_ONDIR | FAN_RENAME  # bits of the mask that distinguish events
_DESCRIBING: Final = HANDLE_FLAGS | FAN_REPORT_TID  # flags of groups that determine the contents of their events
_OLD_DIRECTORY: Final = 1 << 32  # in the report of a rename
_NEW_DIRECTORY: Final = 1 << 33


@final
class _Models:
    """The forms of the event being reported: handles and keys are created once for all groups with the
    same flags.
    """

    def __init__(self) -> None:
        self.reported: int = 0  # the reported event, by `MARKS.reported`
        self.events: dict[int, Event] = {}  # by the flags that matter

    def find(self, flags: int) -> Event | None:
        if self.reported != MARKS.reported:
            self.events.clear()
            self.reported = MARKS.reported
        return self.events.get(flags)


_MODELS: Final = _Models()


@final
class Group(MarkGroup):
    """A group, as fanotify_init(2) creates it."""

    def __init__(self, uid: KernelUid, flags: int, is_privileged: bool) -> None:
        """Raises EMFILE, MemoryError."""
        super().__init__(2 if flags & FAN_CLASS_PRE_CONTENT != 0 else 1 if flags & FAN_CLASS_CONTENT != 0 else 0)
        self.flags: int = flags
        self.is_privileged: bool = is_privileged
        self.limit: int = INT_MAX if flags & FAN_UNLIMITED_QUEUE != 0 else EVENT_LIMIT.value
        self.newest_mark: Mark | None = None
        self.events: LinkedList[Event] = LinkedList()  # oldest first
        self.count: int = 0
        self.event_bytes: int = 0  # memory of the events in the queue, about
        self.newest: list[Event | None] = [None] * _TABLE_SIZE
        self.overflow: Event = Event(IN_Q_OVERFLOW, None, 0)
        self.overflow_queued: bool = False
        self.taken: list[Event] = []  # questions that a reader has not answered yet
        self.is_closed: bool = False
        self.queue: WaitQueue = WaitQueue()  # there is something to read
        account = account_of(uid)
        if account.fanotify_groups >= GROUP_LIMIT.value:
            account.release()
            raise Errno(EMFILE)
        self.account: UserAccount = account
        account.fanotify_groups += 1

    def mark_count(self) -> int:
        return len(self.inodes) + len(self.mounts) + len(self.file_systems)

    def _charge_mark(self, change: int) -> None:
        """Marks count for the user, except in unlimited groups."""
        if self.flags & FAN_UNLIMITED_MARKS == 0:
            self.account.fanotify_marks += change

    @noraise
    def ended(self, mark: Mark) -> None:
        inode = mark.inode
        mount = mark.mount
        file_system = mark.file_system
        if inode is not None:
            self.inodes.pop(inode)
        elif mount is not None:
            self.mounts.pop(mount)
        elif file_system is not None:
            self.file_systems.pop(file_system)
        newer = mark.newer
        older = mark.older
        if newer is None:
            self.newest_mark = older
        else:
            newer.older = older
            mark.newer = None
        if older is not None:
            older.newer = newer
        self._charge_mark(-1)

    def drop(self, mark: Mark) -> None:
        """A mark is removed."""
        self.ended(mark)
        remove_mark(mark)

    # ---- Selection ----------------------------------------------------------------------------------------------

    def happened(
        self, mask: int, inode: Inode, path: Path | None, directory: Inode | None, name: bytes, is_entry: bool
    ) -> None:
        spend(_LOOK_COST)
        concerns = self._concerning(mask, inode, path, directory, is_entry)
        if concerns & ~EVENT_FLAGS == 0:
            return
        if self.flags & HANDLE_FLAGS == 0:
            if path is not None and (inode.is_regular() or inode.is_directory()):
                self._add_at(concerns & REPORTED & ~FAN_ONDIR, path, inode)
            return
        if self.flags & FAN_REPORT_FID == 0 and directory is None and mask & FAN_ONDIR == 0:
            return  # there is no directory to report
        if not self._has_room():
            return
        concerns &= REPORTED
        flags = self.flags & _DESCRIBING | concerns & FAN_ONDIR
        try:
            model = _MODELS.find(flags)
            if model is None:
                model = self._with_handles(concerns, inode, directory, name, is_entry)
                _MODELS.events[flags] = model
            self.add_with_handles(model, concerns)
        except MemoryError:
            self.add_overflow()

    def _concerning(self, mask: int, inode: Inode, path: Path | None, directory: Inode | None, is_entry: bool) -> int:
        """The part of an event that its marks ask for. Modifying a file ends some of their ignore masks."""
        first = directory if is_entry and directory is not None else inode
        above = None if is_entry or directory is None else directory
        on_inode = self.inodes.get(first)
        on_parent = None if above is None else self.inodes.get(above)
        on_mount = None if path is None else self.mounts.get(path.mount)
        on_all = self.file_systems.get(inode.file_system)
        if mask & IN_MODIFY != 0:
            _modified(on_inode)
            _modified(on_parent)
            _modified(on_mount)
            _modified(on_all)
        is_directory = mask & FAN_ONDIR != 0
        wanted = 0
        ignored = 0
        if on_inode is not None:
            wanted |= on_inode.wants(is_directory, is_child=False)
            ignored |= on_inode.ignores(is_directory, is_child=False)
        if on_parent is not None:
            wanted |= on_parent.wants(is_directory, is_child=True)
            ignored |= on_parent.ignores(is_directory, is_child=True)
        if on_mount is not None:
            wanted |= on_mount.wants(is_directory, is_child=False)
            ignored |= on_mount.ignores(is_directory, is_child=False)
        if on_all is not None:
            wanted |= on_all.wants(is_directory, is_child=False)
            ignored |= on_all.ignores(is_directory, is_child=False)
        return mask & wanted & ~ignored

    def renamed(self, mask: int, inode: Inode, source: Inode, old_name: bytes, target: Inode, new_name: bytes) -> None:
        spend(_LOOK_COST)
        is_directory = mask & FAN_ONDIR != 0
        on_source = self.inodes.get(source)
        on_target = self.inodes.get(target)
        on_all = self.file_systems.get(inode.file_system)
        of_source = 0 if on_source is None else on_source.wants(is_directory, is_child=False)
        of_target = 0 if on_target is None else on_target.wants(is_directory, is_child=False)
        of_all = 0 if on_all is None else on_all.wants(is_directory, is_child=False)
        ignored = 0 if on_source is None else on_source.ignores(is_directory, is_child=False)
        ignored |= 0 if on_target is None else on_target.ignores(is_directory, is_child=False)
        ignored |= 0 if on_all is None else on_all.ignores(is_directory, is_child=False)
        if (of_source | of_target | of_all) & FAN_RENAME & ~ignored == 0:
            return
        if not self._has_room():
            return
        flags = self.flags & _DESCRIBING
        if of_source | of_all != 0:
            flags |= _OLD_DIRECTORY
        if of_target | of_all != 0:
            flags |= _NEW_DIRECTORY
        mask &= _KEYED
        try:
            model = _MODELS.find(flags)
            if model is None:
                model = self._event(mask)
                model.fsid = inode.file_system.device
                if flags & _OLD_DIRECTORY != 0:
                    model.directory = handle_of(source)
                    model.name = old_name
                if flags & _NEW_DIRECTORY != 0:
                    model.new_directory = handle_of(target)
                    model.new_name = new_name
                if flags & FAN_REPORT_TARGET_FID != 0:
                    model.object = handle_of(inode)
                model.make_key(_KEYED)
                _MODELS.events[flags] = model
            self.add_with_handles(model, mask)
        except MemoryError:
            self.add_overflow()

    def damaged(self, file_system: FileSystem, handle: bytes, code: int) -> None:
        """Damage of one file system is one event, until that is read."""
        spend(_LOOK_COST)
        try:
            event = self._event(FAN_FS_ERROR)
            event.fsid = file_system.device
            event.object = handle_with_head(handle, FILE_HANDLE_TYPE if len(handle) > 0 else NO_HANDLE)
            event.key = b"damage" + event.fsid.to_bytes(8, "little")
            event.hash = hash(event.key) & HASH_MASK
            event.error = code
            event.error_count = 1
            same = self.newest[event.hash & _TABLE_MASK]
            while same is not None:
                if same.hash == event.hash and same.key == event.key:
                    same.error_count = min(same.error_count + 1, INT_MAX)
                    return
                same = same.older_there
            if self._has_room():
                self._append_for_merging(event)
        except MemoryError:
            self.add_overflow()

    # ---- Events -------------------------------------------------------------------------------------------------

    def _event(self, mask: int) -> Event:
        """The event for what the running thread did. Raises MemoryError."""
        task = current_or_none()
        if task is None:
            return Event(mask, None, 0)
        tid = int(task.tid) if self.flags & FAN_REPORT_TID != 0 else 0
        return Event(mask, task.process.as_bearer(), tid)

    def _has_room(self) -> bool:
        """Whether another event may be queued. If not, an overflow event is queued."""
        if self.is_closed:
            return False
        if self.count >= self.limit:
            self.add_overflow()
            return False
        return True

    def _with_handles(self, mask: int, inode: Inode, directory: Inode | None, name: bytes, is_entry: bool) -> Event:
        """An event that names files by their handles, as the flags say, and its key. Raises MemoryError."""
        event = self._event(mask)
        self._describe(event, inode, directory, name, is_entry)
        event.make_key(_KEYED)
        return event

    def _describe(self, event: Event, inode: Inode, directory: Inode | None, name: bytes, is_entry: bool) -> None:
        flags = self.flags
        event.fsid = inode.file_system.device
        is_directory = event.mask & FAN_ONDIR != 0
        # The reported directory: a directory itself, unless the event is about an entry.
        reported = inode if not is_entry and inode.is_directory() else directory
        if is_entry and flags & FAN_REPORT_TARGET_FID == 0 and directory is not None:
            subject = directory
        else:
            subject = inode
        if flags & FAN_REPORT_DIR_FID == 0 or reported is None:
            event.object = handle_of(subject)
            return
        has_child = flags & FAN_REPORT_TARGET_FID != 0 if is_entry else flags & FAN_REPORT_FID != 0 and not is_directory
        with_child = has_child and subject is not reported
        with_name = flags & FAN_REPORT_NAME != 0 and len(name) > 0 and (is_entry or not is_directory)
        if not with_child and not with_name:
            event.object = handle_of(reported)
            return
        event.directory = handle_of(reported)
        if with_name:
            event.name = name
        if with_child:
            event.object = handle_of(subject)

    def add_with_handles(self, model: Event, mask: int) -> None:
        """Add an event with the handles of a model, or merge it. There is room. Raises MemoryError."""
        same = self.newest[model.hash & _TABLE_MASK]
        steps = 0
        while same is not None and steps < _MERGE_LIMIT:
            if same.hash == model.hash and same.process is model.process and same.key == model.key:
                same.mask |= mask
                return
            same = same.older_there
            steps += 1
        spend(steps << _MERGE_SHIFT)
        self._append_for_merging(model.copied(mask))

    def _add_at(self, mask: int, path: Path, inode: Inode) -> None:
        """Add an event with a place, or merge it."""
        if not self._has_room():
            return
        try:
            event = self._event(mask)
            event.hash = hash(path.dentry) & HASH_MASK
            same = self.newest[event.hash & _TABLE_MASK]
            steps = 0
            while same is not None and steps < _MERGE_LIMIT:
                if same.process is event.process and same.tid == event.tid and same.is_at(path):
                    same.mask |= mask
                    return
                same = same.older_there
                steps += 1
            spend(steps << _MERGE_SHIFT)
            event.hold(path, inode)
        except MemoryError:
            self.add_overflow()
            return
        self._append_for_merging(event)

    def _append_for_merging(self, event: Event) -> None:
        index = event.hash & _TABLE_MASK
        before = self.newest[index]
        event.older_there = before
        if before is not None:
            before.newer_there = event
        self.newest[index] = event
        self._append(event)

    def _append(self, event: Event) -> None:
        spend(_EVENT_COST)
        self.events.link_last(event)
        self.count += 1
        self.event_bytes += event.held_bytes()
        self.queue.wake_all()

    def add_overflow(self) -> None:
        """Events were lost: queue an event that says so."""
        if not self.overflow_queued and not self.is_closed:
            self.overflow_queued = True
            self._append(self.overflow)

    def take(self) -> Event | None:
        """The oldest event, which leaves the queue."""
        event = self.events.first()
        if event is None:
            return None
        self._remove(event)
        if event is self.overflow:
            self.overflow_queued = False
        elif event.hash >= 0:
            self._leave_table(event)
        return event

    def _remove(self, event: Event) -> None:
        """Remove an event from the queue, wherever it is."""
        self.events.unlink(event)
        self.count -= 1
        self.event_bytes -= event.held_bytes()

    def _leave_table(self, event: Event) -> None:
        """It can no longer be merged. The oldest leaves first, so nothing older is linked to it."""
        newer = event.newer_there
        if newer is None:
            self.newest[event.hash & _TABLE_MASK] = None
        else:
            newer.older_there = None
            event.newer_there = None

    # ---- Questions ----------------------------------------------------------------------------------------------

    def ask(self, mask: int, inode: Inode, path: Path, directory: Inode | None) -> None:
        concerns = self._concerning(mask, inode, path, directory, is_entry=False)
        if concerns & PERMISSION_EVENTS == 0 or not (inode.is_regular() or inode.is_directory()):
            return
        task = current_or_none()
        if task is None or self.is_closed:
            return
        if self.count >= self.limit:
            self.add_overflow()
            return
        event = self._event(concerns & PERMISSION_EVENTS)
        answered = WaitQueue()
        event.answered = answered
        event.state = PermissionState.NEW
        event.hold(path, inode)
        self._append(event)
        self._wait(task, event, answered)
        if event.state != PermissionState.ANSWERED:
            raise Errno(ERESTARTSYS)  # it was killed
        event.let_go()
        if event.is_denied:
            raise Errno(EPERM)

    def _wait(self, task: Task, event: Event, answered: WaitQueue) -> None:
        """Wait until there is an answer, or the thread must end."""
        while event.state != PermissionState.ANSWERED:
            if task.must_end():
                was_taken = event.state == PermissionState.TAKEN
                event.state = PermissionState.CANCELLED
                if not was_taken:
                    self._remove(event)
                    event.let_go()
                return
            task.signals.kill_wakes = True
            try:
                answered.sleep(interruptible=False)
            finally:
                task.signals.kill_wakes = False

    def was_taken(self, event: Event, descriptor: int) -> None:
        """A reader has taken a question. Raises MemoryError."""
        event.descriptor = descriptor
        self.taken.append(event)

    def answer(self, event: Event, is_denied: bool) -> None:
        """Let the asker go on."""
        if event.state == PermissionState.CANCELLED:
            event.let_go()
            return
        event.is_denied = is_denied
        event.state = PermissionState.ANSWERED
        answered = event.answered
        if answered is not None:
            answered.wake_all()

    def answer_descriptor(self, descriptor: int, is_denied: bool) -> bool:
        """Answer the question with a descriptor. False if there is none."""
        for index in range(len(self.taken)):
            event = self.taken[index]
            if event.descriptor == descriptor:
                self.taken.pop(index)
                self.answer(event, is_denied)
                return True
        return False

    # ---- The end ------------------------------------------------------------------------------------------------

    @noraise
    def close(self) -> None:
        """No one reads any more: everything is allowed, and all marks are removed."""
        self.is_closed = True
        while len(self.taken) > 0:
            self.answer(self.taken.pop(), is_denied=False)
            pace(_CLOSE_COST)
        while True:
            event = self.take()
            if event is None:
                break
            if event.state == PermissionState.NEW:
                self.answer(event, is_denied=False)
            else:
                event.let_go()
            pace(_CLOSE_COST)
        while (mark := self.newest_mark) is not None:
            self.drop(mark)
            pace(_CLOSE_COST)
        self.account.fanotify_groups -= 1
        self.account.release()

    def flush(self, kind: int) -> None:
        """FAN_MARK_FLUSH: remove all marks of a kind. Marks that are set meanwhile stay."""
        mark = self.newest_mark
        while mark is not None:
            if (
                (kind == FAN_MARK_INODE and mark.inode is not None)
                or (kind == FAN_MARK_MOUNT and mark.mount is not None)
                or (kind == FAN_MARK_FILESYSTEM and mark.file_system is not None)
            ):
                self.drop(mark)
            pace(_CLOSE_COST)
            mark = mark.older

    # ---- Setting marks ------------------------------------------------------------------------------------------

    def find(self, inode: Inode | None, mount: Mount | None, file_system: FileSystem | None) -> Mark | None:
        """The mark on an object: one of the three."""
        if inode is not None:
            return self.inodes.get(inode)
        if mount is not None:
            return self.mounts.get(mount)
        return None if file_system is None else self.file_systems.get(file_system)

    def mark(
        self, inode: Inode | None, mount: Mount | None, file_system: FileSystem | None, mask: int, flags: int
    ) -> None:
        """FAN_MARK_ADD: set a mark, or add to it. Raises ENOSPC, EEXIST, MemoryError."""
        found = self.find(inode, mount, file_system)
        if found is None:
            found = self._new_mark(inode, mount, file_system)
            found.is_evictable = flags & FAN_MARK_EVICTABLE != 0
        if flags & FAN_MARK_EVICTABLE != 0 and not found.is_evictable:
            raise Errno(EEXIST)
        if flags & FAN_MARK_IGNORED_MASK != 0 and found.has_flags:
            raise Errno(EEXIST)
        if flags & FAN_MARK_IGNORE != 0 and flags & FAN_MARK_IGNORED_SURV_MODIFY == 0 and found.survives:
            raise Errno(EEXIST)
        if flags & IGNORING == 0:
            found.mask |= mask
        else:
            found.ignored |= mask
            if flags & FAN_MARK_IGNORED_SURV_MODIFY != 0:
                found.survives = True
        if flags & IGNORING == FAN_MARK_IGNORE:
            found.has_flags = True
        if flags & FAN_MARK_EVICTABLE == 0:
            found.is_evictable = False

    def _new_mark(self, inode: Inode | None, mount: Mount | None, file_system: FileSystem | None) -> Mark:
        MARK_LIMIT.prepare()
        if self.flags & FAN_UNLIMITED_MARKS == 0 and self.account.fanotify_marks >= MARK_LIMIT.value:
            raise Errno(ENOSPC)
        mark = Mark(self)
        if inode is not None:
            self.inodes[inode] = mark
        elif mount is not None:
            self.mounts[mount] = mark
        elif file_system is not None:
            self.file_systems[file_system] = mark
        newest = self.newest_mark
        mark.older = newest
        if newest is not None:
            newest.newer = mark
        self.newest_mark = mark
        self._charge_mark(1)
        mark.inode = inode
        mark.mount = mount
        mark.file_system = file_system
        try:
            add_mark(mark)
        except MemoryError:
            self.ended(mark)
            raise
        return mark

    def unmark(
        self,
        inode: Inode | None,
        mount: Mount | None,
        file_system: FileSystem | None,
        mask: int,
        flags: int,
        kept: int,
    ) -> None:
        """FAN_MARK_REMOVE: remove events from a mark, which goes with the last one; those `kept` do not count. Raises
        ENOENT.
        """
        found = self.find(inode, mount, file_system)
        if found is None:
            raise Errno(ENOENT)
        if flags & IGNORING == 0:
            found.mask &= ~(mask & ~kept)
        else:
            found.ignored &= ~(mask & ~kept)
        if (found.mask | found.ignored) & ~kept == 0:
            self.drop(found)


def _modified(mark: Mark | None) -> None:
    """The file was modified: its mark's ignore mask is cleared, unless it is to survive that."""
    if mark is not None and not mark.survives:
        mark.ignored = 0
