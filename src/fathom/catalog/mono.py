"""Depth from one image: networks that run through transformers, and Monodepth2 of our own.

Licences and sizes are those of the hub's pages of the repositories. Commits are those seen there,
or pinned by public code that names or runs the model; a model of which none was to be seen is not
listed, and can be named by its repository (`--weights owner/name@COMMIT`).
"""

from fathom.catalog.record import Entry, Hub, Parameter
from fathom.core.maps import Ambiguity

_INVERSE: Ambiguity = "affine_inverse"
_MADE_OF_NC = "Apache-2.0; weights: not stated on their page, made from CC-BY-NC-4.0 ones"
_MIDAS = "MIT; weights: MIT"


def _entry(
    name: str,
    family: str,
    hub: Hub,
    side: int,
    summary: str,
    licence: str,
    *,
    ambiguity: Ambiguity | None = None,
    own: tuple[str, ...] = ("size",),
) -> Entry:
    """A model of transformers. own: those parameters of `_HIDDEN` that it has."""
    hidden = tuple(item for item in _HIDDEN if item[0] not in own)
    return Entry(
        name,
        "fathom.combine.mono:Mono",
        "mono",
        summary,
        extra="mono",
        licence=licence,
        preset=(
            ("model", name),
            ("family", family),
            ("hub", f"{hub.repo}@{hub.revision}"),
            ("ambiguity", ambiguity),
            *hidden,
        ),
        ambiguity=ambiguity,
        hub=hub,
        side=side,
    )


_HIDDEN: tuple[tuple[str, Parameter], ...] = (
    ("size", None),
    ("position", "official"),
    ("flip", False),
)
"""What only some of the models have, with the value it has for all others."""


def _depth_anything(
    version: str,
    size: str,
    hub: Hub,
    licence: str,
    summary: str,
    ambiguity: Ambiguity | None = _INVERSE,
) -> Entry:
    return _entry(
        f"depth-anything{version}-{size}", "depth_anything", hub, 518, summary, licence,
        ambiguity=ambiguity, own=("size", "position"),
    )  # fmt: skip


def _v2(size: str, commit: str, megabytes: int, licence: str) -> Entry:
    repo = f"depth-anything/Depth-Anything-V2-{size.title()}-hf"
    what = f"Depth Anything V2 (NeurIPS 2024), {size}: inverse depth, sharp edges"
    return _depth_anything("-v2", size, Hub(repo, commit, megabytes), licence, what)


def _v2_metric(place: str, size: str, commit: str, megabytes: int, licence: str) -> Entry:
    repo = f"depth-anything/Depth-Anything-V2-Metric-{place.title()}-{size.title()}-hf"
    far = {"indoor": "20 m, rooms (Hypersim)", "outdoor": "80 m, streets (Virtual KITTI)"}[place]
    what = f"Depth Anything V2 in metres, {size}: up to {far}"
    return _depth_anything(
        f"-v2-metric-{place}", size, Hub(repo, commit, megabytes), licence, what, None
    )


def _v1(size: str, commit: str, megabytes: int) -> Entry:
    hub = Hub(f"LiheYoung/depth-anything-{size}-hf", commit, megabytes)
    what = f"Depth Anything V1 (CVPR 2024), {size}: inverse depth"
    return _depth_anything("", size, hub, "Apache-2.0; weights: Apache-2.0", what)


def _dpt(name: str, repo: str, commit: str, megabytes: int, side: int, what: str) -> Entry:
    licence = "Apache-2.0; weights: Apache-2.0" if side == 384 and "3.0" in what else _MIDAS
    hub = Hub(f"Intel/{repo}", commit, megabytes)
    return _entry(name, "dpt", hub, side, what, licence, ambiguity=_INVERSE)


def _zoe(name: str, commit: str, what: str) -> Entry:
    hub = Hub(f"Intel/{name}", commit, 1380)
    return _entry(name, "zoedepth", hub, 384, what, _MIDAS, own=("size", "flip"))


def _prompted() -> Entry:
    repo = "depth-anything/prompt-depth-anything-vits-hf"
    commit = "6f3768a5383d95a904ec00d2a7ca3bd186f8797e"
    return Entry(
        "prompt-depth-anything-small",
        "fathom.combine.prompted:PromptedMono",
        "mono",
        "Prompt Depth Anything (CVPR 2025), small: refines LiDAR's depth; called with a prompt",
        extra="mono",
        licence="Apache-2.0; weights: Apache-2.0",
        preset=(("model", "prompt-depth-anything-small"), ("hub", f"{repo}@{commit}")),
        hub=Hub(repo, commit, 100),
        side=756,
    )


