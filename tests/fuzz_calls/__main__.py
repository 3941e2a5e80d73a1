"""Fuzz system calls for as long as one likes: `python -m tests.fuzz_calls --calls 1e7 --seed 1 --resume FILE`.

A run is a chain of rounds, each a boot with a seed of its own. After each, the file of `--resume` holds the totals and
all findings with their texts; the same command goes on from there. `--minimise PROGRAM` shrinks what was found to the
calls that matter, and prints them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz_calls.build import GUEST, shown
from tests.fuzz_calls.coverage import Notes, lines, report
from tests.fuzz_calls.minimise import minimise
from tests.fuzz_calls.rounds import fuzz
from tests.fuzz_calls.session import Finding
from tests.harness import KRAIT
from tools.paths import BUILD, INITRAMFS


class State:
    """The totals of a run, in a file if there is one."""

    def __init__(self, file: Path | None, seed: int) -> None:
        self.file = file
        self.seed = seed
        self.rounds = 0
        self.calls = 0
        self.good = 0
        self.seconds = 0.0
        self.by_name: dict[str, list[int]] = {}
        self.findings: dict[str, list[dict[str, object]]] = {}  # each time that one came up, by what it is
        if file is not None and file.exists():
            for name, value in json.loads(file.read_text()).items():
                setattr(self, name, value)

    def note(self, finding: Finding, seed: int) -> bool:
        """Keep a finding of a round; whether it is the first of its kind."""
        times = self.findings.setdefault(finding.what, [])
        times.append({"seed": seed, "program": finding.program or "unknown", "text": finding.text})
        return len(times) == 1

    def save(self) -> None:
        if self.file is not None:
            values = {name: value for name, value in vars(self).items() if name != "file"}
            new = self.file.with_suffix(".new")
            new.write_text(json.dumps(values, indent=1))
            new.rename(self.file)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz_calls", description="Random system calls against Krait.")
    parser.add_argument("--calls", type=float, default=1e6, help="how many in all (1e6)")
    parser.add_argument("--round", type=float, default=3e5, help="how many in a boot (3e5)")
    parser.add_argument("--seconds", type=float, default=600, help="most seconds of a boot, in the guest (600)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round (1)")
    parser.add_argument("--resume", type=Path, help="a file with the state, which is read if it exists")
    parser.add_argument("--exclude", default="", metavar="NAME,…", help="calls not to make")
    parser.add_argument("--guided", action="store_true", help="keep programs that reach new code; report it")
    parser.add_argument("--faults", action="store_true", help="let the network and a disk fail now and then")
    parser.add_argument("--subjects", action="store_true", help="all programs are about a subject (guest/subjects.h)")
    parser.add_argument("--processors", type=int, default=1, help="of the guest (1)")
    parser.add_argument("--minimise", metavar="PROGRAM", help="a program's seeds, as a finding names them")
    return parser.parse_args()


def main() -> int:
    options = _options()
    if options.minimise:
        program, mask, finding = minimise(KRAIT, INITRAMFS, options.minimise, print)
        print((GUEST / "prelude.c").read_text() + shown(program, mask))
        print(finding.text if finding else "nothing happens when it runs alone")
        return 0
    state = State(options.resume, options.seed)
    notes = Notes(BUILD / "fuzz" / "calls") if options.guided else None
    while state.calls < options.calls:
        seed = state.seed + 1000 * state.rounds
        base = state.calls

        def tell(line: str, base: int = base) -> None:
            print(f"\r{base:,} + {line.removeprefix('@progress ')}  ", end="", file=sys.stderr, flush=True)

        most, seconds = int(options.round), options.seconds
        result = fuzz(
            KRAIT, INITRAMFS, seed, most, seconds, options.exclude, notes, tell,
            faults=options.faults, processors=options.processors, only_subjects=options.subjects,
        )  # fmt: skip
        state.rounds += 1
        state.calls += result.calls
        state.good += result.good
        state.seconds += result.seconds
        for name, counts in result.by_name.items():
            before = state.by_name.get(name, [0, 0])
            state.by_name[name] = [before[0] + counts[0], before[1] + counts[1]]
        for finding in result.findings:
            if state.note(finding, seed):
                name = finding.program or "unknown"
                print(f"\nfound in round {seed}, program {name}: {finding.what}\n{finding.text}")
        state.save()
        print(f"\n{state.rounds} rounds, {state.calls:,} calls, {len(state.findings)} findings; {seed}:", result.line)
        if result.figures is not None:
            first, last = result.figures
            print(f"objects {first.objects} -> {last.objects}, free KiB {first.free_kib} -> {last.free_kib}")
    if notes is not None:
        (BUILD / "fuzz" / "calls" / "coverage.txt").write_text(report(lines(notes.addresses())))
        print("build/fuzz/calls/coverage.txt says which lines were reached")
    return 1 if state.findings else 0


if __name__ == "__main__":
    sys.exit(main())
