"""/proc/net/unix: all unix sockets (proc(5)). Importing this registers the file."""

from typing import Final

from kernel.lib.pace import pace
from kernel.lib.proc_files import proc_file
from kernel.net.link.network import shown_network
from kernel.net.unix.base import CONNECTED, LISTENING, UnixSocket
from kernel.net.unix.rights import SocketWalk

# The flag __SO_ACCEPTCON, and states of enum socket_state.
_LISTENS: Final = 0x10000
_UNCONNECTED: Final = 1
_CONNECTING: Final = 2
_CONNECTED: Final = 3
_LINE_COST: Final = 5000  # instructions, for `pace`


@proc_file("net/unix")
def unix_table() -> bytes:
    """The text of the file. The first column is 0 in place of kernel addresses, which are secret."""
    text = bytearray(b"Num       RefCount Protocol Flags    Type St Inode Path\n")
    network = shown_network()
    walk = SocketWalk()
    try:
        socket = walk.take()
        while socket is not None:
            if isinstance(socket, UnixSocket) and socket.network is network:
                text.extend(_line(socket))
                pace(_LINE_COST)
            socket = walk.take()
    finally:
        walk.end()
    return bytes(text)


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
