"""Depth from one image or a video by diffusion models, which run through diffusers."""

from fathom.catalog.entry import Entry

DIFFUSION: tuple[Entry, ...] = ()
