"""Atomic fields in IR: read whole and once, and an object is published by a release."""

from __future__ import annotations

import re
from pathlib import Path

from compiler import driver
from compiler.backend import KERNEL

PROGRAM = '''"""A field that anybody may read, and one that only the lock's holder does."""

from kernel.lang import atomic, export, final, struct, unlocked


@atomic("mask")
@struct
class Masks:
    mask: int
    plain_mask: int


@final
@atomic("level", "next")
class Stage:
    masks: Masks

    def __init__(self) -> None:
        self.level = 0
        self.plain = 0
        self.next: Stage | None = None


STAGE = Stage()


@export("k_load")
def load() -> int:
    return STAGE.level


@export("k_load_plain")
def load_plain() -> int:
    return STAGE.plain


@export("k_mask")
@unlocked
def mask() -> int:
    return STAGE.masks.mask


@export("k_plain_mask")
def plain_mask() -> int:
    return STAGE.masks.plain_mask


@export("k_block")
def block(value: int) -> None:
    STAGE.masks.mask |= value
    STAGE.masks.plain_mask = value


@export("k_match")
def match_level() -> int:
    match STAGE:
        case Stage(level=7):
            return 1
        case _:
            return 0


@export("k_store")
def store(value: int) -> None:
    STAGE.level = value
    STAGE.plain = value


@export("k_add")
def add(value: int) -> None:
    STAGE.level += value


@export("k_publish")
def publish() -> None:
    try:
        fresh = Stage()
    except MemoryError:
        return
    fresh.plain = 3
    STAGE.next = fresh
'''


def bodies(folder: Path) -> dict[str, str]:
    """The IR of each exported function."""
    path = folder / "atomic_questions.py"
    path.write_text(PROGRAM)
    program = driver.load([], [path])
    driver.import_live([], [path])
    entries = [name for name in driver.exported_functions(program) if program.functions[name].loc.path == str(path)]
    text = "\n".join(driver.lower(program, entries, KERNEL, "release").modules.values())
    found = re.findall(r'^define [^@\n]*@"atomic_questions\.(\w+)"\(.*?$(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    return dict(found)


def test_what_is_atomic(tmp_path: Path) -> None:
    found = bodies(tmp_path)
    atomic_load, atomic_store = "load atomic i64", "store atomic i64"
    assert found["load"].count(atomic_load) == 1
    assert atomic_load not in found["load_plain"]
    assert found["match_level"].count(atomic_load) == 1
    assert found["store"].count(atomic_store) == 1
    assert found["add"].count(atomic_load) == found["add"].count(atomic_store) == 1
    assert found["mask"].count(atomic_load) == 1
    assert atomic_load not in found["plain_mask"]
    assert found["block"].count(atomic_load) == found["block"].count(atomic_store) == 1
    publish = found["publish"]
    assert "fence release" in publish
    assert "fence release" not in found["store"]
