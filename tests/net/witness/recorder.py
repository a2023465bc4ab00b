# SPDX-License-Identifier: GPL-2.0-only
"""A packet capture of one device, written by the test itself: what it holds is known exactly."""

import select
import socket
import struct
import threading

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
SOL_PACKET, PACKET_STATISTICS = 263, 6
SNAPLEN = 128  # headers, and that lengths come from them
LINKTYPE_ETHERNET = 1


class Recorder:
    """Records DEVICE of SPACE into PATH (pcap, nanoseconds) from now until stop()."""

    def __init__(self, space, device, path):
        with space:
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
            self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._sock.bind((device, ETH_P_ALL))
        self._sock.setblocking(False)
        self._ends = threading.Event()
        self._file = open(path, "wb")
        self._file.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAPLEN,
                                     LINKTYPE_ETHERNET))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            # asked first, so that everything sent before stop() is still taken
            ends = self._ends.is_set()
            while self._take():
                pass
            if ends:
                return
            select.select([self._sock], [], [], 0.1)

    def _take(self):
        try:
            data, notes, _, _ = self._sock.recvmsg(1 << 17, 64)
        except BlockingIOError:
            return False
        seconds, nanoseconds = next(struct.unpack("=qq", value) for level, kind, value in notes
                                    if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS))
        self._file.write(struct.pack("=IIII", seconds, nanoseconds, min(len(data), SNAPLEN),
                                     len(data)) + data[:SNAPLEN])
        return True

    def stop(self):
        """Returns how many packets the socket's buffer had no room for."""
        self._ends.set()
        self._thread.join()
        self._file.close()
        _, lost = struct.unpack("=II", self._sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self._sock.close()
        return lost
