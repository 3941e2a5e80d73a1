"""JSON of an image, which may hold anything: what is not there, or is of another kind, is an ImageError."""

from __future__ import annotations

import json

from tools.images.layers import ImageError


class Document:
    """A value, and where it stands, for messages."""

    def __init__(self, value: object, place: str) -> None:
        self._value = value
        self._place = place

    @staticmethod
    def parse(text: bytes, place: str) -> Document:
        try:
            return Document(json.loads(text), place)
        except (ValueError, RecursionError) as error:
            raise ImageError(f"{place} of the image is not JSON") from error

    def _wrong(self, wanted: str) -> ImageError:
        return ImageError(f"{self._place} of the image is not {wanted}")

    def __contains__(self, key: str) -> bool:
        return isinstance(self._value, dict) and self._value.get(key) is not None

    def __getitem__(self, key: str) -> Document:
        if not isinstance(self._value, dict):
            raise self._wrong("an object")
        if self._value.get(key) is None:
            raise ImageError(f"{self._place} of the image has no {key}")
        return Document(self._value[key], f"{self._place}, {key}")

    def items(self) -> list[Document]:
        if not isinstance(self._value, list):
            raise self._wrong("a list")
        return [Document(value, self._place) for value in self._value]

    def text(self) -> str:
        if not isinstance(self._value, str) or "\0" in self._value:
            raise self._wrong("a text")
        return self._value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts under a key; none where there is no such key. One text is a shell's command."""
        if key not in self:
            return ()
        found = self[key]
        if isinstance(found._value, str):
            return ("/bin/sh", "-c", found.text())
        return tuple(each.text() for each in found.items())
