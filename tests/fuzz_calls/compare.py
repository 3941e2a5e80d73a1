"""Run the same random programs on Linux and on Krait, and show where a call returns something else:
`python -m tests.fuzz_calls.compare --seed 1 --programs 500`.

Of each program only the first such call counts: those after it may differ for that reason. It is run again: what is not
the same twice, on one of the kernels, depends on time and is passed over. The rest is reduced to the calls that matter,
put together by call and by the two results, and printed, most frequent first.
"""

from __future__ import annotations

import argparse
import errno
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fuzz_calls.build import fuzzer, shown
from tests.harness import KRAIT, LINUX, Guest, Kernel
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import INITRAMFS

MEMORY = "512M"
CHUNK = 100  # programs of one command
SECONDS = 600  # for a chunk
EVERY_CALL = (1 << 64) - 1
NOT_MADE = "-"
_KILLED = "ffffffff"  # the status of a program that had to be
_LINE = re.compile(r"^@program ([0-9a-f]{12})((?: [-\w]+)*)\r?$", re.MULTILINE)
_CALL = re.compile(r"r\[(\d+)\] = syscall\(.*/\* (\w+)[, ]")


@dataclass(frozen=True)
class Difference:
    """The first call of a program that returned something else on Krait, and the calls before it that it needs."""

    program: str
    index: int
    linux: str
    krait: str
    mask: int = EVERY_CALL


Results = dict[str, list[str]]  # by program: the crowd, what each call returned, the status


@contextmanager
def guest_of(kernel: Kernel) -> Iterator[Guest]:
    """A guest at its prompt with the fuzzer in it."""
    overlay = Archive()
    overlay.file("usr/bin/fuzz_calls", fuzzer().read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    with tempfile.NamedTemporaryFile(prefix="krait-initrd-", suffix=".cpio") as initrd:
        initrd.write(extend(INITRAMFS.read_bytes(), overlay))
        initrd.flush()
        with Guest(kernel.boot(Path(initrd.name), "quiet loglevel=1"), Machine(memory=MEMORY), may_trap=True) as guest:
            guest.expect_prompt(60)
            guest.run("stty columns 500")
            yield guest


def _parsed(text: str) -> Results:
    return {match[1]: match[2].split() for match in _LINE.finditer(text)}


def run_many(guest: Guest, seed: int, first: int, count: int) -> Results:
    """Programs by their numbers."""
    found: Results = {}
    for start in range(first, first + count, CHUNK):
        found |= _parsed(guest.run(f"fuzz_calls compare {seed} {start} {min(CHUNK, first + count - start)}", SECONDS))
    return found


def run_named(guest: Guest, programs: dict[str, int]) -> Results:
    """Programs by their names, each with a mask of its calls."""
    found: Results = {}
    names = list(programs)
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        guest.run(": >/list")
        for some in range(0, len(chunk), 10):
            words = " ".join(f"'{name} {programs[name]:x}'" for name in chunk[some : some + 10])
            guest.run(f"for each in {words}; do echo $each >>/list; done")
        found |= _parsed(guest.run("fuzz_calls compare-named - </list", SECONDS))
    return found


def differences(linux: Results, krait: Results) -> dict[str, Difference]:
    """The first of each program."""
    found = {}
    for program in linux.keys() & krait.keys():
        for index, (there, here) in enumerate(zip(linux[program][1:], krait[program][1:], strict=True)):
            if there != here:
                if not _was_killed_in(linux[program], index) and not _was_killed_in(krait[program], index):
                    found[program] = Difference(program, index, there, here)
                break
    return found


def _was_killed_in(results: list[str], index: int) -> bool:
    """Whether a program that did not end by itself was in this call, or had made no further one."""
    return results[-1] == _KILLED and all(word == NOT_MADE for word in results[index + 2 : -1])


class Pair:
    """Both kernels, side by side."""

    def __init__(self, linux: Guest, krait: Guest) -> None:
        self._guests = (linux, krait)
        self._pool = ThreadPoolExecutor(2)

    def many(self, seed: int, first: int, count: int) -> tuple[Results, Results]:
        linux, krait = self._pool.map(lambda guest: run_many(guest, seed, first, count), self._guests)
        return linux, krait

    def named(self, programs: dict[str, int]) -> tuple[Results, Results]:
        linux, krait = self._pool.map(lambda guest: run_named(guest, programs), self._guests)
        return linux, krait

    def steady(self, found: dict[str, Difference]) -> dict[str, Difference]:
        """Those that come again."""
        again = differences(*self.named({name: EVERY_CALL for name in found}))
        return {name: each for name, each in found.items() if again.get(name) == each}

    def reduced(self, found: dict[str, Difference]) -> list[Difference]:
        """The same with as few calls as possible: parts of each program are left out, smaller and smaller ones."""
        masks = {name: (2 << each.index) - 1 for name, each in found.items()}
        size = 32
        while size >= 1:
            for start in range(0, 64, size):
                tried = {}
                for name, mask in masks.items():
                    smaller = mask & ~(((1 << size) - 1) << start) | 1 << found[name].index
                    if smaller != mask and found[name].index < 64:
                        tried[name] = smaller
                if not tried:
                    continue
                for name, each in self._as_before(found, tried).items():
                    masks[name] = each
            size //= 2
        return [replace(each, mask=masks[name]) for name, each in found.items()]

    def _as_before(self, found: dict[str, Difference], tried: dict[str, int]) -> dict[str, int]:
        linux, krait = self.named(tried)
        kept = {}
        for name, mask in tried.items():
            each = found[name]
            if name in linux and name in krait:
                place = each.index + 1
                if (linux[name][place], krait[name][place]) == (each.linux, each.krait):
                    kept[name] = mask
        return kept


def readable(result: str) -> str:
    """A word of a line, as a person would write it."""
    if result.startswith("E"):
        return errno.errorcode.get(int(result[1:]), result)
    words = {NOT_MADE: "not made", "B": "does not return", "A": "an address", "T": "a time"}
    return words.get(result, f"0x{result}")


def name_of(difference: Difference) -> str:
    """The call that differs."""
    match = _CALL.search(shown(difference.program, 1 << difference.index))
    return match[2] if match else "the end of the program"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_calls.compare", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first program (0)")
    parser.add_argument("--programs", type=int, default=500, help="how many (500)")
    parser.add_argument("named", metavar="PROGRAM", nargs="*", help="these instead")
    options = parser.parse_args()
    with ExitStack() as stack:
        pair = Pair(stack.enter_context(guest_of(LINUX)), stack.enter_context(guest_of(KRAIT)))
        if options.named:
            linux, krait = pair.named(dict.fromkeys(options.named, EVERY_CALL))
        else:
            linux, krait = pair.many(options.seed, options.first, options.programs)
        found = differences(linux, krait)
        steady = pair.steady(found)
        smallest = pair.reduced(steady)
    groups: defaultdict[tuple[str, str, str], list[Difference]] = defaultdict(list)
    for each in smallest:
        groups[name_of(each), readable(each.linux), readable(each.krait)].append(each)
    for (name, there, here), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        least = min(members, key=lambda each: each.mask.bit_count())
        print(f"=== {len(members)} times {name}: {there} on Linux, {here} on Krait\n{shown(least.program, least.mask)}")
        print("    also", *(each.program for each in members if each is not least))
    print(f"{len(linux)} programs, {len(found)} differ, {len(steady)} of them twice: {len(groups)} kinds")
    return 1 if groups else 0


if __name__ == "__main__":
    sys.exit(main())