MONO: tuple[Entry, ...] = (
    _v2("small", "870a35c76c2bc1d82fbde922d95015496cb7dd6c", 99, "Apache-2.0; weights: Apache-2.0"),
    _v2(
        "base", "b1958afc87fb45a9e3746cb387596094de553ed8", 390,
        "Apache-2.0; weights: CC-BY-NC-4.0, non-commercial",
    ),
    _v2(
        "large", "7581137eff8d4e94f6e796d3baea0e9fa79b22d2", 1340,
        "Apache-2.0; weights: CC-BY-NC-4.0, non-commercial",
    ),
    _v2_metric(
        "indoor", "small", "4d5187ef4957085a714f15b6ae43230a8b813c03", 99,
        "Apache-2.0; weights: not stated on their page, made from Apache-2.0 ones",
    ),
    _v2_metric("indoor", "base", "c6d9784685727bfc6d0a7b5452ce94afaee1e7f5", 390, _MADE_OF_NC),
    _v2_metric("indoor", "large", "d2fc6a93601aabb1139a3bf0ebfcb4e89c67817f", 1340, _MADE_OF_NC),
    _v2_metric(
        "outdoor", "small", "2fd93bd764b15eea94dcf7763bba7ddc25007d0f", 99,
        "Apache-2.0; weights: not stated on their page, made from Apache-2.0 ones",
    ),
    _v2_metric("outdoor", "base", "5b575fded0346068343a6d96d0ce3ab6dbc9fb49", 390, _MADE_OF_NC),
    _v2_metric(
        "outdoor", "large", "4eab4cf1983c2801c515804005214de56a4b67cc", 1340,
        "Apache-2.0; weights: Apache-2.0 says their page, made from CC-BY-NC-4.0 ones",
    ),
    _v1("small", "9103bc8e2d785bcfd024e4bfd7e7c4593bc50bba", 99),
    _v1("base", "2d2165a5fb37889a85b8e48705e79852c2a4a0ad", 390),
    _v1("large", "27ccb0920352c0c37b3a96441873c8d37bd52fb6", 1340),
    _dpt(
        "dpt-large", "dpt-large", "bc15f29aa3a80d532f2ed650b5e16ac48d8958f9", 1370, 384,
        "MiDaS 3.0, DPT with ViT-L (ICCV 2021): inverse depth, image squeezed to a square",
    ),
    _dpt(
        # this commit has pytorch_model.bin alone
        "dpt-hybrid", "dpt-hybrid-midas", "11eaf7a1cf4bd70740697dbc216f98980c0aeb03", 490, 384,
        "MiDaS 3.0, DPT hybrid of ResNet-50 and ViT-B: inverse depth, a third of the weights",
    ),
    _dpt(
        "dpt-beit-large-512", "dpt-beit-large-512", "ead58c150f1fcebca5de8edc0fbc80a947572243",
        1380, 512, "MiDaS 3.1, DPT with BEiT-L: inverse depth, MiDaS' most accurate",
    ),
    _dpt(
        "dpt-beit-large-384", "dpt-beit-large-384", "2f1cf99842f19a286657ec1eb8dc6120fa79ef69",
        1370, 384, "MiDaS 3.1, DPT with BEiT-L at 384: inverse depth",
    ),
    _dpt(
        "dpt-swinv2-large-384", "dpt-swinv2-large-384", "2563fd168a32ae8d8efb6de3c6fdd1f156c703d8",
        848, 384, "MiDaS 3.1, DPT with Swin V2-L: inverse depth, faster than BEiT-L",
    ),
    _dpt(
        "dpt-swinv2-tiny-256", "dpt-swinv2-tiny-256", "f7f350e1a10a5ea58671b68ab5f49dc18ec00483",
        164, 256, "MiDaS 3.1, DPT with Swin V2-T: inverse depth, MiDaS' fastest here",
    ),
    _zoe(
        "zoedepth-nyu", "52ae69caf7896c927909b3ceab4249c235e16dc1",
        "ZoeDepth N (2023): metres in rooms, trained on NYU Depth V2",
    ),
    _zoe(
        "zoedepth-kitti", "aa53ef51333589df3318b38f7dca8e8e9df0007a",
        "ZoeDepth K: metres on roads, trained on KITTI",
    ),
    _zoe(
        "zoedepth-nyu-kitti", "f364d4c7936e91f465abba182208dd68142bf0ca",
        "ZoeDepth NK: metres in rooms and on roads, it chooses which itself",
    ),
    _entry(
        "depth-pro",
        "depth_pro",
        Hub("apple/DepthPro-hf", "de816c8ce7168afcb231f96d501d72b869d0beda", 1900),
        1536,
        "Depth Pro (ICLR 2025): metres and the focal length of any photograph; slow, fine edges",
        "Apple sample code; weights: Apple AMLR, research only",
        own=(),
    ),
    _prompted(),
    _entry(
        "glpn-nyu", "glpn",
        Hub("vinvino02/glpn-nyu", "cb8ce03174424af9a3315da175ead88667f0578c", 245),
        480,
        "GLPN (2022): metres in rooms, trained on NYU Depth V2; light", "Apache-2.0",
    ),
    _entry(
        "glpn-kitti", "glpn",
        Hub("vinvino02/glpn-kitti", "e9e84852cb27aa6347db0f98bf86e296505ac014", 245), 352,
        "GLPN: metres on roads, trained on KITTI; light", "Apache-2.0",
    ),
)  # fmt: skip
