"""arch_prctl(2)."""

from arch.programs import control_processor
from kernel.doors.table import syscall
from kernel.lang import i32
from kernel.task.task import current


@syscall(
    "arch_prctl", status="Full", args="one:arch_prctl any",
    notes="Without shadow stacks and tagged addresses",
)  # fmt: skip
def arch_prctl(code: i32, argument: int) -> int:
    """arch_prctl(2)."""
    return control_processor(current().registers, code, argument)
