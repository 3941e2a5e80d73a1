"""The recorded session of the site: its script works, typed at a shell, and its files are well-formed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pyte
import pytest

from tests.harness import KRAIT, Kernel
from tests.harness.guest import PATIENCE
from tools.site import recording
from tools.site.build import show_recording
from tools.site.recording import COLUMNS, PROMPT, ROWS, SCRIPT, Recording

SVG = "{http://www.w3.org/2000/svg}"
pytestmark = pytest.mark.timeout(int(300 * PATIENCE))


@pytest.fixture(scope="module")
def session(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, pyte.Screen]:
    if kernel is not KRAIT:
        pytest.skip("the session is with Krait")
    return recording.record(tmp_path_factory.mktemp("session"), patience=60 * PATIENCE)


def lines_of(screen: pyte.Screen) -> list[str]:
    return [line.rstrip() for line in screen.display]


def test_the_screen_at_the_end_has_all_commands(session: tuple[Recording, pyte.Screen]) -> None:
    """So one picture shows the whole session."""
    text = "".join(session[1].display)  # a command that is longer than a line goes on in the next
    assert [command for command, _ in SCRIPT if f"{PROMPT}{command}" not in text] == []


def test_the_cast_is_one_that_players_read(session: tuple[Recording, pyte.Screen]) -> None:
    header, *events = (json.loads(line) for line in session[0].cast().splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, COLUMNS, ROWS)
    assert len(events) > sum(len(command) for command, _ in SCRIPT) // 2
    assert all(kind == "o" and isinstance(text, str) for _, kind, text in events)
    times = [when for when, _, _ in events]
    assert times == sorted(times) and 0 <= times[0] and times[-1] < 120
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    for _, _, text in events:
        stream.feed(text)
    assert lines_of(screen) == lines_of(session[1])


def test_the_picture_shows_the_screen(session: tuple[Recording, pyte.Screen]) -> None:
    root = ElementTree.fromstring(recording.picture(session[1]))
    shown: dict[str, str] = {}
    for text in root.iter(f"{SVG}text"):
        shown[text.get("y", "")] = shown.get(text.get("y", ""), "") + (text.text or "")
    assert [line.split() for line in shown.values()] == [line.split() for line in lines_of(session[1]) if line]


def test_colours_and_marks_of_a_screen() -> None:
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(screen).feed("a<b \x1b[1;31mred\x1b[0m & \x1b[38;5;208mmore\x1b[0m")
    found = [(each.text, each.get("fill"), each.get("font-weight")) for each in
             ElementTree.fromstring(recording.picture(screen)).iter(f"{SVG}text")]  # fmt: skip
    assert found[1:4:2] == [("red", "#e06c75", "bold"), ("more", "#ff8700", None)]
    assert found[0] == ("a<b", recording.INK, None)


def test_pages_show_the_recording(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Krait\n\nText.\n\n## A session\n\nMore.\n")
    (tmp_path / "docs" / "tour.md").write_text("# Five minutes with Krait\n\nText.\n")
    show_recording(tmp_path)
    assert "## A session\n\n![A session with Krait](docs/pictures/session.svg)" in (tmp_path / "README.md").read_text()
    assert "Krait\n\n![A session with Krait](pictures/session.svg)" in (tmp_path / "docs" / "tour.md").read_text()
    assert "(pictures/session.cast)" in (tmp_path / "docs" / "tour.md").read_text()
