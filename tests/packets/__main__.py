"""Run scenarios by hand: `python -m tests.packets [--on linux|krait] [--record] [--compare] [NAME…]`.

Without options: how Krait's transcripts differ from the recorded ones. --on prints the transcripts of a kernel.
--record boots Linux until it has answered the same twice, and keeps that; or Krait, for what is marked as unlike Linux.
--compare runs on both kernels, whatever was recorded.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import time

from tests.harness import KRAIT, LINUX, GuestError, Kernel
from tests.packets.scenarios import Scenario, agree, all_scenarios, record, recorded, run_all
from tests.packets.session import Boot
from tools.oracle import fetch_oracle

RUNS = 4  # of a kernel that is recorded, at most


def transcripts(kernel: Kernel, chosen: list[Scenario]) -> dict[str, str]:
    """What a kernel answers, by name. When a scenario takes the kernel down, the rest is run in another boot."""
    found: dict[str, str] = {}
    if kernel is LINUX:
        fetch_oracle()
    while rest := [one for one in chosen if one.name not in found]:
        with Boot(kernel) as boot:
            for one, run in run_all(boot, rest):
                start = time.monotonic()
                try:
                    found[one.name] = run().transcript
                except GuestError as error:
                    found[one.name] = f"{kernel.name} failed:\n{error}\n"
                    break
                print(f"{kernel.name}: {one.name}: {time.monotonic() - start:.2f} s", file=sys.stderr)
    return found


def difference(expected: str, got: str, sides: tuple[str, str]) -> str:
    """Empty if the transcripts agree."""
    if agree(expected, got):
        return ""
    lines = difflib.unified_diff(expected.splitlines(), got.splitlines(), *sides, n=30, lineterm="")
    return "\n".join(lines)


def _record(chosen: list[Scenario]) -> int:
    """Keep the transcripts that a kernel gives twice. A busy host may upset one, so those that differ get more runs."""
    unstable = 0
    for kernel in (LINUX, KRAIT):
        rest = [one for one in chosen if bool(one.unlike_linux) == (kernel is KRAIT)]
        seen: dict[str, list[str]] = {one.name: [] for one in rest}
        for _ in range(RUNS):
            for name, text in transcripts(kernel, rest).items():
                seen[name].append(text)
            for one in list(rest):
                *earlier, last = seen[one.name]
                if any(agree(text, last) for text in earlier):
                    record(one, last)
                    rest.remove(one)
        for one in rest:
            first, second, *_ = seen[one.name]
            text = difference(first, second, ("once", "again"))
            print(f"{one.name}: {kernel.name} answers differently from run to run:\n{text}")
        unstable += len(rest)
    return 1 if unstable else 0


def _compare(chosen: list[Scenario], live: bool) -> int:
    linux = transcripts(LINUX, chosen) if live else {one.name: recorded(one) or "" for one in chosen}
    krait = transcripts(KRAIT, chosen)
    again = [one for one in chosen if difference(linux[one.name], krait[one.name], ("", ""))]
    krait |= transcripts(KRAIT, again)  # a busy host may have upset them
    unlike = 0
    for one in chosen:
        if text := difference(linux[one.name], krait[one.name], ("linux" if live else "recorded", "krait")):
            print(f"=== {one.name}\n{text}\n")
            unlike += 1
    print(f"{len(chosen) - unlike} of {len(chosen)} scenarios are run as {'on Linux' if live else 'recorded'}")
    return 1 if unlike else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.packets", description="Run scenarios of packets.")
    parser.add_argument("--on", choices=("linux", "krait"))
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("names", metavar="NAME", nargs="*", help="a scenario or a group of them; all unless given")
    options = parser.parse_args()
    known = all_scenarios()
    chosen = [one for one in known.values() if not options.names or {one.name, one.group} & set(options.names)]
    unknown = set(options.names) - set(known) - {one.group for one in known.values()}
    if unknown:
        raise SystemExit(f"no such scenario: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    if options.on:
        for name, text in transcripts(LINUX if options.on == "linux" else KRAIT, chosen).items():
            print(f"=== {name}\n{text}")
        return 0
    return _record(chosen) if options.record else _compare(chosen, options.compare)


if __name__ == "__main__":
    raise SystemExit(main())
