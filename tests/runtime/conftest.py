"""Without onnx these tests have no models; compiled ones go to a folder of their own."""

import importlib.util

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("onnx") else ["test_*.py"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Where compiled models are kept during a test."""
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"
