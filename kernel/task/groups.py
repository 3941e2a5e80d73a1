"""Process groups and sessions (setpgid(2), setsid(2), credentials(7)): the objects of job control.

Invariants: a group belongs to one session and is in the registry while it has a member; a session is in the registry
while it has a group. Meanwhile new processes do not get their numbers (pids.py).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kernel.lang import final
from kernel.lib.linked import LinkedList
from kernel.lib.pace import pace
from kernel.lib.pid import FIRST, UNSET, Pid

if TYPE_CHECKING:
    from kernel.task.process import Process

_LOOK_COST: Final = 20  # instructions for a member, for `pace`
_ROUNDS: Final = 16  # of looking at the members while some leave


@final
class TerminalHook:
    """How a session's end reaches its terminal: registered by kernel.tty. Called with the terminal's device number."""

    def __init__(self) -> None:
        self.session_ended: Callable[[int], None] | None = None


TERMINAL_HOOK: TerminalHook = TerminalHook()


@final
class Autogroups:
    """The numbers of sessions as groups of the scheduler (sched(7))."""

    def __init__(self) -> None:
        self.enabled: list[int] = [1]  # kernel.sched_autogroup_enabled
        self.last: int = 0

    def next(self) -> int:
        """The number of a new session."""
        self.last += 1
        return self.last


AUTOGROUPS: Final = Autogroups()


@final
class Session:
    """A login: process groups that share a controlling terminal."""

    def __init__(self, sid: Pid) -> None:
        self.sid: Pid = sid
        self.autogroup: int = 0 if sid == UNSET else AUTOGROUPS.next()
        self.autogroup_nice: int = 0
        self.group_count: int = 0
        self.terminal: int = 0  # device number of the controlling terminal
        self.lost_foreground: Pid = UNSET  # the foreground group of a terminal that has hung up


@final
class ProcessGroup:
    """A job."""

    def __init__(self, pgid: Pid, session: Session) -> None:
        self.pgid: Pid = pgid
        self.owner: Session = session
        self.members: LinkedList[Process] = LinkedList()  # in the order of their coming
        self.count: int = 0  # of the members
        self.departures: int = 0
        self.signals: int = 0  # how many were sent to all members: checked by a process that is about to become one

    @property
    def session(self) -> Pid:
        """The session's number."""
        return self.owner.sid


_groups: dict[Pid, ProcessGroup] = {}
_sessions: dict[Pid, Session] = {}


def find_group(pgid: Pid) -> ProcessGroup | None:
    """The group with this number."""
    return _groups.get(pgid)


def find_session(sid: Pid) -> Session | None:
    """The session with this number."""
    return _sessions.get(sid)


def new_session(sid: Pid) -> Session:
    """Register a session without groups. Raises MemoryError."""
    session = Session(sid)
    _sessions[sid] = session
    return session


def new_group(pgid: Pid, session: Session) -> ProcessGroup:
    """Register a group without members. Raises MemoryError."""
    group = ProcessGroup(pgid, session)
    _groups[pgid] = group
    session.group_count += 1
    return group


def join(process: "Process", group: ProcessGroup) -> None:
    """Make a process a member; it must be in no group."""
    group.members.link_last(process)
    group.count += 1
    process.job = group


def member_after(group: ProcessGroup, member: "Process") -> "Process | None":
    """The next member after a safe point; the first one if this has left meanwhile. Some may be missed then: a walk
    that must meet all is repeated if there were departures.
    """
    return member.after() if member.job is group else group.members.first()


def leave(process: "Process") -> None:
    """Take a process out of its group. A group without members goes, and a session without groups."""
    group = process.job
    if group is None:
        return
    process.job = None
    group.members.unlink(process)
    group.count -= 1
    group.departures += 1
    drop_group_if_empty(group)


def drop_group_if_empty(group: ProcessGroup) -> None:
    """Forget a group that has no members, and its session if that was the last group."""
    if group.count > 0:
        return
    _groups.pop(group.pgid)
    session = group.owner
    session.group_count -= 1
    drop_session_if_empty(session)


def drop_session_if_empty(session: Session) -> None:
    """Forget a session that has no groups."""
    if session.group_count == 0:
        _sessions.pop(session.sid)


def is_orphaned(group: ProcessGroup, leaving: "Process | None") -> bool:
    """Whether no member (`leaving` aside) has a parent in another group of the session: no one would continue the job
    once it stops. Sleeps if there are many.
    """
    departures = -1
    for _ in range(_ROUNDS):
        if group.departures == departures:
            break
        departures = group.departures
        member = group.members.first()
        while member is not None:
            if member is not leaving and not member.ending.is_zombie and _has_guide(member, group):
                return False
            pace(_LOOK_COST)
            member = member_after(group, member)
    return True


def _has_guide(member: "Process", group: ProcessGroup) -> bool:
    """Whether a member has a parent in another group of the session."""
    parent = member.parent
    if parent is None or parent.pid == FIRST:
        return False
    other = parent.job
    return other is not None and other is not group and other.owner is group.owner


def has_stopped_member(group: ProcessGroup) -> bool:
    """Whether any member is stopped. Sleeps if there are many."""
    departures = -1
    for _ in range(_ROUNDS):
        if group.departures == departures:
            break
        departures = group.departures
        member = group.members.first()
        while member is not None:
            if member.stop.is_complete:
                return True
            pace(_LOOK_COST)
            member = member_after(group, member)
    return False


def is_orphaned_group(pgid: Pid) -> bool:
    """The same by number; a missing group is orphaned. Sleeps if it is large."""
    group = find_group(pgid)
    return group is None or is_orphaned(group, None)
