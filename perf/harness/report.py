"""Turns the repetitions into medians, ratios of one run, verdicts and a Markdown table."""
import statistics

from .rows import ROW_ORDER

NOISY_SPREAD = 0.30    # repetitions further apart than this are marked ±
FOREIGN_SHARE = 0.15   # more of the machine than this used by others marks a cell ~


def value_of(sample):
    return sample.get("rate", sample.get("size"))


def summarize(results):
    """{row: {unit, better, subjects: {name: cell}}}; a cell holds medians and its marks."""
    summary = {}
    for row in sorted(results, key=lambda r: ROW_ORDER.index(r) if r in ROW_ORDER else len(ROW_ORDER)):
        cells = {}
        for name, samples in results[row]["subjects"].items():
            values = [value_of(s) for s in samples]
            cell = {key: statistics.median(s[key] for s in samples) for key in ("cpu_us", "p50", "p99") if key in samples[0]}
            cell["value"] = statistics.median(values)
            cell["repetitions"] = values
            cell["noisy"] = len(values) > 1 and (max(values) - min(values)) / cell["value"] > NOISY_SPREAD
            cell["disturbed"] = statistics.median(s.get("foreign", 0) for s in samples) > FOREIGN_SHARE
            cells[name] = cell
        better = "lower" if any("size" in s for all_ in results[row]["subjects"].values() for s in all_) else "higher"
        summary[row] = {"unit": results[row]["unit"], "better": better, "subjects": cells,
                        "failures": results[row].get("failures", {})}
    return summary


def add_ratios(summary, bases):
    """For each base the median of value / base's value, repetition by repetition: both saw the same machine."""
    for row in summary.values():
        for name, cell in row["subjects"].items():
            cell["ratio"] = {}
            for base in bases:
                if base == name or base not in row["subjects"]:
                    continue
                pairs = zip(cell["repetitions"], row["subjects"][base]["repetitions"])
                shares = [mine / theirs for mine, theirs in pairs if theirs]
                if shares:
                    cell["ratio"][base] = statistics.median(shares)


def verdicts(summary, targets, judged):
    """Lines (row, what, wanted, got, reached) for `judged`, or for the subject a target names itself.

    A target whose base was not measured gives no line.
    """
    lines = []
    for target in targets:
        row = summary.get(target["row"])
        name = target.get("subject", judged)
        cell = row and row["subjects"].get(name)
        if not cell:
            continue
        if "of" in target:
            got = cell["ratio"].get(target["of"])
            what = f"{name} / {target['of']}"
        elif "cpu_of" in target:
            base = row["subjects"].get(target["cpu_of"])
            got = cell["cpu_us"] / base["cpu_us"] if base and base["cpu_us"] else None
            what = f"CPU per operation, {name} / {target['cpu_of']}"
        else:
            got, what = cell["value"], row["unit"]
        if got is None:
            continue
        low, high = target.get("at_least"), target.get("at_most")
        reached = got >= low if low is not None else got <= high
        lines.append((target["row"], what, f">= {low}" if low is not None else f"<= {high}", got, reached))
    return lines


def number(value):
    """Three significant digits, thousands as k, millions as M."""
    for limit, suffix in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if suffix == 'M' else 1e3):.3g}{suffix}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(cell):
    marks = ("±" if cell["noisy"] else "") + ("~" if cell["disturbed"] else "")
    parts = [number(cell["value"]) + marks]
    if "cpu_us" in cell:
        parts.append(number(cell["cpu_us"]))
    if "p50" in cell:
        parts.append(f"{number(cell['p50'])}/{number(cell['p99'])}")
    return " · ".join(parts)


def markdown(summary, subjects, bases, facts, judgement):
    # A null server's ratio to a client says nothing; against another null server it does.
    ratios = [(name, base) for name in subjects for base in bases
              if name != base and (name not in facts["null"] or base in facts["null"])]
    lines = ["# Measured file systems", "", f"{facts['when']} · {facts['machine']} · {facts['kernel']} · "
             f"{facts['repeat']} interleaved repetitions, medians", ""]
    lines += [f"* `{name}`: {told}" for name, told in facts["subjects"].items()]
    lines += ["", "Cells: value · client CPU µs per operation (per MiB in MiB/s rows) · p50/p99 µs. **±** repetitions differ by over "
              "30 %; **~** others used over 15 % of the machine. Ratios are medians over the repetitions of this run.", ""]
    head = ["row", "unit", *subjects, *(f"{name} / {base}" for name, base in ratios)]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row, told in summary.items():
        cells = [_cell(told["subjects"][n]) if n in told["subjects"] else ("failed" if n in told["failures"] else "–") for n in subjects]
        shares = [told["subjects"].get(n, {}).get("ratio", {}).get(b) for n, b in ratios]
        cells += ["–" if share is None else f"{share:.2f}" for share in shares]
        lines.append("| " + " | ".join([row, told["unit"], *cells]) + " |")
    failed = [f"* {row}, {name}: {text.strip().splitlines()[-1] if text.strip() else 'failed'}"
              for row, told in summary.items() for name, text in told["failures"].items()]
    if failed:
        lines += ["", "## Failed rows", "", *failed]
    if judgement:
        lines += ["", "## Targets", "", "| row | measure | wanted | got | reached |", "|---|---|---|---|---|"]
        lines += [f"| {row} | {what} | {wanted} | {number(got)} | {'yes' if ok else '**no**'} |"
                  for row, what, wanted, got, ok in judgement]
    return "\n".join(lines) + "\n"
