"""Limits of fanotify(7) per user; the user's account has the counts.

Source: fanotify(7), proc_sys_fs(5).
"""

from typing import Final

from kernel.lang import final
from kernel.lib.settings import SystemSetting
from kernel.mm.frames import PAGE_SIZE, total_frame_count

INT_MAX: Final = 0x7FFF_FFFF
_MARK_BYTES: Final = 1312  # what a mark and its inode cost, by Linux's calculation for its limit


@final
class _MarkLimit(SystemSetting):
    """How many marks a user can have: as many as a hundredth of memory holds, unless it was set."""

    def prepare(self) -> None:
        if self.values[0] < 0:
            self.values[0] = max(8192, min(1 << 20, total_frame_count() // 100 * PAGE_SIZE // _MARK_BYTES))


EVENT_LIMIT: Final = SystemSetting(b"fs/fanotify/max_queued_events", [16384], 0, INT_MAX)
GROUP_LIMIT: Final = SystemSetting(b"fs/fanotify/max_user_groups", [128], 0, INT_MAX)
MARK_LIMIT: Final = _MarkLimit(b"fs/fanotify/max_user_marks", [-1], 0, INT_MAX)
