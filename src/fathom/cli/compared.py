"""What `fathom compare` prints of a comparison, of matchers or of mono against stereo."""

from collections.abc import Iterable
from pathlib import Path

from fathom.workflows.compare import Compared


def show_compared(
    compared: Compared, out: Path, table: str, notes: Iterable[str], noun: str, files: Iterable[str]
) -> None:
    """The table, the summary, notes, failures and what was written. noun: what was compared on."""
    info = compared.info
    print(f"\n{table}\n")
    for sentence in info["summary"]:
        print(f"- {sentence}")
    for note in [*notes][:10]:
        print(f"note: {note}")
    if compared.interrupted:
        print(f"interrupted: this is of the first {info['samples']} {noun}")
    for failure in info["failures"][:5]:
        who = ", ".join(part for part in (failure["sample"], failure["method"]) if part)
        print(f"failed: {who}: {failure['error']}")
    if len(info["failures"]) > 5:
        print(f"failed: {len(info['failures']) - 5} more, in {out / 'result.json'}")
    print(f"wrote {out}/: {', '.join(files)}")
    print(f"open  {out / 'report.html'} ({info['report_bytes'] / 1e6:.1f} MB)")
