"""Literals that are longer than what becomes instructions: their constants lie in tables."""

from enum import Enum

from kernel.lang import noinline, u8, u64


class Colour(Enum):
    RED = 1
    BLUE = 5


@noinline
def twice(number: int) -> int:
    print("twice", number)
    return number * 2


@noinline
def numbers() -> list[int]:
    return [
        -500, 356, 203, 50, -103, -256, -409, 447, 294, 141, -12, -165, -318, -471, 385, 232, 79, -74, -227, -380,
        476, 323, 170, 17, -136, -289, -442, 414, 261, 108, -45, -198, -351, 505, 352, 199, 46, -107, -260, -413,
        443, 290, 137, -16, -169, -322, -475, 381, 228, 75, -78, -231, -384, 472, 319, 166, 13, -140, -293, -446,
        410, 257, 104, -49, -202, -355, 501, 348, 195, 42,
    ]


@noinline
def mixed() -> list[int]:
    return [
        0, 1, twice(2), 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
        28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, twice(40), 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
        53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
        80, twice(81), 82, 83, 84, 85, 86, 87, 88, 89,
    ]


@noinline
def octets() -> list[u8]:
    return [
        0, 37, 74, 111, 148, 185, 222, 3, 40, 77, 114, 151, 188, 225, 6, 43, 80, 117, 154, 191, 228, 9, 46, 83, 120,
        157, 194, 231, 12, 49, 86, 123, 160, 197, 234, 15, 52, 89, 126, 163, 200, 237, 18, 55, 92, 129, 166, 203,
        240, 21, 58, 95, 132, 169, 206, 243, 24, 61, 98, 135, 172, 209, 246, 27, 64, 101, 138, 175, 212, 249,
    ]


@noinline
def large() -> list[u64]:
    return [
        18446744073709551615, 18446744073709551614, 18446744073709551613, 18446744073709551612, 18446744073709551611,
        18446744073709551610, 18446744073709551609, 18446744073709551608, 18446744073709551607, 18446744073709551606,
        18446744073709551605, 18446744073709551604, 18446744073709551603, 18446744073709551602, 18446744073709551601,
        18446744073709551600, 18446744073709551599, 18446744073709551598, 18446744073709551597, 18446744073709551596,
        18446744073709551595, 18446744073709551594, 18446744073709551593, 18446744073709551592, 18446744073709551591,
        18446744073709551590, 18446744073709551589, 18446744073709551588, 18446744073709551587, 18446744073709551586,
        18446744073709551585, 18446744073709551584, 18446744073709551583, 18446744073709551582, 18446744073709551581,
        18446744073709551580, 18446744073709551579, 18446744073709551578, 18446744073709551577, 18446744073709551576,
    ]


@noinline
def words() -> list[str]:
    return [
        "w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11", "w12", "w13", "w14", "w15", "w16",
        "w17", "w18", "w19", "w20", "w21", "w22", "w23", "w24", "w25", "w26", "w27", "w28", "w29", "w30", "w31",
        "w32", "w33", "w34", "w35", "w36", "w37", "w38", "w39", "w40", "w41", "w42", "w43", "w44", "w45", "w46",
        "w47", "w48", "w49", "w50", "w51", "w52", "w53", "w54", "w55", "w56", "w57", "w58", "w59", "w60", "w61",
        "w62", "w63", "w64", "w65", "w66", "w67", "w68", "w69",
    ]


@noinline
def perhaps() -> list[bytes | None]:
    return [
        None, b"1", b"2", None, b"4", b"5", None, b"7", b"8", None, b"10", b"11", None, b"13", b"14", None, b"16",
        b"17", None, b"19", b"20", None, b"22", b"23", None, b"25", b"26", None, b"28", b"29", None, b"31", b"32",
        None, b"34", b"35", None, b"37", b"38", None, b"40", b"41", None, b"43", b"44", None, b"46", b"47", None,
        b"49", b"50", None, b"52", b"53", None, b"55", b"56", None, b"58", b"59", None, b"61", b"62", None, b"64",
        b"65", None, b"67", b"68", None,
    ]


