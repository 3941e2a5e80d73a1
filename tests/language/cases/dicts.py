"""dict: keys of all kinds, every operation, insertion order, growth and removal."""

from __future__ import annotations

from enum import IntEnum


class Color(IntEnum):
    RED = 1
    BLUE = 2


class Key:
    number: int

    def __init__(self, number: int) -> None:
        self.number = number


def show(counts: dict[int, int]) -> None:
    text = ""
    for key, value in counts.items():
        text += f"{key}={value} "
    print(f"{len(counts)}: {text}")


def main() -> None:
    counts: dict[int, int] = {}
    for value in [5, 3, 5, 1, 3, 5]:
        counts[value] = counts.get(value, 0) + 1
    show(counts)
    counts[3] += 10
    del counts[5]
    counts[5] = 50
    show(counts)
    print(counts.pop(1), counts.pop(77, -1), counts.setdefault(3, 0), counts.setdefault(4, 44))
    show(counts)
    print(3 in counts, 99 in counts, 99 not in counts)
    found = counts.get(99)
    print(found is None)
    names: dict[str, int] = {"one": 1, "two": 2}
    names["three"] = 3
    for name in names:
        print(name, names[name])
    for number in names.values():
        print(number)
    paths: dict[bytes, Key] = {b"/": Key(0), b"/bin": Key(1)}
    paths[b"/" + b"bin"] = Key(2)
    entry = paths.get(b"/bin")
    if entry is not None:
        print(entry.number, len(paths))
    print(paths.get(b"/usr") is None)
    colors: dict[Color, bytes] = {Color.RED: b"red"}
    colors[Color.BLUE] = b"blue"
    print(len(colors[Color.BLUE]))
    key = Key(7)
    objects: dict[Key, int] = {key: 1, Key(7): 2}
    print(objects[key], len(objects), Key(7) in objects)
    large: dict[int, int] = {}
    for value in range(1000):
        large[value * 4096] = value
    for value in range(0, 1000, 3):
        del large[value * 4096]
    for value in range(500):
        large[-value] = value
    total = 0
    for place, (place_key, value) in enumerate(large.items()):
        total = (total * 31 + place * 7 + place_key + value) % 1000003
    print(len(large), total)
    large.clear()
    print(len(large), 0 in large)
    large[1] = 2
    show(large)
    for step in range(100):
        large[step] = step
        del large[step]
    show(large)
    find_parts()
    grow_large()


def grow_large() -> None:
    """Beyond a thousand entries they lie elsewhere; what can be seen is the same."""
    keys: dict[bytes, int] = {}
    line = b""
    for number in range(5000):
        keys[f"name {number}".encode()] = number
        if number % 100 == 0:
            line += f"/name {number}".encode()
    found = 0
    for start in range(len(line)):
        for length in (6, 8, 9):
            found += plain(keys.get(line[start : start + length]))
    print(len(keys), found)
    for number in range(0, 5000, 3):
        del keys[f"name {number}".encode()]
    for number in range(0, 5000, 7):
        keys[f"name {number}".encode()] = -number
    print(keys.pop(b"name 1"), keys.pop(b"name 1", -5), keys.setdefault(b"name 2", 9), keys.setdefault(b"name 3", 9))
    total = 0
    for place, (key, value) in enumerate(keys.items()):
        total = (total * 31 + place * 7 + len(key) + value) % 1000003
    print(len(keys), total)
    first = list(keys)[:3]
    print(first[0].decode(), first[1].decode(), first[2].decode(), sum(list(keys.values())[-5:]))
    other = keys.copy()
    for key in first:
        del keys[key]
    print(len(other), len(keys), first[0] in other, first[0] in keys)
    keys.clear()
    print(len(keys), b"name 2" in keys)
    keys[b"again"] = 1
    print(len(keys), keys[b"again"])
    objects: dict[Key, Key] = {}
    kept: list[Key] = []
    for number in range(3000):
        key_object = Key(number)
        objects[key_object] = Key(number * 2)
        kept.append(key_object)
    for number in range(2990):
        if objects.pop(kept[number]).number != number * 2:
            print("wrong", number)
    print(len(objects), objects[kept[2995]].number, kept[0] in objects)
    for key_object in kept[2990:]:
        del objects[key_object]
    print(len(objects))


def plain(found: int | None) -> int:
    return -1 if found is None else found


def find_parts() -> None:
    """Looking a slice up makes no slice; it must find what the slice would find."""
    names: dict[bytes, int] = {}
    text = b"/usr/share/doc/a-long-name-of-more-than-eight-bytes/x"
    for start in range(0, len(text), 5):
        for length in range(12):
            name = text[start : start + length]
            found = names.get(text[start : start + length])
            if found is None:
                names[name] = start * 100 + length
            elif text[found // 100 : found // 100 + found % 100] != name:
                print("wrong", found, start, length)
    for found in [
        plain(names.get(text[:4])), plain(names.get(text[-3:])), plain(names.get(text[5:2])), plain(names.get(text[1:-1]))
    ]:
        print(len(names), found)
    few: dict[bytes, int] = {b"share": 1, b"doc": 2}
    print(plain(few.get(text[5:10])), plain(few.get(text[11:14])), plain(few.get(text[5:9])), plain(few.get(text[90:99])))
    few.clear()
    print(few.get(text[5:10]) is None)


if __name__ == "__main__":
    main()
