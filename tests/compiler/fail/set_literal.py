"""Sets are out."""


def main() -> None:
    seen = {1, 2}
    names: set[bytes] = set()
    print(len(seen), len(names))
