"""The control group of a socket, for a network that knows nothing of groups: code that filters packets narrows the
type.

Context: any.
"""

from typing import Final

from kernel.lang import final


class SocketGroup:
    """Base class of a control group (`kernel/cgroup/group.py`)."""


@final
class ProgramCount:
    """All programs of bpf(2) that are attached to groups for some purposes, or all rules of a kind."""

    def __init__(self) -> None:
        self.count: int = 0


PACKET_PROGRAMS: Final = ProgramCount()
"""Those that judge packets."""
SENDER_RULES: Final = ProgramCount()
"""The rules of firewalls that ask who sends a packet."""
