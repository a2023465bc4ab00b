# SPDX-License-Identifier: GPL-2.0-only
"""A process that holds a socket's lock for as long as the test likes.

recvmsg() copies into a page that userfaultfd guards: the copy waits in the kernel, with the
socket locked, until the page is given. What arrives meanwhile goes to the socket's backlog.
"""

import ctypes
import fcntl
import mmap
import os
import struct
import threading

from .runner import Skip, wait_until

_NR_USERFAULTFD = {"x86_64": 323, "aarch64": 282}
UFFD_API = 0xAA
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_ZEROPAGE = 0xC018AA3F, 0xC020AA00, 0xC020AA04
REGISTER_MISSING = 1

_libc = ctypes.CDLL(None, use_errno=True)


class HeldSocket:
    """SOCK, which has unread data, is locked inside the with block, or until release()."""

    def __init__(self, sock):
        self._sock = sock
        number = _NR_USERFAULTFD.get(os.uname().machine)
        self._fd = _libc.syscall(number, os.O_CLOEXEC) if number else -1
        if self._fd < 0:
            raise Skip("no userfaultfd: a socket's owner cannot be stopped in mid-copy")
        fcntl.ioctl(self._fd, UFFDIO_API, bytearray(struct.pack("QQQ", UFFD_API, 0, 0)))
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._at = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        fcntl.ioctl(self._fd, UFFDIO_REGISTER, bytearray(
            struct.pack("QQQQ", self._at, mmap.PAGESIZE, REGISTER_MISSING, 0)))
        self.received = 0
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def _receive(self):
        self.received = self._sock.recv_into(self._page, 1024)

    def hold(self):
        self._thread.start()
        # the fault is an event on the descriptor: from then on the lock is held
        wait_until(self._faulted, "recvmsg() does not reach the guarded page")

    def __enter__(self):
        self.hold()
        return self

    def _faulted(self):
        return len(os.read(self._fd, 32)) == 32

    def release(self):
        if self._fd < 0:
            return
        fcntl.ioctl(self._fd, UFFDIO_ZEROPAGE, bytearray(
            struct.pack("QQQq", self._at, mmap.PAGESIZE, 0, 0)))
        self._thread.join()
        os.close(self._fd)
        self._fd = -1

    def __exit__(self, *_):
        self.release()
