"""personality(2)."""

from typing import Final

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import u32, unlocked
from kernel.task.task import current

_PERSONALITY_QUERY: Final = 0xFFFF_FFFF


@syscall("personality", status="Full", args="flags:personality")
def personality(persona: u32) -> int:
    """personality(2)."""
    process = current().process
    before = process.settings.personality
    if persona != _PERSONALITY_QUERY:
        process.settings.personality = persona
    return before


@quick("personality")
@unlocked
def _quick_personality(persona: u32) -> int:
    return current().process.settings.personality if persona == _PERSONALITY_QUERY else TAKE_LOCK
