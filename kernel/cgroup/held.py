"""Control groups in maps of bpf(2).

Context: any.
"""

from kernel.bpf.held import Held
from kernel.cgroup.group import ControlGroup
from kernel.lang import final


@final
class HeldGroup(Held):
    """A group, which the reference keeps; it may be removed meanwhile."""

    def __init__(self, group: ControlGroup) -> None:
        self.group: ControlGroup = group
