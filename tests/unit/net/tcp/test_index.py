"""The table of connections grows a bucket at a time, and walks meet each connection once meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from kernel.net.link.network import FIRST_NETWORK
from kernel.net.tcp import index as tested
from kernel.net.tcp.channel import Channel
from kernel.net.tcp.index import BucketWalk, ConnectionIndex

OURS = b"\x0a\x00\x00\x01"


def channel(number: int) -> Channel:
    """What the table uses of one."""
    remote = number.to_bytes(4, "big")
    c = SimpleNamespace(network=FIRST_NETWORK, local=OURS, local_port=80, remote=remote, remote_port=number & 0xFFFF)
    return cast("Channel", SimpleNamespace(connection=c, network=FIRST_NETWORK, key=0, is_listed=False,
                                           next_in_table=None, number=number))  # fmt: skip


def find(index: ConnectionIndex, number: int) -> object:
    return index.find(FIRST_NETWORK, OURS, 80, number.to_bytes(4, "big"), number & 0xFFFF)


def met(walk: BucketWalk) -> list[int]:
    return [numbered(each) for found in iter(walk.next, None) for each in found]


def numbered(each: Channel) -> int:
    return each.number  # type: ignore[attr-defined,no-any-return]  # see above


def test_no_connection_pays_for_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one that comes moves the channels of one bucket at most, and all are found."""
    moved: list[int] = [0]
    real = ConnectionIndex._link

    def link(index: ConnectionIndex, each: Channel) -> None:
        moved[0] += 1
        real(index, each)

    monkeypatch.setattr(ConnectionIndex, "_link", link)
    index = ConnectionIndex()
    channels = [channel(number) for number in range(20_000)]
    most = 0
    for each in channels:
        moved[0] = 0
        index.add(each)
        most = max(most, moved[0])
    assert most < 30 and index.count == 20_000 and index.bucket_count == 10_000
    assert all(find(index, number) is channels[number] for number in range(0, 20_000, 7))
    assert sorted(met(BucketWalk(index))) == list(range(20_000))
    for each in channels[::2]:
        index.remove(each)
    assert find(index, 6) is None and find(index, 7) is channels[7] and index.count == 10_000


@pytest.mark.parametrize("before", [2048, 2500, 4096, 7000])
def test_a_walk_meets_all_that_stay_once_while_buckets_are_split(before: int) -> None:
    index = ConnectionIndex()
    channels = [channel(number) for number in range(before)]
    for each in channels:
        index.add(each)
    walk = BucketWalk(index)
    found: list[int] = []
    fresh = before
    while (bucket := walk.next()) is not None:
        found += [numbered(each) for each in bucket]
        for _ in range(9):
            index.add(channel(fresh))
            fresh += 1
    old = [number for number in found if number < before]
    assert sorted(old) == list(range(before)), "each once"
    assert index.bucket_count > 2 * tested._LEAST_CHUNKS * tested._CHUNK


def test_without_memory_for_a_chunk_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    index = ConnectionIndex()
    for number in range(2048):
        index.add(channel(number))

    class Full(list[object]):
        def append(self, value: object) -> None:
            raise MemoryError

    monkeypatch.setattr(index, "_chunks", Full(index._chunks))
    with pytest.raises(MemoryError):
        index.add(channel(3000))
    assert index.count == 2048 and index.bucket_count == 1024 and len(met(BucketWalk(index))) == 2048
