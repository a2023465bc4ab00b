# SPDX-License-Identifier: GPL-2.0-only
"""A lab whose a forwards between b and a third namespace."""

from .lab import IPV4, IPV6


class Router:
    """b -- v0 a v2 -- c, with a as the router and the daemon's home."""

    def __init__(self, lab):
        self.lab = lab
        self.c = lab.namespace("c")
        lab.join(lab.a, "v2", self.c, "v3")
        lab.address(lab.a, "v2", 1, subnet=1)
        lab.address(self.c, "v3", 2, subnet=1)
        lab.a.sysctl(ip_forward=1, ipv6__conf__all__forwarding=1)
        for space, device, there, via in ((lab.b, "v1", "1", "0"), (self.c, "v3", "0", "1")):
            space.run("ip", "route", "add", f"10.9.{there}.0/24", "via", f"10.9.{via}.1")
            prefix = {"0": "fd09::", "1": "fd09:0:0:1::"}
            space.run("ip", "route", "add", f"{prefix[there]}/64", "via", f"{prefix[via]}1",
                      "dev", device)
        self.far = {IPV4: "10.9.1.2", IPV6: "fd09:0:0:1::2"}
        self.near = {IPV4: "10.9.1.1", IPV6: "fd09:0:0:1::1"}  # a, as c sees it
