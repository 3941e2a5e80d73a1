"""A round: one boot, a seed, a number of calls; and everything that is wrong afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz_calls.coverage import Notes
from tests.fuzz_calls.session import Figures, Finding, Session, bugs, grown, hangs, session, stalls
from tests.harness import Kernel
from tests.harness.guest import PATIENCE, GuestError
from tools.heap import describe
from tools.paths import BUILD

LOG = BUILD / "fuzz" / "calls" / "last.log"
WORKERS = 8
WARM_CALLS = 3000
MOST_LOST_KIB = 12 * 1024  # what stays in use after a round: tables that have grown
MOST_LOST_OBJECTS = 1500  # tables that have grown; tables of the disks' queues, for requests at the same time
# What goes by itself: connections in TIME_WAIT, with the network that is theirs (60 s), neighbours, fragments, tracked
# connections, negative names. The guest's clock runs ahead while nothing runs in it.
IDLE_SECONDS = (0, 10, 60, 150, 300)
STILL_SECONDS = 300  # of the host's processor without a line of progress
NMI_SECONDS = 5  # until a panic is written
STILL_LINES = 6  # of progress, each after five seconds of the guest, without a call
SILENT_SECONDS = 600  # without a line, whatever the host does otherwise
_PROGRESS = re.compile(r"^@progress [\d.]+ s, (\d+) calls, (\d+) good, .*$", re.MULTILINE)
_ENDED = re.compile(r"^@ended (.*)$", re.MULTILINE)
_CALL = re.compile(r"^@call (\S+) (\d+) (\d+) \d+$", re.MULTILINE)


@dataclass
class Round:
    """What came of it."""

    calls: int = 0
    good: int = 0
    by_name: dict[str, tuple[int, int]] = field(default_factory=dict)  # tried, and without an error
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0
    line: str = ""  # the last line of progress
    figures: tuple[Figures, Figures] | None = None  # what was in use before and after


def _watch(run: Session, seconds: float, tell: Callable[[str], None]) -> bool:
    """Until the fuzzer is done. False if it makes no progress any more."""
    guest = run.guest
    start = len(guest.log)
    shown, last, used = "", time.monotonic(), guest.processor_seconds()
    limit = last + seconds * PATIENCE
    while time.monotonic() < limit and guest.running:
        time.sleep(0.2)
        log = guest.log[start:]
        if re.search(r"^@done$", log, re.MULTILINE):
            return True
        lines = list(_PROGRESS.finditer(log))
        if lines and lines[-1][0] != shown:
            shown, last, used = lines[-1][0], time.monotonic(), guest.processor_seconds()
            tell(shown)
        is_still = guest.running and guest.processor_seconds() - used > STILL_SECONDS
        is_still |= len(lines) > STILL_LINES and lines[-1][1] == lines[-1 - STILL_LINES][1]
        has_ended = "Kernel panic" in log or _ENDED.search(log) is not None
        if is_still or has_ended or time.monotonic() - last > SILENT_SECONDS * PATIENCE:
            return False
    return False


def _where(run: Session) -> str:
    """What a guest that makes no progress is doing: an interrupt that cannot be masked makes it panic and say so."""
    guest = run.guest
    if guest.running and "Kernel panic" not in guest.log:
        guest.qmp("inject-nmi")
        limit = time.monotonic() + NMI_SECONDS * PATIENCE
        while time.monotonic() < limit and "non-maskable interrupt" not in guest.log:
            time.sleep(0.2)
    return guest.log[-6000:]


def lost(before: Figures, after: Figures) -> list[Finding]:
    """What is in use after a round that was not before."""
    text = f"before and after: {before.objects} and {after.objects} objects, {before.free_kib} and {after.free_kib} KiB"
    text += f" free, {before.processes} and {after.processes} processes\nobjects that came:\n"
    text += describe(after.classes - before.classes)
    if after.holders:
        text += "\nwho holds them:\n" + describe(after.holders, 12)
    found = []
    if before.free_kib - after.free_kib > MOST_LOST_KIB:
        found.append(Finding("memory does not come back", "", text))
    if after.objects - before.objects > MOST_LOST_OBJECTS:
        names = ", ".join(name.rpartition(".")[2] for name in grown(before.classes, after.classes))
        found.append(Finding(f"objects do not go: {names}", "", text))
    if after.processes > before.processes + 1:
        found.append(Finding("processes do not go", "", text))
    return found


def settled(run: Session, before: Figures) -> Figures:
    """What is in use when all has gone that goes by itself."""
    for idle_s in IDLE_SECONDS:
        after = run.figures(idle_s)
        if not lost(before, after):
            return after
    run.count_classes(after, before)
    return after


def _lost_again(run: Session, seed: int, calls: int, seconds: float, options: str, before: Figures) -> list[Finding]:
    """As much was lost as a leak would lose, or as tables grow that have a bound: with other programs, as many calls,
    a leak loses it again.
    """
    guest = run.guest
    guest.send(f"fuzz_calls run {seed} {calls} {seconds} {WORKERS} {options}\r")
    if not _watch(run, seconds + 60, lambda line: None):
        return [Finding("no progress", "", _where(run))]
    guest.expect_prompt(30)
    return lost(before, settled(run, before))


def fuzz(
    kernel: Kernel,
    root_image: Path,
    seed: int,
    calls: int,
    seconds: float,
    excluded: str = "",
    notes: Notes | None = None,
    tell: Callable[[str], None] = lambda line: None,
    *,
    faults: bool = False,
    processors: int = 1,
    only_subjects: bool = False,
) -> Round:
    """One round. It ends after that many calls or seconds of the guest, whichever comes first. `notes` guide it. With
    faults, the network and a disk fail meanwhile. With `only_subjects` each program is about one of guest/subjects.h.
    """
    result = Round()
    start = time.monotonic()
    files = {}
    if notes is not None and notes.corpus.exists():
        files["usr/share/fuzz/corpus"] = notes.corpus
    extra, disks = (notes.arguments, (notes.disk(),)) if notes is not None else ((), ())
    guide = f"{excluded or 'none'} /dev/vdc /usr/share/fuzz/corpus" if notes is not None else excluded
    with session(
        kernel, root_image, "", extra, disks, files, faults=seed if faults else None, processors=processors
    ) as run:
        guest = run.guest
        if only_subjects:
            guest.check("export FUZZ_SUBJECTS=1")
        guest.send(f"fuzz_calls run {seed + 1} {WARM_CALLS} {seconds} {WORKERS} {excluded}\r")
        done = _watch(run, seconds + 60, lambda line: None)
        try:
            guest.expect_prompt(30)
            before = run.figures()
            run.count_classes(before)
            mark = len(guest.log)
            guest.send(f"fuzz_calls run {seed} {calls} {seconds} {WORKERS} {guide}\r")
            done = _watch(run, seconds + 60, tell)
            log = guest.log[mark:]
            if done:
                guest.expect_prompt(30)
                after = settled(run, before)
                if lost(before, after) and not bugs(guest.log):  # what a bug held stays
                    result.findings += _lost_again(run, seed + 2, calls, seconds, guide, after)
                result.figures = (before, after)
                broken = run.unmount()
                if broken is not None:
                    result.findings.append(broken)
            elif ended := _ENDED.search(log):
                result.findings.append(Finding(f"the fuzzer itself ended {ended[1]}", "", log[-2000:]))
            else:
                result.findings.append(Finding("no progress", "", _where(run)))
        except GuestError as error:
            log = guest.log
            first_line = str(error).splitlines()[0]
            result.findings.append(Finding(f"the guest does not answer: {first_line}", "", log[-2000:]))
        result.findings = bugs(guest.log) + hangs(guest.log) + stalls(guest.log) + result.findings
        lines = list(_PROGRESS.finditer(log))
        if lines:
            result.calls, result.good, result.line = int(lines[-1][1]), int(lines[-1][2]), lines[-1][0]
        result.by_name = {match[1]: (int(match[2]), int(match[3])) for match in _CALL.finditer(log)}
        kept = re.findall(r"^@kept (\S+)$", log, re.MULTILINE)
        if notes is not None and kept:
            notes.corpus.write_text("\n".join(kept) + "\n")
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text(guest.log)
    result.seconds = time.monotonic() - start
    return result
