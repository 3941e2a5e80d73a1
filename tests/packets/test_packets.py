"""Each scenario on Krait: its transcript is the recorded one. See docs/testing.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import KRAIT, GuestError
from tests.harness.guest import PATIENCE
from tests.packets.__main__ import difference
from tests.packets.scenarios import all_scenarios, perform, recorded
from tests.packets.stage import Theatre

pytestmark = pytest.mark.timeout(int(60 * PATIENCE))


class Season:
    """The theatre of the tests; one that a scenario has ruined is replaced."""

    def __init__(self) -> None:
        self._theatre: Theatre | None = None

    def theatre(self) -> Theatre:
        if self._theatre is None:
            self._theatre = Theatre(KRAIT).__enter__()
        return self._theatre

    def close(self) -> None:
        if self._theatre is not None:
            self._theatre.__exit__(None, None, None)
            self._theatre = None


@pytest.fixture(scope="module")
def season() -> Iterator[Season]:
    season = Season()
    yield season
    season.close()


@pytest.mark.parametrize("name", all_scenarios())
def test_scenario(season: Season, name: str) -> None:
    one = all_scenarios()[name]
    expected = recorded(one)
    assert expected is not None, f"record it: python -m tests.packets --record {name}"
    try:
        got = perform(season.theatre(), one)
    except GuestError:
        season.close()
        raise
    assert got == expected, f"python -m tests.packets {name}\n{difference(expected, got, ('recorded', 'krait'))}"
