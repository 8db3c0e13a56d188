"""Runs exported models without torch: OpenVINO, or ONNX Runtime where it is absent."""

from fathom.runtime.model import BACKENDS, Model, fastest, load_model

__all__ = ["BACKENDS", "Model", "fastest", "load_model"]
