"""Keys and keyrings: who finds them, what they are charged, when they end; on a booted machine."""

import struct
from collections.abc import Callable
from itertools import pairwise

import pytest

from kernel.fs.procfs.keys import KeyLines
from kernel.keys.key import GC_DELAY, KEYS, USER, Key
from kernel.keys.keyring import Keyring, Search, invalidate, move, search, sweep
from kernel.lang import EDEADLK, Errno
from kernel.lib.ids import ROOT_GROUP, ROOT_USER, KernelUid
from kernel.lib.pace import PACE, PACE_BUDGET, Rest
from kernel.task.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

THREAD, PROCESS, SESSION = -1, -2, -3
JOIN, REVOKE, CHOWN, SETPERM, LINK, UNLINK, SEARCH, READ, TIMEOUT, INVALIDATE = 1, 3, 4, 5, 8, 9, 10, 11, 15, 21
PERSISTENT_OF = 22
SECOND_NS = 1_000_000_000


def add(program: Program, name: str, keyring: int, data: bytes = b"x", kind: str = "user") -> int:
    return program.add_key(kind, name, bytearray(data) if data else None, len(data), keyring)


def add_ring(program: Program, name: str, keyring: int) -> int:
    return add(program, name, keyring, b"", "keyring")


def run(machine: Machine, child: object) -> int:
    """Let a child run to its end, and return its status."""
    host = machine.host
    status = bytearray(4)
    host.wait4(host.fork(child), status, 0, None)  # type: ignore[arg-type]  # a function, as in the tests below
    return status[1] or status[0]


@booted
def test_keys_end_with_the_last_keyring_that_has_them(machine: Machine) -> None:
    def child(program: Program) -> int:
        program.keyctl(JOIN, 0, 0, 0, 0)
        before = len(KEYS.by_serial)
        ring = add_ring(program, "ring", SESSION)
        key = add(program, "key", ring)
        program.keyctl(LINK, key, SESSION, 0, 0)
        program.keyctl(UNLINK, ring, SESSION, 0, 0)
        assert len(KEYS.by_serial) == before + 1
        program.keyctl(UNLINK, key, SESSION, 0, 0)
        assert len(KEYS.by_serial) == before
        ring = SESSION
        for depth in range(5):
            ring = add_ring(program, f"ring{depth}", ring)
            add(program, "inside", ring)
        add(program, "of the thread", THREAD)
        add(program, "of the process", PROCESS)
        return 0

    before = len(KEYS.by_serial)
    assert run(machine, child) == 0
    assert len(KEYS.by_serial) == before and KEYS.ending is None


@booted
def test_quotas_are_those_of_the_owner_and_come_back(machine: Machine) -> None:
    def child(program: Program) -> int:
        program.setuid(1000)
        program.keyctl(JOIN, 0, 0, 0, 0)
        account = KEYS.accounts[KernelUid(1000)]
        charged = account.charged_bytes
        key = add(program, "name", SESSION, b"12345")
        assert account.charged_bytes - charged == len("name\0") + 5 + 4
        program.keyctl(REVOKE, key, 0, 0, 0)
        assert account.charged_bytes - charged == len("name\0") + 4
        program.keyctl(UNLINK, key, SESSION, 0, 0)
        assert account.charged_bytes == charged
        with pytest.raises(OSError, match="EDQUOT"):
            add(program, "large", SESSION, bytes(20000))
        count = 0
        with pytest.raises(OSError, match="EDQUOT"):
            for count in range(300):
                add(program, f"{count}", SESSION)
        assert 190 < count < 200 and account.charged_keys == 200
        return 0

    assert run(machine, child) == 0
    assert KernelUid(1000) not in KEYS.accounts


