"""Each scenario on Krait: its transcript is the recorded one. See docs/testing.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from scapy.layers.l2 import Ether

from tests.harness import KRAIT, GuestError
from tests.harness.guest import PATIENCE
from tests.harness.repeats import record_repeat
from tests.packets.__main__ import difference
from tests.packets.lateness import Lateness
from tests.packets.scenarios import AT_ONCE, RECORDED, Outcome, Scenario, all_scenarios, file_of, recorded, run_one
from tests.packets.session import Boot
from tests.packets.wire import GUEST_LINK, PEER_LINK

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

# A busy host answers late, and the guest's timers run on meanwhile. So a scenario is run again, but only where the host
# is known to have been late by that many seconds: what differs without that is the guest's.
LATE = 0.05
ATTEMPTS = 5


class Boots:
    """The boot that the tests share; one that a scenario has ruined is replaced. Slow scenarios run beside the rest, in
    a guest of their own, where nobody changes settings under them.
    """

    def __init__(self, slow: list[Scenario]) -> None:
        self._boot: Boot | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._boot_of_slow = Boot(KRAIT).__enter__()
        self._slow = {one.name: self._pool.submit(run_one, self._boot_of_slow, one) for one in slow}

    def boot(self) -> Boot:
        if self._boot is None:
            self._boot = Boot(KRAIT).__enter__()
        return self._boot

    def run(self, one: Scenario) -> Outcome:
        if one.name in self._slow:
            return self._slow.pop(one.name).result()
        try:
            return run_one(self.boot(), one)
        except BaseException:  # a time limit's, too: a guest that hangs fails one test, not all that follow
            self._end()
            raise

    def run_again(self, one: Scenario) -> Outcome:
        """In a guest that has not seen it yet: what it once learnt, of its neighbours say, it does not ask again."""
        with Boot(KRAIT) as boot:
            return run_one(boot, one)

    def _end(self) -> None:
        if self._boot is not None:
            self._boot.__exit__(None, None, None)
            self._boot = None

    def close(self) -> None:
        self._end()
        self._pool.shutdown()
        self._boot_of_slow.__exit__(None, None, None)


@pytest.fixture(scope="module")
def boots(request: pytest.FixtureRequest) -> Iterator[Boots]:
    chosen = {item.name for item in request.session.items if item.path == request.path}
    beside = [one for one in all_scenarios().values() if one.may_run_beside_others]
    slow = [one for one in beside if f"test_scenario[{one.name}]" in chosen]
    boots = Boots(slow)
    yield boots
    boots.close()


@pytest.mark.parametrize("name", all_scenarios())
def test_scenario(boots: Boots, name: str, request: pytest.FixtureRequest) -> None:
    one = all_scenarios()[name]
    expected = recorded(one)
    assert expected is not None, f"record it: python -m tests.packets --record {name}"
    judge(boots, one, expected, request)


def judge(boots: Boots, one: Scenario, expected: str, request: pytest.FixtureRequest) -> None:
    """Fail unless a scenario's transcript is the expected one, at the last attempt at least."""
    seen = boots.run(one)
    text = difference(expected, seen.transcript, ("recorded", "krait"))
    for _ in range(ATTEMPTS - 1):
        if not text or seen.lateness < LATE:
            break
        record_repeat(request, f"the host was late by {seen.lateness:.3f} s\n{text}", host_was_late=True)
        seen = boots.run_again(one)
        text = difference(expected, seen.transcript, ("recorded", "krait"))
    if text:
        raise AssertionError(f"python -m tests.packets {one.name}\n{text}\nthe host was late by {seen.lateness:.3f} s")


class LateOnce(Boots):
    """A first attempt that differs, on a late host, and a second one that does not."""

    def __init__(self) -> None:
        pass

    def run(self, one: Scenario) -> Outcome:
        return Outcome("else\n", 2 * LATE)

    def run_again(self, one: Scenario) -> Outcome:
        return Outcome("right\n", 2 * LATE)


def test_a_second_attempt_is_recorded(request: pytest.FixtureRequest) -> None:
    """It is named at the end of the run; here it is taken back, because nothing was tried."""
    judge(LateOnce(), next(iter(all_scenarios().values())), "right\n", request)
    name, why = request.node.user_properties.pop()
    assert name == "repeated, as the host was late" and "late by 0.100 s" in str(why)


def test_many_steps_that_are_a_little_late_are_as_one() -> None:
    lateness = Lateness()
    for number in range(1, 15):
        lateness.act(10 + 0.004 * number)
    assert lateness.seconds < 0.01
    lateness.resume(20.0)
    for number in range(1, 15):
        lateness.act(20 + 0.02 * number)
    assert LATE < lateness.seconds < 0.3
    lateness.resume(30.0)
    lateness.act(30.3)
    assert 0.29 < lateness.seconds < 0.31


def test_a_guest_that_takes_no_frames_says_what_it_does() -> None:
    """The scenario fails in time, by an error that has the processor's registers and the queues' indexes."""
    with Boot(KRAIT) as boot, boot.session() as session:
        boot.guest.qmp("stop")
        boot.wire.limit(0.2)
        with pytest.raises(GuestError, match=r"(?s)took no frame for 0\.2 s.*RIP=.*last_avail_idx.*serial log"):
            for _ in range(10_000):
                session.send_frame(Ether(src=PEER_LINK, dst=GUEST_LINK) / bytes(1000))
        boot.guest.qmp("cont")


def test_every_record_has_a_scenario() -> None:
    """No record is left of a scenario that has gone, or whose right transcript is kept in the other file."""
    for path in RECORDED.iterdir():
        kept = set(re.findall(r"^=== (\w+)$", path.read_text(), re.MULTILINE))
        mine = {each.name for each in all_scenarios().values() if file_of(each) == path}
        assert kept == mine, f"{path.name}: {sorted(kept ^ mine)}"
