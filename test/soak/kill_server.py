"""Kills every process of a server with SIGKILL, at one moment, and prints their process ids.

    kill_server.py POSTMASTER
"""

import os
import signal
import sys


def children(postmaster):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == postmaster:
                    found.append(int(pid))
        except OSError:
            pass
    return found


def kill(postmaster):
    # The postmaster is stopped, so that it makes no more processes.
    os.kill(postmaster, signal.SIGSTOP)
    pids = children(postmaster) + [postmaster]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    print(*pids)


if __name__ == "__main__":
    kill(int(sys.argv[1]))