@noinline
def answers() -> list[bool]:
    return [
        False, True, False, False, True, False, True, False, False, True, False, True, False, False, True, False,
        True, False, False, True, False, True, False, False, True, False, True, False, False, True, False, True,
        False, False, True, False, True, False, False, True, False, True, False, False, True, False, True, False,
        False, True, False, True, False, False, True, False, True, False, False, True, False, True, False, False,
        True, False, True, False, False, True,
    ]


@noinline
def colours() -> list[Colour]:
    return [
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED, Colour.RED, Colour.RED,
        Colour.BLUE, Colour.RED, Colour.RED, Colour.RED, Colour.BLUE, Colour.RED,
    ]


@noinline
def squares() -> dict[int, str]:
    return {
        0: "0", 1: "1", 2: "4", 3: "9", 4: "16", 5: "25", 6: "36", 7: "49", 8: "64", 9: "81", 10: "100", 11: "121",
        12: "144", 13: "169", 14: "196", 15: "225", 16: "256", 17: "289", 18: "324", 19: "361", 20: "400", 21: "441",
        22: "484", 23: "529", 24: "576", 25: "625", 26: "676", 27: "729", 28: "784", 29: "841", 30: "900", 31: "961",
        32: "1024", 33: "1089", 34: "1156", 35: "1225", 36: "1296", 37: "1369", 38: "1444", 39: "1521", 40: "1600",
        41: "1681", 42: "1764", 43: "1849", 44: "1936", 45: "2025", 46: "2116", 47: "2209", 48: "2304", 49: "2401",
        50: "2500", 51: "2601", 52: "2704", 53: "2809", 54: "2916", 55: "3025", 56: "3136", 57: "3249", 58: "3364",
        59: "3481", 60: "3600", 61: "3721", 62: "3844", 63: "3969", 64: "4096", 65: "4225", 66: "4356", 67: "4489",
        68: "4624", 69: "4761",
        1: "again",  # noqa: F601
    }


@noinline
def table() -> list[list[int]]:
    return [
        [0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [6, 7], [7, 8], [8, 9], [9, 10], [10, 11], [11, 12],
        [12, 13], [13, 14], [14, 15], [15, 16], [16, 17], [17, 18], [18, 19], [19, 20], [20, 21], [21, 22], [22, 23],
        [23, 24], [24, 25], [25, 26], [26, 27], [27, 28], [28, 29], [29, 30], [30, 31], [31, 32], [32, 33], [33, 34],
        [34, 35], [35, 36], [36, 37], [37, 38], [38, 39], [39, 40],
    ]


@noinline
def total() -> int:
    found = 0
    for number in (
        0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144, 169, 196, 225, 256, 289, 324, 361, 400, 441, 484, 529,
        576, 625, 676, 729, 784, 841, 900, 961, 1024, 1089, 1156, 1225, 1296, 1369, 1444, 1521, 1600, 1681, 1764,
        1849, 1936, 2025, 2116, 2209, 2304, 2401, 2500, 2601, 2704, 2809, 2916, 3025, 3136, 3249, 3364, 3481, 3600,
        3721, 3844, 3969, 4096, 4225, 4356, 4489, 4624, 4761,
    ):
        if number > 4000:
            break
        found += number
    return found


def main() -> None:
    for _ in range(2):
        print(sum(numbers()), len(numbers()), numbers()[69])
        some = mixed()
        print(len(some), some[2], some[40], some[81], some[89], sum(some))
        bytes_sum = 0
        for octet in octets():
            bytes_sum += octet
        print(bytes_sum, len(octets()))
        print(large()[0], large()[39], len(large()))
        text = ""
        for word in words():
            text += word
        print(text)
        present = 0
        for part in perhaps():
            if part is not None:
                present += len(part)
        print(present, len(perhaps()))
        print(answers().count(True), answers()[1], answers()[69])
        print(colours().count(Colour.BLUE), colours()[0] is Colour.BLUE, colours()[1] is Colour.RED)
        found = squares()
        found[0] = "changed"
        print(len(found), found[0], found[1], found[69])
        own = numbers()
        own[0] = 12
        print(own[0], numbers()[0])
        rows = table()
        print(len(rows), rows[39][1])
        print(total())
