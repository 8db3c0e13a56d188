"""Monodepth2, the self-supervised reference, in our own code with its authors' weights."""

from fathom.catalog.record import Entry

MONODEPTH2 = (
    Entry(
        "monodepth2",
        "fathom.combine.monodepth2:Monodepth2",
        "mono",
        "Monodepth2 (ICCV 2019): learned from video alone; roads; depth up to a scale; light",
        extra="torch",
        licence="Apache-2.0; weights: not stated, their authors' code is non-commercial",
        weights="monodepth2",
        converted=True,
        ambiguity="scale",
        side=192,
    ),
)
