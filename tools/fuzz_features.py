"""What the fuzzer of the language strews into its programs: a piece of code for each feature that expressions over
numbers do not reach.

A piece prints what it computes. `{p}` is the program's prefix, `{v}` begins the names of the piece's own locals, `{a}`,
`{b}` and `{c}` are numbers between -10**6 and 10**6 that the program computes.
"""

from __future__ import annotations

IMPORTS = """from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, IntEnum, IntFlag
from typing import ClassVar, Final, Generic, Literal, Protocol, TypeVar

from kernel.lang import Array, Errno, KernelError, Span, Weak, final, i8, i16, i32, noinline, span_of, struct, u8, u16
from kernel.lang import u32, u64, weak

T = TypeVar("T")
"""

DECLARATIONS = """class {p}Color(Enum):
    RED = 1
    GREEN = 2
    BLUE = 5


class {p}Level(IntEnum):
    LOW = 3
    HIGH = 40


class {p}Bits(IntFlag):
    READ = 1
    WRITE = 2
    RUN = 4


class {p}Failure(KernelError):
    def __init__(self, code: int) -> None:
        self.code = code


class {p}Measured(Protocol):
    def size(self) -> int: ...


class {p}Shape:
    SIDES: ClassVar[int] = 0

    def __init__(self, width: int, height: int = 3) -> None:
        self.width = width
        self._height = height

    @property
    def height(self) -> int:
        return self._height

    @height.setter
    def height(self, value: int) -> None:
        self._height = value % 1000

    def size(self) -> int:
        return self.width * self.height

    def name(self) -> str:
        return f"shape {self.size()}"

    @staticmethod
    def least(left: int, right: int) -> int:
        return left if left < right else right


class {p}Square({p}Shape):
    SIDES: ClassVar[int] = 4

    def __init__(self, width: int) -> None:
        super().__init__(width, width)
        self.marks: list[int] = [width]

    def size(self) -> int:
        return super().size() + len(self.marks)

    def name(self) -> str:
        return "square " + super().name()


@final
class {p}Cat:
    def __init__(self, lives: int) -> None:
        self.lives = lives


@final
class {p}Dog:
    def __init__(self, name: bytes) -> None:
        self.name = name


class {p}Cell(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value
        self.next: {p}Cell[T] | None = None

    def push(self, value: T) -> "{p}Cell[T]":
        cell = {p}Cell(value)
        cell.next = self
        return cell

    def depth(self) -> int:
        count = 0
        cell: {p}Cell[T] | None = self
        while cell is not None:
            count += 1
            cell = cell.next
        return count


{p}total: int = 0
{p}SCALE: Final = 17


def {p}count(step: int) -> int:
    global {p}total
    {p}total = ({p}total + step) % 100003
    return {p}total


def {p}last(items: list[T], otherwise: T) -> T:
    return items[-1] if items else otherwise


def {p}apply(change: Callable[[int], int], value: int) -> int:
    return change(change(value) % 1009)


def {p}twice(value: int) -> int:
    return value * 2 + 1


def {p}thrice(value: int) -> int:
    return value * 3 - {p}SCALE


{p}STEPS: list[Callable[[int], int]] = [{p}twice, {p}thrice]


def {p}measure(thing: {p}Measured) -> int:
    return thing.size()


def {p}chosen(first: int, second: int = 7, third: int = {p}SCALE) -> int:
    return first * 100 + second * 10 + third


def {p}animal(number: int) -> {p}Cat | {p}Dog:
    if number % 2 == 0:
        return {p}Cat(number % 9)
    return {p}Dog(b"rex")


def {p}heard(thing: {p}Cat | {p}Dog) -> int:
    match thing:
        case {p}Cat(lives=0):
            return -1
        case {p}Cat():
            return thing.lives
        case {p}Dog():
            return len(thing.name)


def {p}maybe(number: int) -> int | None:
    return None if number % 3 == 0 else number % 1000


def {p}parts(number: int) -> tuple[int, int, bool]:
    return number // 7, number % 7, number > 0


@noinline
def {p}fail(number: int) -> int:
    with {p}Guard(number % 10):
        if number % 4 == 1:
            raise {p}Failure(number % 100)
        if number % 4 == 2:
            raise Errno(5)
    return number % 50


def {p}pairs(count: int) -> Iterator[tuple[int, int]]:
    for number in range(count):
        yield number, number * number


"""

