"""A session of the soak: a thread with a connection of its own.  Each of its errors must be
explained by the situation, and is a fault otherwise."""

import collections
import random
import threading
import traceback

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from database import connect

# The codes of errors that a server gives which has been killed and is starting again
CRASH = {"57P02", "57P03", "lost"}


class Refused(Exception):
    """A statement ended with an error that is explained, or that has been recorded as a fault."""

    def __init__(self, sqlstate, lost):
        super().__init__(sqlstate)
        self.sqlstate = sqlstate
        self.lost = lost


class Session(threading.Thread):
    role = None
    settings = ""
    # Whether a deadlock over tables may end a statement of this session.  Only sessions that lock out
    # writers should be ended by such a deadlock.
    steps_back = False

    def __init__(self, soak, number):
        super().__init__(name=f"{type(self).__name__} {number}", daemon=True)
        self.soak = soak
        self.number = number
        self.rng = random.Random(f"{soak.seed} {self.name}")
        self.connection = None
        self.pid = None
        self.statement = None
        self.connected = soak.situation.now()

    # The work of the session until the soak is over, and the repairs that it makes then
    def step(self):
        raise NotImplementedError

    def last_step(self):
        pass

    def run(self):
        try:
            while not self.soak.over.is_set():
                try:
                    self.step()
                except Refused:
                    self.pause(0.01, 0.05)
            self.last_step()
        except BaseException:
            self.soak.fault("the test itself", f"{self.name}: {traceback.format_exc()}")
        finally:
            self.disconnect()

    def pause(self, least, most):
        """Waits, to leave other sessions some time; ends early if the soak ends."""
        self.soak.over.wait(self.rng.uniform(least, most))

    # Errors that this kind of session may get: SQLSTATE to a function of the statement's
    # start and end that says whether the situation explains it.
    def explained(self, sqlstate, start, end):
        return False

    def withdrawn(self, sqlstate, start, end):
        """The errors that a session which uses keys may get."""
        may_be = self.soak.situation.may_be
        return (sqlstate == "KV002" and may_be("suspended", start, end)
                or sqlstate == "KV003" and may_be("destroyed", start, end)
                or sqlstate == "KV007" and may_be("suspended", start, end))

    def _explained(self, sqlstate, start, end):
        may_be = self.soak.situation.may_be
        return (sqlstate == "57014" and may_be("cancelled", start, end, self.pid)
                or sqlstate in ("57P01", "lost") and may_be("terminated", 0, end, self.pid)
                or sqlstate in CRASH and may_be("crashed", min(start, self.connected), end)
                or self.explained(sqlstate, start, end))

    def disconnect(self):
        if self.pid is not None:
            self.soak.pids.pop(self.pid, None)
        if self.connection is not None:
            self.connection.close()
        self.connection = self.pid = None

    def _connect(self):
        self.connected = self.soak.situation.now()
        self.connection = connect(self.role, application_name=self.name)
        self.pid = self.connection.get_backend_pid()
        self.soak.pids[self.pid] = self
        if self.settings:
            with self.connection.cursor() as cursor:
                cursor.execute(self.settings)

    def sql(self, sql, arguments=None, copy=None):
        """The rows of a statement.  Raises Refused after an error, when it has rolled back the transaction."""
        start = self.soak.situation.now()
        self.statement = sql
        try:
            if self.connection is None:
                self._connect()
            with self.connection.cursor() as cursor:
                if copy is not None:
                    cursor.copy_expert(sql, copy)
                    return None
                cursor.execute(sql, arguments)
                return cursor.fetchall() if cursor.description else None
        except psycopg2.Error as error:
            end = self.soak.situation.now()
            lost = self.connection is None or self.connection.closed != 0
            sqlstate = error.pgcode or self._code_of(error)
            kind = type(self).__name__
            self.soak.errors.add((kind, sqlstate))
            if sqlstate == "40P01" and " on relation " in str(error) and not self.steps_back:
                self.soak.fault("deadlock over a table", f"{self.name}: {error} in: {sql[:300]}")
            elif sqlstate == "40P01" and " on advisory lock " in str(error):
                self.soak.fault("deadlock over a label", f"{self.name}: {error} in: {sql[:300]}")
            elif not self._explained(sqlstate, start, end):
                self.soak.fault("unexpected error", f"{self.name}: {sqlstate} {error} in: {sql[:300]}")
            if lost:
                self.disconnect()
            elif self.connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
                self._roll_back()
            raise Refused(sqlstate, lost) from None
        finally:
            self.statement = None

    @staticmethod
    def _code_of(error):
        """A code for an error that has no SQLSTATE, such as one of a connection."""
        for text in ("starting up", "recovery mode", "shutting down", "not yet accepting"):
            if text in str(error):
                return "57P03"
        return "lost"

    def _roll_back(self):
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except psycopg2.Error:
            self.disconnect()

    def must(self, sql, arguments=None, done=()):
        """Repeats a statement until it has been done; "done" lists the SQLSTATEs that say that it was done before."""
        while True:
            try:
                return self.sql(sql, arguments)
            except Refused as refused:
                if refused.sqlstate in done:
                    return None
                if refused.lost or refused.sqlstate == "57014":
                    continue
                self.soak.over.wait(0.05)


class Counts(collections.Counter):
    """Counters that several threads share"""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def add(self, what, n=1):
        with self.lock:
            self[what] += n
