# SPDX-License-Identifier: GPL-2.0-only
"""Cases, their verdict lines, and waiting for conditions."""

import concurrent.futures
import os
import signal
import sys
import time
import traceback

SKIP_ALL = 77  # the exit status that means "cannot be tried here"
# What is bound to come has come by then, on a machine that is busy with other things, too.
PATIENCE_S = 30.0


class Failure(Exception):
    """An expectation did not hold; the text says which."""


class Skip(Exception):
    """The case cannot be tried here; the text says why."""


_cases = []


def case(name, *args):
    """Registers a function as a case called NAME, called with ARGS. Stacks."""
    def register(function):
        _cases.append((name, function, args))
        return function
    return register


def alone(function):
    """Marks a case that must not run beside others: they run one by one, after those that may."""
    function.alone = True
    return function


def check(condition, why):
    if not condition:
        raise Failure(why)


def check_equal(what, got, want):
    if got != want:
        raise Failure(f"{what}: {got!r}, expected {want!r}")


def wait_until(condition, why, seconds=PATIENCE_S, pause=0.02):
    """Polls until condition() is true and returns its value. WHY may be a string or a callable."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            text = why() if callable(why) else why
            raise Failure(f"after {seconds:g} s: {text}")
        time.sleep(pause)


def _one_line(error):
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _tell(text):
    # in one write: cases that run beside each other must not break each other's lines
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _run(name, function, args):
    try:
        function(*args)
    except Skip as why:
        _tell(f"skip {name} {_one_line(why)}")
        return True
    except Exception as error:  # a broken case must not hide the ones behind it
        trace = "" if isinstance(error, Failure) else "\n" + traceback.format_exc().rstrip()
        _tell(f"not ok {name} - {_one_line(error)}{trace}")
        return False
    _tell(f"ok {name}")
    return True


def _stop(number, _frame):
    # Becomes an exception, so that every namespace and daemon is taken down on the way out.
    raise SystemExit(128 + number)


def run_rows(rows, threads, *world):
    """Rows are (name, function, arguments); returns the verdict of each. In order; or those that
    may be, THREADS at a time, and then the rest."""
    if threads == 1:
        return [_run(name, function, (*world, *args)) for name, function, args in rows]
    beside = [row for row in rows if not hasattr(row[1], "alone")]
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        done = list(pool.map(lambda row: _run(row[0], row[1], (*world, *row[2])), beside))
    return done + run_rows([row for row in rows if row not in beside], 1, *world)


def main(setup=None, threads=1):
    """Runs the registered cases, or those whose name contains one of the arguments. SETUP is a
    context manager that all cases share: they get what it yields as their first argument. With
    THREADS, that many cases run at a time."""
    wanted = sys.argv[1:]
    if "--list" in wanted:
        print("\n".join(name for name, _, _ in _cases))
        return 0
    if os.geteuid() != 0:
        print("skip all needs root: it makes network namespaces and loads BPF programs")
        return SKIP_ALL
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    chosen = [row for row in _cases if not wanted or any(text in row[0] for text in wanted)]
    if not chosen:
        print("not ok all - no case has such a name")
        return 1
    if setup is None:
        return int(not all(run_rows(chosen, threads)))
    good = None

    def shared():
        nonlocal good
        with setup() as world:
            good = False
            good = all(run_rows(chosen, threads, world))
    # the verdict of SETUP itself: did it come up, did it go down cleanly; it may skip them all
    fine = _run("setup and teardown", shared, ())
    return SKIP_ALL if fine and good is None else int(not (fine and good))
