"""Judging depth: metrics."""
