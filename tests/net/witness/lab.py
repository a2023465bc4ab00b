# SPDX-License-Identifier: GPL-2.0-only
"""Two or three network namespaces joined by veth pairs, and what their kernels say."""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import threading

from .runner import wait_until

IPV4, IPV6 = 4, 6
RTO_MIN_US = 10_000_000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def execute(*command, check=True, timeout=60, **options):
    """Runs a command, returns its standard output; an error carries its standard error."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def sysctl_path(name):
    return "/proc/sys/net/" + (name.replace("__", "/") if "__" in name else f"ipv4/{name}")


def endpoint(address, port):
    """addr:port as the daemon prints it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Namespace:
    """A named network namespace. `with ns:` puts the calling thread into it; sockets made there
    stay in it for life."""

    def __init__(self, name):
        self.name = name
        execute("ip", "netns", "add", name)
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self._homes = threading.local()  # a namespace is a property of the thread
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._homes.stack = [*getattr(self._homes, "stack", ()), home]
        _setns(self.fd)
        return self

    def __exit__(self, *_):
        home = self._homes.stack.pop()
        _setns(home)
        os.close(home)

    def close(self):
        os.close(self.fd)
        execute("ip", "netns", "del", self.name, check=False)

    def inode(self):
        return os.fstat(self.fd).st_ino

    def command(self, *command):
        """The command line that runs COMMAND inside (ip netns exec would remount /sys)."""
        return ("nsenter", f"--net=/run/netns/{self.name}", *command)

    def run(self, *command, **options):
        return execute(*self.command(*command), **options)

    def socket(self, family, kind=socket.SOCK_STREAM, protocol=0):
        with self:
            return socket.socket(family, kind, protocol)

    def sysctl(self, **settings):
        """sysctl(tcp_syncookies=2): names below net.ipv4, or a dotted name with __ for a dot."""
        with self:
            for name, value in settings.items():
                with open(sysctl_path(name), "w", encoding="ascii") as file:
                    file.write(str(value))

    def sysctl_read(self, name):
        with self, open(sysctl_path(name), encoding="ascii") as file:
            return file.read().strip()

    def get_sysctl(self, name):
        path = name.replace("__", "/") if "__" in name else f"ipv4/{name}"
        with self, open(f"/proc/sys/net/{path}", encoding="ascii") as file:
            return file.read().strip()

    def nft(self, *rules, output=()):
        """Replaces this namespace's one test table by RULES of its input chain and those of its
        output chain; none removes it."""
        text = "table inet tcpwitness_test\ndelete table inet tcpwitness_test\n"
        for chain, lines in (("input", rules), ("output", output)):
            if lines:
                text += (f"table inet tcpwitness_test {{\nchain {chain} {{\n"
                         f"type filter hook {chain} priority 0; policy accept;\n" +
                         "\n".join(lines) + "\n}\n}\n")
        self.run("nft", "-f", "-", input=text)

    def snmp(self):
        """The namespace's Tcp and TcpExt counters, by name."""
        counters = {}
        with self:
            for name in ("snmp", "netstat"):
                with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
                    lines = file.read().splitlines()
                for names, values in zip(lines[::2], lines[1::2]):
                    group, *names = names.split()
                    if group in ("Tcp:", "TcpExt:"):
                        counters.update(zip(names, map(int, values.split()[1:])))
        return counters

    def sockets(self, port=None):
        """What ss -tan lists, as (state, local, remote); of one port (either end's) or of all."""
        only = () if port is None else (f"( sport = :{port} or dport = :{port} )",)
        rows = []
        for line in self.run("ss", "-tanH", *only).splitlines():
            state, _, _, local, remote, *_ = line.split()
            rows.append((SS_STATES[state], local, remote))
        return rows

    def in_state(self, port, state):
        """How many sockets with that port are in that state."""
        return sum(row[0] == state for row in self.sockets(port))

    def states(self, skip_ports=()):
        """Sockets by RFC state, without LISTEN and those whose local or remote port is skipped."""
        count = {}
        for state, local, remote in self.sockets():
            ports = {int(text.rsplit(":", 1)[1]) for text in (local, remote)
                     if not text.endswith("*")}
            if state != "LISTEN" and not ports & set(skip_ports):
                count[state] = count.get(state, 0) + 1
        return count

    def device_counters(self, device):
        rows = json.loads(self.run("ip", "-j", "-s", "link", "show", "dev", device))
        return rows[0]["stats64"]


SS_STATES = {
    "LISTEN": "LISTEN", "SYN-SENT": "SYN_SENT", "SYN-RECV": "SYN_RECEIVED",
    "ESTAB": "ESTABLISHED", "FIN-WAIT-1": "FIN_WAIT_1", "FIN-WAIT-2": "FIN_WAIT_2",
    "CLOSE-WAIT": "CLOSE_WAIT", "CLOSING": "CLOSING", "LAST-ACK": "LAST_ACK",
    "TIME-WAIT": "TIME_WAIT", "UNCONN": "CLOSED",
}


