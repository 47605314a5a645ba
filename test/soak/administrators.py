"""Sessions that administer KEKs, privileges, the root key and the storage; and a session that ends others.

A session that withdraws something tells the situation so, before the statement is sent and after it is
answered, and undoes the withdrawal whatever happens to the session.
"""

import os
import random
import signal
import threading
import time

import psycopg2

from database import connect, rows, set_root_keys, write_root_key
from session import Refused, Session
from traffic import TRANSPORT


class Administrator(Session):
    role = "administrator"

    def explained(self, sqlstate, start, end):
        # Another administrator was first.
        return sqlstate in ("55000", "KV003")

    def version(self, label, *states):
        rows = self.sql("SELECT version FROM key_vault.keks WHERE label = %s AND state = ANY (%s) ORDER BY random() LIMIT 1",
                        (label, list(states)))
        return rows[0][0] if rows else None


class Rotator(Administrator):
    """Rotates, rolls back rotations, and compromises KEKs, with a new version at once."""

    def explained(self, sqlstate, start, end):
        # Between the reload and root_key_rotate() the new root key seals nothing yet.
        return super().explained(sqlstate, start, end) or sqlstate == "KV106"

    def step(self):
        label = TRANSPORT if self.rng.random() < 0.05 else self.rng.choice(self.soak.labels)
        kind = self.rng.random()
        if kind < 0.7:
            version = self.sql("SELECT key_vault.kek_rotate(%s)", (label,))[0][0]
            self.soak.answered.append(("is there", label, version))
            self.soak.counts.add("rotations")
        elif kind < 0.85:
            self.sql("BEGIN")
            self.sql("SELECT key_vault.kek_rotate(%s)", (label,))
            self.sql("ROLLBACK")
            self.soak.counts.add("rotations rolled back")
        else:
            with self.soak.emergency[label]:
                version = self.version(label, "active")
                if version is not None:
                    self.sql("BEGIN")
                    self.sql("SELECT key_vault.kek_compromise(%s, %s)", (label, version))
                    self.sql("SELECT key_vault.kek_rotate(%s)", (label,))
                    self.sql("COMMIT")
                    self.soak.counts.add("KEKs compromised")
        self.pause(0.3, 2)


class Rewrapper(Session):
    role = "keeper"

    def explained(self, sqlstate, start, end):
        return self.withdrawn(sqlstate, start, end)

    def step(self):
        self.sql("CALL key_vault.rewrap_all(%s, batch_size => %s)",
                 (self.rng.choice(self.soak.labels), self.rng.choice([20, 200, 2000])))
        self.soak.counts.add("runs of rewrap_all")
        self.pause(0.05, 0.5)


class Destroyer(Administrator):
    settings = "SET lock_timeout = '2s'"
    steps_back = True

    def explained(self, sqlstate, start, end):
        # This session gives up first when it cannot have a lock or meets a deadlock.
        return super().explained(sqlstate, start, end) or sqlstate in ("KV008", "55P03", "40P01")

    # Only KEKs at rest are destroyed: keys under a transport KEK may be on their way, where nobody counts them.
    def step(self):
        rows = self.sql("SELECT label, version FROM key_vault.keks "
                        "WHERE state IN ('deactivated', 'compromised', 'suspended') AND label = ANY (%s) ORDER BY random() LIMIT 1",
                        (self.soak.labels,))
        self.pause(0.02, 0.2)
        if not rows:
            return
        label, version = rows[0]
        # A KEK that is scheduled may be destroyed at once, by the next session that calls kek_destroy_due().
        whats = [("destroyed", label, version)]
        self.soak.situation.begins(whats[0])
        try:
            if self.rng.random() < 0.3:
                self.sql("SELECT key_vault.kek_schedule_destroy(%s, %s, '0')", (label, version))
                for row in self.sql("SELECT label, version FROM key_vault.keks "
                                    "WHERE destroy_at IS NOT NULL AND state <> 'destroyed'"):
                    whats.append(("destroyed", *row))
                    self.soak.situation.begins(whats[-1])
                n = self.sql("SELECT key_vault.kek_destroy_due()")[0][0]
            else:
                self.sql("SELECT key_vault.kek_destroy(%s, %s)", (label, version))
                n = 1
                self.soak.answered.append(("destroyed", label, version))
            self.soak.counts.add("KEKs destroyed", n)
        finally:
            for what in whats:
                self.soak.situation.ended(what)


