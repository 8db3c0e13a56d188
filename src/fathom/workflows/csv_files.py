"""Tables that grow by a line at a time while a job runs."""

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO


class CsvFiles:
    """Open CSV files, closed together at the end of the `with` block."""

    def __init__(self) -> None:
        self._files: list[TextIO] = []

    def open(self, path: Path, columns: Sequence[str]) -> "csv.DictWriter[str]":
        """A new file with that header line."""
        file = path.open("w", encoding="utf-8", newline="")
        self._files.append(file)
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        return writer

    def __enter__(self) -> "CsvFiles":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files:
            file.close()
