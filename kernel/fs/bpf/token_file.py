"""Tokens of bpf(2) as open files (BPF_TOKEN_CREATE).

Context: may raise MemoryError, ENFILE.
Source: bpf(2).
"""

from kernel.bpf.token import Token
from kernel.fs.anonymous import anonymous_path
from kernel.fs.bpf.filesystem import BpfFileSystem
from kernel.fs.constants import O_RDWR
from kernel.fs.file import File
from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, EPERM, Errno, final
from kernel.lib.capabilities import CAP_BPF
from kernel.lib.credentials import Credentials


@final
class TokenFile(File):
    """An open token."""

    def __init__(self, token: Token) -> None:
        super().__init__(anonymous_path(b"bpf-token"), O_RDWR)
        self.token: Token = token

    def describe(self) -> bytes:
        return self.token.describe()


def new_token(root: File, who: Credentials) -> TokenFile:
    """A token of the file system whose root directory is open. Raises EINVAL, EOPNOTSUPP, ENOENT if nothing is
    delegated; EPERM for anybody but a user with CAP_BPF in the namespace of the file system.
    """
    file_system = root.path.mount.file_system
    if not isinstance(file_system, BpfFileSystem) or root.path.inode() is not file_system.root():
        raise Errno(EINVAL)
    space = file_system.user_namespace
    if who.user_namespace is not space or not who.capable_in(space, CAP_BPF):
        raise Errno(EPERM)
    if space.level == 0:
        raise Errno(EOPNOTSUPP)
    delegated = file_system.delegated
    if delegated[0] | delegated[1] | delegated[2] | delegated[3] == 0:
        raise Errno(ENOENT)
    return TokenFile(Token(space, delegated))
