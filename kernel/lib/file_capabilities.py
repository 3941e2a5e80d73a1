"""What a file adds to the capabilities of those who run it: the attribute `security.capability` (capabilities(7), "File
capabilities").

On disk: a word with the revision and the flag "effective"; then for each 32 capabilities the permitted and the
inheritable ones, once (revision 1) or twice; then, in revision 3, which user is root for the file. All numbers are
little endian. There are no user namespaces: capabilities for another root than user 0 count for nobody.
"""

from typing import Final

from kernel.lang import EINVAL, ERANGE, Errno, final, span_of
from kernel.lib.capabilities import ALL_CAPABILITIES

CAPABILITIES: Final = b"security.capability"
_REVISION_MASK: Final = 0xFF00_0000
_REVISION_1: Final = 0x0100_0000
_REVISION_2: Final = 0x0200_0000
_REVISION_3: Final = 0x0300_0000
_EFFECTIVE: Final = 1
_REVISION_1_SIZE: Final = 12  # bytes
_REVISION_2_SIZE: Final = 20
_REVISION_3_SIZE: Final = 24
_ROOT_PLACE: Final = 20
_HIGH_CAPABILITIES: Final = ALL_CAPABILITIES >> 32
_NO_USER: Final = 0xFFFF_FFFF


@final
class FileCapabilities:
    """Sets with a bit for each CAP_*, and whether the program gets all of them at once."""

    def __init__(self, permitted: int, inheritable: int, is_effective: bool) -> None:
        self.permitted: int = permitted
        self.inheritable: int = inheritable
        self.is_effective: bool = is_effective


def _word(value: bytes, index: int) -> int:
    return span_of(value).load_u32(4 * index)


def read_file_capabilities(value: bytes) -> FileCapabilities | None:
    """What an attribute says, for whoever runs the file; None if it is for another root. Raises ERANGE if it is longer
    than any revision, EINVAL if it makes no sense.
    """
    size = len(value)
    if size > _REVISION_3_SIZE:
        raise Errno(ERANGE)
    if size < 4:
        raise Errno(EINVAL)
    magic = _word(value, 0)
    revision = magic & _REVISION_MASK
    if revision == _REVISION_1 and size == _REVISION_1_SIZE:
        return FileCapabilities(_word(value, 1), _word(value, 2), magic & _EFFECTIVE != 0)
    if size != _size_of(revision):
        raise Errno(EINVAL)
    if revision == _REVISION_3 and _word(value, 5) != 0:
        return None
    permitted = _word(value, 1) | (_word(value, 3) & _HIGH_CAPABILITIES) << 32
    inheritable = _word(value, 2) | (_word(value, 4) & _HIGH_CAPABILITIES) << 32
    return FileCapabilities(permitted, inheritable, magic & _EFFECTIVE != 0)


def _size_of(revision: int) -> int:
    """How long attributes of revision 2 or 3 are; -1 for any other."""
    if revision == _REVISION_2:
        return _REVISION_2_SIZE
    return _REVISION_3_SIZE if revision == _REVISION_3 else -1


def _check_form(value: bytes) -> None:
    """EINVAL unless it is an attribute of revision 2 or 3 without unknown flags."""
    if len(value) < 4 or len(value) != _size_of(_word(value, 0) & ~_EFFECTIVE):
        raise Errno(EINVAL)


def check_to_keep(value: bytes) -> None:
    """Whether a program may set the attribute to this. Raises EINVAL."""
    _check_form(value)
    if len(value) == _REVISION_3_SIZE and _word(value, 5) == _NO_USER:
        raise Errno(EINVAL)


def to_show(value: bytes) -> bytes:
    """The attribute as programs read it: of revision 2 where user 0 is root. Raises EINVAL if it is of revision 1 or
    makes no sense.
    """
    _check_form(value)
    if len(value) == _REVISION_2_SIZE or _word(value, 5) != 0:
        return value
    storage = bytearray(value[:_ROOT_PLACE])
    span_of(storage).store_u32(0, _REVISION_2 | _word(value, 0) & _EFFECTIVE)
    return bytes(storage)
