"""The numbers that the sets of tests/fuzz_calls/values.py name: their C expressions, evaluated by the C compiler."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from kernel.doors.arguments import Argument
from kernel.doors.table import DESCRIPTIONS
from tests.fuzz_calls.build import FLAGS, GUEST
from tests.fuzz_calls.structures import STRUCTURES
from tests.fuzz_calls.values import SETS
from tools.paths import BUILD
from userland.busybox import kernel_headers

PLACE = BUILD / "races"
PRELUDE = "#define be16(n) __builtin_bswap16(n)\n#define be32(n) __builtin_bswap32(n)\n"
WRITTEN_OUT = re.compile(r"\b(?:flags|one):([^\s/\]?]+)")  # sets in descriptions and structures


@dataclass(frozen=True)
class Member:
    """Of a set, and what it makes of the argument after it."""

    value: int
    following: Argument | None


def _words(text: str) -> Iterator[tuple[str, str]]:
    """The members of a set as C expressions, each with the word in parentheses after it."""
    for word in text.split() if text in SETS.values() else text.split("|"):
        name, bracket, following = word.partition("(")
        if bracket and not name.startswith("be") and name:
            yield name, following.removesuffix(")")
        elif ".." in word:
            first, last = word.split("..")
            for number in range(int(first, 0), int(last, 0) + 1):
                yield str(number), ""
        else:
            yield word, ""


def _inline_sets() -> set[str]:
    texts = [*SETS.values(), *STRUCTURES.values(), *DESCRIPTIONS.values()]
    found = {each for text in texts for each in WRITTEN_OUT.findall(text)}
    return {each if each.count("(") == each.count(")") else each.removesuffix(")") for each in found} - SETS.keys()


def _evaluate(expressions: list[str]) -> dict[str, int]:
    """By a program that prints them, made once for each list."""
    includes = re.findall(r"^#include <.*$", (GUEST / "fuzz_calls.c").read_text(), re.MULTILINE)
    includes.append('#include "fuzz_names.h"')
    rows = ",\n".join(f"(unsigned long long)({each})" for each in expressions)
    source = (
        "\n".join(includes)
        + f"\n{PRELUDE}static unsigned long long all[] = {{\n{rows}\n}};\n"
        + 'int main(void) { for (unsigned i = 0; i < sizeof all / 8; i++) printf("%llu\\n", all[i]); return 0; }\n'
    )
    key = hashlib.sha256(source.encode()).hexdigest()[:16]
    answers = PLACE / f"constants-{key}.json"
    if not answers.exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        program = PLACE / f"constants-{key}.{os.getpid()}"
        file = program.with_suffix(f".{os.getpid()}.c")
        file.write_text(source)
        command = ["musl-gcc", *FLAGS, "-isystem", str(kernel_headers()), "-I", str(GUEST), "-o", str(program)]
        subprocess.run([*command, str(file)], check=True)
        numbers = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
        program.unlink()
        file.unlink()
        new = answers.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps([int(each) for each in numbers]))
        new.rename(answers)
    return dict(zip(expressions, json.loads(answers.read_text()), strict=True))


def _all_members() -> dict[str, list[Member]]:
    """The members of all sets, by the name of a set or by its text."""
    texts = {name: list(_words(text)) for name, text in sorted(SETS.items())}
    texts |= {text: list(_words(text)) for text in sorted(_inline_sets())}
    values = _evaluate(sorted({name for words in texts.values() for name, _ in words}))
    return {
        name: [Member(values[word], Argument(following) if following else None) for word, following in words]
        for name, words in texts.items()
    }


MEMBERS = _all_members()
