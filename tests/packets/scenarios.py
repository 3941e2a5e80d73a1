"""Scenarios: how they are written down, run, and what was recorded of them from Linux.

A scenario is a function in a module of this package whose name begins with a protocol. It acts in a `Session` and
makes no claims itself: its transcript does, and the right transcript is what Linux's was.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.packets.session import TIMES, Boot, Session

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
GROUPS = ("tcp", "ip", "icmp", "udp", "arp", "nd", "ip6")  # how the names of modules with scenarios begin
AT_ONCE = 8  # slow scenarios: more would keep one another waiting when they act
_TIME = re.compile(r" after ([\d.]+) s$", re.MULTILINE)
_HEADING = re.compile(r"^=== (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Scenario:
    """A scenario. `unlike_linux` is a reason why the right transcript is not Linux's, but one recorded from Krait.
    One that is `slow` waits for timers of the guest; several of these are run at the same time, but for those that
    change settings, which are the whole guest's.
    """

    group: str  # the module's name
    name: str
    run: Callable[[Session], None]
    unlike_linux: str
    slow: bool

    @property
    def may_run_beside_others(self) -> bool:
        """Whether it is slow and changes nothing that another scenario could feel."""
        return self.slow and ".setting(" not in inspect.getsource(self.run)


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario: its transcript, and by how many seconds the host has been late in it."""

    transcript: str
    lateness: float


_found: dict[str, Scenario] = {}


Run = Callable[[Session], None]


def scenario(*, unlike_linux: str = "", slow: bool = False) -> Callable[[Run], Run]:
    """Make a function a scenario."""

    def enter(run: Run) -> Run:
        name = run.__name__
        assert name not in _found, f"two scenarios are called {name}"
        _found[name] = Scenario(run.__module__.rpartition(".")[2], name, run, unlike_linux, slow)
        return run

    return enter


def all_scenarios() -> dict[str, Scenario]:
    """Every scenario by name."""
    for path in sorted(HERE.glob("*.py")):
        if path.stem.split("_")[0] in GROUPS:
            importlib.import_module(f"tests.packets.{path.stem}")
    return dict(_found)


def run_one(boot: Boot, one: Scenario) -> Outcome:
    """Run a scenario."""
    with boot.session() as session:
        one.run(session)
    return Outcome("".join(line + "\n" for line in session.transcript), session.lateness.seconds)


def run_all(boot: Boot, chosen: list[Scenario]) -> Iterator[tuple[Scenario, Callable[[], Outcome]]]:
    """Run scenarios; each with a function that gives what came of it, or raises what went wrong."""
    beside = [one for one in chosen if one.may_run_beside_others]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {one.name: pool.submit(run_one, boot, one) for one in beside}
    for one in chosen:
        yield one, futures[one.name].result if one in beside else partial(run_one, boot, one)


def agree(one: str, other: str) -> bool:
    """Whether two transcripts are the same; times may differ by a class, as they do on a busy host."""
    if _TIME.sub("", one) != _TIME.sub("", other):
        return False
    pairs = zip(_TIME.findall(one), _TIME.findall(other), strict=True)
    return all(abs(TIMES.index(float(a)) - TIMES.index(float(b))) <= 1 for a, b in pairs)


def recorded(one: Scenario) -> str | None:
    """The right transcript; None: there is none yet."""
    return _read(file_of(one)).get(one.name)


def record(one: Scenario, transcript: str) -> None:
    """Keep a transcript as the right one."""
    path = file_of(one)
    kept = _read(path)
    kept[one.name] = transcript
    present = [each.name for each in all_scenarios().values() if file_of(each) == path]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(f"=== {name}\n{kept[name]}" for name in present if name in kept))


def file_of(one: Scenario) -> Path:
    """Where the right transcript is kept."""
    return RECORDED / f"{one.group}{'.krait' if one.unlike_linux else ''}.txt"


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    parts = _HEADING.split(path.read_text())[1:]
    return {
        name: text.strip("\n") + "\n" for name, text in zip(parts[::2], parts[1::2], strict=True)
    }
