"""Which groups are frozen: all their threads rest, and so do those below (cgroup.freeze, cgroup.events).

A thread rests where it comes back from the kernel, or while it is stopped or waits for a vfork child. Those that are to
rest and how each finds out is the business of kernel/task/control_groups.py.

Context: nothing sleeps or raises.
"""

from kernel.cgroup.group import ControlGroup


def update_frozen(group: ControlGroup) -> None:
    """Threads of a group began or ceased to rest, came or went: it and those above may be frozen now, or thawed."""
    changed: ControlGroup | None = group
    while changed is not None:
        is_frozen = (
            changed.freezes
            and changed.resting == changed.member_count
            and changed.frozen_children == len(changed.children)
        )
        if is_frozen == changed.is_frozen:
            return
        changed.is_frozen = is_frozen
        changed.tell(b"cgroup.events")
        parent = changed.parent
        if parent is not None:
            parent.frozen_children += 1 if is_frozen else -1
        changed = parent


def rest(group: ControlGroup) -> None:
    """One more of its threads rests."""
    group.resting += 1
    update_frozen(group)
