"""Arithmetic with natural numbers of any size.

A number is a list of its digits, lowest first, 30 bits each, without zeros at its upper end: so the sum of a product of
two digits and of two digits fits an int.

Context: takes safe points, and raises EINTR there once the caller is killed: the power of a number of 16,384 bits takes
many seconds.
"""

from typing import Final

from kernel.lib.pace import pace, pace_or_end

_BITS: Final = 30
_BASE: Final = 1 << _BITS
_MASK: Final = _BASE - 1
_COST: Final = 12  # instructions for a digit, or for a byte that becomes part of one
_PIECE: Final = 1024
_WINDOW: Final = 4  # bits of an exponent that are taken at once


def number_from(data: bytes) -> list[int]:
    """From bytes, highest first."""
    digits: list[int] = []
    bits = 0
    low = 0
    for index in range(len(data) - 1, -1, -1):
        low |= data[index] << bits
        bits += 8
        if bits >= _BITS:
            digits.append(low & _MASK)
            low >>= _BITS
            bits -= _BITS
        if index % _PIECE == 0:
            pace(_COST * _PIECE)
    digits.append(low)
    return _trimmed(digits)


def bytes_from(number: list[int], size: int) -> bytes:
    """Its lower `size` bytes, highest first."""
    storage = bytearray(size)
    bits = 0
    low = 0
    taken = 0
    for index in range(size - 1, -1, -1):
        if bits < 8 and taken < len(number):
            low |= number[taken] << bits
            bits += _BITS
            taken += 1
        storage[index] = low & 0xFF
        low >>= 8
        bits = max(bits - 8, 0)
    return bytes(storage)


def bit_length(number: list[int]) -> int:
    """How many bits it has."""
    if len(number) == 0:
        return 0
    bits = (len(number) - 1) * _BITS
    top = number[len(number) - 1]
    while top > 0:
        top >>= 1
        bits += 1
    return bits


def bit_of(number: list[int], index: int) -> int:
    """One of its bits."""
    digit = index // _BITS
    return number[digit] >> index % _BITS & 1 if digit < len(number) else 0


def is_less(first: list[int], second: list[int]) -> bool:
    """Whether the first is smaller."""
    if len(first) != len(second):
        return len(first) < len(second)
    for index in range(len(first) - 1, -1, -1):
        if first[index] != second[index]:
            return first[index] < second[index]
    return False


def is_equal(first: list[int], second: list[int]) -> bool:
    """Whether they are the same."""
    return not is_less(first, second) and not is_less(second, first)


def added(first: list[int], second: list[int]) -> list[int]:
    """The sum."""
    total: list[int] = []
    carry = 0
    for index in range(max(len(first), len(second))):
        carry += (first[index] if index < len(first) else 0) + (second[index] if index < len(second) else 0)
        total.append(carry & _MASK)
        carry >>= _BITS
    total.append(carry)
    return _trimmed(total)


def subtracted(first: list[int], second: list[int]) -> list[int]:
    """The difference; the second is no larger."""
    rest: list[int] = []
    borrow = 0
    for index in range(len(first)):
        borrow += first[index] - (second[index] if index < len(second) else 0)
        rest.append(borrow & _MASK)
        borrow >>= _BITS
    return _trimmed(rest)


def multiplied(first: list[int], second: list[int]) -> list[int]:
    """The product. Raises EINTR."""
    count = len(second)
    product = [0] * (len(first) + count)
    for index in range(len(first)):
        factor = first[index]
        carry = 0
        for place in range(count):
            carry += product[index + place] + factor * second[place]
            product[index + place] = carry & _MASK
            carry >>= _BITS
        product[index + count] = carry
        pace_or_end(_COST * count)
    return _trimmed(product)


def remainder(number: list[int], modulus: list[int]) -> list[int]:
    """What a division leaves (Knuth, The Art of Computer Programming, volume 2, 4.3.1, algorithm D). The modulus is not
    zero. Raises EINTR.
    """
    if is_less(number, modulus):
        return number
    count = len(modulus)
    shift = _BITS * count - bit_length(modulus)  # so the divisor's highest digit has its highest bit
    divisor = _shifted(modulus, shift)
    rest = _shifted(number, shift)
    while len(rest) < len(number) + 1:
        rest.append(0)
    top = divisor[count - 1]
    below = divisor[count - 2] if count > 1 else 0
    for place in range(len(rest) - count - 1, -1, -1):
        high = rest[place + count] * _BASE + rest[place + count - 1]
        guess = high // top
        left = high - guess * top
        third = rest[place + count - 2] if count > 1 else 0
        while guess >= _BASE or guess * below > left * _BASE + third:
            guess -= 1
            left += top
            if left >= _BASE:
                break
        borrow = 0
        for index in range(count):
            borrow += rest[place + index] - guess * divisor[index]
            rest[place + index] = borrow & _MASK
            borrow >>= _BITS
        borrow += rest[place + count]
        rest[place + count] = borrow & _MASK
        if borrow < 0:
            _add_back(rest, divisor, place)
        pace_or_end(_COST * count)
    return _unshifted(_trimmed(rest), shift)


def _add_back(rest: list[int], divisor: list[int], place: int) -> None:
    """The guess was one too large."""
    carry = 0
    for index in range(len(divisor)):
        carry += rest[place + index] + divisor[index]
        rest[place + index] = carry & _MASK
        carry >>= _BITS
    rest[place + len(divisor)] = rest[place + len(divisor)] + carry & _MASK


def power(base: list[int], exponent: list[int], modulus: list[int]) -> list[int]:
    """A power, modulo a number that is not zero. Raises EINTR."""
    powers: list[list[int]] = [remainder([1], modulus), remainder(base, modulus)]
    for _ in range(2, 1 << _WINDOW):
        powers.append(remainder(multiplied(powers[len(powers) - 1], powers[1]), modulus))
    result = powers[0]
    bits = (bit_length(exponent) + _WINDOW - 1) // _WINDOW * _WINDOW
    for index in range(bits - _WINDOW, -1, -_WINDOW):
        chosen = 0
        for bit in range(_WINDOW - 1, -1, -1):
            result = remainder(multiplied(result, result), modulus)
            chosen = chosen << 1 | bit_of(exponent, index + bit)
        if chosen != 0:
            result = remainder(multiplied(result, powers[chosen]), modulus)
    return result


def _shifted(number: list[int], bits: int) -> list[int]:
    """Times a power of two, of less than a digit."""
    digits: list[int] = []
    carry = 0
    for digit in number:
        carry |= digit << bits
        digits.append(carry & _MASK)
        carry >>= _BITS
    if carry != 0:
        digits.append(carry)
    return digits


def _unshifted(number: list[int], bits: int) -> list[int]:
    digits: list[int] = []
    for index in range(len(number)):
        above = number[index + 1] if index + 1 < len(number) else 0
        digits.append((above << _BITS | number[index]) >> bits & _MASK)
    return _trimmed(digits)


def _trimmed(digits: list[int]) -> list[int]:
    while len(digits) > 0 and digits[len(digits) - 1] == 0:
        digits.pop()
    return digits
