"""Each scenario on Krait: its transcript is the recorded one. See docs/testing.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import KRAIT, GuestError
from tests.harness.guest import PATIENCE
from tests.harness.repeats import record_repeat
from tests.packets.__main__ import difference
from tests.packets.scenarios import AT_ONCE, RECORDED, Scenario, all_scenarios, file_of, recorded, run_one
from tests.packets.session import Boot

pytestmark = pytest.mark.timeout(int(60 * PATIENCE))

# A host that is too busy makes timers run out in the guest. What the guest does wrong, it does each time.
ATTEMPTS = 3


class Boots:
    """The boot that the tests share; one that a scenario has ruined is replaced. Slow scenarios run beside the rest."""

    def __init__(self, slow: list[Scenario]) -> None:
        self._boot: Boot | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE)
        boot = self.boot()
        self._slow = {one.name: self._pool.submit(run_one, boot, one) for one in slow}

    def boot(self) -> Boot:
        if self._boot is None:
            self._boot = Boot(KRAIT).__enter__()
        return self._boot

    def run(self, one: Scenario) -> str:
        if one.name in self._slow:
            return self._slow.pop(one.name).result()
        try:
            return run_one(self.boot(), one)
        except GuestError:
            self._end()
            raise

    def run_again(self, one: Scenario) -> str:
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


@pytest.fixture(scope="module")
def boots(request: pytest.FixtureRequest) -> Iterator[Boots]:
    chosen = {item.name for item in request.session.items if item.path == request.path}
    slow = [one for one in all_scenarios().values() if one.slow and f"test_scenario[{one.name}]" in chosen]
    boots = Boots(slow)
    yield boots
    boots.close()


@pytest.mark.parametrize("name", all_scenarios())
def test_scenario(boots: Boots, name: str, request: pytest.FixtureRequest) -> None:
    one = all_scenarios()[name]
    expected = recorded(one)
    assert expected is not None, f"record it: python -m tests.packets --record {name}"
    text = ""
    for number in range(ATTEMPTS):
        if number == 1:
            record_repeat(request, text)
        seen = boots.run(one) if number == 0 else boots.run_again(one)
        text = difference(expected, seen, ("recorded", "krait"))
        if not text:
            return
    raise AssertionError(f"python -m tests.packets {name}\n{text}")


def test_every_record_has_a_scenario() -> None:
    """No record is left of a scenario that has gone, or whose right transcript is kept in the other file."""
    for path in RECORDED.iterdir():
        kept = set(re.findall(r"^=== (\w+)$", path.read_text(), re.MULTILINE))
        mine = {each.name for each in all_scenarios().values() if file_of(each) == path}
        assert kept == mine, f"{path.name}: {sorted(kept ^ mine)}"
