"""Run conformance cases by hand: `python -m tests.conformance [--on linux|krait|both] [--processors N] [NAME…]`.

`both`, the default, shows how Krait's answers differ from Linux's; the others show one kernel's answers.
"""

from __future__ import annotations

import argparse

from tests.conformance.cases import answers, both_answers, names
from tests.conformance.compare import difference
from tests.harness import KRAIT, LINUX


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="Run conformance cases.")
    parser.add_argument("--on", choices=("linux", "krait", "both"), default="both")
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--processors", type=int, default=1, metavar="N", help="of the machine on which both run (1)")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(names()))
    if unknown:
        raise SystemExit(f"no such case: {', '.join(unknown)}; there are: {', '.join(names())}")
    chosen = options.names or None
    if options.on != "both":
        for result in answers(LINUX if options.on == "linux" else KRAIT, chosen, options.processors).values():
            print(f"=== {result.name}: {result.ending}, {result.seconds:.3f} s\n{result.output}{result.log}")
        return 0
    krait, linux = both_answers(chosen, options.processors)
    unlike = [text for name in linux if (text := difference(linux[name], krait[name]))]
    print("\n\n".join(unlike))
    print(f"{len(linux) - len(unlike)} of {len(linux)} cases answer as Linux does")
    return 1 if unlike else 0


if __name__ == "__main__":
    raise SystemExit(main())
