"""Plots as SVG, by hand: the same bytes from the same figures wherever they are drawn, and a few kilobytes each."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from msgspec import Struct

__all__ = ("Panel", "Ratio", "bars", "panels", "ratios")

COLOURS: Final = ("#1b6ca8", "#e08e0b", "#c0392b", "#7d3c98", "#2e8b57", "#8a8a8a")
_WIDTH, _HEIGHT = 300, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 26, 36
_STYLE: Final = (
    "<style>text{font:11px sans-serif;fill:#444}.t{font-weight:bold;fill:#222}.g{stroke:#ddd;stroke-width:1}"
    ".k{stroke:#444;stroke-dasharray:4 3}.l{fill:none;stroke-width:1.8}</style>"
)


class Panel(Struct, frozen=True):
    """Latencies against the offered rate.

    Attributes:
        rates: requests a second.
        lines: milliseconds at each of them, by the name of the line.
        knee: the rate up to which the service keeps up; 0: it is not known.
    """

    title: str
    rates: Sequence[float]
    lines: Mapping[str, Sequence[float]]
    knee: float


class Ratio(Struct, frozen=True):
    """How one thing compares with another, and what the rounds allow."""

    value: float
    low: float
    high: float


def panels(title: str, shown: Sequence[Panel], columns: int = 3) -> str:
    """Small plots beside each other: rates from 0, milliseconds in powers of ten, the same ones in all of them."""
    values = [value for panel in shown for line in panel.lines.values() for value in line if value > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    rows = math.ceil(len(shown) / columns)
    parts = [_text(8, 18, title, "t")]
    for number, name in enumerate(shown[0].lines):
        x = columns * _WIDTH - 75 * (len(shown[0].lines) - number)
        parts.append(f'<rect x="{x}" y="9" width="12" height="10" fill="{COLOURS[number]}"/>{_text(x + 16, 18, name)}')
    for number, panel in enumerate(shown):
        x, y = number % columns * _WIDTH, 24 + number // columns * _HEIGHT
        parts.append(f'<g transform="translate({x},{y})">{_panel(panel, low, max(high, low + 1))}</g>')
    return _svg(columns * _WIDTH, 24 + rows * _HEIGHT, parts)


def _panel(panel: Panel, low: int, high: int) -> str:
    inner, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    most = max(panel.rates) * 1.05

    def across(rate: float) -> float:
        return _LEFT + inner * rate / most

    def up(milliseconds: float) -> float:
        return _TOP + tall * (high - math.log10(max(milliseconds, 10**low))) / (high - low)

    parts = [_text(_LEFT, _TOP - 8, panel.title, "t")]
    for power in range(low, high + 1):
        y = up(10.0**power)
        parts.append(f'<path class="g" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 5, y + 4, f"{10.0**power:g}", anchor="end"))
    parts += [_text(across(rate), _HEIGHT - _BOTTOM + 14, f"{rate:.0f}", anchor="middle") for rate in panel.rates]
    parts.append(_text(_LEFT + inner / 2, _HEIGHT - 6, "requests a second offered; ms", anchor="middle"))
    if panel.knee:
        parts.append(f'<path class="k" d="M{across(panel.knee):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
    for colour, line in zip(COLOURS, panel.lines.values(), strict=False):
        points = [(across(rate), up(value)) for rate, value in zip(panel.rates, line, strict=True) if value > 0]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path class="l" stroke="{colour}" d="M{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
    return "".join(parts)


def bars(title: str, unit: str, shown: Mapping[str, Mapping[str, float]]) -> str:
    """Stacked bars, one below the other.

    Args:
        unit: of the figures.
        shown: for each bar, by its name, its parts by theirs; all bars have the same parts.
    """
    left, width, thick = 150, 900, 22
    most = max(sum(parts.values()) for parts in shown.values()) * 1.12
    names = list(next(iter(shown.values())))
    drawn = [_text(8, 18, f"{title} ({unit})", "t")]
    for number, name in enumerate(names):
        key = width - 95 * (len(names) - number)
        drawn.append(f'<rect x="{key}" y="9" width="12" height="10" fill="{COLOURS[number]}"/>')
        drawn.append(_text(key + 16, 18, name))
    for row, (name, parts) in enumerate(shown.items()):
        x, y = float(left), 34 + row * (thick + 6)
        drawn.append(_text(left - 8, y + 15, name, anchor="end"))
        for colour, value in zip(COLOURS, parts.values(), strict=False):
            wide = (width - left) * value / most
            drawn.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{thick}" fill="{colour}"/>')
            x += wide
        drawn.append(_text(x + 5, y + 15, f"{sum(parts.values()):,.0f}"))
    return _svg(width, 40 + len(shown) * (thick + 6), drawn)


def ratios(title: str, shown: Mapping[str, Mapping[str, Ratio]]) -> str:
    """Dots beside the line of 1, with their ranges: a row for each name, a colour for each name inside it."""
    left, right, width = 170, 30, 900
    low = min(0.5, *(ratio.low for inner in shown.values() for ratio in inner.values()))
    high = max(2.0, *(ratio.high for inner in shown.values() for ratio in inner.values()))
    inside = list(dict.fromkeys(name for inner in shown.values() for name in inner))

    def across(value: float) -> float:
        return left + (width - left - right) * math.log(value / low) / math.log(high / low)

    parts = [_text(8, 18, title, "t")]
    for number, name in enumerate(inside):
        key = width - 95 * (len(inside) - number)
        parts.append(f'<rect x="{key}" y="9" width="12" height="10" fill="{COLOURS[number]}"/>')
        parts.append(_text(key + 16, 18, name))
    rows = [(name, *pair) for name, inner in shown.items() for pair in inner.items()]
    bottom = 36 + len(rows) * 18
    for mark in (value for value in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0) if low <= value <= high):
        parts.append(f'<path class="{"k" if mark == 1 else "g"}" d="M{across(mark):.1f} 30V{bottom}"/>')
        parts.append(_text(across(mark), bottom + 14, f"{mark:g}", anchor="middle"))
    told = ""
    for row, (name, scenario, ratio) in enumerate(rows):
        y, colour = 45 + row * 18, COLOURS[inside.index(scenario)]
        if name != told:
            parts.append(_text(left - 10, y + 4, name, anchor="end"))
        told = name
        path = f"M{across(ratio.low):.1f} {y}H{across(ratio.high):.1f}"
        parts.append(f'<path class="l" stroke="{colour}" d="{path}"/>')
        parts.append(f'<circle cx="{across(ratio.value):.1f}" cy="{y}" r="4" fill="{colour}"/>')
    return _svg(width, bottom + 22, parts)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    more = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    background = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{_STYLE}{background}\n' + "\n".join(parts) + "\n</svg>\n"
