"""Files of the host are not there."""


def main() -> None:
    with open("x") as file:
        print(file.read())
