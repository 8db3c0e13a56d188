"""The one HTML report: sections of text, tables, pictures and viewers in a single file.

The file refers to nothing outside itself, so it opens from any disk, offline, for ever; its
content security policy makes the browser hold it to that. All text is escaped.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from fathom.core import Camera, Depth, Disparity, PointCloud, StereoPair
from fathom.core.arrays import UInt8
from fathom.core.errors import UsageError
from fathom.viz.bars import share_bars
from fathom.viz.compare_viewer import Sheet, compare_viewer
from fathom.viz.embed import Picture, data_uri
from fathom.viz.text import label_of, text_of
from fathom.viz.viewers import MapLayer, cloud_viewer, map_viewer, stereo_layers

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Report:
    """A page under construction; every `add_...` appends to it and returns it.

    title stands as the heading and in the browser's tab, subtitle below it.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self._title = title
        self._subtitle = subtitle
        self._parts: list[str] = []
        self._scripts: list[str] = []

    def section(self, title: str) -> "Report":
        """Starts a section with its heading."""
        return self._add(f"<h2>{escape(title)}</h2>")

    def add_text(self, text: str) -> "Report":
        """Paragraphs; an empty line separates two."""
        paragraphs = [p for p in text.split("\n\n") if p.strip()]
        return self._add("".join(f"<p>{escape(p)}</p>" for p in paragraphs))

    def add_list(self, sentences: Iterable[str]) -> "Report":
        """Sentences below each other, each with a bullet."""
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
        return self._add(f"<ul>{items}</ul>" if items else "")

    def add_findings(self, findings: Iterable[Mapping[str, Any]]) -> "Report":
        """What a reader has to know first, each in a coloured box.

        Keys of a finding: `message`; also `code`, `remedy`, `certainty` (0..1), `size` and its
        `unit`. Nothing is added where there are none.
        """
        boxes = [_finding(f) for f in findings]
        return self._add(f'<ul class="findings">{"".join(boxes)}</ul>' if boxes else "")

    def add_facts(self, facts: Mapping[str, Any]) -> "Report":
        """A few headline numbers in a row."""
        pairs = [
            f"<div><dt>{escape(name)}</dt><dd>{escape(text_of(value))}</dd></div>"
            for name, value in facts.items()
        ]
        return self._add(f'<dl class="facts">{"".join(pairs)}</dl>' if pairs else "")

    def add_table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[Any]],
        caption: str = "",
        *,
        best: Collection[tuple[int, int]] = (),
        right: Collection[int] = (),
    ) -> "Report":
        """A table; columns that hold only numbers, and those in `right`, are set to the right.

        best: (row, column) of the cells to mark.

        Raises `UsageError` for a row of another length than the headers.
        """
        for row in rows:
            if len(row) != len(headers):
                raise UsageError(
                    "has another number of cells than the table has headers",
                    field="rows",
                    value=len(row),
                    expected=str(len(headers)),
                )
        numeric = [
            i in right or (bool(rows) and all(_is_number(row[i]) or row[i] is None for row in rows))
            for i in range(len(headers))
        ]
        kinds = [' class="number"' if n else "" for n in numeric]
        head = "".join(
            f'<th scope="col"{k}>{escape(h)}</th>' for h, k in zip(headers, kinds, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f"<td{_marked(kinds[i], (at, i) in best)}>{escape(text_of(v))}</td>"
                for i, v in enumerate(row)
            )
            + "</tr>"
            for at, row in enumerate(rows)
        )
        return self._add(
            f'<div class="wide"><table>{_caption(caption)}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def add_key_values(self, values: Mapping[str, Any], caption: str = "") -> "Report":
        """Names and values; mappings inside are written out as `outer: inner` rows.

        A name's unit at its end (`_m`, `_px`, `_s` ...) is written as a unit.
        """
        return self._add(_key_values(values, caption))

    def add_columns(self, tables: Mapping[str, Mapping[str, Any]]) -> "Report":
        """Several tables of names and values beside each other where there is room."""
        inner = "".join(_key_values(values, caption) for caption, values in tables.items())
        return self._add(f'<div class="columns">{inner}</div>')

    def add_picture(self, picture: Picture, caption: str = "", alt: str = "") -> "Report":
        """A picture: an RGB array (embedded as JPEG) or the bytes of a PNG or JPEG file.

        alt: what it shows, for those who cannot see it; the caption where it is empty. Raises
        `UsageError` for other bytes.
        """
        words = escape(alt or caption or "picture")
        note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        return self._add(f'<figure><img src="{data_uri(picture)}" alt="{words}">{note}</figure>')

    def add_svg(self, svg: str) -> "Report":
        """A drawing that is an `<svg>` element already; its texts must be escaped."""
        return self._add(f"<figure>{svg}</figure>")

    def add_map_viewer(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        layers: Sequence[MapLayer],
        *,
        source: UInt8[np.ndarray, "_h _w"] | None = None,
        camera: Camera | None = None,
        caption: str = "",
        image_name: str = "Left image",
    ) -> "Report":
        """Maps over an image, with the values under the pointer; see `viewers.map_viewer`."""
        self._use("map_viewer.js")
        viewer = map_viewer(
            image, layers, source=source, camera=camera, caption=caption, image_name=image_name
        )
        return self._add(viewer)

    def add_cloud(self, cloud: PointCloud, caption: str = "") -> "Report":
        """A 3D view of a cloud; see `viewers.cloud_viewer`."""
        self._use("cloud_viewer.js")
        return self._add(cloud_viewer(cloud, caption=caption))

    def add_compare_viewer(self, sheets: Sequence[Sheet], caption: str = "") -> "Report":
        """Methods beside each other on the same pictures; see `compare_viewer.compare_viewer`."""
        self._use("compare_viewer.js")
        return self._add(compare_viewer(sheets, caption))

    def add_bars(
        self, groups: Sequence[tuple[str, Sequence[float | None]]], series: Sequence[str]
    ) -> "Report":
        """Groups of bars of shares 0..1, one bar a series; see `bars.share_bars`."""
        return self._add(share_bars(groups, series))

    def html(self) -> str:
        """The whole page."""
        subtitle = f'<p class="subtitle">{escape(self._subtitle)}</p>' if self._subtitle else ""
        scripts = "".join(f"<script>{_asset(name)}</script>" for name in self._scripts)
        parts = [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(self._title)}</title><style>{_asset('report.css')}</style></head>",
            f"<body><main><h1>{escape(self._title)}</h1>{subtitle}",
            *self._parts,
            f"</main>{scripts}</body></html>\n",
        ]
        return "".join(parts)

    def _add(self, markup: str) -> "Report":
        if markup:
            self._parts.append(markup + "\n")
        return self

    def _use(self, script: str) -> None:
        for name in ("gestures.js", script):
            if name not in self._scripts:
                self._scripts.append(name)


