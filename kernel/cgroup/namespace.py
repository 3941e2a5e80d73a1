"""Cgroup namespaces: which group a process takes for the top (cgroup_namespaces(7)).

They are objects that go with the last reference.
"""

from typing import Final

from kernel.cgroup.group import TOP, ControlGroup
from kernel.lang import final
from kernel.lib.namespace import CLONE_NEWCGROUP, FIRST_CGROUP_NUMBER, Namespace, UserNamespace, next_number


@final
class GroupNamespace(Namespace):
    """One."""

    def __init__(self, root: ControlGroup, number: int, maker: UserNamespace | None) -> None:
        super().__init__(CLONE_NEWCGROUP, b"cgroup", number, maker)
        self.root: ControlGroup = root


FIRST_GROUPS: Final = GroupNamespace(TOP, FIRST_CGROUP_NUMBER, None)


def new_group_namespace(root: ControlGroup, maker: UserNamespace) -> GroupNamespace:
    """One with the group of whoever makes it at the top. Raises MemoryError."""
    return GroupNamespace(root, next_number(), maker)
