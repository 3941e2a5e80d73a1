"""Tokens of bpf(2): the command that makes one, and descriptors of them in other commands."""

from typing import Final

from kernel.bpf.token import COMMANDS, Token
from kernel.fs.bpf.token_file import TokenFile, new_token
from kernel.lang import EINVAL, Errno
from kernel.syscalls.bpf_arguments import Attributes
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current

TOKEN_FLAG: Final = 0x1_0000  # BPF_F_TOKEN_FD: among the flags of a command, that it has a descriptor of one


def create_token(attributes: Attributes) -> int:
    """BPF_TOKEN_CREATE."""
    attributes.end_at(8)
    if attributes.u32(0) != 0:
        raise Errno(EINVAL)
    task = current()
    return task.files.install(new_token(file_at(attributes.i32(4)), task.credentials), cloexec=True)


def token_at(attributes: Attributes, flags: int, field: int, command: int) -> Token | None:
    """The token whose descriptor is in a field, if the flags say that there is one; one that is not for the command
    counts as none. Raises EBADF, EINVAL.
    """
    if flags & TOKEN_FLAG == 0:
        return None
    file = file_at(attributes.i32(field))
    if not isinstance(file, TokenFile):
        raise Errno(EINVAL)
    return file.token if file.token.has(COMMANDS, command) else None
