"""The files of every control group: cgroup.* (Linux's Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files").

A process is moved by whoever may write to cgroup.procs of the group that it comes to and of the lowest group above both
(and, where the file system is mounted with `nsdelegate`, sees both). The opener of the file counts.
"""

from typing import Final

from kernel.cgroup.group import (
    ALL_CONTROLLERS,
    CONTROLLER_NAMES,
    NO_LIMIT,
    THREADED_CONTROLLERS,
    ControlGroup,
    GroupWalk,
    common_ancestor,
)
from kernel.cgroup.memory import MEMORY_CONTROLS
from kernel.cgroup.tree import (
    check_delegation,
    check_target,
    give_controllers,
    kind_text,
    make_threaded,
    require_alive,
    take_controllers,
)
from kernel.fs.cgroup.mount_options import OPTIONS
from kernel.fs.cgroup.table import (
    CORE,
    READABLE_MODE,
    WRITE_ONLY_MODE,
    FileRow,
    GroupNode,
    Writer,
    no_text,
    parse_int32,
    strip,
)
from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, ERANGE, ESRCH, Errno
from kernel.lib.pace import pace
from kernel.sched import Mutex
from kernel.task.control_groups import kill_group, move, move_process, place_all, place_members, set_freezing
from kernel.task.group_walks import ProcessWalk, ThreadWalk
from kernel.task.pids import find_task
from kernel.task.task import Task, current

_LINE_COST: Final = 400  # instructions, for `pace`
_CHILD_COST: Final = 2000
_DELEGATING: Final = Mutex()  # one thread at a time changes which groups have which controllers


# Controllers ----------------------------------------------------------------------------------------------------------


def names_of(controllers: int) -> bytes:
    """The names of controllers, in Linux's order."""
    names = [CONTROLLER_NAMES[index] for index in range(len(CONTROLLER_NAMES)) if controllers >> index & 1 != 0]
    return b" ".join(names)


def controllers(group: ControlGroup) -> bytes:
    """cgroup.controllers."""
    return _line(names_of(group.available()))


def subtree_control(group: ControlGroup) -> bytes:
    """cgroup.subtree_control."""
    return _line(names_of(group.delegated))


def _line(text: bytes) -> bytes:
    """The text as a line, unless it is empty."""
    return text + b"\n" if len(text) > 0 else text


