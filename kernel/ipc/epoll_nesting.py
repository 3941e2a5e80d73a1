"""Sets in sets: how deep, and how many paths lead up from one file, since a wake follows them all.

A *path* goes from a file that is no set to a set that has it, to a set that has that one, and so on, up to a set that
nobody watches. Its length is the number of sets. As on Linux, paths of one set are not counted, and of the others a
file has at most as many as `_MOST_PATHS` says. Paths are counted when a member is added that nests sets, or is below
another set: those from the file itself, or from all files that lie below the added set. What is removed is not checked,
though it may make paths shorter.

Locking: one thread at a time adds such members (`_NESTING.lock`). The search has safe points, and finds everything
before anything changes. Meanwhile others may remove members, which moves the walk on (`WALK`) and can only spare paths;
close sets, except for the two at which the search starts, whose descriptors the call holds; and add files to sets that
nobody watches, which are paths of one set. They cannot add files to the set that is about to be nested, because they
wait for the lock then.

Cost: the search looks at a file once, and at no more of its paths than there may be. Most sets hold many files, so what
is above a set that alone holds a file is counted once.

Context: sleeps.
"""

from typing import Final

from kernel.fs.file import File
from kernel.ipc.epoll import DEPTH_LIMIT, WALK, EpollFile, Member
from kernel.lang import EINVAL, ELOOP, Errno, final, noinline
from kernel.lib.pace import pace_or_end
from kernel.sched.mutex import Mutex

# How many paths of 2, 3, 4 and 5 sets a file may have, and of all of these.
_MOST_PATHS: Final = [500, 100, 50, 10]
_MOST_IN_ALL: Final = 660
_LOOK_COST: Final = 150  # instructions for a member


def add_member(owner: EpollFile, descriptor: int, file: File, events: int, data: int) -> None:
    """EPOLL_CTL_ADD. Raises what `EpollFile.check_add` raises, EINVAL for too many paths, ELOOP."""
    if isinstance(file, EpollFile) or owner.watchers is not None or _NESTING.lower is owner:
        _NESTING.add(owner, descriptor, file, events, data)
    else:
        owner.add(descriptor, file, events, data)


