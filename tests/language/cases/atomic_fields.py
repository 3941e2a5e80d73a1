"""Fields that are read without a lock: each kind of number, stored and read whole."""

from enum import IntEnum

from kernel.lang import atomic, final, i32, u8, u16, unlocked


class Colour(IntEnum):
    RED = 1
    GREEN = 2


class Base:
    def __init__(self) -> None:
        self.before = 7


@final
@atomic("number", "small", "tiny", "signed", "is_open", "colour")
class State(Base):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.is_open = False
        self.tiny: u8 = u8(1)
        self.small: u16 = u16(2)
        self.signed: i32 = i32(-3)
        self.number = number
        self.colour = Colour.RED

    def change(self) -> None:
        self.number += 1
        self.number -= 1 << 40
        self.small = u16(self.small + 65_000)
        self.tiny = u8(255)
        self.signed = i32(self.signed * 1000)
        self.is_open = not self.is_open
        self.colour = Colour.GREEN


@final
@atomic("number")
class Other:
    def __init__(self) -> None:
        self.number = 12


@unlocked
def total(state: State) -> int:
    found = state.number + state.small + state.tiny + state.signed
    return found if state.is_open else -found


@unlocked
def shown(state: State | None) -> str:
    if state is None:
        return "none"
    if state.colour == Colour.RED:
        return "red"
    return "green"


@unlocked
def number_of(either: State | Other) -> int:
    match either:
        case State(number=-1):
            return 0
        case State(number=number):
            return number
        case Other(number=number):
            return -number
        case _:
            return 1


def main() -> None:
    state = State(1 << 41)
    print(total(state), shown(state), number_of(state))
    state.change()
    print(total(state), shown(state), number_of(state), shown(None), number_of(Other()))
    print(state.before, state.tiny, state.small, state.signed, state.is_open)
    state.number = -1
    print(number_of(state))
