"""A network of the harness's own: a namespace with nothing but a loopback, so that no server under test can call home,
and one that listens on every interface listens on loopback only.
"""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

NEW_NETWORK, NEW_USER = 0x4000_0000, 0x1000_0000
SET_FLAGS, UP = 0x8914, 0x1 | 0x40  # SIOCSIFFLAGS; IFF_UP and IFF_RUNNING
PROC = Path("/proc/self")


def enter() -> bool:
    """Move this process, and all that it starts from now on, into a network of its own; return whether that worked.

    As root a network namespace is enough. Another user needs a user namespace around it, which some systems refuse.
    """
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NETWORK):
        if libc.unshare(NEW_USER | NEW_NETWORK):
            return False
        (PROC / "setgroups").write_text("deny")
        (PROC / "uid_map").write_text(f"{user} {user} 1")
        (PROC / "gid_map").write_text(f"{group} {group} 1")
    with socket.socket() as control:
        fcntl.ioctl(control, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))
    return True
