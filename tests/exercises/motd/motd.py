"""/proc/motd: a message of the day, which root may change."""

from typing import Final

from kernel.lang import EINVAL, Errno, final
from kernel.lib.proc_files import proc_file

_LONGEST: Final = 100  # bytes


@final
class Message:
    """What is shown."""

    def __init__(self) -> None:
        self.text: bytes = b"Welcome to Krait"


MESSAGE: Final = Message()


def set_motd(text: bytes) -> None:
    """Raises EINVAL for an empty text and for one that is too long."""
    text = text.strip()
    if not 0 < len(text) <= _LONGEST:
        raise Errno(EINVAL)
    MESSAGE.text = text


@proc_file("motd", set_motd)
def motd() -> bytes:
    """The message of the day."""
    return MESSAGE.text + b"\n"
