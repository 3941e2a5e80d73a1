"""Adding and requesting keys: add_key(2), request_key(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.keys.adding import add, known_type
from kernel.keys.key import WRITE
from kernel.keys.requesting import Request, request
from kernel.lang import EINVAL, EPERM, Errno, UserAddr, i32
from kernel.lib import user
from kernel.syscalls.key_arguments import (
    LONGEST_DESCRIPTION,
    LONGEST_PAYLOAD,
    chain_of,
    finder_of,
    found_key,
    text_at,
    type_at,
)
from kernel.task.key_helper import KEY_HELPER
from kernel.task.task import current

_LONGEST_CALLOUT: Final = 4096


@syscall(
    "add_key", status="Full", args="name:key_type name:key_name <bytes[size]? size key_serial -> key_serial",
)  # fmt: skip
def add_key(kind: UserAddr, description: UserAddr, payload: UserAddr, size: int, keyring: i32) -> int:
    """add_key(2)."""
    if not 0 <= size <= LONGEST_PAYLOAD:
        raise Errno(EINVAL)
    name = type_at(kind)
    text = b"" if description == 0 else text_at(description, LONGEST_DESCRIPTION)
    if text.startswith(b".") and name.startswith(b"keyring"):
        raise Errno(EPERM)
    data = user.read_bytes(payload, size) if size > 0 else b""
    return add(finder_of(current()), found_key(keyring, WRITE, creates=True), name, text, data)


@syscall(
    "request_key", status="Full", args="name:key_type name:key_name name:text key_serial -> key_serial",
)  # fmt: skip
def request_key(kind: UserAddr, description: UserAddr, callout: UserAddr, keyring: i32) -> int:
    """request_key(2)."""
    name = type_at(kind)
    text = text_at(description, LONGEST_DESCRIPTION)
    information = text_at(callout, _LONGEST_CALLOUT) if callout != 0 else None
    target = found_key(keyring, WRITE, creates=True) if keyring != 0 else None
    task = current()
    asked = Request(chain_of(task), task.credentials, int(task.tid), known_type(name), text)
    return request(asked, information, target, KEY_HELPER)
