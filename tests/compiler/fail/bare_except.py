"""An except names a class."""


def main() -> None:
    try:
        print(1)
    except:
        pass
