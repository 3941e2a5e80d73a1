"""__del__ is out."""


class File:
    def __del__(self) -> None:
        pass
