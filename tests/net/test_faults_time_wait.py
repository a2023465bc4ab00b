#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""TIME_WAIT cut short: killed, taken over, or never begun. The number is the row of the taxonomy
that a scenario provokes. XDP at a, tcx at b, IPv4 and IPv6.
"""

import sys

from witness import (
    accept, check_equal, client_of, endpoint, listener, main, wait_kernel_state,
    wait_until,
)
from witness.ends import PORTS, each_end
from witness.scene import Scene, Talk, books_balance, ends_with


@each_end
def assassinated(world, end, family):
    """Row 19: a RST at RCV.NXT ends TIME_WAIT (RFC 1337)."""
    with Scene(world, end, family) as scene:
        talk = scene.in_time_wait()
        scene.wait_views(talk, "TIME_WAIT")
        talk.send("R")
        wait_until(lambda: not scene.space.in_state(scene.port, "TIME_WAIT"), "TIME_WAIT stays")
        scene.expect("time_wait_assassinated", talk, role="server")
        scene.expect_closed("time_wait_assassinated", talk)
        talk.send("A")
        talk.expect("R")
        scene.settle()


@each_end
def reset_elsewhere_in_the_window(world, end, family):
    """Row 19: any other RST is ignored, and TIME_WAIT goes on."""
    with Scene(world, end, family) as scene:
        talk = scene.in_time_wait()
        scene.wait_views(talk, "TIME_WAIT")
        talk.send("R", seq=talk.seq + 10)
        scene.settle()
        scene.wait_views(talk, "TIME_WAIT")
        check_equal("minisockets", scene.space.in_state(scene.port, "TIME_WAIT"), 1)


@each_end
def reused_by_the_peer(world, end, family):
    """Row 19: a SYN beyond RCV.NXT takes the ports over (RFC 6191): two lives, one tuple."""
    with Scene(world, end, family) as scene:
        talk = scene.in_time_wait()
        scene.wait_views(talk, "TIME_WAIT")
        talk.seq += 100000
        talk.open()
        sock = scene.accept()
        scene.expect("time_wait_reused", talk, role="server")
        scene.expect_closed("time_wait_reused", talk)
        scene.expect_end(talk, "time_wait_reused", ended="local_close")
        scene.wait_views(talk, "ESTABLISHED")
        wait_kernel_state(sock, "ESTABLISHED")


@each_end
def reused_by_ourselves(world, end, family):
    """Row 19: tcp_tw_reuse: connect() from the same port to the same port."""
    lab = world.lab
    with Scene(world, end, family, backlog=None) as scene:
        other, port = lab.other(scene.space), next(PORTS)
        target = (lab.ip(other, family), port)
        source = (scene.address, next(PORTS))
        listening = scene.own(listener(other, *target))
        talk = Talk(endpoint(*source), endpoint(*target))
        first = client_of(scene.space, family, target, source)
        child = accept(listening)
        first.close()
        wait_kernel_state(child, "CLOSE_WAIT")
        child.close()
        scene.wait_views(talk, "TIME_WAIT")
        # the kernel wants TIME_WAIT to be older than a second: a condition, not a delay
        second = wait_until(lambda: again(scene, target, source), "no reuse", pause=0.1)
        scene.own(accept(listening))
        scene.expect("time_wait_reused", talk, role="client")
        scene.expect_closed("time_wait_reused", talk)
        wait_kernel_state(second, "ESTABLISHED")


def again(scene, target, source):
    try:
        return scene.own(client_of(scene.space, scene.family, target, source))
    except OSError:
        return None


@each_end
def killed(world, end, family):
    """Row 19: ss -K on a minisocket: it is gone, and nothing was on the wire. That it was there
    is known from the first sweep or look after it began."""
    with Scene(world, end, family) as scene:
        talk = scene.in_time_wait()
        scene.wait_views(talk, "TIME_WAIT")
        scene.settle()
        scene.kill(talk)
        scene.expect("killed", talk, role="server", reason="minisocket", wire_state="TIME_WAIT")
        scene.expect_closed("killed", talk)
        scene.expect_end(talk, "killed", ended="local_close")


books_balance()


if __name__ == "__main__":
    sys.exit(main(lambda: ends_with(tcp_tw_reuse=1), threads=12))
