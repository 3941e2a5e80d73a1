"""Shadow stacks: map_shadow_stack(2). Programs here have none, as those of a processor without them."""

from kernel.doors.table import syscall
from kernel.lang import EOPNOTSUPP, Errno, u32


@syscall(
    "map_shadow_stack", status="Full", args="address size flags:1",
    notes="As where the processor has no shadow stacks",
)  # fmt: skip
def map_shadow_stack(address: int, size: int, flags: u32) -> int:
    """map_shadow_stack(2)."""
    raise Errno(EOPNOTSUPP)
