"""/proc/net/unix: all unix sockets (proc(5)). Importing this registers the file."""

from typing import Final

from kernel.lang import final
from kernel.lib.order import Walk
from kernel.lib.pace import pace, spend
from kernel.lib.proc_files import TextPieces, proc_pieces
from kernel.net.link.network import Network, shown_network
from kernel.net.unix.base import CONNECTED, LISTENING, UnixSocket
from kernel.net.unix.rights import SOCKETS, CollectableSocket

# The flag __SO_ACCEPTCON, and states of enum socket_state.
_LISTENS: Final = 0x10000
_UNCONNECTED: Final = 1
_CONNECTING: Final = 2
_CONNECTED: Final = 3
_LINE_COST: Final = 5000  # instructions, for `pace`
_LOOK_COST: Final = 200


@final
class _Lines(TextPieces):
    """The sockets of a network, one at a time: those of all networks are looked at."""

    def __init__(self) -> None:
        self.network: Network = shown_network()
        self.walk: Walk[CollectableSocket] | None = None  # after the heading

    def next(self) -> bytes | None:
        walk = self.walk
        if walk is None:
            self.walk = Walk(SOCKETS.all)
            return b"Num       RefCount Protocol Flags    Type St Inode Path\n"
        while (socket := walk.next()) is not None:
            if isinstance(socket, UnixSocket) and socket.network is self.network:
                spend(_LINE_COST)
                return _line(socket)
            pace(_LOOK_COST)
        return None


@proc_pieces("net/unix")
def unix_table() -> TextPieces:
    """The first column is 0 in place of kernel addresses, which are secret."""
    return _Lines()


def _line(socket: UnixSocket) -> bytes:
    flags = _LISTENS if socket.state == LISTENING else 0
    state = _UNCONNECTED
    if socket.state == CONNECTED:
        state = _CONNECTED if socket.is_accepted else _CONNECTING
    references = socket.users + (1 if socket.peer is not None else 0)
    inode = socket.inode.ino if socket.is_accepted else 0
    text = f"{0:016x}: {references:08X} {0:08X} {flags:08X} {socket.kind:04X} {state:02X} {inode:5}".encode()
    if socket.name:
        text += b" " + _shown(socket.name)
    return text + b"\n"


def _shown(name: bytes) -> bytes:
    """A path name without its NUL; an abstract name with @ for each NUL."""
    if name[0] != 0:
        return name[: len(name) - 1]
    shown = bytearray(name)
    for index in range(len(shown)):
        if shown[index] == 0:
            shown[index] = 64
    return bytes(shown)
