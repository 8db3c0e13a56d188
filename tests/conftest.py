"""What every test may ask for: the Motorcycle pair, and the folder of shared real pairs."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import outer_checks  # noqa: F401  # before fathom's modules are loaded
import pytest

from fathom.core import StereoSample
from fathom.data import samples

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell without job control starts background commands with Ctrl-C switched off, and the tests
    # of interrupts, and the processes they start, would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_folder() -> Path | None:
    """FATHOM_SHARED, or `shared` beside the project; None where neither is there."""
    named = os.environ.get("FATHOM_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    return folder if (folder / "data").is_dir() else None


@pytest.fixture(scope="module", autouse=True)
def _tidy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """What a file's fixtures wrote goes when the file is done, unless a test of it failed: all of
    them together fill gigabytes. What pytest keeps of single tests is set in pyproject.toml."""
    base, failed = tmp_path_factory.getbasetemp(), request.session.testsfailed
    before = set(base.iterdir())
    yield
    if request.session.testsfailed == failed:
        for folder in set(base.iterdir()) - before:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pairs; the test skips where it is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("needs the real pairs: set FATHOM_SHARED or put `shared` beside the project")
    return folder


@pytest.fixture(scope="session")
def motorcycle() -> StereoSample:
    """Middlebury 2014 Motorcycle at quarter size, as scikit-image ships it (500 x 741)."""
    return samples.motorcycle()


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Annotations go unchecked, as in a user's process: for tests of the checks fathom makes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
