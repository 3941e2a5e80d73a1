"""What a value is, asked of values that are no objects: bools and members of an IntEnum are ints."""

from __future__ import annotations

from enum import Enum, IntEnum


class Color(IntEnum):
    RED = 1


class State(Enum):
    IDLE = 1


class Node:
    pass


def kinds_of_bool(value: bool) -> str:
    return f"{isinstance(value, int)} {isinstance(value, bool)} {isinstance(value, (bytes, int))}"


def kinds_of_int(value: int) -> str:
    return f"{isinstance(value, int)} {isinstance(value, bool)} {isinstance(value, (bytes, int))}"


def kinds_of_members(color: Color, state: State) -> str:
    return f"{isinstance(color, int)} {isinstance(color, Color)} {isinstance(state, int)} {isinstance(state, State)}"


def kinds_of_objects(node: Node, text: str, data: bytes | None) -> str:
    return f"{isinstance(node, object)} {isinstance(text, object)} {isinstance(text, str)} {isinstance(data, bytes)}"


def matched(value: bool, color: Color) -> str:
    found = "nothing"
    match value:
        case int():
            found = "int"
    match color:
        case int():
            found += " int"
    return found


def main() -> None:
    print(kinds_of_bool(True), kinds_of_int(1), kinds_of_members(Color.RED, State.IDLE))
    print(kinds_of_objects(Node(), "a", b"a"), kinds_of_objects(Node(), "", None))
    print(matched(False, Color.RED))


if __name__ == "__main__":
    main()
