"""TCP's connections by both addresses and ports: a hash table that grows a bucket at a time.

Each new connection past two for a bucket splits one bucket (linear hashing, as in kernel/lang/runtime/large_dict.py),
and buckets lie in chunks that never move: so however many connections there are, none pays for all others. The table
does not shrink.

Invariants: channels of a bucket form a chain; a channel is in the chain of `bucket_of` its key exactly while
`is_listed`.
Context: thread context; nothing sleeps. Only `add` needs memory.
"""

from typing import Final

from kernel.lang import final, inline, span_of
from kernel.lib import random
from kernel.net.link.network import Network
from kernel.net.tcp.channel import Channel

_CHUNK_SHIFT: Final = 8
_CHUNK: Final = 1 << _CHUNK_SHIFT  # buckets
_LEAST_CHUNKS: Final = 4
_LOAD: Final = 2  # connections for each bucket
_MASK: Final = 0x3FFF_FFFF
_NETWORK_BITS: Final = 0xFF_FFFF
_NETWORK_STEP: Final = 0x9E37_79B1  # spreads connections with the same ends in many networks


@final
class Secrets:
    """What strangers must not know, so that they cannot choose addresses and ports that meet: odd, of 30 bits. They are
    chosen before the first connection, and stay.
    """

    def __init__(self) -> None:
        self.of_buckets: int = 0
        self.first: int = 1
        self.second: int = 1
        self.third: int = 1

    def choose(self) -> None:
        """Choose them, unless that was done."""
        if self.of_buckets == 0:
            self.of_buckets = random.word() & _MASK | 1
            self.first = random.word() & _MASK | 1
            self.second = random.word() & _MASK | 1
            self.third = random.word() & _MASK | 1


_SECRETS: Final = Secrets()


def key_of(network: Network, local: bytes, local_port: int, remote: bytes, remote_port: int) -> int:
    """The key of a connection, at least 0: not unique. It never leaves this host."""
    far = span_of(remote)
    near = span_of(local)
    if len(remote) == 4:
        mixed = far.load_be32(0) * 31 + near.load_be32(0)
    else:
        secrets = _SECRETS
        # Whoever has a /64 chooses freely among addresses: without secrets very many could have the same key.
        mixed = (
            (far.load_be32(12) * secrets.first >> 24)
            + (far.load_be32(8) * secrets.second >> 24)
            + (far.load_be32(4) * secrets.third >> 24)
            + far.load_be32(0)
            + near.load_be32(12)
        )
    mixed += (network.number & _NETWORK_BITS) * _NETWORK_STEP
    return (mixed & _MASK) << 32 | remote_port << 16 | local_port


@final
class ConnectionIndex:
    """The connections of all networks."""

    def __init__(self) -> None:
        self._chunks: list[list[Channel | None]] = []
        for _ in range(_LEAST_CHUNKS):
            self._chunks.append([None] * _CHUNK)
        self.bucket_count: int = _LEAST_CHUNKS * _CHUNK
        self.mask: int = self.bucket_count - 1  # the least power of two not below `bucket_count`, minus 1
        self.count: int = 0

    @inline
    def bucket_of(self, key: int) -> int:
        """The bucket of a key."""
        mixed = (key & 0xFFFF_FFFF) ^ (key >> 30)
        at = (mixed * _SECRETS.of_buckets >> 16) & self.mask
        return at if at < self.bucket_count else at & (self.mask >> 1)

    @inline
    def first_in(self, bucket: int) -> Channel | None:
        """The first channel of a bucket's chain."""
        return self._chunks[bucket >> _CHUNK_SHIFT][bucket & (_CHUNK - 1)]

    def find(self, network: Network, local: bytes, local_port: int, remote: bytes, remote_port: int) -> Channel | None:
        """The connection with these ends."""
        key = key_of(network, local, local_port, remote, remote_port)
        channel = self.first_in(self.bucket_of(key))
        while channel is not None:
            c = channel.connection
            if (
                channel.key == key
                and channel.network is network
                and c is not None
                and c.local_port == local_port
                and c.remote_port == remote_port
                and c.remote == remote
                and c.local == local
            ):
                return channel
            channel = channel.next_in_table
        return None

    def add(self, channel: Channel) -> None:
        """Enter a channel, whose connection has addresses and ports. Raises MemoryError, with nothing changed."""
        c = channel.connection
        assert c is not None
        _SECRETS.choose()
        if self.count >= _LOAD * self.bucket_count:
            self._split()
        channel.key = key_of(c.network, c.local, c.local_port, c.remote, c.remote_port)
        self._link(channel)
        channel.is_listed = True
        self.count += 1

    @inline
    def _link(self, channel: Channel) -> None:
        at = self.bucket_of(channel.key)
        chunk = self._chunks[at >> _CHUNK_SHIFT]
        channel.next_in_table = chunk[at & (_CHUNK - 1)]
        chunk[at & (_CHUNK - 1)] = channel

    def _split(self) -> None:
        """One bucket more: it takes over its channels from the one whose number lacks the highest bit."""
        added = self.bucket_count
        if added >> _CHUNK_SHIFT == len(self._chunks):
            self._chunks.append([None] * _CHUNK)
        self.bucket_count = added + 1
        if added > self.mask:
            self.mask = self.mask * 2 + 1
        at = added & (self.mask >> 1)
        chunk = self._chunks[at >> _CHUNK_SHIFT]
        channel = chunk[at & (_CHUNK - 1)]
        chunk[at & (_CHUNK - 1)] = None
        while channel is not None:
            following = channel.next_in_table
            self._link(channel)
            channel = following

    def remove(self, channel: Channel) -> None:
        """Take a listed channel out."""
        channel.is_listed = False
        self.count -= 1
        following = channel.next_in_table
        channel.next_in_table = None
        at = self.bucket_of(channel.key)
        chunk = self._chunks[at >> _CHUNK_SHIFT]
        before = chunk[at & (_CHUNK - 1)]
        if before is channel:
            chunk[at & (_CHUNK - 1)] = following
            return
        while before is not None:
            if before.next_in_table is channel:
                before.next_in_table = following
                return
            before = before.next_in_table


@final
class BucketWalk:
    """A walk through all connections, a bucket of its beginning at a time. Between two of these others may come and go,
    and buckets may be split: what was in one bucket at the beginning still comes in one turn, so the walk meets all
    that stay, once.
    """

    def __init__(self, index: ConnectionIndex) -> None:
        self._index: ConnectionIndex = index
        self._count: int = index.bucket_count
        self._mask: int = index.mask
        self._place: int = 0

    def next(self) -> list[Channel] | None:
        """The channels of the next bucket; None at the end. Raises MemoryError."""
        place = self._place
        if place == self._count:
            return None
        self._place = place + 1
        half = (self._mask >> 1) + 1
        # Whether it had been split in that round already: then it goes on to divide by the greater power of two.
        step = 2 * half if place >= half or place + half < self._count else half
        found: list[Channel] = []
        while place < self._index.bucket_count:
            channel = self._index.first_in(place)
            while channel is not None:
                found.append(channel)
                channel = channel.next_in_table
            place += step
        return found