class Scheduler(Administrator):
    """Schedules the destruction of KEKs for a time after the test, and cancels it."""

    def step(self):
        rows = self.sql("SELECT label, version, destroy_at IS NULL FROM key_vault.keks WHERE state = 'deactivated' "
                        "ORDER BY random() LIMIT 1")
        self.pause(0.01, 0.1)
        if not rows:
            return
        label, version, is_free = rows[0]
        self.soak.schedules.pop((label, version), None)
        if is_free:
            self.sql("SELECT key_vault.kek_schedule_destroy(%s, %s, '1 day')", (label, version))
        else:
            self.sql("SELECT key_vault.kek_cancel_destroy(%s, %s)", (label, version))
        self.soak.schedules[label, version] = is_free
        self.soak.counts.add("destructions scheduled or taken back")


class Suspender(Administrator):
    def step(self):
        label = self.rng.choice(self.soak.labels + [TRANSPORT])
        with self.soak.emergency[label]:
            version = self.version(label, "active", "deactivated", "compromised")
            if version is None:
                return
            what = ("suspended", label, version)
            situation = self.soak.situation
            situation.begins(what)
            suspended = False
            try:
                self.sql("SELECT key_vault.kek_suspend(%s, %s)", (label, version))
                suspended = True
                situation.began(what)
                self.soak.counts.add("suspensions")
                self.pause(0.02, 0.4)
            except Refused as refused:
                if refused.sqlstate == "KV003":
                    situation.ended(what)
                    raise
            if suspended:
                situation.ends(what)
            # The KEK was not suspended after all, or it was destroyed meanwhile, since no key needed it.
            self.must("SELECT key_vault.kek_resume(%s, %s)", (label, version), done=("55000", "KV003"))
            situation.ended(what)
        self.pause(0.02, 0.4)


class Granter(Administrator):
    """Takes the analysts' privilege on one label away for a while."""

    def step(self):
        label = self.soak.labels[-1]
        what = ("revoked", label)
        self.soak.situation.begins(what)
        try:
            self.sql("SELECT key_vault.kek_revoke(%s, 'analysts', 'decrypt')", (label,))
            self.soak.situation.began(what)
            self.soak.counts.add("privileges withdrawn")
            self.pause(0.02, 0.3)
        except Refused:
            pass
        self.soak.situation.ends(what)
        self.must("SELECT key_vault.kek_grant(%s, 'analysts', 'decrypt')", (label,))
        self.soak.situation.ended(what)
        self.sql("BEGIN")
        self.sql("SELECT key_vault.kek_revoke(%s, 'analysts', 'decrypt')", (label,))
        self.sql("ROLLBACK")
        self.pause(0.5, 2)


class RootRotator(Session):
    """Rotates the root key.  The new one first comes after the old one in the list.  When every statement that began
    before has ended, it comes to the front.  So the list of each running statement has the root key that seals."""

    def step(self):
        old = self.soak.root_key
        new = write_root_key(self.soak.key_directory, f"soak{self.soak.counts['root keys']}.key")
        self.soak.counts.add("root keys")
        self.change([old, new])
        self.change([new, old])
        while True:
            n = self.must("SELECT key_vault.root_key_rotate()")[0][0]
            self.soak.counts.add("KEKs sealed anew", n)
            left = self.must("SELECT count(*) FROM key_vault.kek_health WHERE root_key_position > 1")[0][0]
            if left == 0:
                break
        self.change([new])
        self.soak.root_key = new
        self.soak.counts.add("root key rotations")
        self.pause(1, 4)

    def change(self, paths):
        while True:
            try:
                connection = connect()
                set_root_keys(connection, paths)
                began = rows(connection, "SELECT clock_timestamp()")[0][0]
                while rows(connection, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query_start < %s",
                           (began,))[0][0] > 0:
                    time.sleep(0.02)
                connection.close()
                return
            except psycopg2.Error:
                # The server recovers; if it does not, other sessions report that.
                time.sleep(0.1)