def depth_report(
    pair: StereoPair,
    disparity: Disparity,
    depth: Depth | None,
    cloud: PointCloud | None,
    info: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    overview_image: Picture | None = None,
) -> str:
    """The report of one pair: findings, values under the pointer, 3D view, settings, timings.

    info: what result.json says; `title`, `notes`, `seconds` and `versions` have their places, the
    rest becomes tables in its own order. overview_image: an RGB array, or a PNG or JPEG file's
    bytes.
    """
    info = dict(info)
    report = Report(str(info.pop("title", "Depth of a stereo pair")), "fathom depth")
    info.pop("findings", None)
    notes = [{"message": note} for note in info.pop("notes", [])]
    report.add_findings([*findings, *notes])
    seconds = info.pop("seconds", {})
    report.add_facts(_headline(pair, disparity, depth, seconds))

    report.section("Values under the pointer")
    report.add_map_viewer(
        pair.left.rgb8,
        stereo_layers(pair, disparity, depth),
        source=disparity.source,
        camera=None if pair.rig is None else pair.rig.left,
    )
    report.section("3D view")
    if cloud is None:
        report.add_text("There is no cloud: points need metres, and metres need a calibration.")
    else:
        report.add_cloud(cloud, "Drag to turn, wheel to zoom, right or shift drag to move.")
    if overview_image is not None:
        report.section("Overview")
        known = f"{100 * disparity.share_known:.1f} % of the pixels known"
        report.add_picture(
            overview_image, alt=f"Left image, disparity, depth and confidence; {known}"
        )
    versions = info.pop("versions", None)
    scalars = {k: v for k, v in info.items() if not isinstance(v, Mapping)}
    tables = {k: v for k, v in info.items() if isinstance(v, Mapping)}
    if scalars:
        tables["run"] = scalars
    if versions:
        tables["versions"] = versions
    if tables:
        report.section("Settings and results")
        report.add_columns({label_of(name): values for name, values in tables.items()})
    if seconds:
        report.section("Timings")
        report.add_table(
            ("step", "time in ms"), [(label_of(k), round(1000 * v, 1)) for k, v in seconds.items()]
        )
    return report.html()


def _headline(
    pair: StereoPair, disparity: Disparity, depth: Depth | None, seconds: Mapping[str, float]
) -> dict[str, str]:
    facts = {
        "image": f"{pair.size[0]} x {pair.size[1]} px",
        "known": f"{100 * disparity.share_known:.1f} %",
    }
    measured = float(np.count_nonzero(disparity.measured)) / disparity.values.size
    if measured < disparity.share_known:
        facts["of these filled in"] = f"{100 * (disparity.share_known - measured):.1f} %"
    known = disparity.values[disparity.known]
    if known.size:
        facts["disparity"] = f"{known.min():.1f} to {known.max():.1f} px"
    if depth is not None and depth.extent is not None:
        facts["depth"] = f"{depth.extent[0]:.3g} to {depth.extent[1]:.3g} m"
    if "match" in seconds:
        facts["matching"] = f"{seconds['match']:.2f} s"
    return facts


def _finding(finding: Mapping[str, Any]) -> str:
    code, remedy = finding.get("code"), finding.get("remedy")
    details = []
    if finding.get("size") is not None:
        details.append(f"size {text_of(finding['size'])} {finding.get('unit') or ''}".strip())
    if finding.get("certainty") is not None:
        certainty = finding["certainty"]
        sure = f"{100 * certainty:.0f} %" if _is_number(certainty) else str(certainty)
        details.append(f"certainty {sure}")
    parts = [f"<code>{escape(str(code))}</code>"] if code else []
    parts.append(escape(str(finding.get("message", ""))))
    if remedy:
        parts.append(f'<span class="remedy">To do: {escape(str(remedy))}</span>')
    if details:
        parts.append(f"<small>{escape(', '.join(details))}</small>")
    return f"<li>{''.join(parts)}</li>"


def _key_values(values: Mapping[str, Any], caption: str) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
        for name, text in _flat(values)
    )
    return f'<div class="wide"><table>{_caption(caption)}{rows}</table></div>'


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        label = prefix + label_of(str(name))
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{label}: ")
        else:
            rows.append((label, text_of(value)))
    return rows


def _marked(kind: str, best: bool) -> str:
    if not best:
        return kind
    return ' class="number best"' if kind else ' class="best"'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _caption(text: str) -> str:
    return f"<caption>{escape(text)}</caption>" if text else ""


@cache
def _asset(name: str) -> str:
    return files("fathom.viz").joinpath("assets", name).read_text(encoding="utf-8")
