"""What a file adds to the capabilities of programs that execute it: the attribute `security.capability`
(capabilities(7), "File capabilities").

On disk: a word with the revision and the flag "effective"; then for each 32 capabilities the permitted and the
inheritable ones, once (revision 1) or twice; then, in revision 3, the user that is root for the file, by its number in
the user namespace of the file system. All numbers are little endian. Capabilities apply in namespaces whose user 0 is
that root, and below them.
"""

from typing import Final

from kernel.lang import EINVAL, EOVERFLOW, ERANGE, Errno, final, span_of
from kernel.lib.capabilities import ALL_CAPABILITIES
from kernel.lib.ids import NO_ID, NO_USER, KernelUid
from kernel.lib.namespace import UserNamespace
from kernel.lib.owner_map import OwnerMap

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


@final
class FileCapabilities:
    """Sets with a bit for each CAP_*, and whether the program gets all of them at once."""

    def __init__(self, permitted: int, inheritable: int, is_effective: bool) -> None:
        self.permitted: int = permitted
        self.inheritable: int = inheritable
        self.is_effective: bool = is_effective


def _word(value: bytes, index: int) -> int:
    return span_of(value).load_u32(4 * index)


def _is_root(uid: KernelUid, runner: UserNamespace) -> bool:
    """Whether a user is user 0 in a namespace, or in one above."""
    walker: UserNamespace | None = runner
    while walker is not None:
        if walker.uid_or_none(uid) == 0:
            return True
        walker = walker.parent
    return False


def _root_of(value: bytes, keeper: UserNamespace, owners: OwnerMap | None) -> KernelUid:
    """Who is root for a file, as seen through its mount; NO_USER for nobody."""
    kept = keeper.kernel_uid(_word(value, 5) if _word(value, 0) & _REVISION_MASK == _REVISION_3 else 0)
    return kept if owners is None or kept == NO_USER else owners.seen_uid(kept)


def read_file_capabilities(
    value: bytes, keeper: UserNamespace, runner: UserNamespace, owners: OwnerMap | None = None
) -> FileCapabilities | None:
    """What an attribute grants to a program executed in the namespace `runner`; None if it is for another root.
    `keeper` is the file system's; `owners` maps its users if the mount is id-mapped. Raises ERANGE if it is longer than
    any revision, EINVAL if it makes no sense.
    """
    size = len(value)
    if size > _REVISION_3_SIZE:
        raise Errno(ERANGE)
    if size < 4:
        raise Errno(EINVAL)
    magic = _word(value, 0)
    revision = magic & _REVISION_MASK
    root = NO_USER
    if (revision == _REVISION_1 and size == _REVISION_1_SIZE) or size == _size_of(revision):
        root = _root_of(value, keeper, owners)
    if revision == _REVISION_1 and size == _REVISION_1_SIZE:
        if root == NO_USER or not _is_root(root, runner):
            return None
        return FileCapabilities(_word(value, 1), _word(value, 2), magic & _EFFECTIVE != 0)
    if size != _size_of(revision):
        raise Errno(EINVAL)
    if root == NO_USER or not _is_root(root, runner):
        return None
    permitted = _word(value, 1) | (_word(value, 3) & _HIGH_CAPABILITIES) << 32
    inheritable = _word(value, 2) | (_word(value, 4) & _HIGH_CAPABILITIES) << 32
    return FileCapabilities(permitted, inheritable, magic & _EFFECTIVE != 0)


def _size_of(revision: int) -> int:
    """How long attributes of revision 2 or 3 are; -1 for any other."""
    if revision == _REVISION_2:
        return _REVISION_2_SIZE
    return _REVISION_3_SIZE if revision == _REVISION_3 else -1


def check_form(value: bytes) -> None:
    """Raise EINVAL unless it is an attribute of revision 2 or 3 without unknown flags."""
    if len(value) < 4 or len(value) != _size_of(_word(value, 0) & ~_EFFECTIVE):
        raise Errno(EINVAL)


def to_keep(
    value: bytes, writer: UserNamespace, keeper: UserNamespace, rules_keeper: bool, owners: OwnerMap | None = None
) -> bytes:
    """The attribute as the file system keeps it, of checked form. A writer without control of the file system's
    namespace (`rules_keeper`), or on an id-mapped mount, grants capabilities only to the root of its own. Raises EINVAL
    for a root that does not exist.
    """
    if len(value) == _REVISION_2_SIZE and rules_keeper and owners is None:
        return value
    user = writer.kernel_uid(_word(value, 5) if len(value) == _REVISION_3_SIZE else 0)
    if owners is not None and user != NO_USER:
        user = owners.kept_uid(user)
    root = NO_ID if user == NO_USER else keeper.uid_or_none(user)
    if root == NO_ID:
        raise Errno(EINVAL)
    return _of_root(value, root)


def _of_root(value: bytes, root: int) -> bytes:
    """The same in revision 3."""
    storage = bytearray(_REVISION_3_SIZE)
    out = span_of(storage)
    out[0:_ROOT_PLACE].copy_from(span_of(value)[0:_ROOT_PLACE])
    out.store_u32(0, _REVISION_3 | _word(value, 0) & _EFFECTIVE)
    out.store_u32(_ROOT_PLACE, root)
    return bytes(storage)


def to_show(value: bytes, reader: UserNamespace, keeper: UserNamespace, owners: OwnerMap | None = None) -> bytes:
    """The attribute as programs in the namespace `reader` see it: of revision 2 where user 0 of theirs, or of one
    above, is root. Raises EINVAL if it is of revision 1 or makes no sense, EOVERFLOW if they cannot name the root.
    """
    check_form(value)
    root = _root_of(value, keeper, owners)
    number = reader.uid_or_none(root) if root != NO_USER else NO_ID
    if number != NO_ID and number != 0:
        return _of_root(value, number)
    if root == NO_USER or not _is_root(root, reader):
        raise Errno(EOVERFLOW)
    if len(value) == _REVISION_2_SIZE:
        return value
    storage = bytearray(value[:_ROOT_PLACE])
    span_of(storage).store_u32(0, _REVISION_2 | _word(value, 0) & _EFFECTIVE)
    return bytes(storage)
