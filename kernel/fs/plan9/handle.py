"""A fid that is open at the host, for as long as descriptions or mappings need it.

Context: closing never sleeps, transferring bytes does.
"""

from kernel.fs.constants import O_RDONLY, O_WRONLY
from kernel.fs.plan9.client import Client, Fid
from kernel.fs.remote_pages import RemoteHandle
from kernel.lang import Span, final, noraise, u8
from kernel.lib.user import Buffer


@final
class OpenFid(RemoteHandle):
    """`access` is O_RDONLY, O_WRONLY or O_RDWR."""

    def __init__(self, client: Client, fid: Fid, access: int) -> None:
        super().__init__(may_read=access != O_WRONLY, may_write=access != O_RDONLY)
        self.client: Client = client
        self.fid: Fid = fid

    @noraise
    def close(self) -> None:
        self.client.retire(self.fid)

    def data_limit(self) -> int:
        return self.client.data_limit

    def read(self, flags: int, buffer: Buffer, offset: int) -> int:
        return self.client.read(self.fid, offset, buffer)

    def write(self, flags: int, buffer: Buffer, offset: int) -> int:
        return self.client.write(self.fid, offset, buffer)

    def read_frames(self, offset: int, frames: list[int], filled: int) -> int:
        return self.client.read_frames(self.fid, offset, frames, filled)

    def write_page(self, offset: int, source: Span[u8]) -> int:
        return self.client.write_page(self.fid, offset, source)

    def size_now(self) -> int:
        return self.client.attributes(self.fid, is_urgent=True).size
