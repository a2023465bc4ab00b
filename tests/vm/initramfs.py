# SPDX-License-Identifier: GPL-2.0-only
"""Makes the guest's file system: one uncompressed cpio archive of this machine's own files.

Programs come with the shared libraries that ldd names, under the paths they have here. Nothing is
installed and nothing is copied to a directory first.
"""

import lzma
import os
import re
import stat
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
GUEST_TOP = "/tcpwitness"

PROGRAMS = ["python3.11", "ip", "tc", "ss", "nft", "nsenter", "conntrack", "ethtool",
            "setpriv", "unshare", "dash"]
APPLETS = ["mount", "umount", "mkdir", "insmod", "poweroff", "sync", "cat", "sleep", "timeout",
           "uname", "cp", "rm"]
# those that a test needs; what they depend on follows
MODULES = [
    "veth", "dummy", "tun", "8021q", "bonding", "bridge", "macvlan", "sch_ingress", "cls_bpf",
    "sch_netem", "tcp_diag", "nf_tables", "nft_ct", "nft_chain_nat", "nft_nat", "nft_redir",
    "nft_masq", "nft_tproxy", "nft_socket", "nft_reject_inet", "nft_limit", "nft_log",
    "nft_numgen",
    "nf_conntrack_netlink",
]
PYTHON_LEFT_OUT = {"idlelib", "test", "tkinter", "lib2to3", "pydoc_data", "ensurepip", "distutils",
                   "turtledemo", "unittest", "dist-packages", "config-3.11-x86_64-linux-gnu"}


class Archive:
    """A cpio archive in the format the kernel unpacks ("newc")."""

    def __init__(self, path):
        self._file = open(path, "wb")
        self._names = set()
        self._inode = 0

    def _entry(self, name, mode, data=b"", mtime=0, device=(0, 0)):
        if name in self._names:
            return
        self._names.add(name)
        self._inode += 1
        fields = (self._inode, mode, 0, 0, 1, int(mtime), len(data), 0, 0, *device,
                  len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        for part in (head, data):
            self._file.write(part + b"\0" * (-len(part) % 4))

    def directory(self, path):
        path = path.strip("/")
        if path and path not in self._names:
            self.directory(os.path.dirname(path))
            self._entry(path, stat.S_IFDIR | 0o755)

    def data(self, path, data, mode=0o644, mtime=0):
        self.directory(os.path.dirname(path))
        self._entry(path.strip("/"), stat.S_IFREG | mode, data, mtime)

    def link(self, path, target):
        self.directory(os.path.dirname(path))
        self._entry(path.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def node(self, path, mode, major, minor):
        self.directory(os.path.dirname(path))
        self._entry(path.strip("/"), mode, device=(major, minor))

    def file(self, source, path=None):
        """A file of this machine, at PATH or where it is here."""
        source = Path(source)
        status = source.stat()
        self.data(path or str(source), source.read_bytes(), stat.S_IMODE(status.st_mode),
                  status.st_mtime)

    def tree(self, source, path=None, leave_out=()):
        source = Path(source)
        for place, directories, files in os.walk(source):
            directories[:] = [name for name in directories if name not in leave_out]
            for name in files:
                here = Path(place, name)
                self.file(here, os.path.join(path or source, here.relative_to(source)))

    def program(self, source, path=None):
        """A program and the shared libraries it needs."""
        self.file(source, path)
        listed = subprocess.run(["ldd", source], capture_output=True, text=True, check=False)
        for library in re.findall(r"(/\S+) \(0x", listed.stdout):
            self.file(library)

    def close(self):
        self._entry("TRAILER!!!", 0)
        self._file.close()


def which(program):
    for directory in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        path = f"{directory}/{program}"
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{program} is not installed")


def _module_bytes(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def modules(archive, directory):
    """The modules, and /modules/order: each after those it depends on."""
    paths = {path.name.split(".ko")[0].replace("-", "_"): path
             for path in Path(directory).rglob("*.ko*")}
    order = []

    def add(name):
        path = paths.get(name.replace("-", "_"))
        if path is None or name in order:  # built in, or of another kernel
            return
        data = _module_bytes(path)
        depends = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in filter(None, depends.group(1).decode().split(",") if depends else ()):
            add(other)
        order.append(name)
        archive.data(f"/modules/{name}.ko", data)

    for name in MODULES:
        add(name)
    archive.data("/modules/order", "".join(f"{name}.ko\n" for name in order).encode())


def python(archive):
    library = "/usr/lib/python3.11"
    archive.tree(library, leave_out=PYTHON_LEFT_OUT)
    for extension in Path(library, "lib-dynload").glob("*.so"):
        archive.program(str(extension))
    archive.link("/usr/bin/python3", "python3.11")


def make(path, kernel_directory, out, script):
    """Writes the archive for one kernel. OUT has the built programs; SCRIPT is what to run."""
    archive = Archive(path)
    archive.node("/dev/console", stat.S_IFCHR | 0o600, 5, 1)
    for directory in ("/proc", "/sys", "/root", "/var"):
        archive.directory(directory)
    archive.file(Path(__file__).parent / "init", "/init")
    archive.file(which("busybox"), "/bin/busybox")
    for applet in APPLETS:
        archive.link(f"/bin/{applet}", "busybox")
    for program in PROGRAMS:
        archive.program(which(program))
    archive.link("/bin/sh", which("dash"))
    archive.link("/usr/bin/env", "/bin/busybox")
    python(archive)
    modules(archive, Path(kernel_directory, "modules"))
    archive.program(out / "tcpwitness", f"{GUEST_TOP}/.output/tcpwitness")
    for tool in (out / "tests/bench/connload", *out.glob("tests/net/*"), *out.glob("tests/bpf/*")):
        if tool.is_file() and os.access(tool, os.X_OK):
            archive.program(tool, f"{GUEST_TOP}/.output/{tool.relative_to(out)}")
    archive.tree(TOP / "tests/net", f"{GUEST_TOP}/tests/net", leave_out={"__pycache__"})
    for header in (*TOP.glob("include/*.h"), *TOP.glob("daemon/*/*.h")):  # tests read tables there
        archive.file(header, f"{GUEST_TOP}/{header.relative_to(TOP)}")
    archive.data("/tests", script.encode(), 0o755)
    archive.close()
