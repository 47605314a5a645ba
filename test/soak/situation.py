"""When was what withdrawn: what explains an error, and what demands one.

The moments are those of the client.  Something withdrawn is so *possibly* from
before the withdrawal is sent until after its end was answered, and *certainly*
from after the withdrawal was answered until before its end is sent.  A statement
that lies within a certain time must not use what is withdrawn; an error or
status of another that meets no possible time has no explanation.
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
            # Two sessions may be at the same thing, each with a time of its own.
            newest = [times for times in self.possible[what] if times[1] == FOREVER][-1]
            newest[1] = self.now()

    def may_be(self, kind, start, end, *rest):
        """Whether something of the kind possibly was withdrawn at a moment of [start, end]; rest
        narrows it down, as far as it is given."""
        with self.lock:
            return any(a <= end and start <= b
                       for what, intervals in self.possible.items()
                       if what[0] == kind and what[1:1 + len(rest)] == rest
                       for a, b in intervals)

    def must_be(self, what, start, end):
        """Whether it certainly was withdrawn all along."""
        with self.lock:
            return any(a <= start and end <= b for a, b in self.certain.get(what, ()))
