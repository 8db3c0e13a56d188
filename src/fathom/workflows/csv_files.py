"""Tables that grow by a line at a time while a job runs."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO


class CsvFiles:
    """Open CSV files, closed together."""

    def __init__(self) -> None:
        self._files: list[TextIO] = []

    def open(self, path: Path, columns: Sequence[str]) -> "csv.DictWriter[str]":
        """A new file with that header line."""
        file = path.open("w", encoding="utf-8", newline="")
        self._files.append(file)
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        return writer

    def close(self) -> None:
        """Writes out what is left."""
        for file in self._files:
            file.close()
