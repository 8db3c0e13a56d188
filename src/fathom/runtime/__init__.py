"""Runs exported models without torch: OpenVINO, or ONNX Runtime where it is absent."""

from fathom.runtime.model import BACKENDS, Model, load_model

__all__ = ["BACKENDS", "Model", "load_model"]
