"""Lines on axes as SVG, without a library: what a report needs to show a curve."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 32, 48
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8a5a9e", "#b08900")


def line_plot(
    title: str, x_name: str, y_name: str, lines: Mapping[str, Sequence[Point]], *, log_y: bool = False
) -> str:
    """An SVG document; lines in the order given.  log_y: the y values are above zero."""
    points = [point for line in lines.values() for point in line]
    x_scale = _Scale([x for x, _ in points], LEFT, WIDTH - RIGHT, log=False)
    y_scale = _Scale([y for _, y in points], HEIGHT - BOTTOM, TOP, log=log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="13">{escape(title)}</text>',
        *_x_axis(x_scale, x_name),
        *_y_axis(y_scale, y_name),
        *(
            part
            for number, (name, line) in enumerate(lines.items())
            for part in _line(number, name, line, x_scale, y_scale)
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    """From values to pixels."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool) -> None:
        self._log, self._start, self._end = log, start, end
        self._least = min(values) if log else 0.0
        self._most = max(max(values), self._least + 1e-9)

    def at(self, value: float) -> float:
        least, most = self._of(self._least), self._of(self._most)
        return self._start + (self._of(value) - least) / ((most - least) or 1) * (self._end - self._start)

    def ticks(self) -> list[float]:
        if not self._log:
            step = _round_step(self._most / 5)
            return [step * number for number in range(int(self._most / step) + 1)]
        decades = range(math.ceil(math.log10(self._least)), math.floor(math.log10(self._most)) + 1)
        return [10.0**decade for decade in decades] or [self._least, self._most]

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self._log else value


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)


def _x_axis(scale: _Scale, name: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    ticks = [
        f'<text x="{scale.at(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        for tick in scale.ticks()
    ]
    axis = f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}" stroke="black"/>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [axis, *ticks, f'<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>']


def _y_axis(scale: _Scale, name: str) -> list[str]:
    parts = [f'<text x="{LEFT}" y="{TOP - 4}" font-size="10" fill="#555">{escape(name)}</text>']
    for tick in scale.ticks():
        y = scale.at(tick)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return parts


def _line(number: int, name: str, line: Sequence[Point], x_scale: _Scale, y_scale: _Scale) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{x_scale.at(x):.1f},{y_scale.at(y):.1f}" for x, y in line)
    y_of_name = TOP + 14 + 18 * number
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x_scale.at(x):.1f}" cy="{y_scale.at(y):.1f}" r="2.5" fill="{colour}"/>' for x, y in line),
        f'<text x="{WIDTH - RIGHT + 10}" y="{y_of_name}" fill="{colour}">{escape(name)}</text>',
    ]
