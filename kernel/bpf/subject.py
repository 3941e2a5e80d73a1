"""What a type of programs is about: which bytes of the context may be read, what may be returned, which helpers there
are.

Context: any; nothing raises or allocates.
Source: Linux's include/uapi/linux/bpf.h, for the layouts of contexts.
"""

from typing import Final

from kernel.bpf.code import CGROUP_DEVICE, CGROUP_SKB
from kernel.lang import final

DEVICE_CONTEXT: Final = 12  # struct bpf_cgroup_dev_ctx: type and access, major, minor

# struct __sk_buff: places of what is known of a packet, 4 bytes each.
PACKET_LENGTH: Final = 0
PACKET_KIND: Final = 4
PACKET_PROTOCOL: Final = 16
PACKET_ARRIVED_AT: Final = 36
PACKET_DEVICE: Final = 40
PACKET_CONTEXT: Final = 68
_FIRST_LEFT: Final = 48  # five words that others along the way would leave there: 0
_PACKET_FIELDS: Final[list[int]] = [
    PACKET_LENGTH, PACKET_KIND, PACKET_PROTOCOL, PACKET_ARRIVED_AT, PACKET_DEVICE,
    20, 24, 28,  # the VLAN's: there is none
    _FIRST_LEFT, 52, 56, 60, 64,
]  # fmt: skip

PACKETS_OUT: Final = 1  # BPF_CGROUP_INET_EGRESS, as an expected place
MOST_PACKET_INSTRUCTIONS: Final = 256  # each runs once at most, so these bound a run


class Subject:
    """A program type, and what its loader may let it do. Base class: one that judges the use of devices."""

    def __init__(self, program_type: int, most_result: int) -> None:
        self.program_type: int = program_type
        self.least_result: int = 0  # above `most_result`: anything
        self.most_result: int = most_result
        self.may_leak: bool = False  # CAP_PERFMON: pointers may be seen as numbers, stack read that was not stored
        self.most_instructions: int = 0  # and no loops; 0: any number, with loops
        self.is_for_place: bool = False  # it answers what only the expected place understands

    def may_load(self, offset: int, size: int) -> bool:
        """Whether bytes of the context may be read."""
        if offset < 0 or offset + size > DEVICE_CONTEXT or offset % size != 0:
            return False
        return size <= 4 if offset < 4 else size == 4

    def note_result(self, least: int) -> None:
        """On a way that was explored, the result is at least this."""


@final
class PacketSubject(Subject):
    """One that judges packets of sockets, where nothing may sleep: it runs through once."""

    def __init__(self, program_type: int, place: int) -> None:
        super().__init__(program_type, 3 if place == PACKETS_OUT else 1)
        self.most_instructions = MOST_PACKET_INSTRUCTIONS

    def may_load(self, offset: int, size: int) -> bool:
        if offset < 0 or offset % size != 0:
            return False
        if size > 4:
            return _FIRST_LEFT <= offset <= PACKET_CONTEXT - size
        return offset - offset % 4 in _PACKET_FIELDS

    def note_result(self, least: int) -> None:
        if least > 1:
            self.is_for_place = True


def subject_of(program_type: int, place: int = 0) -> Subject | None:
    """None for a type that is not there. `place` is where the program says that it will be attached. Raises
    MemoryError.
    """
    if program_type == CGROUP_DEVICE:
        return Subject(program_type, 1)
    if program_type == CGROUP_SKB:
        return PacketSubject(program_type, place)
    return None
