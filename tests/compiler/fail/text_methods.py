"""Methods of texts that the run-time library does not have, or not with these arguments."""


def main(text: str, data: bytes) -> None:
    print(text.upper(), text.split(), text.isdigit())
    print(data.find(b"x", 1, 2), data.strip(b"x", ))
