"""The root of an autofs: the automounter opens it, and answers by ioctl(2).

Context: AUTOFS_IOC_EXPIRE_MULTI sleeps, and opening may.
"""

from typing import Final

from kernel.fs.autofs.directory import AutofsDirectory
from kernel.fs.autofs.expiry import candidate, expire, may_be_unmounted, put_off
from kernel.fs.autofs.instance import AutofsInstance
from kernel.fs.autofs.packets import MINOR_VERSION, make_expiry
from kernel.fs.constants import S_IFDIR
from kernel.fs.file import File, InodeFile
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EINVAL, ENOENT, ENOTTY, EPERM, Errno, UserAddr, final, u64
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import caller_credentials

# ioctl(2): the type of all commands is in bits 8 … 15, the number in bits 0 … 7.
IOCTL_TYPE: Final = 0x93
_FIRST_NUMBER: Final = 0x60
_LAST_NUMBER: Final = 0x7F
_READY: Final = 0x9360
_FAIL: Final = 0x9361
_CATATONIC: Final = 0x9362
_PROTOVER: Final = 0x8004_9363
_SETTIMEOUT: Final = 0xC008_9364
_EXPIRE: Final = 0x810C_9365
_EXPIRE_MULTI: Final = 0x4004_9366
_PROTOSUBVER: Final = 0x8004_9367
_ASKUMOUNT: Final = 0x8004_9370


@final
class AutofsRoot(AutofsDirectory):
    """The root."""

    def __init__(self, instance: AutofsInstance) -> None:
        super().__init__(instance, S_IFDIR | 0o755, b"", 0)

    def open(self, path: Path, flags: int) -> File:
        return RootFile(path, flags, self.instance)


@final
class RootFile(InodeFile):
    """The root, opened."""

    def __init__(self, path: Path, flags: int, instance: AutofsInstance) -> None:
        super().__init__(path, flags)
        self.instance: AutofsInstance = instance

    def ioctl(self, command: int, argument: int) -> int:
        if command >> 8 & 0xFF != IOCTL_TYPE or not _FIRST_NUMBER <= command & 0xFF <= _LAST_NUMBER:
            raise Errno(ENOTTY)
        instance = self.instance
        who = caller_credentials()
        if not instance.obeys() and (who is None or not who.capable(CAP_SYS_ADMIN)):
            raise Errno(EPERM)
        if command == _READY:
            instance.answer(argument & 0xFFFF_FFFF, 0)
        elif command == _FAIL:
            instance.answer(argument & 0xFFFF_FFFF, ENOENT)
        elif command == _CATATONIC:
            instance.fall_silent()
        elif command == _PROTOVER:
            user.write_u32(UserAddr(argument), instance.version)
        elif command == _PROTOSUBVER:
            user.write_u32(UserAddr(argument), MINOR_VERSION)
        elif command == _SETTIMEOUT:
            old = instance.set_timeout(u64(user.read_i64(UserAddr(argument))))
            user.write_u64(UserAddr(argument), int(old))
        elif command == _ASKUMOUNT:
            user.write_u32(UserAddr(argument), 1 if may_be_unmounted(self.path.mount) else 0)
        elif command == _EXPIRE:
            self._name_expired(UserAddr(argument))
        elif command == _EXPIRE_MULTI:
            how = user.read_u32(UserAddr(argument)) if argument != 0 else 0
            expire(instance, self.path.mount, how)
        else:
            raise Errno(EINVAL)
        return 0

    def _name_expired(self, address: UserAddr) -> None:
        """AUTOFS_IOC_EXPIRE: only say what has expired. Raises EAGAIN, EFAULT, MemoryError."""
        instance = self.instance
        node = candidate(instance, self.path.mount, 0)
        if node is None:
            raise Errno(EAGAIN)
        message = make_expiry(instance.version, node.key())
        put_off(instance, node)
        user.write_bytes(address, bytes(message))
