"""Trained nets as files that run without torch, with a certificate of what they do."""

from fathom.export.certificate import Case, Certificate, certify
from fathom.export.write import FORMATS, export_model

__all__ = ["FORMATS", "Case", "Certificate", "certify", "export_model"]
