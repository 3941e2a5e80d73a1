"""Kernel writers that do not keep a mount busy: they close their files when the mount goes."""

from typing import Final

from kernel.lang import noraise


class MountKeeper:
    """One such writer. Base class: process accounting is one."""

    def held(self, mount: int) -> int:
        """How many files it has on the mount with this number."""
        return 0

    def leave(self, mount: int) -> None:
        """The mount must go: close them. May sleep."""

    @noraise
    def leave_soon(self, mount: int) -> None:
        """The mount has left the tree: close them as soon as possible. Never sleeps."""

    def stop_writing(self, device: int) -> None:
        """The file system with this device number becomes read-only: close the files on it. May sleep."""


KEEPERS: Final[list[MountKeeper]] = []


def leave_mount(mount: int) -> None:
    """Let all of them close their files there. May sleep."""
    for keeper in KEEPERS:
        keeper.leave(mount)


@noraise
def leave_mount_soon(mount: int) -> None:
    """The same where closing a file would need too much of the stack. Never sleeps."""
    for keeper in KEEPERS:
        keeper.leave_soon(mount)
