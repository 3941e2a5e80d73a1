"""The extended attributes of a file that a server keeps. Each use asks the server again.

Context: sleeps.
"""

from typing import Final

from kernel.fs.attribute_store import Store
from kernel.fs.fuse.instance import FuseNode
from kernel.fs.remote_file import InUse
from kernel.lang import ENODATA, ENOSYS, EOPNOTSUPP, Errno, final
from kernel.lib.file_capabilities import CAPABILITIES

_CREATE: Final = 1
_REPLACE: Final = 2


@final
class ServedAttributes(Store):
    """The attributes of one file. A server without attributes shows no names and refuses values with EOPNOTSUPP. Raises
    EACCES for callers that may not use the file system.
    """

    def __init__(self, file: FuseNode) -> None:
        super().__init__()
        self._file: FuseNode = file

    def load(self) -> None:
        """All names; their values are fetched with `load_value`, as no use of the list needs them."""
        self._file.instance.require_permitted()
        with InUse(self._file):
            names = self._names()
        self.values.clear()
        for name in names.split(b"\0"):
            if len(name) > 0:
                self.values[name] = b""

    def load_value(self, name: bytes) -> None:
        with InUse(self._file):
            value = self._value(name)
        if value is not None:
            self.values[name] = value

    def _value(self, name: bytes) -> bytes | None:
        """None where there is no such attribute. The kernel itself asks for capabilities, which a server need not
        know.
        """
        try:
            return self._file.client.read_attribute(self._file.node, name)
        except Errno as error:
            is_unknown = error.code in (ENOSYS, EOPNOTSUPP)
            if error.code == ENODATA or (is_unknown and name == CAPABILITIES):
                return None
            raise Errno(EOPNOTSUPP if is_unknown else error.code) from None

    def _names(self) -> bytes:
        try:
            return self._file.client.attribute_names(self._file.node)
        except Errno as error:
            if error.code not in (EOPNOTSUPP, ENOSYS):
                raise
            return b""

    def put(self, name: bytes, value: bytes, old: bytes | None) -> None:
        self._file.instance.require_permitted()
        with InUse(self._file):
            try:
                flags = _CREATE if old is None else _REPLACE
                self._file.client.write_attribute(self._file.node, name, value, flags)
            except Errno as error:
                raise Errno(EOPNOTSUPP if error.code == ENOSYS else error.code) from None

    def drop(self, name: bytes) -> None:
        self._file.instance.require_permitted()
        with InUse(self._file):
            self._file.client.remove_attribute(self._file.node, name)
