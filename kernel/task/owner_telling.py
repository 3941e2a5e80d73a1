"""Signals about a file to the group that owns it, sent where nothing may sleep (F_SETOWN, fcntl(2)).

The members of a small group get theirs at once. Through a large one the thread "async" goes with safe points; who chose
the owner, and what is to be sent, is kept until then. So a file may be closed, or get another owner, meanwhile.

Context: `tell_group` needs no memory and never sleeps.
"""

from typing import Final

from kernel.fs.file import CHOOSERS, TELLERS, File, GroupTeller
from kernel.lang import Errno, final
from kernel.lib.credentials import Credentials
from kernel.lib.domain import SCOPE_SIGNAL, Scope, is_out_of_scope
from kernel.lib.ids import ROOT_USER, KernelUid
from kernel.lib.pace import pace, spend
from kernel.sched.later import Job, start_thread
from kernel.task.groups import ProcessGroup, member_after
from kernel.task.process import Process
from kernel.task.send import GROUP_SENDS, credentials_of, send_from_kernel, send_to_process
from kernel.task.siginfo import SignalInfo, from_kernel
from kernel.task.signals import FIRST_REALTIME, SIGIO

# What happened to a file
INPUT: Final = 0
OUTPUT: Final = 1
URGENT: Final = 2
MESSAGE: Final = 3

FEW_MEMBERS: Final = 100  # of a group: these get a signal at once
SEND_COST: Final = 1500  # instructions, of a signal
_LOOK_COST: Final = 20
_ROUNDS: Final = 16  # of looking for members while others leave


def may_tell(file: File, theirs: Credentials | None) -> bool:
    """Whether the task that chose the owner may signal a thread, or a process by its leader's credentials."""
    scope = CHOOSERS.get(file) if file.has_confined_owner else None
    return _permits(file.owner_uid, file.owner_euid, scope, theirs)


def _permits(uid: KernelUid, euid: KernelUid, scope: Scope | None, theirs: Credentials | None) -> bool:
    if theirs is None or is_out_of_scope(scope, theirs.scope, SCOPE_SIGNAL):
        return False
    return euid == ROOT_USER or euid == theirs.suid or euid == theirs.uid or uid == theirs.suid or uid == theirs.uid


def tell_process(process: Process, info: SignalInfo) -> None:
    """Send to a process; without room for the information, SIGIO alone."""
    try:
        send_to_process(process, info)
    except Errno:
        send_from_kernel(process, from_kernel(SIGIO))


def tell_group(group: ProcessGroup, info: SignalInfo, file: File, event: int) -> None:
    """Send to all members of the group that owns a file: of a large one, later."""
    if group.count > FEW_MEMBERS:
        teller = TELLERS.get(file)
        if isinstance(teller, Teller):
            teller.notes[event].take(group, info, file)
            return
    member = group.members.first()
    while member is not None:
        if may_tell(file, credentials_of(member)):
            tell_process(member, info)
            spend(SEND_COST)
        member = member.after()


def prepare_for_groups(file: File) -> None:
    """A group will own the file. Raises MemoryError."""
    if not file.has_teller:
        start_thread()
        TELLERS[file] = Teller()
        file.has_teller = True


@final
class Note(Job):
    """What is to be reported about one kind of event."""

    def __init__(self) -> None:
        super().__init__()
        self.group: ProcessGroup | None = None
        self.info: SignalInfo | None = None
        self.times: int = 0
        self.uid: KernelUid = ROOT_USER
        self.euid: KernelUid = ROOT_USER
        self.scope: Scope | None = None

    def take(self, group: ProcessGroup, info: SignalInfo, file: File) -> None:
        """The event happened. Standard signals that nobody has got yet count once, as if they were pending."""
        if self.group is not group or info.signo < FIRST_REALTIME:
            self.times = 0
        self.group = group
        self.info = info
        self.times += 1
        self.uid = file.owner_uid
        self.euid = file.owner_euid
        self.scope = CHOOSERS.get(file) if file.has_confined_owner else None
        self.schedule()

    def run(self) -> None:
        while self.times > 0:
            self.times -= 1
            group = self.group
            info = self.info
            if group is not None and info is not None:
                self._tell(group, info)
        self.group = None
        self.info = None
        self.scope = None

    def _tell(self, group: ProcessGroup, info: SignalInfo) -> None:
        uid = self.uid
        euid = self.euid
        scope = self.scope
        number = GROUP_SENDS.begin()
        departures = -1
        for _ in range(_ROUNDS):
            if group.departures == departures:
                break
            departures = group.departures
            member = group.members.first()
            while member is not None:
                if member.stop.group_send != number:
                    member.stop.group_send = number
                    if _permits(uid, euid, scope, credentials_of(member)):
                        tell_process(member, info)
                        spend(SEND_COST)
                pace(_LOOK_COST)
                member = member_after(group, member)
        GROUP_SENDS.end()


@final
class Teller(GroupTeller):
    """The notes of one file, by kind of event."""

    def __init__(self) -> None:
        self.notes: list[Note] = [Note(), Note(), Note(), Note()]
