"""What a type of programs is about: which bytes of the context may be read, what may be returned, which helpers there
are.

Context: any; nothing raises or allocates.
"""

from typing import Final

from kernel.bpf.code import CGROUP_DEVICE
from kernel.lang import final


@final
class Subject:
    """A program type, and what its loader may let it do."""

    def __init__(self, program_type: int, context_size: int, least_result: int, most_result: int) -> None:
        self.program_type: int = program_type
        self.context_size: int = context_size
        self.least_result: int = least_result  # above `most_result`: anything
        self.most_result: int = most_result
        self.may_leak: bool = False  # CAP_PERFMON: pointers may be seen as numbers, stack read that was not stored

    def may_load(self, offset: int, size: int) -> bool:
        """Whether bytes of the context may be read."""
        if offset < 0 or offset + size > self.context_size or offset % size != 0:
            return False
        return size <= 4 if offset < 4 else size == 4


DEVICE_CONTEXT: Final = 12  # struct bpf_cgroup_dev_ctx: type and access, major, minor


def subject_of(program_type: int) -> Subject | None:
    """None for a type that is not there. Raises MemoryError."""
    if program_type == CGROUP_DEVICE:
        return Subject(program_type, DEVICE_CONTEXT, 0, 1)
    return None
