"""Parts of an endpoint: numbers and switches that belong together.

They are structs inside the object and begin as zeros, as those of a task (kernel/task/parts.py).

Guarded by the kernel lock.
"""

from kernel.lang import struct


@struct
class Options:
    """What setsockopt(2) has chosen. Connections inherit it from their listener."""

    buffer_size: int
    buffer_least: int
    buffer_most: int
    connect_timeout_ns: int


@struct
class FlowControl:
    """Bytes sent and read so far, modulo 2**32, and what the two sides have reported of it."""

    sent: int
    forwarded: int  # that the program has read
    reported: int  # … as far as the peer knows
    peer_forwarded: int  # that the peer's program has read
    peer_buffer: int  # how much the peer takes at once


@struct
class Name:
    """The address of one side."""

    cid: int
    port: int


@struct
class TablePlace:
    """Which tables an endpoint is in (table.py)."""

    is_bound: bool  # that of ports
    is_connected: bool  # that of connections, where the next is its place, and `next_connected`
    bucket: int


@struct
class Closing:
    """What has ended of a connection."""

    ended: int  # RECEIVING, SENDING
    peer_ended: int
    is_done: bool  # the connection has ended
    is_orphan: bool  # its program has closed it


@struct
class ReceivedData:
    """Counts of what waits in `queue` to be read."""

    bytes: int
    messages: int  # ends of messages
    memory: int  # bytes that `queue` takes
    low_water: int  # how many bytes poll(2) calls enough
