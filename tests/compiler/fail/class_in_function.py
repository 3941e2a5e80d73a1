"""Classes belong to the module."""


def main() -> None:
    class Box:
        pass

    print(1)
