"""Depth from one image: networks that run through transformers, and Monodepth2 of our own."""

from fathom.catalog.entry import Entry

MONO: tuple[Entry, ...] = ()