def set_subtree_control(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """+NAME delegates a controller to the children, -NAME withdraws it. All or nothing."""
    enabled = 0
    disabled = 0
    for word in strip(text).split(b" "):
        if len(word) == 0:
            continue
        bit = _bit_of(word[1:])
        if word[0] == ord("+"):
            enabled |= bit
            disabled &= ~bit
        elif word[0] == ord("-"):
            disabled |= bit
            enabled &= ~bit
        else:
            raise Errno(EINVAL)
    MEMORY_CONTROLS.prepare()
    with _DELEGATING:
        require_alive(group)
        enabled &= ~group.delegated
        if enabled & ~group.available() != 0:
            raise Errno(ENOENT)
        disabled &= group.delegated
        check_delegation(group, enabled, disabled)
        if enabled | disabled != 0:
            _delegate(group, enabled, disabled)


def _bit_of(name: bytes) -> int:
    for index in range(len(CONTROLLER_NAMES)):
        if CONTROLLER_NAMES[index] == name:
            return 1 << index
    raise Errno(EINVAL)


def _delegate(group: ControlGroup, enabled: int, disabled: int) -> None:
    """Carry out a change that was checked. Children created meanwhile get it anyway. Sleeps if there are many. Raises
    ENOMEM, MemoryError, and then nothing has changed.
    """
    before = group.delegated
    children: list[ControlGroup] = []
    group.delegated = (before | enabled) & ~disabled
    try:
        children = list(group.children.values())
        for child in children:
            if not child.is_removed:
                give_controllers(child, enabled)
            pace(_CHILD_COST)
    except (Errno, MemoryError):
        group.delegated = before
        for child in group.children.values():  # also those that came meanwhile
            take_controllers(child, enabled)
        raise
    for child in children:
        if child.is_removed:
            continue
        take_controllers(child, disabled)
        node = child.listener
        if isinstance(node, GroupNode):
            node.controllers_taken(disabled)
            node.controllers_given(enabled & THREADED_CONTROLLERS if child.is_threaded else enabled)
        pace(_CHILD_COST)
    place_all(group)


# Processes ------------------------------------------------------------------------------------------------------------


def processes(group: ControlGroup) -> bytes:
    """cgroup.procs: numbers in the reader's namespace, one a line."""
    if group.is_threaded:
        raise Errno(EOPNOTSUPP)
    pids = current().pids
    text = bytearray()
    walk = ProcessWalk(group)
    while (process := walk.next()) is not None:
        text.extend(f"{pids.shown(process.pid)}\n".encode())
        pace(_LINE_COST)
    return bytes(text)


def threads(group: ControlGroup) -> bytes:
    """cgroup.threads."""
    pids = current().pids
    text = bytearray()
    walk = ThreadWalk(group)
    while (task := walk.next()) is not None:
        text.extend(f"{pids.shown(task.tid)}\n".encode())
        pace(_LINE_COST)
    return bytes(text)


def _named(text: bytes) -> Task:
    """The thread that a text names; 0 means the caller. Raises EINVAL, ESRCH."""
    number = 0
    try:
        number = parse_int32(strip(text))
    except Errno:
        raise Errno(EINVAL) from None
    if number < 0:
        raise Errno(EINVAL)
    if number == 0:
        return current()
    task = find_task(current().pids.resolve(number))
    if task is None:
        raise Errno(ESRCH)
    return task


def check_writer(group: ControlGroup, writer: Writer) -> None:
    """Check that `writer` may write to cgroup.procs of a group. Raises EACCES."""
    node = group.listener
    if isinstance(node, GroupNode):
        node.check_writer(writer.credentials)


def check_way(source: ControlGroup, target: ControlGroup, writer: Writer) -> None:
    """Check that `writer` may move processes from one group to another. Raises EACCES, ENOENT."""
    check_writer(common_ancestor(source, target), writer)
    root = writer.namespace.root
    if OPTIONS.delegates_by_namespace and not (root.contains(source) and root.contains(target)):
        raise Errno(ENOENT)


def add_process(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Move a process with all its threads into the group."""
    require_alive(group)
    task = _named(text)
    process = task.process
    living = process.any_thread()
    source = task.cgroup if living is None else living.cgroup
    check_way(source, group, writer)
    check_target(group)
    move_process(process, group)


def add_thread(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """Move one thread into the group, from another one of the same domain."""
    require_alive(group)
    task = _named(text)
    check_way(task.cgroup, group, writer)
    check_target(group)
    if task.cgroup.domain() is not group.domain():
        raise Errno(EOPNOTSUPP)
    move(task, group)


# Kinds, limits and states ---------------------------------------------------------------------------------------------


def set_kind(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """cgroup.type: only "threaded" can be written, and that is final."""
    if strip(text) != b"threaded":
        raise Errno(EINVAL)
    make_threaded(group)
    node = group.listener
    if isinstance(node, GroupNode):
        node.controllers_taken(ALL_CONTROLLERS & ~THREADED_CONTROLLERS)
    place_members(group)


def events(group: ControlGroup) -> bytes:
    """cgroup.events."""
    return f"populated {int(group.is_populated())}\nfrozen {int(group.is_frozen)}\n".encode()


def figures(group: ControlGroup) -> bytes:
    """cgroup.stat. Removed groups keep only what zombies and open files hold, so none is dying."""
    counts: list[int] = [0] * len(CONTROLLER_NAMES)
    walk = GroupWalk(group)
    while True:
        each = walk.next()
        if each is None:
            break
        for index in range(len(counts)):
            counts[index] += each.available() >> index & 1
        pace(_LINE_COST)
    text = bytearray(f"nr_descendants {group.descendants}\n".encode())
    for index in range(len(counts)):
        text.extend(b"nr_subsys_" + CONTROLLER_NAMES[index] + f" {counts[index]}\n".encode())
    text.extend(b"nr_dying_descendants 0\n")
    for name in CONTROLLER_NAMES:
        text.extend(b"nr_dying_subsys_" + name + b" 0\n")
    return bytes(text)


def _limit_text(limit: int) -> bytes:
    return b"max\n" if limit == NO_LIMIT else f"{limit}\n".encode()


def _parse_limit(text: bytes) -> int:
    text = strip(text)
    if text == b"max":
        return NO_LIMIT
    value = parse_int32(text)
    if value < 0:
        raise Errno(ERANGE)
    return value


def most_descendants(group: ControlGroup) -> bytes:
    """cgroup.max.descendants."""
    return _limit_text(group.most_descendants)


def set_most_descendants(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """How many groups there may be below; existing ones stay."""
    limit = _parse_limit(text)
    require_alive(group)
    group.most_descendants = limit


def deepest(group: ControlGroup) -> bytes:
    """cgroup.max.depth."""
    return _limit_text(group.deepest)


def set_deepest(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """How many levels of groups there may be below."""
    limit = _parse_limit(text)
    require_alive(group)
    group.deepest = limit


def freezing(group: ControlGroup) -> bytes:
    """cgroup.freeze: what was written here, whatever the groups above say."""
    return b"1\n" if group.is_told_to_freeze else b"0\n"


def freeze(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """1 freezes the group and those below, 0 thaws them."""
    value = parse_int32(strip(text))
    if value != 0 and value != 1:
        raise Errno(ERANGE)
    require_alive(group)
    set_freezing(group, value == 1)


def kill(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """1 kills all processes in the group and below."""
    value = parse_int32(strip(text))
    if value != 1:
        raise Errno(ERANGE)
    require_alive(group)
    if group.is_threaded:
        raise Errno(EOPNOTSUPP)
    kill_group(group)


CORE_FILES: Final[list[FileRow]] = [
    FileRow(b"cgroup.type", CORE, kind_text, set_kind),
    FileRow(b"cgroup.procs", CORE, processes, add_process, on_top=True, is_delegated=True),
    FileRow(b"cgroup.threads", CORE, threads, add_thread, on_top=True, is_delegated=True),
    FileRow(b"cgroup.controllers", CORE, controllers, mode=READABLE_MODE, on_top=True),
    FileRow(b"cgroup.subtree_control", CORE, subtree_control, set_subtree_control, on_top=True, is_delegated=True),
    FileRow(b"cgroup.events", CORE, events, mode=READABLE_MODE),
    FileRow(b"cgroup.max.descendants", CORE, most_descendants, set_most_descendants, on_top=True),
    FileRow(b"cgroup.max.depth", CORE, deepest, set_deepest, on_top=True),
    FileRow(b"cgroup.stat", CORE, figures, mode=READABLE_MODE, on_top=True),
    FileRow(b"cgroup.freeze", CORE, freezing, freeze),
    FileRow(b"cgroup.kill", CORE, no_text, kill, mode=WRITE_ONLY_MODE),
]
