"""Methods that the run-time library does not have."""


def main(values: list[int], text: bytes) -> None:
    values.sort(reverse=True)
    print(text.title() == b"", text.decode("latin-1"))
