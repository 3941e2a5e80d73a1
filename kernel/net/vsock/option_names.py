"""Numbers of the options of level AF_VSOCK (SO_VM_SOCKETS_*, vsock(7))."""

from typing import Final

BUFFER_SIZE: Final = 0
BUFFER_MIN_SIZE: Final = 1
BUFFER_MAX_SIZE: Final = 2
CONNECT_TIMEOUT: Final = 6
CONNECT_TIMEOUT_NEW: Final = 8
