"""Tokens of bpf(2): what the administrator of the machine lets that of a user namespace do there.

They are made of the options of a mount of the file system bpf (`kernel/fs/bpf/mount_options.py`). A caller that
has one needs the capabilities in its user namespace alone, for the commands and the types that the token covers.

Context: any.
Source: bpf(2), BPF_TOKEN_CREATE.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.namespace import UserNamespace

COMMANDS: Final = 0
MAPS: Final = 1
PROGRAMS: Final = 2
PLACES: Final = 3
_NAMES: Final[list[bytes]] = [b"cmds", b"maps", b"progs", b"attachs"]
_COUNTS: Final[list[int]] = [37, 34, 33, 57]  # of commands and so on that Linux knows


@final
class Token:
    """A token, which nobody changes."""

    def __init__(self, space: UserNamespace, delegated: list[int]) -> None:
        self.space: UserNamespace = space
        self.delegated: list[int] = delegated  # a mask for each of COMMANDS to PLACES

    def has(self, what: int, number: int) -> bool:
        """Whether a command, a type or a place is delegated."""
        return 0 <= number < _COUNTS[what] and self.delegated[what] >> number & 1 != 0

    def lets_load(self, kind: int, place: int) -> bool:
        """Whether programs of a type that are for a place are."""
        return self.has(PROGRAMS, kind) and self.has(PLACES, place)

    def describe(self) -> bytes:
        """Its lines in /proc/PID/fdinfo. Raises MemoryError."""
        text = b""
        for what in range(len(_NAMES)):
            all_ = (1 << _COUNTS[what]) - 1
            mask = self.delegated[what]
            shown = "any" if mask & all_ == all_ else f"0x{mask:x}"
            text += b"allowed_" + _NAMES[what] + f":\t{shown}\n".encode()
        return text
