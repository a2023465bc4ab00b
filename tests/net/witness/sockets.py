# SPDX-License-Identifier: GPL-2.0-only
"""Kernel sockets in namespaces, and the state the kernel gives them."""

import socket
import struct

from .lab import IPV4, IPV6, endpoint
from .runner import PATIENCE_S, wait_until

FAMILIES = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6}

# enum tcp_state of include/net/tcp_states.h, by the RFC's names
STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECEIVED", 4: "FIN_WAIT_1", 5: "FIN_WAIT_2",
    6: "TIME_WAIT", 7: "CLOSED", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING",
}


def listener(space, address, port, backlog=128, options=()):
    sock = space.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, name, value in options:
        sock.setsockopt(level, name, value)
    sock.bind((address, port))
    sock.listen(backlog)
    sock.settimeout(PATIENCE_S)
    return sock


def client_of(space, family, target, source=None, timeout=PATIENCE_S, options=()):
    """A socket that connects to TARGET (address, port); with timeout 0 it does not wait."""
    sock = space.socket(FAMILIES[family])
    for level, name, value in options:
        sock.setsockopt(level, name, value)
    if source:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(source)
    sock.settimeout(timeout)
    try:
        sock.connect(target)
    except BlockingIOError:
        pass
    return sock


def accept(sock):
    child, _ = sock.accept()
    child.settimeout(PATIENCE_S)
    return child


def local_of(sock):
    return endpoint(*sock.getsockname()[:2])


def remote_of(sock):
    return endpoint(*sock.getpeername()[:2])


def kernel_state(sock):
    """The kernel's state of an open socket, by the RFC's name."""
    return STATES[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]


def send_window(sock):
    """tcpi_snd_wnd of struct tcp_info."""
    return struct.unpack_from("=I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232),
                              228)[0]


def wait_kernel_state(sock, state):
    wait_until(lambda: kernel_state(sock) == state,
               lambda: f"a socket is {kernel_state(sock)}, not {state}")


def close_rst(sock):
    """Aborts: SO_LINGER 0."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Pair:
    """One established connection: `client` in one namespace, `server` in the other."""

    def __init__(self, lab, server_space, family, port):
        client_space = lab.other(server_space)
        address = lab.ip(server_space, family)
        listening = listener(server_space, address, port)
        try:
            self.client = client_of(client_space, family, (address, port))
            self.server = accept(listening)
        finally:
            listening.close()
        self.client_at = local_of(self.client)
        self.server_at = endpoint(address, port)

    def close(self):
        self.client.close()
        self.server.close()
