"""Records when each KEK, privilege and so on was withdrawn, which explains an error or demands one.

The times are the client's.  A thing is *possibly* withdrawn from before the
withdrawal is sent until after its end is answered, and *certainly* withdrawn
from after the withdrawal is answered until before its end is sent.  A statement
that runs wholly within a certain time must not use the thing.  An error of a statement
that meets no possible time is not explained.
"""

import threading
import time

FOREVER = float("inf")


class Situation:
    def __init__(self):
        self.lock = threading.Lock()
        self.possible = {}
        self.certain = {}

    @staticmethod
    def now():
        return time.monotonic()

    def begins(self, what):
        with self.lock:
            self.possible.setdefault(what, []).append([self.now(), FOREVER])

    def began(self, what):
        with self.lock:
            self.certain.setdefault(what, []).append([self.now(), FOREVER])

    def ends(self, what):
        with self.lock:
            if what in self.certain and self.certain[what][-1][1] == FOREVER:
                self.certain[what][-1][1] = self.now()

    def ended(self, what):
        with self.lock:
            # Two sessions may withdraw the same thing, each for a time of its own.
            newest = [times for times in self.possible[what] if times[1] == FOREVER][-1]
            newest[1] = self.now()

    def may_be(self, kind, start, end, *rest):
        """Whether something of this kind was possibly withdrawn at some moment of [start, end].  The
        arguments in rest, if given, say more exactly what."""
        with self.lock:
            return any(a <= end and start <= b
                       for what, intervals in self.possible.items()
                       if what[0] == kind and what[1:1 + len(rest)] == rest
                       for a, b in intervals)

    def must_be(self, what, start, end):
        """Whether it was certainly withdrawn during all of [start, end]."""
        with self.lock:
            return any(a <= start and end <= b for a, b in self.certain.get(what, ()))
