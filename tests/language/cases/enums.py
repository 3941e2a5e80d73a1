"""Enums: IntEnum, IntFlag, Enum; value, name, construction, comparison, match, flags."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag


class Color(IntEnum):
    RED = 1
    GREEN = 2
    BLUE = 4


class Mode(IntFlag):
    READ = 4
    WRITE = 2
    EXECUTE = 1


class State(Enum):
    RUNNING = 0
    STOPPED = 1


class Holder:
    color: Color
    state: State
    mode: Mode

    def __init__(self, color: Color) -> None:
        self.color = color
        self.state = State.RUNNING
        self.mode = Mode.READ | Mode.WRITE


def describe(color: Color) -> str:
    match color:
        case Color.RED:
            return "warm"
        case Color.GREEN | Color.BLUE:
            return "cool"


def main() -> None:
    print(Color.RED.value, Color.BLUE.name, Color(2).name)
    for number in (1, 2, 4):
        print(describe(Color(number)))
    holder = Holder(Color.GREEN)
    print(holder.color == Color.GREEN, holder.color is Color.RED, holder.color < Color.BLUE, holder.color + 1)
    print(holder.state is State.RUNNING, holder.state == State.STOPPED, holder.state.value, State.STOPPED.name)
    holder.state = State.STOPPED
    print(holder.state is State.STOPPED)
    print(Mode.READ in holder.mode, Mode.EXECUTE in holder.mode, (holder.mode & Mode.WRITE).value, holder.mode.value)
    print(bool(holder.mode & Mode.EXECUTE), Mode(7).value)
    holder.mode |= Mode.EXECUTE
    print(holder.mode == Mode(7))
    counts: dict[Color, int] = {Color.RED: 5}
    counts[Color.BLUE] = 6
    print(counts[Color.RED], Color.BLUE in counts, Color.GREEN in counts)


if __name__ == "__main__":
    main()
