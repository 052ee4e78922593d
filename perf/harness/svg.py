"""Bar charts as SVG, written by hand: one group of bars per row, each group scaled to its longest bar."""
from xml.sax.saxutils import escape

from .report import number

COLOURS = ["#2a6f97", "#e07a5f", "#81b29a", "#9a8c98", "#f2cc8f", "#3d405b"]
LABEL_WIDTH, BAR_WIDTH, VALUE_WIDTH, BAR_HEIGHT, GROUP_GAP = 170, 460, 150, 13, 9


def _text(x, y, text, anchor="start", size=11, weight="normal"):
    return (f'<text x="{x}" y="{y}" font-family="sans-serif" font-size="{size}" font-weight="{weight}" '
            f'text-anchor="{anchor}" fill="#222">{escape(text)}</text>')


def chart(title, note, summary, subjects, measure, rows):
    """`measure` takes a cell and answers the length of its bar, or None. Answers the SVG text, or None without any bar."""
    y, parts = 64, []
    for row in rows:
        values = {n: measure(summary[row]["subjects"][n]) for n in subjects if n in summary[row]["subjects"]}
        values = {n: v for n, v in values.items() if v is not None}
        longest = max(values.values(), default=0)
        if longest <= 0:
            continue
        parts.append(_text(LABEL_WIDTH - 8, y + BAR_HEIGHT * len(values) / 2 + 4, row, "end"))
        for name, value in values.items():
            width = max(1.0, BAR_WIDTH * value / longest)
            colour = COLOURS[subjects.index(name) % len(COLOURS)]
            parts.append(f'<rect x="{LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT - 2}" fill="{colour}"/>')
            parts.append(_text(LABEL_WIDTH + width + 5, y + BAR_HEIGHT - 4, f"{number(value)}", size=10))
            y += BAR_HEIGHT
        y += GROUP_GAP
    if not parts:
        return None
    width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH
    legend, x = [], LABEL_WIDTH
    for name in subjects:
        legend.append(f'<rect x="{x}" y="42" width="11" height="11" fill="{COLOURS[subjects.index(name) % len(COLOURS)]}"/>')
        legend.append(_text(x + 16, 52, name))
        x += 30 + 7 * len(name)
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 10}">',
                      f'<rect width="{width}" height="{y + 10}" fill="white"/>', _text(12, 20, title, size=14, weight="bold"),
                      _text(12, 36, note), *legend, *parts, "</svg>"]) + "\n"


def plots(summary, subjects):
    """{file name: SVG text}."""
    rates = [row for row, told in summary.items() if told["better"] == "higher"]
    sizes = [row for row, told in summary.items() if told["better"] == "lower"]
    latencies = [row for row in rates if any("p99" in c for c in summary[row]["subjects"].values())]
    made = {
        "rates.svg": chart("Throughput", "longer is better; MiB/s or operations per second, each row on its own scale", summary,
                           subjects, lambda cell: cell["value"], rates),
        "cpu.svg": chart("Client CPU", "shorter is better; µs per operation, per MiB in MiB/s rows", summary, subjects,
                         lambda cell: cell.get("cpu_us"), rates),
        "latency.svg": chart("99th percentile", "shorter is better; µs", summary, subjects, lambda cell: cell.get("p99"), latencies),
        "memory.svg": chart("Memory and start", "shorter is better; MiB resident in all processes, seconds to mount", summary,
                            subjects, lambda cell: cell["value"], sizes),
    }
    return {name: text for name, text in made.items() if text}
