"""/dev/vsock: reports this machine's context (IOCTL_VM_SOCKETS_GET_LOCAL_CID, vsock(7)); CID_LOCAL without a host.

Importing this registers the device at build time.
"""

from typing import Final

from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import ENOTTY, Errno, UserAddr, final
from kernel.lib import user
from kernel.net.vsock.addresses import CID_ANY, CID_LOCAL
from kernel.net.vsock.transport import TRANSPORTS

_MISC_MAJOR: Final = 10
_MINOR: Final = 258  # Linux numbers it when it comes up, from 256 on
_GET_LOCAL_CID: Final = 0x7B9


@final
class VsockFile(File):
    """An open /dev/vsock."""

    def ioctl(self, command: int, argument: int) -> int:
        if command != _GET_LOCAL_CID:
            raise Errno(ENOTTY)
        cid = TRANSPORTS.guest.cid()
        user.write_u32(UserAddr(argument), CID_LOCAL if cid == CID_ANY else cid)
        return 0


def _open(path: Path, flags: int) -> File:
    return VsockFile(path, flags)


register_char_device(_MISC_MAJOR, _MINOR, b"vsock", _open)
