"""The declarations of a control group's files: a row each, in the modules of this package that produce their texts.

Context: making a text and storing one may sleep. Errors are those of read(2) and write(2).
"""

from collections.abc import Callable
from typing import Final

from kernel.cgroup.group import ControlGroup, GroupListener
from kernel.cgroup.namespace import FIRST_GROUPS, GroupNamespace
from kernel.fs.cgroup.mount_options import OPTIONS
from kernel.lang import EINVAL, ERANGE, Errno, final
from kernel.lib.credentials import Credentials

NO_RESOURCE: Final = -1
CORE: Final = 0  # for files that every group has, whatever its controllers

READABLE_MODE: Final = 0o444
WRITABLE_MODE: Final = 0o644
WRITE_ONLY_MODE: Final = 0o200

_BLANKS: Final = b" \t\n\v\f\r"
_LARGEST: Final = (1 << 62) - 1


@final
class Writer:
    """The opener of a file, whose rights count for what is written through it, whoever writes."""

    def __init__(self, credentials: Credentials, namespace: GroupNamespace) -> None:
        self.credentials: Credentials = credentials
        self.namespace: GroupNamespace = namespace

    def is_ruled_from_outside(self, group: ControlGroup) -> bool:
        """Whether a group is the root of a namespace that it was opened in. With the option nsdelegate, only those
        outside set its limits.
        """
        return OPTIONS.delegates_by_namespace and self.namespace is not FIRST_GROUPS and self.namespace.root is group


class GroupNode(GroupListener):
    """The files of a group. Base class: directory.py."""

    def check_writer(self, who: Credentials) -> None:
        """Raise EACCES unless the writer may write to cgroup.procs."""

    def controllers_given(self, controllers: int) -> None:
        """Files of controllers appear: they belong to whoever delegates them."""

    def controllers_taken(self, controllers: int) -> None:
        """Files of controllers disappear."""


MakeGroupText = Callable[[ControlGroup], bytes]
StoreGroupText = Callable[[ControlGroup, bytes, Writer], None]


def no_text(group: ControlGroup) -> bytes:
    """For files that can only be written. Raises EINVAL."""
    raise Errno(EINVAL)


def read_only(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """For files that can only be read. Raises EINVAL."""
    raise Errno(EINVAL)


@final
class FileRow:
    """One file. `controller`: groups with this controller have it. `on_top`: the top group has it, too."""

    def __init__(
        self,
        name: bytes,
        controller: int,
        make: MakeGroupText,
        store: StoreGroupText = read_only,
        mode: int = WRITABLE_MODE,
        on_top: bool = False,
        is_delegated: bool = False,
        only_on_top: bool = False,
        resource: int = NO_RESOURCE,
    ) -> None:
        self.name: bytes = name
        self.controller: int = controller
        self.make: MakeGroupText = make
        self.store: StoreGroupText = store
        self.mode: int = mode
        self.on_top: bool = on_top or only_on_top
        self.only_on_top: bool = only_on_top
        self.resource: int = resource  # of a pressure file (kernel/sched/pressure.py)
        self.is_delegated: bool = is_delegated  # a group that is delegated includes the right to write it


def strip(text: bytes) -> bytes:
    """The text without surrounding blanks."""
    start = 0
    end = len(text)
    while start < end and text[start] in _BLANKS:
        start += 1
    while end > start and text[end - 1] in _BLANKS:
        end -= 1
    return text[start:end]


def parse_number(text: bytes) -> int:
    """A number in C's notation, perhaps with a sign and a final newline. Raises EINVAL, ERANGE (beyond 62 bits)."""
    if text.endswith(b"\n"):
        text = text[:-1]
    is_negative = text.startswith(b"-")
    if is_negative or text.startswith(b"+"):
        text = text[1:]
    base = 10
    if len(text) > 1 and text[0] == ord("0"):
        base = 8
        if text[1] | 0x20 == ord("x"):
            base = 16
            text = text[2:]
    if len(text) == 0:
        raise Errno(EINVAL)
    value = 0
    too_large = False
    for byte in text:
        digit = byte - ord("0")
        if digit > 9:
            digit = (byte | 0x20) - ord("a") + 10
            if digit < 10:
                raise Errno(EINVAL)
        if not 0 <= digit < base:
            raise Errno(EINVAL)
        if value > (_LARGEST - digit) // base:
            too_large = True
        else:
            value = value * base + digit
    if too_large:
        raise Errno(ERANGE)
    return -value if is_negative else value


def parse_unsigned(text: bytes) -> int:
    """The same without a sign. Raises EINVAL, ERANGE."""
    if text.startswith(b"-"):
        raise Errno(EINVAL)
    return parse_number(text)


def parse_int32(text: bytes) -> int:
    """The same for a C int. Raises EINVAL, ERANGE."""
    value = parse_number(text)
    if not -(1 << 31) <= value < 1 << 31:
        raise Errno(ERANGE)
    return value


def words_of(text: bytes) -> list[bytes]:
    """The words between blanks."""
    found: list[bytes] = []
    start = -1
    for index in range(len(text)):
        if text[index] in _BLANKS:
            if start >= 0:
                found.append(text[start:index])
            start = -1
        elif start < 0:
            start = index
    if start >= 0:
        found.append(text[start:])
    return found
