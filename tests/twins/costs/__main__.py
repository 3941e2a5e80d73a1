"""The instructions of each construct of the language, by callgrind.

python -m tests.twins.costs            print the table
python -m tests.twins.costs --write    and store it in docs/language/costs.md
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.twins.costs.constructs import TURNS
from tests.twins.measure import BUILD, COMPILE, ROOT, in_compiler

PAGE = ROOT / "docs" / "language" / "costs.md"
PROGRAM = Path(__file__).parent / "constructs.py"
TIMEOUT_SECONDS = 300
_LINE = re.compile(r"^ *(?P<count>[\d,]+) \([ \d.]+%\)\s+\S*:(?P<name>\S*constructs\.\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A construct: the function that has it, and the one that does without it."""

    title: str
    function: str
    without: str


GROUPS = {
    "Numbers": [
        Row("a turn of `for number in numbers`", "element", ""),
        Row("a sum that may overflow, against `^`", "element_and_sum", "element"),
        Row("a division by what may be 0", "element_and_division", "element"),
        Row("a shift by what may be too much", "element_and_shift", "element"),
        Row("an element at an index that is not known to be inside", "element_by_index", "element"),
        Row("a byte of a span at such an index", "span_by_index", "element"),
        Row("four bytes of a span at such an offset", "span_word", "element"),
        Row("a turn that stores it to an `int` field", "store_wide", ""),
        Row("a store to a `u8` field that wraps", "store_narrow", "store_wide"),
        Row("a store to a `u8` field that checks", "store_narrow_checked", "store_wide"),
    ],
    "Calls": [
        Row("a call that is not inlined", "call", "element"),
        Row("the same, of a function that may raise", "call_that_may_raise", "call"),
        Row("the same, when it raises and is caught", "call_that_raises", "call"),
        Row("a call of a method with several overrides", "virtual_call", "shapes_alone"),
        Row("the same, where they are at most three, and short", "short_virtual_call", "shapes_alone"),
        Row("a call of a function value", "call_of_value", "element"),
        Row("a call of a lambda", "closure", "element"),
    ],
    "Objects": [
        Row("a field, through a reference in a list", "nodes", "element"),
        Row("a reference that may be None, tested and followed", "nodes_that_may_be_none", "nodes"),
        Row("`isinstance` of a final class", "tell_classes", "shapes_alone"),
        Row("a store of a reference in an object", "store_reference", "element"),
        Row("a new object in the frame, and a call of its method", "object_in_frame", "call"),
        Row("a new object in the heap, stored in a field and freed", "object_in_heap", "element"),
    ],
    "Containers": [
        Row("`append` to a list", "list_append", "element"),
        Row("a key of a dictionary of 8 ints", "dict_small", "element"),
        Row("a key of a dictionary of 1,000 ints", "dict_large", "element"),
        Row("a key of a dictionary of 1,000 `bytes`", "dict_of_bytes", "element"),
        Row("a slice of `bytes`", "slice_of_bytes", "element"),
        Row("a slice of a span", "slice_of_span", "element"),
        Row('`f"{number}"`', "text_of_number", "element"),
    ],
}


def count() -> dict[str, int]:
    """Instructions of each function, callees included, by name."""
    BUILD.mkdir(parents=True, exist_ok=True)
    record = BUILD / "costs.callgrind"
    program = in_compiler(COMPILE, PROGRAM)[0]
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={record}", str(program)]
    subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    command = ["callgrind_annotate", "--inclusive=yes", "--threshold=100", str(record)]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True).stdout
    found: dict[str, int] = {}
    for line in _LINE.finditer(
        listing
    ):  # a function has a line for each file whose code it has; the first is the whole
        found.setdefault(line["name"].rpartition(".")[2], int(line["count"].replace(",", "")))
    return found


def table(counts: dict[str, int]) -> str:
    """The table as Markdown: instructions a turn, with one decimal."""
    lines = ["| | instructions |", "| --- | ---: |"]
    for group, rows in GROUPS.items():
        lines.append(f"| **{group}** | |")
        for row in rows:
            extra = counts[row.function] - (counts[row.without] if row.without else 0)
            lines.append(f"| {row.title} | {extra / TURNS:.1f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"store the table in {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    found = table(count())
    print(found)
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split("<!-- costs: begin -->")[0], text.split("<!-- costs: end -->")[1]
        PAGE.write_text(f"{before}<!-- costs: begin -->\n{found}\n<!-- costs: end -->{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
