"""A fid that is open at the host, for as long as descriptions or mappings need it.

Context: never sleeps.
"""

from kernel.fs.constants import O_RDONLY, O_WRONLY
from kernel.fs.plan9.client import Client, Fid
from kernel.lang import final, noraise


@final
class OpenFid:
    """Counted: by descriptions, and by mappings made through them. `access` is O_RDONLY, O_WRONLY or O_RDWR."""

    def __init__(self, client: Client, fid: Fid, access: int) -> None:
        self.client: Client = client
        self.fid: Fid = fid
        self.may_read: bool = access != O_WRONLY
        self.may_write: bool = access != O_RDONLY
        self.users: int = 1

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.client.retire(self.fid)
