# SPDX-License-Identifier: GPL-2.0-only
"""What must hold of a daemon after any load: nothing lost, nothing false, nothing left over."""

from .runner import check, check_equal, wait_until

# of the connections that ended: compared in two states or more, and not judged at all
COMPARED_LEAST, UNOBSERVABLE_MOST = 0.999, 0.001


def expect_truth(space, daemon, before, base, nr_problems, seconds=120):
    """BEFORE: the metrics, BASE: the namespace's counters when it began. Returns a summary."""
    after = daemon.settled(30)

    def moved(name, **labels):
        return after(name, **labels) - before(name, **labels)

    check_equal("records lost", moved("records_lost_total"), 0)
    check_equal("records rejected", moved("records_rejected_total"), 0)
    now = space.snmp()
    for role, counter in (("server", "PassiveOpens"), ("client", "ActiveOpens")):
        opened = moved("connections_opened_total", role=role)
        if role == "server":
            opened += moved("duplicate_children_total")
        check_equal(f"opened ({role}) = {counter}", opened, now[counter] - base[counter])
    wait_until(lambda: daemon.metrics()("flow_table_entries") == 0,
               lambda: f"{daemon.metrics()('flow_table_entries'):.0f} entries stay, e.g. "
               f"{list(daemon.connections().values())[:2]}", seconds, 0.5)
    after = daemon.settled(30)
    closed = moved("connections_closed_total")
    compared = moved("connections_compared_total")
    unobservable = moved("unobservable_connections_total")
    summary = {
        "closed": closed, "compared": compared, "unobservable": unobservable,
        "reasons": after.by("unobservable_connections_total", "reason"),
        "problems": moved("divergences_total", **{"class": "problem"}),
        "expected": after.by("divergences_total", "kind", **{"class": "expected"}),
        "late": moved("records_late_total"), "gaps": moved("kernel_gaps_total"),
    }
    print(f"# {summary}", flush=True)
    check_equal("evictions", moved("flow_table_evictions_total"), 0)
    check_equal("divergences of class problem", summary["problems"], nr_problems)
    check_equal("divergences open", after("divergences_open"), 0)
    check(compared >= COMPARED_LEAST * closed,
          f"only {compared:.0f} of {closed:.0f} were compared in two states")
    check(unobservable <= UNOBSERVABLE_MOST * closed, f"{unobservable:.0f} were unobservable")
    return summary
