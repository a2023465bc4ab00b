#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every row of the divergence taxonomy (36 of them) is provoked by a scenario, or it is said here
what was tried and why it cannot be had. A scenario names its rows in its docstring.
"""

import ast
import glob
import os
import re
import sys

from witness import case, check, check_equal, main

ROWS = range(1, 37)
PROVOKED_LEAST = 28
HERE = os.path.dirname(os.path.abspath(__file__))
FILES = sorted({path for pattern in ("test_faults_*.py", "test_divergences.py", "test_lag*.py",
                                           "test_netns.py")
                for path in glob.glob(os.path.join(HERE, pattern))} - {os.path.abspath(__file__)})
_ROWS = re.compile(r"Rows? ((?:\d+, )*\d+):")

# row: (what was tried, why it cannot be had)
NOT_HERE = {}


def provoked():
    """{row: ["file: scenario", …]}, from the docstrings of all cases."""
    table = {}
    for path in FILES:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            match = _ROWS.match(ast.get_docstring(node) or "")
            for row in match.group(1).split(", ") if match else ():
                table.setdefault(int(row), []).append(f"{os.path.basename(path)}: {node.name}")
    return table


@case("every row is provoked, or it is said why not")
def whole():
    table = provoked()
    for row in ROWS:
        what = ", ".join(table.get(row, ())) or "not provoked: " + "; ".join(NOT_HERE.get(row, ()))
        print(f"# row {row}: {what}")
    unknown = sorted(set(table) - set(ROWS))
    check_equal("rows that are none", unknown, [])
    missing = [row for row in ROWS if row not in table and row not in NOT_HERE]
    check_equal("rows without a home", missing, [])
    check_equal("rows said to be impossible, and provoked", sorted(set(table) & set(NOT_HERE)), [])
    check(len(table) >= PROVOKED_LEAST, f"only {len(table)} rows are provoked")


if __name__ == "__main__":
    sys.exit(main())