PIECES: list[str] = [
    # enums and flags
    """{v}c = {p}Color.RED if {a} > 0 else {p}Color.BLUE
print({v}c.name, {v}c.value, {v}c is {p}Color.RED, {v}c == {p}Color.GREEN)
{v}l = {p}Level.HIGH if {b} % 2 == 0 else {p}Level.LOW
print({v}l + 1, {v}l > {a}, {v}l.name)""",
    """{v}f = {p}Bits({a} & 7)
print({v}f.value, {p}Bits.WRITE in {v}f, ({v}f | {p}Bits.RUN).value, ({v}f & ~{p}Bits.READ).value)""",
    # classes
    """{v}s: {p}Shape = {p}Square({a} % 50) if {b} > 0 else {p}Shape({a} % 60)
{v}s.height = {c} % 100
print({v}s.size(), {v}s.name(), {p}measure({v}s), {p}Shape.least({a}, {b}), {v}s.SIDES)
if isinstance({v}s, {p}Square):
    {v}s.marks.append({c})
    print(len({v}s.marks), {v}s.marks[-1])""",
    """{v}a = {p}animal({a})
print({p}heard({v}a), isinstance({v}a, {p}Cat))
{v}a = {p}animal({b})
print({p}heard({v}a))""",
    # generics
    """{v}cell = {p}Cell({a}).push({b}).push({c})
{v}deep = {v}cell.next
print({v}cell.value, {v}cell.depth(), {v}deep.value if {v}deep is not None else -1)
{v}words = {p}Cell(b"one").push(b"two")
print({v}words.value, {v}words.depth())""",
    """print({p}last([{a}, {b}], 0), {p}last([b"x", b"yz"], b""))
print({p}last([{p}Square(3)], {p}Square({c} % 9)).size())""",
    # functions as values
    """print({p}apply({p}STEPS[{a} % 2], {b}), {p}apply(lambda n: n * 5 + {c}, {a}), {p}apply({p}twice, 3))
{v}k = {b}


def {v}shift(n: int) -> int:
    return n - {v}k


print({p}apply({v}shift, {c}), {v}shift({a}))""",
    """print({p}chosen({a}), {p}chosen({a}, third={b}), {p}chosen(1, {c} % 10), {p}chosen(first=2, second=3))""",
    """print({p}count({a} % 100), {p}count({b} % 100), {p}total, {p}SCALE)""",
    # texts
    """{v}t = f"{{{a}:>9}}|{{{b}:<8}}|{{{c}:d}}"
print({v}t, len({v}t), {v}t.startswith(" "), "|" in {v}t, {v}t.endswith("7"))
print("-".join(["a", {v}t, "b"]), {v}t + "!", {v}t == "x")""",
    """{v}n = abs({a})
print(f"{{{v}n:#x}} {{{v}n:08x}} {{{v}n:b}} {{{v}n:o}} {{{v}n & 255:#04x}} {{-{v}n}}")""",
    """{v}d = f"{{{a}}},{{{b}}},,{{{c}}}".encode()
print({v}d, len({v}d.split(b",")), {v}d.split(b",")[0], {v}d.find(b","), {v}d.rfind(b","))
print(len({v}d), {v}d[1:4], {v}d[-1])
print({v}d.startswith(b"-"), {v}d.strip(b"-,"), {v}d.decode() == "0", {v}d < b"5", b"," in {v}d, {v}d + b"!")
{v}sum = 0
for {v}byte in {v}d:
    {v}sum += {v}byte
print({v}sum, b"/".join([{v}d, b"end"]))""",
    # containers
    """{v}q: deque[int] = deque()
for {v}i in range(6):
    {v}q.append({a} + {v}i)
    if {v}i % 2 == 0:
        {v}q.appendleft({b} - {v}i)
print({v}q.popleft(), {v}q.pop(), len({v}q), {v}q[1], sum([n for n in {v}q]))""",
    """{v}m: dict[bytes, list[int]] = {{}}
for {v}w in (b"a", b"b", b"a", b"c"):
    {v}m.setdefault({v}w, []).append({a} % 100)
for {v}w, {v}found in {v}m.items():
    print({v}w, len({v}found), {v}found[0])
print(b"a" in {v}m, len({v}m), {v}m.get(b"zz") is None, len({v}m.pop(b"b")), len({v}m))""",
    """{v}x = [{a}, {b}, {c}, 4, 5]
print(len({v}x[1:3]), {v}x[-2], {v}x.index(4), {v}x.count(5), max({v}x), min({v}x), sum({v}x[:2]))
{v}x.sort()
print({v}x[0], {v}x[4], sorted([3, {a} % 5, 2])[1], any([n > 10**5 for n in {v}x]), all([n < 0 for n in {v}x]))
for {v}i, {v}y in enumerate({v}x):
    if {v}y in (4, 5):
        print({v}i, {v}y)
for {v}y, {v}z in zip({v}x, {v}x[1:]):
    print({v}y == {v}z)""",
    """{v}b = bytearray(b"0123456789")
{v}b[{a} % 10] = 65 + {b} % 26
{v}b += b"xyz"
del {v}b[: {c} % 5]
print(bytes({v}b), len({v}b), {v}b[-1], 65 in {v}b)
{v}view = span_of({v}b)[1:4]
print({v}view.to_bytes(), len({v}view), {v}view[0])""",
    # tuples and optionals
    """{v}q, {v}r, {v}up = {p}parts({a})
{v}q, {v}r = {v}r, {v}q
print({v}q, {v}r, {v}up, {p}parts({b})[1])
for {v}one, {v}two in {p}pairs({c} % 4):
    print({v}one, {v}two)""",
    """{v}o = {p}maybe({a})
if {v}o is None:
    print("none", {p}maybe({b}) is None)
else:
    print({v}o + 1, ({v}o if {v}o > 5 else -5))
while ({v}o := {p}maybe({c} + ({v}o or 0))) is not None:
    print({v}o)
    break""",
    # references
    """{v}held = {p}Square({a} % 9)
{v}w = weak({v}held)
{v}seen = {v}w.get()
print({v}seen is {v}held, {v}seen.width if {v}seen is not None else -1)""",
    # exceptions
    """for {v}n in ({a}, {b}, 1, 2):
    try:
        print({p}fail({v}n))
    except {p}Failure as {v}e:
        print("failure", {v}e.code)
    except Errno as {v}e2:
        print("errno", {v}e2.code)
    finally:
        print("done")""",
    """try:
    with {p}Guard(1), {p}Guard(2):
        try:
            print({p}fail({a}))
        finally:
            print({p}fail(4 * {b}))
except KernelError:
    print("kernel error")""",
    """{v}text = span_of(b"abcdefgh")
{v}low = {a} % 8
{v}high = len({v}text)
while {v}low < {v}high:
    {v}high -= 1 + {b} % 2
    if {v}high <= {v}low or {v}text[{v}high] == 99:
        break
    {v}low += {v}text[{v}low] % 3
print({v}low, {v}high)""",
    """{v}left = {a} % 7
{v}turns = 0
while {v}turns < 9:
    {v}turns += 1
    if {v}left < 0:
        {v}left = {b} % 5
    elif {v}left >= 4 or {c} % 3 == 1:
        {v}left -= {v}turns
    print({v}left)""",
]

# Pieces that trap where what they rely on does not hold.
DARING: list[str] = [
    """{v}x = [1, 2, 3]
with {p}Guard(3):
    try:
        print({v}x[{a} % 5])
    finally:
        print("cleaned", len({v}x))""",
    """{v}m = {{1: 2, 3: 4}}
for {v}key in {v}m:
    if {a} % 4 == 0:
        {v}m[{v}key + 10] = 5
    print({v}key)""",
    """print({p}Color({a} % 7).name)""",
    """{v}b = bytearray(4)
{v}b[1] = u8({a} % 300) if {b} % 2 == 0 else 7
{v}n: u8 = 200
{v}n += {c} % 70
print({v}n, {v}b[1])""",
    """{v}text = span_of(b"abcdefgh")
{v}place = {a} % 8
for {v}turn in range(6):
    if {v}place < 7:
        print({v}text[{v}place - {b} % 3])
    {v}place += {c} % 5 - 2
    if {v}place >= 0 and {v}turn > 3:
        print({v}text[{v}place])""",
]
