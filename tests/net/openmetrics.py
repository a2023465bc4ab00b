#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""
A strict checker of OpenMetrics 1.0 text, stricter than a Prometheus scrape, which takes a wrong
family name. As a program: reads standard input, prints what is wrong, exits 1 if anything is.
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL}(?:,{LABEL})*)?)\}})? (\S+)")
DESCRIPTOR = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf|NaN")
HELP = re.compile(r'(?:[^"\\\n]|\\["\\n])*')
SUFFIXES = {
    "counter": {"_total", "_created"},
    "gauge": {""},
    "info": {"_info"},
    "histogram": {"_bucket", "_count", "_sum", "_created"},
    "unknown": {""},
}
ORDER = ["TYPE", "UNIT", "HELP"]


def canonical(value):
    """Go's shortest %g of a float, with .0 where it looks like an integer."""
    shortest = next(t for t in (f"{value:.{p}e}" for p in range(18)) if float(t) == value)
    mantissa, _, exponent = shortest.partition("e")
    if value and not -4 <= int(exponent) < 6:
        return f"{mantissa}e{int(exponent):+03d}"
    places = max(len(mantissa) - 2 - int(exponent), 1)
    return f"{value:.{places}f}"


class Checker:
    def __init__(self):
        self.errors = []
        self.families = {}  # name -> type
        self.family = None  # the open one
        self.described = []
        self.series = set()
        self.histograms = {}  # (family, labels without le) -> [buckets, count, has_sum]
        self.samples_of = {}  # family -> sample names seen

    def error(self, number, text):
        self.errors.append(f"line {number}: {text}")

    def descriptor(self, number, line):
        match = DESCRIPTOR.fullmatch(line)
        if not match:
            self.error(number, f"neither TYPE, UNIT, HELP nor EOF: {line}")
            return
        keyword, name, text = match.groups()
        if name != self.family:
            if name in self.families:
                self.error(number, f"family {name} comes twice")
            self.family, self.described = name, []
            self.families[name] = "unknown"
            self.samples_of[name] = set()
        elif self.samples_of[name]:
            self.error(number, f"{keyword} of {name} after its samples")
        if keyword in self.described:
            self.error(number, f"a second {keyword} of {name}")
        self.described.append(keyword)
        if sorted(self.described, key=ORDER.index) != self.described:
            self.error(number, f"{name}: the order is TYPE, UNIT, HELP")
        if keyword == "TYPE":
            if text not in SUFFIXES:
                self.error(number, f"type {text}")
            self.families[name] = text
            if text == "counter" and name.endswith("_total"):
                self.error(number, f"the family of {name} is named without _total")
            if text == "info" and name.endswith("_info"):
                self.error(number, f"the family of {name} is named without _info")
        elif keyword == "UNIT" and not name.endswith("_" + text):
            self.error(number, f"{name} does not end in its unit {text}")
        elif keyword == "HELP" and not HELP.fullmatch(text):
            self.error(number, f"escapes in HELP: {text}")

    def sample(self, number, line):
        match = SAMPLE.fullmatch(line)
        if not match:
            self.error(number, f"not a sample: {line}")
            return
        name, label_text, value = match.groups()
        labels = re.findall(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', label_text or "")
        names = [label for label, _ in labels]
        if len(set(names)) != len(names):
            self.error(number, f"a label twice: {line}")
        if any(label.startswith("__") for label in names):
            self.error(number, f"a reserved label: {line}")
        if (name, tuple(sorted(labels))) in self.series:
            self.error(number, f"a series twice: {line}")
        self.series.add((name, tuple(sorted(labels))))
        if self.family is None or not name.startswith(self.family) or \
                name[len(self.family):] not in SUFFIXES.get(self.families[self.family], ()):
            self.error(number, f"{name} does not belong to family {self.family}")
            return
        self.samples_of[self.family].add(name)
        if not NUMBER.fullmatch(value):
            self.error(number, f"not a number: {value}")
            return
        kind = self.families[self.family]
        if kind in ("counter", "histogram") and not float(value) >= 0:
            self.error(number, f"a {kind} of {value}")
        if kind == "info" and value != "1":
            self.error(number, f"an info of {value}")
        if kind == "histogram":
            self.histogram(number, name, labels, value)

    def histogram(self, number, name, labels, value):
        rest = tuple(pair for pair in labels if pair[0] != "le")
        entry = self.histograms.setdefault((self.family, rest), [[], None, False])
        if name.endswith("_bucket"):
            bound = dict(labels).get("le")
            if bound is None:
                self.error(number, "a bucket without le")
                return
            if bound != "+Inf" and bound != canonical(float(bound)):
                self.error(number, f"le={bound} should be {canonical(float(bound))}")
            entry[0].append((float(bound), float(value)))
        elif name.endswith("_count"):
            entry[1] = float(value)
        elif name.endswith("_sum"):
            entry[2] = True

    def end(self):
        for (family, labels), (buckets, count, has_sum) in self.histograms.items():
            where = f"{family}{dict(labels)}"
            bounds = [bound for bound, _ in buckets]
            counts = [n for _, n in buckets]
            if not bounds or bounds[-1] != float("inf"):
                self.errors.append(f"{where}: no last bucket +Inf")
            if bounds != sorted(set(bounds)):
                self.errors.append(f"{where}: bounds do not ascend")
            if counts != sorted(counts):
                self.errors.append(f"{where}: counts are not cumulative")
            if counts and count != counts[-1]:
                self.errors.append(f"{where}: _count {count} is not the +Inf bucket")
            if not has_sum:
                self.errors.append(f"{where}: no _sum")
        owners = {}
        for family, names in self.samples_of.items():
            for name in names | {family}:
                if owners.setdefault(name, family) != family:
                    self.errors.append(f"{name} belongs to {family} and to {owners[name]}")


def check(data):
    """What is wrong with these bytes, as a list of lines."""
    checker = Checker()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return [str(error)]
    if not text.endswith("# EOF\n"):
        checker.errors.append("does not end with # EOF and a newline")
    lines = text.split("\n")[:-1]
    for number, line in enumerate(lines, 1):
        if line == "# EOF":
            if number != len(lines):
                checker.error(number, "# EOF before the end")
        elif line.startswith("#"):
            checker.descriptor(number, line)
        elif not line:
            checker.error(number, "a blank line")
        else:
            checker.sample(number, line)
    checker.end()
    return checker.errors


if __name__ == "__main__":
    found = check(sys.stdin.buffer.read())
    print("\n".join(found), file=sys.stderr)
    sys.exit(1 if found else 0)
