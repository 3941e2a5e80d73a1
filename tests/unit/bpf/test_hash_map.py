"""Hash tables: chains of keys, and which key goes when another has no room."""

from __future__ import annotations

import pytest

from kernel.bpf.hash_map import HashMap
from kernel.bpf.key_hash import KeyHash
from kernel.bpf.maps import HASH, LRU_HASH
from kernel.lang import E2BIG, ENOENT, Errno
from tests.unit.bpf.assembler import new_map
from tests.unit.bpf.test_maps import key, keys_of, put

VALUE = bytes(8)


def table(kind: int = HASH, most: int = 4) -> HashMap:
    made = new_map(kind, 4, 8, most)
    assert isinstance(made, HashMap)
    return made


def test_any_key_of_a_chain_can_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one, one in the middle, and the last one."""
    monkeypatch.setattr(KeyHash, "of", lambda _self, _key: 7)
    for leaving in range(4):
        hashes = table()
        for number in range(4):
            assert put(hashes, number, bytes([number]) * 8) == 0
        hashes.remove(key(leaving))
        assert sorted(keys_of(hashes)) == [number for number in range(4) if number != leaving]
        with pytest.raises(Errno) as raised:
            hashes.remove(key(leaving))
        assert raised.value.code == ENOENT
        assert put(hashes, 9, VALUE) == 0
        assert hashes.find(key(9)) >= 0 and put(hashes, 10, VALUE) == E2BIG


def test_a_key_that_was_not_used_lately_goes() -> None:
    hashes = table(LRU_HASH)
    for number in range(4):
        assert put(hashes, number, VALUE) == 0
    for number in (0, 1, 3):
        hashes.touch(hashes.find(key(number)))
    assert put(hashes, 4, VALUE) == 0
    assert sorted(keys_of(hashes)) == [0, 1, 3, 4]


def test_where_all_were_used_one_goes_all_the_same() -> None:
    hashes = table(LRU_HASH)
    for number in range(4):
        assert put(hashes, number, VALUE) == 0
        hashes.touch(hashes.find(key(number)))
    assert put(hashes, 4, VALUE) == 0
    found = keys_of(hashes)
    assert len(found) == 4 and 4 in found


def test_a_value_is_taken_out_with_its_key() -> None:
    hashes = table()
    assert put(hashes, 1, b"12345678") == 0
    assert hashes.take_out(key(1)) == b"12345678"
    with pytest.raises(Errno) as raised:
        hashes.take_out(key(1))
    assert raised.value.code == ENOENT and keys_of(hashes) == []
