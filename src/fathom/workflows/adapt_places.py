"""Where an adaptation writes, and what it finds there."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.core.errors import UsageError
from fathom.io.atomic import write_text
from fathom.io.files import read_bytes
from fathom.io.folder import require_writable
from fathom.io.result import to_json


@dataclass(frozen=True)
class Places:
    """Where a run writes. weights: the result. The rest lies beside it: its report as JSON and as
    a page, and the folder of the run (log, checkpoints, labels)."""

    weights: Path

    @property
    def report(self) -> Path:
        """The report as JSON."""
        return self.weights.with_suffix(".json")

    @property
    def page(self) -> Path:
        """The report to look at."""
        return self.weights.with_suffix(".html")

    @property
    def run(self) -> Path:
        """The folder of everything that is made on the way."""
        return self.weights.with_name(self.weights.stem + "-run")

    @property
    def training(self) -> Path:
        """The folder of the training run (`fathom.train.record`)."""
        return self.run / "training"

    @property
    def judged(self) -> Path:
        """The weights that were judged in the end, in the form in which they are kept."""
        return self.run / "judged.safetensors"

    def check(self, *, resume: bool) -> None:
        """Raises `UsageError` for another kind of file, or one that is there already;
        `ResourceError` where nothing can be written."""
        if self.weights.suffix != ".safetensors":
            raise UsageError(
                "is no file of weights", field="output", value=str(self.weights),
                expected="a name that ends in .safetensors",
            )  # fmt: skip
        taken = [p for p in (self.weights, self.report, self.page) if p.exists()]
        if taken and not resume:
            raise UsageError(
                "is there already, and nothing is overwritten", file=taken[0],
                remedy="give another name with -o, or move it away",
            )  # fmt: skip
        if not resume and self.run.is_dir() and any(self.run.iterdir()):
            raise UsageError(
                "holds what another run began", file=self.run,
                remedy="go on with --resume, give another name with -o, or move it away",
            )  # fmt: skip
        require_writable(self.run)

    def standing(self) -> float | None:
        """What the weights that a run of this name wrote before are worth by its report; None where
        there are none."""
        if not (self.weights.exists() and self.report.is_file()):
            return None
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(read_bytes(self.report, "JSON file", 1 << 28))
            if isinstance(told, dict) and told.get("kept"):
                return float(told["against_before"])
        return None

    def claim(self, about: dict[str, Any]) -> None:
        """Says in the run's folder what it is made of, or compares: labels and windows of other
        pairs or another model must not be taken for those of these.

        Raises `UsageError` if they are another run's, `ResourceError` if nothing can be written.
        """
        file, told = self.run / "about.json", to_json(about) + "\n"
        if not file.is_file():
            write_text(file, told)
        elif read_bytes(file, "JSON file", 1 << 20).decode() != told:
            raise UsageError(
                "was begun with other pairs, another model or another share of sureness",
                file=self.run, remedy="give the same again, or another name with -o",
            )  # fmt: skip