class Maintainer(Session):
    role = "keeper"
    settings = "SET lock_timeout = '5s'"

    def explained(self, sqlstate, start, end):
        return sqlstate == "55P03"

    def step(self):
        self.sql("CALL key_vault.maintain_storage('lorawan', ahead => %s, keep => '400 days')", (self.rng.randrange(1, 4),))
        self.soak.counts.add("runs of maintain_storage")
        self.pause(0.5, 2)


class Replayer(Session):
    """Imports, one after the other, KEKs whose envelopes have already come, and has the envelopes opened."""

    role = "ingester"

    def __init__(self, soak, number):
        super().__init__(soak, number)
        self.imported = 0

    def explained(self, sqlstate, start, end):
        # replay_rejected() writes the rows of many devices in one transaction.
        return self.withdrawn(sqlstate, start, end) or sqlstate == "40P01"

    def step(self):
        if self.imported < 3 and self.soak.share_of_time() > (self.imported + 1) / 4:
            self.import_next()
        self.replay()
        self.pause(0.3, 1.5)

    def replay(self):
        opened, stored, _ = self.sql("SELECT * FROM lorawan.replay_rejected()")[0]
        self.soak.counts.add("rejected messages stored later", stored)
        self.soak.counts.add("envelopes opened later", opened)

    def import_next(self):
        label = f"late{self.imported}"
        self.imported += 1
        self.soak.import_kek(label)
        self.soak.situation.ended(("unknown", label))

    def last_step(self):
        while self.imported < 3:
            self.import_next()


class Killer(threading.Thread):
    """Cancels statements and ends sessions.  In the long form it also kills a session now and then,
    which ends all sessions, and the server recovers."""

    def __init__(self, soak):
        super().__init__(name="killer", daemon=True)
        self.soak = soak
        self.rng = random.Random(f"{soak.seed} killer")

    def run(self):
        next_crash = time.monotonic() + 60
        while not self.soak.over.wait(self.rng.uniform(0.05, 0.3)):
            pids = list(self.soak.pids)
            if not pids:
                continue
            pid = self.rng.choice(pids)
            try:
                if self.soak.crashes and time.monotonic() > next_crash:
                    self.crash(pid)
                    next_crash = time.monotonic() + 60
                elif self.rng.random() < 0.6:
                    self.signal(pid, "cancelled", "pg_cancel_backend")
                else:
                    self.signal(pid, "terminated", "pg_terminate_backend")
            except psycopg2.Error:
                self.soak.counts.add("kills that could not be sent")

    def signal(self, pid, what, function):
        connection = connect()
        self.soak.situation.begins((what, pid))
        try:
            rows(connection, f"SELECT {function}(%s)", (pid,))
            self.soak.counts.add(f"sessions {what}")
        finally:
            self.soak.situation.ended((what, pid))
            connection.close()

    def crash(self, pid):
        """Waits until the server is up again; until then statements may fail."""
        self.soak.situation.begins(("crashed",))
        os.kill(pid, signal.SIGKILL)
        self.soak.counts.add("kill -9")
        # First the server must have noticed the kill.
        self.soak.wait_until_crashed()
        while True:
            try:
                connect().close()
                break
            except psycopg2.Error:
                time.sleep(0.1)
        self.soak.situation.ended(("crashed",))
