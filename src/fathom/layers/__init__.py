"""Torch blocks and losses that two or more nets use."""