@booted
def test_an_invalidated_key_is_gone_at_once_and_an_expired_one_later(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    key = add(host, "gone", SESSION)
    host.keyctl(INVALIDATE, key, 0, 0, 0)
    assert key not in KEYS.by_serial
    key = add(host, "late", SESSION)
    host.keyctl(TIMEOUT, key, 1, 0, 0)
    host.nanosleep(struct.pack("<QQ", 2, 0), None)
    with pytest.raises(OSError, match="EKEYEXPIRED"):
        host.keyctl(READ, key, 0, 0, 0)
    assert key in KEYS.by_serial
    GC_DELAY.values[0] = 0
    KEYS.next_dead_s = 0
    with pytest.raises(OSError, match="ENOKEY"):
        host.keyctl(READ, key, 0, 0, 0)
    assert key not in KEYS.by_serial


@booted
def test_a_key_that_changes_hands_is_charged_to_the_new_owner(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    key = add(host, "name", SESSION, b"123")
    root = KEYS.accounts[KernelUid(0)].charged_bytes
    host.keyctl(CHOWN, key, 1234, 0xFFFFFFFF, 0)
    assert KEYS.accounts[KernelUid(1234)].charged_bytes == len("name\0") + 3
    assert KEYS.accounts[KernelUid(0)].charged_bytes == root - len("name\0") - 3
    host.keyctl(UNLINK, key, SESSION, 0, 0)
    assert KernelUid(1234) not in KEYS.accounts


@booted
def test_a_program_keeps_the_session_and_loses_the_rest(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    add(host, "session's", SESSION)
    add(host, "process's", PROCESS)

    def child(program: Program) -> int:
        program.keyctl(SEARCH, SESSION, "user", "session's", 0)
        with pytest.raises(OSError, match="ENOKEY"):
            program.keyctl(SEARCH, PROCESS, "user", "process's", 0)
        return 0

    assert run(machine, child) == 0


@booted
def test_circles_are_refused(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    outer = add_ring(host, "outer", SESSION)
    inner = add_ring(host, "inner", outer)
    with pytest.raises(OSError, match="EDEADL"):
        host.keyctl(LINK, outer, inner, 0, 0)
    with pytest.raises(OSError, match="EDEADL"):
        host.keyctl(LINK, outer, outer, 0, 0)


# ---- Two threads ----------------------------------------------------------------------------------------------------


class Meanwhile(Rest):
    """Every call of `pace` is a safe point, and at one of them another thread does something."""

    def __init__(self, number: int, action: Callable[[], None]) -> None:
        self.old = PACE.rest
        self.left = number
        self.action = action

    def take(self) -> None:
        PACE.left = -1
        self.left -= 1
        if self.left == 0:
            PACE.rest = self.old
            self.action()
            PACE.rest = self

    def has_happened(self) -> bool:
        return self.left <= 0

    def __enter__(self) -> "Meanwhile":
        PACE.rest = self
        PACE.left = -1
        return self

    def __exit__(self, *_: object) -> None:
        PACE.rest = self.old
        PACE.left = PACE_BUDGET


def ring(name: bytes) -> Keyring:
    return Keyring(name, ROOT_USER, ROOT_GROUP, 0x3F3F3F3F)


def orders(prepare: Callable[[], tuple[Callable[[], object], Callable[[], None], Callable[[], None]]]) -> int:
    """Let a call run with another thread's action at its first safe point, its second, and so on; then check. Returns
    how many orders there are.
    """
    number = 1
    while True:
        call, action, check = prepare()
        with Meanwhile(number, action) as meanwhile:
            try:
                call()
            except Errno:
                pass  # which one, depends on the order; what is left must be sound
        if not meanwhile.has_happened():
            return number - 1
        check()
        number += 1


def check_sound() -> None:
    """What the module promises of links, and what accounts say."""
    charged: dict[KernelUid, int] = {}
    for key in KEYS.by_serial.values():
        assert key.usage > 0
        charged[key.account.uid] = charged.get(key.account.uid, 0) + (key.quota_bytes if key.in_quota else 0)
        for holder in key.holders:
            assert isinstance(holder, Keyring) and holder.links[key.index] is key
        if isinstance(key, Keyring):
            for index, below in key.links.items():
                assert below.index == index and key in below.holders and KEYS.by_serial[below.serial] is below
    for uid, account in KEYS.accounts.items():
        assert account.charged_bytes == charged.get(uid, 0)


@booted
@pytest.mark.parametrize("moves", [False, True])
def test_a_key_that_has_ended_never_comes_back(machine: Machine, moves: bool) -> None:
    """KEYCTL_LINK, KEYCTL_MOVE: while they look for circles the key's last other link goes."""

    def prepare() -> tuple[Callable[[], object], Callable[[], None], Callable[[], None]]:
        source, target, key, inner = ring(b"source"), ring(b"target"), ring(b"key"), ring(b"inner")
        key.link(inner)
        inner.release()
        source.link(key)
        key.release()
        before = dict(KEYS.by_serial)

        def call() -> None:
            if moves:
                move(key, source, target, is_exclusive=False)
            else:
                target.link_checked(key)

        def check() -> None:
            check_sound()
            assert key.usage == 0 and len(target.links) == 0
            assert set(before) - set(KEYS.by_serial) == {key.serial, inner.serial}
            source.release()
            target.release()

        return call, source.clear, check

    before = len(KEYS.by_serial)
    assert orders(prepare) >= 2
    check_sound()
    assert KEYS.accounts[ROOT_USER].charged_keys >= 0 and len(KEYS.by_serial) <= before + 4


@booted
def test_a_keyring_that_ended_finds_nothing(machine: Machine) -> None:
    """KEYCTL_SEARCH looks up its target after the keyring that it searches."""
    top = ring(b"top")
    wanted = Search(top.kind, b"top", current().credentials)
    assert search(top, is_possessed=True, wanted=wanted) is top
    top.release()
    assert search(top, is_possessed=True, wanted=wanted) is None


@booted
def test_two_links_make_no_circle(machine: Machine) -> None:
    def prepare() -> tuple[Callable[[], object], Callable[[], None], Callable[[], None]]:
        one, other = ring(b"one"), ring(b"other")
        for outer in (one, other):
            outer.link(ring(b"inner"))

        def action() -> None:
            other.link_checked(one)

        def check() -> None:
            check_sound()
            assert not (one in other.holders and other in one.holders)

        return lambda: one.link_checked(other), action, check

    assert orders(prepare) >= 2


@booted
@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("ends", ["invalidate", "sweep"])
def test_a_link_that_others_took_away_is_left_alone(machine: Machine, ends: str, replaces: bool) -> None:
    """Invalidation and sweeping go through a list of keyrings that have let go, or have another key of the name."""

    def prepare() -> tuple[Callable[[], object], Callable[[], None], Callable[[], None]]:
        holders = [ring(b"%d" % number) for number in range(3)]
        key = Key(USER, b"name", ROOT_USER, ROOT_GROUP, 0x3F3F3F3F)
        fresh = Key(USER, b"name", ROOT_USER, ROOT_GROUP, 0x3F3F3F3F)
        for holder in holders:
            holder.link(key)
        key.release()

        def call() -> None:
            if ends == "invalidate":
                invalidate(key)
            else:
                GC_DELAY.values[0] = 0
                key.expiry_s = 0
                KEYS.next_dead_s = 0
                sweep()

        def action() -> None:
            for holder in holders:
                if replaces:
                    holder.link(fresh)
                elif key.index in holder.links:
                    holder.unlink(key)

        def check() -> None:
            check_sound()
            assert key.serial not in KEYS.by_serial
            assert [holder.links.get(key.index) for holder in holders] == [fresh if replaces else None] * 3
            for each in (fresh, *holders):
                each.release()

        return call, action, check

    assert orders(prepare) >= 3
    check_sound()


@booted
def test_many_ways_to_a_keyring_cost_as_much_as_one(machine: Machine) -> None:
    """Six levels of thirty keyrings, each of which links to all of the next: 30 ** 6 ways."""
    top = ring(b"top")
    levels = [[ring(b"%d %d" % (depth, number)) for number in range(30)] for depth in range(5)]
    for below in levels[0]:
        top.link(below)
    for uppers, lowers in pairwise(levels):
        for upper in uppers:
            for lower in lowers:
                upper.link(lower)
    wanted = Search(USER, b"missing", current().credentials)
    assert search(top, is_possessed=True, wanted=wanted) is None
    ring(b"another").link_checked(top)
    with pytest.raises(Errno) as caught:
        levels[4][0].link_checked(top)
    assert caught.value.code == EDEADLK


@booted
def test_a_persistent_keyring_goes_when_it_has_expired(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    before = len(KEYS.by_serial)
    number = host.keyctl(PERSISTENT_OF, 0xFFFFFFFF, SESSION, 0, 0)
    host.keyctl(UNLINK, number, SESSION, 0, 0)
    assert len(KEYS.by_serial) == before + 1
    KEYS.by_serial[number].expiry_s = 1
    GC_DELAY.values[0] = 0
    KEYS.next_dead_s = 0
    with pytest.raises(OSError, match="ENOKEY"):
        host.keyctl(READ, number, 0, 0, 0)
    assert len(KEYS.by_serial) == before
    again = host.keyctl(PERSISTENT_OF, 0xFFFFFFFF, SESSION, 0, 0)
    host.keyctl(INVALIDATE, again, 0, 0, 0)
    assert len(KEYS.by_serial) == before


@booted
def test_no_memory_leaves_no_half_made_keyring(machine: Machine) -> None:
    """The register of keys is where a key that cannot be finished would stay: nothing that fails comes after it."""
    before = dict(KEYS.by_serial)
    accounts = dict(KEYS.accounts)

    class Full(dict[int, Key]):
        def __setitem__(self, _: int, __: Key) -> None:
            raise MemoryError

    KEYS.by_serial = Full(before)
    with pytest.raises(MemoryError):
        Keyring(b"x", KernelUid(4321), ROOT_GROUP, 0)
    KEYS.by_serial = before
    assert KEYS.accounts == accounts


@booted
def test_many_keys_go_with_safe_points(machine: Machine) -> None:
    """With their keyring, with what holds that, when it is revoked, and when it is cleared, at which a link to one of
    them is made again.
    """
    count = 20
    clear = 7

    def child(program: Program) -> int:
        program.keyctl(JOIN, 0, 0, 0, 0)
        before = len(KEYS.by_serial)
        for call in (UNLINK, REVOKE, clear):
            outer = add_ring(program, "outer", SESSION)
            ring = add_ring(program, "ring", outer)
            keys = [KEYS.by_serial[add(program, f"key{number}", ring)] for number in range(count)]
            last = keys[-1]
            keyring = KEYS.by_serial[ring]
            assert isinstance(keyring, Keyring)

            def again(call: int = call, keys: list[Key] = keys, keyring: Keyring = keyring) -> None:
                assert 0 < sum(key.usage > 0 for key in keys) < count
                if call == clear:
                    keyring.link(keys[-1])

            with Meanwhile(count // 2, again) as meanwhile:
                if call == UNLINK:
                    program.keyctl(UNLINK, outer, SESSION, 0, 0)
                else:
                    program.keyctl(call, ring, 0, 0, 0)
            assert meanwhile.has_happened()
            if call == clear:
                assert list(keyring.links.values()) == [last] and keyring in last.holders and last.usage == 1
                assert keyring.data_bytes == 4
            if call != UNLINK:
                program.keyctl(UNLINK, outer, SESSION, 0, 0)
            assert len(KEYS.by_serial) == before
        return 0

    assert run(machine, child) == 0


@booted
def test_others_change_keyrings_while_they_are_read_and_searched(machine: Machine) -> None:
    """Nothing makes a list of all keys or links first: it would take long where there are very many."""
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    number = add_ring(host, "ring", SESSION)
    keyring = KEYS.by_serial[number]
    assert isinstance(keyring, Keyring)
    keys = [KEYS.by_serial[add(host, f"key{place}", number)] for place in range(20)]
    serials = [key.serial for key in keys]

    def read(action: Callable[[], None]) -> list[int]:
        data = bytearray(400)
        with Meanwhile(10, action) as meanwhile:
            length = host.keyctl(READ, number, data, len(data), 0)
        assert meanwhile.has_happened()
        return list(struct.unpack(f"<{length // 4}I", data[:length]))

    assert read(lambda: keyring.unlink(keys[19])) == serials[:19]
    added: list[Key] = []

    def add_another() -> None:
        added.append(Key(USER, b"another", ROOT_USER, ROOT_GROUP, 0x3F3F3F3F))
        keyring.link(added[0])
        keyring.unlink(keys[18])

    assert read(add_another) == [*serials[:18], added[0].serial]
    added[0].release()
    check_sound()


@booted
def test_keys_that_come_while_all_are_listed_are_listed(machine: Machine) -> None:
    """/proc/keys has those that come after the one that was shown last."""
    kept = [ring(b"early")]
    lines = KeyLines()
    assert lines.next() is not None
    while len(kept) == 1 or kept[-1].serial < max(KEYS.by_serial):
        kept.append(ring(b"late"))
    found = [int(line[:8], 16) for line in iter(lines.next, None)]
    assert found == sorted(found) and found[-1] == kept[-1].serial
    for each in kept:
        each.release()


@booted
def test_a_key_in_many_keyrings_goes_while_these_go(machine: Machine) -> None:
    """Invalidation asks for one keyring after the other, without a list of them."""
    holders = [ring(b"%d" % number) for number in range(20)]
    key = Key(USER, b"name", ROOT_USER, ROOT_GROUP, 0x3F3F3F3F)
    for holder in holders:
        holder.link(key)
    key.release()
    with Meanwhile(5, lambda: [holder.release() for holder in holders[10:]].clear()) as meanwhile:
        invalidate(key)
    assert meanwhile.has_happened() and key.usage == 0 and not key.holders
    for holder in holders[:10]:
        holder.release()
    check_sound()
