# SPDX-License-Identifier: GPL-2.0-only
"""One measured figure, as a row of the table, of the results file and of README."""

import json
import statistics

# unit: (decimals, suffix); a ratio has none
UNITS = {
    "ratio": (3, ""), "ns": (1, " ns"), "µs": (2, " µs"), "ms": (2, " ms"), "s": (2, " s"),
    "bytes": (0, " bytes"), "MiB": (1, " MiB"), "count": (0, ""), "per second": (0, "/s"),
    "M/s": (2, " M/s"), "%": (2, " %"), "cores": (2, " cores"),
}
AT_LEAST, AT_MOST = "≥", "≤"


class Figure:
    """VALUES of one run each, in UNIT; the figure is their median. BUDGET: (AT_LEAST or AT_MOST,
    limit). A figure that could not be measured has no values, and `skipped` says why. A DETAIL is
    not for README."""

    def __init__(self, name, text, unit, values, budget=None, skipped=None, detail=False):
        self.name, self.text, self.unit = name, text, unit
        self.values, self.budget, self.skipped = list(values), budget, skipped
        self.detail = detail
        self.bench = self.command = None  # the frame's to fill
        if not self.values and not skipped:
            raise ValueError(f"{name} has no values")

    @classmethod
    def skip(cls, name, text, why, detail=False):
        return cls(name, text, "ratio", [], skipped=" ".join(str(why).split()), detail=detail)

    def met(self):
        """True, False, or None where there is nothing to hold it against."""
        if not self.budget or not self.values:
            return None
        sign, limit = self.budget
        value = statistics.median(self.values)
        return value >= limit if sign == AT_LEAST else value <= limit

    def row(self):
        """As in the results file."""
        row = {"bench": self.bench, "figure": self.name, "text": self.text, "unit": self.unit,
               "runs": len(self.values), "command": self.command, "detail": self.detail}
        if self.skipped:
            return {**row, "skipped": self.skipped}
        row.update(value=rounded(statistics.median(self.values)), low=rounded(min(self.values)),
                   high=rounded(max(self.values)), values=[rounded(v) for v in self.values])
        if self.budget:
            row.update(budget=list(self.budget), met=self.met())
        return row


def rounded(value):
    """Four places are more than any of this is good for."""
    return float(f"{value:.4g}") if abs(value) < 10000 else round(value)


def shown(row, key="value"):
    decimals, suffix = UNITS[row["unit"]]
    return f"{row[key]:,.{decimals}f}{suffix}"


def spread(row):
    """The least and the most of its runs."""
    if row["runs"] < 2:
        return "one run"
    decimals, _ = UNITS[row["unit"]]
    return f"{row['low']:,.{decimals}f} … {row['high']:,.{decimals}f} ({row['runs']})"


def budget(row):
    if not row.get("budget"):
        return ""
    sign, limit = row["budget"]
    return f"{sign} {limit:,g}{UNITS[row['unit']][1]}"


def verdict(row):
    return {True: "met", False: "MISSED", None: ""}[row.get("met")]


def cells(row):
    if "skipped" in row:
        return [row["figure"], "skipped", row["skipped"], "", "", row["text"]]
    return [row["figure"], shown(row), spread(row), budget(row), verdict(row), row["text"]]


HEAD = ["figure", "median", "least … most (runs)", "budget", "", "what"]


def table(rows):
    """Plain text, columns aligned, a blank line and the command before each benchmark's."""
    lines = [HEAD] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD) - 1)]
    widths[2] = min(widths[2], 30)
    out, bench = [], None
    for row, line in zip([None] + rows, lines):
        if row and row["bench"] != bench:
            bench = row["bench"]
            out += ["", f"# {row['command']}"]
        out.append("  ".join([cell.ljust(width) for cell, width in zip(line, widths)] +
                             line[-1:]).rstrip())
    return "\n".join(out)


def markdown(rows):
    """Rows of README's table."""
    for row in rows:
        if row["detail"]:
            continue
        _, value, range_of, limit, kept, text = cells(row)
        yield f"| `{row['figure']}` | {text} | {value} | {range_of} | {limit} | {kept.lower()} |"


def read(path):
    """The rows of a results file."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
