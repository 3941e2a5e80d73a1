"""Look for races of the kernel under CPython: `python -m tests.races --seed 1 --seconds 600`.

Each seed is a session in a process of its own, forked from one that has booted. A session that found something is made
again by `--seed N --seeds 1`, with the same kinds.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import time
from collections import Counter

from tests.races.kinds import KINDS
from tests.races.machine import RacingMachine
from tests.races.session import Outcome, Session

MODULE = "tests.races"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=MODULE, description="Random programs that race for things of the kernel.")
    parser.add_argument("--seed", type=int, default=1, help="of the first session (1)")
    parser.add_argument("--seeds", type=int, default=1 << 40, help="most sessions (as many as time allows)")
    parser.add_argument("--seconds", type=float, default=60, help="after which no session begins (60)")
    parser.add_argument(
        "--kind", action="append", default=[], choices=list(KINDS), help="what they are about (some at random)"
    )
    parser.add_argument("--go-on", action="store_true", help="with the next seed after a finding")
    parser.add_argument("--calls", action="store_true", help="print how many calls of each name there were")
    return parser.parse_args()


def _session(machine: RacingMachine, seed: int, kinds: list[str]) -> Outcome:
    """In a child, because the kernel's state is that of its modules."""
    sys.stdout.flush()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        outcome = Session(machine, seed, kinds).run()
        with os.fdopen(write_end, "wb") as answer:
            pickle.dump(outcome, answer)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        data = answer.read()
    _, status = os.waitpid(child, 0)
    if not data:
        return Outcome(seed, kinds, finding=f"CPython itself ended with status {status}")
    answered: Outcome = pickle.loads(data)
    return answered


def main() -> int:
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets shall follow from the seed
        os.execve(sys.executable, [sys.executable, "-m", MODULE, *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    machine = RacingMachine()
    machine.boot()
    began = time.monotonic()
    calls, found, names = 0, 0, Counter[str]()
    seed = options.seed
    while seed < options.seed + options.seeds and (time.monotonic() - began < options.seconds or seed == options.seed):
        outcome = _session(machine, seed, options.kind)
        print(outcome.line(), flush=True)
        calls += outcome.calls
        names.update(outcome.by_name)
        if outcome.finding:
            found += 1
            again = "".join(f" --kind {each}" for each in options.kind)
            print(f"{outcome.finding}\nfound with --seed {seed} --seeds 1{again}")
            if not options.go_on:
                break
        seed += 1
    seconds = time.monotonic() - began
    print(f"{seed - options.seed} sessions, {found} findings, {calls} calls in {seconds:.0f} s")
    if options.calls:
        for name, count in names.most_common():
            print(f"{count:8} {name}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
