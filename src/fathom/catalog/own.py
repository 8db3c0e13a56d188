"""What comes with fathom: the shipped models, the classical matchers, the refiners."""

from fathom.catalog.record import Entry

STEREO = (
    Entry(
        "fathom-s",
        "fathom.combine.learned:Learned",
        "stereo",
        "Learned matching over semi-global evidence: the most accurate; needs OpenVINO or ONNX",
        weights="fathom-s",
        preset=(("model", "fathom-s"),),
    ),
    Entry(
        "sgm-refined",
        "fathom.combine.learned:Learned",
        "stereo",
        "Semi-global matching corrected and filled by a small net that sees the left view",
        weights="sgm-refined",
        preset=(("model", "sgm-refined"),),
    ),
    Entry(
        "sgm",
        "fathom.classical.sgm:SGM",
        "stereo",
        "Census semi-global matching, 8 paths: the most accurate without a net; any processor",
    ),
    Entry(
        "mrf",
        "fathom.classical.mrf:MRF",
        "stereo",
        "One energy over the whole image: belief propagation, graph cuts or scanlines; seconds",
    ),
    Entry(
        "opencv-sgbm",
        "fathom.classical.opencv:OpenCVSGBM",
        "stereo",
        "OpenCV's semi-global block matching (modes sgbm, hh, 3way, hh4): the usual yardstick",
        confidence=False,
    ),
    Entry(
        "census",
        "fathom.classical.local:CensusLocal",
        "stereo",
        "Census bits over a window, no smoothing: fine detail, minds no exposure; textured scenes",
    ),
    Entry(
        "zncc",
        "fathom.classical.local:ZNCC",
        "stereo",
        "Zero-mean correlation over a window: minds neither gain nor offset between the cameras",
    ),
    Entry(
        "ncc",
        "fathom.classical.local:NCC",
        "stereo",
        "Correlation over a window: minds no gain between the cameras",
    ),
    Entry(
        "ssd",
        "fathom.classical.local:SSD",
        "stereo",
        "Squared differences over a window: for study, and for cameras of equal exposure",
    ),
    Entry(
        "sad",
        "fathom.classical.local:SAD",
        "stereo",
        "Absolute differences over a window: the textbook's baseline",
    ),
    Entry(
        "opencv-bm",
        "fathom.classical.opencv:OpenCVBM",
        "stereo",
        "OpenCV's block matching: the fastest, for textured scenes and small machines",
        confidence=False,
    ),
)
REFINE = (
    Entry(
        "cspn",
        "fathom.combine.propagate:Refiner",
        "refine",
        "CSPN (ECCV 2018): makes sparse or unsure maps dense, along edges or by its authors' net",
        licence="Apache-2.0; weights: not stated",
        preset=(("method", "cspn"),),
    ),
    Entry(
        "spn",
        "fathom.combine.propagate:Refiner",
        "refine",
        "SPN (NeurIPS 2017): the same in one sweep from each side; best for very sparse maps",
        preset=(("method", "spn"), ("positive", False)),
    ),
)