class Lab:
    """Namespaces `a` (watched, device v0) and `b` (its peer, device v1) and the veth between.

    a: 10.9.0.1 fd09::1; b: 10.9.0.2 fd09::2. Raw peers take 10.9.0.10 and up. PATIENT: nothing of
    an open connection is sent again for as long as a busy machine may take to answer."""

    serial = 0

    def __init__(self, label="net", patient=False):
        Lab.serial += 1
        self._patient = patient
        self.label = f"{label}-{os.getpid()}-{Lab.serial}"
        self._cleanup = contextlib.ExitStack()
        try:
            self.a = self.namespace("a")
            self.b = self.namespace("b")
            self.join(self.a, "v0", self.b, "v1")
            self.address(self.a, "v0", 1)
            self.address(self.b, "v1", 2)
            self.wait_up()
        except BaseException:
            self._cleanup.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._cleanup.close()

    def on_exit(self, function, *args):
        self._cleanup.callback(function, *args)

    def namespace(self, name):
        space = Namespace(f"{self.label}-{name}")
        self._cleanup.callback(space.close)
        space.sysctl(ipv6__conf__default__accept_dad=0, ipv6__conf__all__accept_dad=0,
                     ipv6__conf__default__accept_ra=0, ipv6__conf__default__router_solicitations=0)
        if self._patient:
            space.sysctl(tcp_early_retrans=0)
            with contextlib.suppress(FileNotFoundError):  # before 6.11
                space.sysctl(tcp_rto_min_us=RTO_MIN_US)
        return space

    @staticmethod
    def join(left, left_device, right, right_device):
        execute("ip", "link", "add", left_device, "netns", left.name, "type", "veth",
                "peer", "name", right_device, "netns", right.name)
        for space, device in ((left, left_device), (right, right_device)):
            space.run("ip", "link", "set", device, "up")

    @staticmethod
    def address(space, device, host, subnet=0):
        space.run("ip", "addr", "add", f"10.9.{subnet}.{host}/24", "dev", device)
        space.run("ip", "addr", "add", f"{ipv6(host, subnet)}/64", "dev", device, "nodad")

    def wait_up(self):
        """Until the links are up and no address is tentative any more."""
        def up(space):
            links = json.loads(space.run("ip", "-j", "addr", "show", "dev", self.device(space)))
            addresses = links[0]["addr_info"]
            return (links[0]["operstate"] == "UP" and
                    not any(row.get("tentative") for row in addresses))
        wait_until(lambda: up(self.a) and up(self.b), "the veth pair does not come up")

    def ip(self, space, family):
        host = 1 if space is self.a else 2
        return f"10.9.0.{host}" if family == IPV4 else ipv6(host)

    def device(self, space):
        return "v0" if space is self.a else "v1"

    def other(self, space):
        return self.b if space is self.a else self.a


def ipv6(host, subnet=0):
    """fd09::1 and the like, printed as inet_ntop prints it."""
    text = f"fd09:0:0:{subnet:x}::{host:x}"
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))


def attached(space):
    """Everything of BPF that hangs on the namespace's devices, as short texts."""
    found = []
    for row in json.loads(space.run("ip", "-j", "-d", "link", "show")):
        if "xdp" in row:
            found.append(f"{row['ifname']} xdp")
        listing = space.run("tc", "filter", "show", "dev", row["ifname"], "ingress", check=False)
        listing += space.run("tc", "filter", "show", "dev", row["ifname"], "egress", check=False)
        if "bpf" in listing:
            found.append(f"{row['ifname']} clsact filter")
        found += [f"{row['ifname']} {kind}" for kind in _tcx(space, row["ifindex"])]
    return found


# enum bpf_attach_type; bpftool 7.1 does not know tcx, so the kernel is asked directly.
_TCX = {46: "tcx ingress", 47: "tcx egress"}
_BPF_PROG_QUERY = 16
_NR_BPF = {"x86_64": 321, "aarch64": 280}


def _tcx(space, ifindex):
    number = _NR_BPF.get(os.uname().machine)
    if number is None:
        return []
    names = []
    for kind, name in _TCX.items():
        # union bpf_attr .query: target_ifindex, attach_type, query_flags, attach_flags,
        # prog_ids, count, ...
        attr = (ctypes.c_uint32 * 32)(ifindex, kind)
        with space:
            if _libc.syscall(number, _BPF_PROG_QUERY, ctypes.byref(attr), 64) == 0 and attr[6]:
                names.append(name)
    return names
