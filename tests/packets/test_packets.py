"""Each scenario on Krait: its transcript is the recorded one. See docs/testing.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import KRAIT, GuestError
from tests.harness.guest import PATIENCE
from tests.packets.__main__ import difference
from tests.packets.scenarios import AT_ONCE, RECORDED, Scenario, all_scenarios, file_of, perform, recorded
from tests.packets.stage import Theatre

pytestmark = pytest.mark.timeout(int(60 * PATIENCE))

# A host that is too busy makes timers run out in the guest. What the guest does wrong, it does each time.
PERFORMANCES = 3


class Season:
    """The theatre of the tests; one that a scenario has ruined is replaced. Slow scenarios go on beside the others."""

    def __init__(self, slow: list[Scenario]) -> None:
        self._theatre: Theatre | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE)
        theatre = self.theatre()
        self._slow = {one.name: self._pool.submit(perform, theatre, one) for one in slow}

    def theatre(self) -> Theatre:
        if self._theatre is None:
            self._theatre = Theatre(KRAIT).__enter__()
        return self._theatre

    def play(self, one: Scenario) -> str:
        if one.name in self._slow:
            return self._slow.pop(one.name).result()
        try:
            return perform(self.theatre(), one)
        except GuestError:
            self._end()
            raise

    def play_again(self, one: Scenario) -> str:
        """In a guest that has not seen it yet: what it once learnt, of its neighbours say, it does not ask again."""
        with Theatre(KRAIT) as theatre:
            return perform(theatre, one)

    def _end(self) -> None:
        if self._theatre is not None:
            self._theatre.__exit__(None, None, None)
            self._theatre = None

    def close(self) -> None:
        self._end()
        self._pool.shutdown()


@pytest.fixture(scope="module")
def season(request: pytest.FixtureRequest) -> Iterator[Season]:
    chosen = {item.name for item in request.session.items if item.path == request.path}
    slow = [one for one in all_scenarios().values() if one.slow and f"test_scenario[{one.name}]" in chosen]
    season = Season(slow)
    yield season
    season.close()


@pytest.mark.parametrize("name", all_scenarios())
def test_scenario(season: Season, name: str) -> None:
    one = all_scenarios()[name]
    expected = recorded(one)
    assert expected is not None, f"record it: python -m tests.packets --record {name}"
    for number in range(PERFORMANCES):
        played = season.play(one) if number == 0 else season.play_again(one)
        text = difference(expected, played, ("recorded", "krait"))
        if not text:
            return
    raise AssertionError(f"python -m tests.packets {name}\n{text}")


def test_what_is_recorded_is_played() -> None:
    """No record is left of a scenario that has gone, or whose right transcript is kept in the other file."""
    for path in RECORDED.iterdir():
        kept = set(re.findall(r"^=== (\w+)$", path.read_text(), re.MULTILINE))
        mine = {each.name for each in all_scenarios().values() if file_of(each) == path}
        assert kept == mine, f"{path.name}: {sorted(kept ^ mine)}"