@final
class _Nesting:
    """The addition of `lower` to `upper`: the search counts that as done."""

    def __init__(self) -> None:
        self.lock: Mutex = Mutex()
        self.upper: EpollFile | None = None
        self.lower: File | None = None
        self.search: int = 0  # the number of the latest search

    @noinline
    def add(self, owner: EpollFile, descriptor: int, file: File, events: int, data: int) -> None:
        """Raises EINTR, too, if the thread is killed."""
        self.lock.acquire_unless_dying()
        try:
            self.upper = owner
            self.lower = file
            if isinstance(file, EpollFile) and self._height(owner) + self._depth(file, owner) > DEPTH_LIMIT:
                raise Errno(ELOOP)
            owner.check_add(descriptor, file, events)
            if not self._leaves_few_ways(file):
                raise Errno(EINVAL)
            owner.add(descriptor, file, events, data)
        finally:
            WALK.member = None
            WALK.watcher = None
            self.upper = None
            self.lower = None
            self.lock.release()

    # ---- Depth ------------------------------------------------------------------------------------------------

    def _height(self, lowest: EpollFile) -> int:
        """How many sets are over one another up from this one, itself included. It ends: no set is in itself."""
        todo: list[EpollFile] = [lowest]
        level = 0
        while len(todo) > 0:
            level += 1
            self.search += 1
            following: list[EpollFile] = []
            for each in todo:
                WALK.watcher = each.watchers
                while WALK.watcher is not None:
                    above = self._next_owner()
                    if above is not None and above.seen != self.search:
                        above.seen = self.search
                        following.append(above)
                    pace_or_end(_LOOK_COST)
            todo = following
        return level

    def _depth(self, highest: EpollFile, target: EpollFile) -> int:
        """How many sets are over one another down from this one, itself included; more than the limit if `target` is
        among them.
        """
        todo: list[EpollFile] = [highest]
        level = 0
        while len(todo) > 0:
            level += 1
            self.search += 1
            following: list[EpollFile] = []
            for each in todo:
                if each is target:
                    return DEPTH_LIMIT + 1
                WALK.member = each.newest
                while WALK.member is not None:
                    inner = self._next_file()
                    if isinstance(inner, EpollFile) and inner.seen != self.search:
                        inner.seen = self.search
                        following.append(inner)
                    pace_or_end(_LOOK_COST)
            todo = following
        return level

    def _next_owner(self) -> EpollFile | None:
        """The set of the next watcher, which the walk passes."""
        watcher = WALK.watcher
        if watcher is None:
            return None
        WALK.watcher = watcher.next_watcher
        return watcher.owner if isinstance(watcher, Member) else None

    def _next_file(self) -> File | None:
        """The file of the next member, which the walk passes."""
        member = WALK.member
        if member is None:
            return None
        WALK.member = member.after
        return member.file

    # ---- Paths -------------------------------------------------------------------------------------------------

    def _leaves_few_ways(self, file: File) -> bool:
        """Whether the addition leaves few enough paths from the file, or from all below the set."""
        self.search += 1
        if not isinstance(file, EpollFile):
            return self._has_few_ways(file)
        file.seen = self.search
        todo: list[EpollFile] = [file]
        shared: dict[File, bool] = {}  # those that more than one set has
        while len(todo) > 0:
            WALK.member = todo.pop().newest
            while WALK.member is not None:
                inner = self._next_file()
                if isinstance(inner, EpollFile):
                    if inner.seen != self.search:
                        inner.seen = self.search
                        todo.append(inner)
                elif inner is not None and inner not in shared:
                    first = inner.watchers
                    if first is not None and first.next_watcher is not None:
                        shared[inner] = True
                    if not self._has_few_ways(inner):
                        return False
                pace_or_end(_LOOK_COST)
        return True

    def _has_few_ways(self, file: File) -> bool:
        """Whether no more paths lead up from a file than there may be."""
        todo: list[EpollFile] = []
        upper = self.upper
        if file is self.lower and upper is not None and self._is_watched(upper):
            todo.append(upper)
        WALK.watcher = file.watchers
        while WALK.watcher is not None:
            above = self._next_owner()
            if above is not None and self._is_watched(above):
                if len(todo) == _MOST_IN_ALL:
                    return False  # each has one at least, of two sets or more
                todo.append(above)
            pace_or_end(_LOOK_COST)
        only = todo[0] if len(todo) == 1 else None
        if only is not None:
            if only.passed == self.search:
                return True
            only.passed = self.search
        return self._have_few_ways(todo)

    def _have_few_ways(self, sets: list[EpollFile]) -> bool:
        """The same for the sets that have the file, as often as they have it. Goes through no more than `_MOST_IN_ALL`
        members for each length before a safe point.
        """
        todo = sets
        for limit in _MOST_PATHS:
            following: list[EpollFile] = []
            for each in todo:
                if not self._add_above(each, following):
                    return False
            ended = 0
            for each in following:
                if not self._is_watched(each):
                    ended += 1
            if ended > limit:
                return False
            todo = following
            pace_or_end(len(following) * _LOOK_COST)
        return True

    def _add_above(self, lower: EpollFile, found: list[EpollFile]) -> bool:
        """Append the sets that have this one, as often as they have it; false if that makes more than there may be."""
        upper = self.upper
        if lower is self.lower and upper is not None:
            found.append(upper)
        watcher = lower.watchers
        while watcher is not None:
            if len(found) >= _MOST_IN_ALL:
                return False
            owner = watcher.owner if isinstance(watcher, Member) else None
            if owner is not None:
                found.append(owner)
            watcher = watcher.next_watcher
        return True

    def _is_watched(self, owner: EpollFile) -> bool:
        return owner.watchers is not None or owner is self.lower


_NESTING: Final = _Nesting()
