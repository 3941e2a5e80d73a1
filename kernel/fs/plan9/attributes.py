"""The extended attributes of a file of the host. Each use asks the host again.

Context: sleeps.
"""

from typing import Final

from kernel.fs.attribute_store import Store
from kernel.fs.plan9.client import Client
from kernel.fs.plan9.instance import SharedNode
from kernel.fs.remote_file import InUse
from kernel.lang import ENODATA, ENOSYS, EOPNOTSUPP, Errno, final

_LIMIT: Final = 65536  # bytes of a value, or of all names
_REPLACE: Final = 2
_CREATE: Final = 1


@final
class HostAttributes(Store):
    """The attributes of one file. A host without attributes shows no names and refuses values with EOPNOTSUPP."""

    def __init__(self, node: SharedNode) -> None:
        super().__init__()
        self._node: SharedNode = node
        self._client: Client = node.client

    def load(self) -> None:
        with InUse(self._node):
            self._load()

    def _load(self) -> None:
        names = self._names()
        for name in names.split(b"\0"):
            if len(name) > 0:
                try:
                    self.values[name] = self._client.read_attribute(self._node.attribute_fid(), name, _LIMIT)
                except Errno as error:
                    if error.code != ENODATA:  # it was removed meanwhile
                        raise

    def _names(self) -> bytes:
        try:
            return self._client.read_attribute(self._node.attribute_fid(), b"", _LIMIT)
        except Errno as error:
            if error.code != EOPNOTSUPP and error.code != ENOSYS:
                raise
            return b""

    def put(self, name: bytes, value: bytes, old: bytes | None) -> None:
        if len(value) == 0:
            raise Errno(EOPNOTSUPP)  # the protocol cannot express this removal otherwise
        with InUse(self._node):
            self._client.write_attribute(self._node.attribute_fid(), name, value, _CREATE if old is None else _REPLACE)

    def drop(self, name: bytes) -> None:
        with InUse(self._node):
            self._client.write_attribute(self._node.attribute_fid(), name, b"", _REPLACE)
