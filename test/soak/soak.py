"""Fifty sessions on one server for some minutes: they ingest, read, rotate, rewrap, grant and revoke, suspend and
resume, destroy, rotate the root key and make partitions, while statements are cancelled and sessions ended.
No row that is read may be wrong or inconsistent, and each error must be explained.

    soak.py --minutes N --root-key FILE --log FILE [--crashes] [--seed N]

The server is where PGHOST and PGPORT say, new, with key_vault in
shared_preload_libraries; FILE is its root key, and others are made beside it.
"""

import argparse
import collections
import os
import re
import sys
import threading
import time

import psycopg2

import administrators
import final
import readers
import writers
from database import REST, connect, rows, set_up
from report import note, ok
from session import Counts
from situation import Situation
from traffic import Truth

SESSIONS = (
    (writers.Ingester, 8), (writers.CopyIngester, 2), (writers.TransactionIngester, 2),
    (writers.Holder, 5),
    (readers.ViewReader, 8), (readers.LatestReader, 3), (readers.SnapshotReader, 2),
    (readers.StrictReader, 4), (readers.StatusReader, 2),
    (administrators.Rotator, 3), (administrators.Rewrapper, 3), (administrators.Destroyer, 2),
    (administrators.Suspender, 2), (administrators.Granter, 1), (administrators.RootRotator, 1),
    (administrators.Maintainer, 1), (administrators.Replayer, 1),
)

# Seconds that a session may take to end its work.  Only a hang takes longer.
PATIENCE = 300

FAULTS = ("wrong payload", "wrong key", "status and payload disagree", "unexplained status", "used though withdrawn",
          "snapshot changed", "key lost", "wrong outcome", "deadlock over a table", "deadlock over a label", "unexpected error",
          "the test itself")


class Soak:
    def __init__(self, options):
        self.seed = options.seed
        self.truth = Truth(options.seed)
        self.seconds = options.minutes * 60
        self.log = options.log
        self.crashes = options.crashes
        self.root_key = options.root_key
        self.key_directory = os.path.dirname(options.root_key)
        self.labels = REST
        self.emergency = {label: threading.Lock() for label in REST + ["transport"]}
        self.situation = Situation()
        self.over = threading.Event()
        self.pids = {}
        self.errors = Counts()
        self.counts = Counts()
        self.faults = collections.defaultdict(list)
        self.acknowledged = set()
        self.rolled_back = set()
        self.cut_lines = set()
        self.sent = []
        self.stored = set()
        self.stored_unsure = set()
        # The answers that administrators got
        self.answered = []
        self.schedules = {}
        self.senders_go_on = threading.Event()
        self.senders_go_on.set()

    def fault(self, kind, text):
        self.faults[kind].append(text)

    def share_of_time(self):
        return (time.monotonic() - self.start) / self.seconds

    def import_kek(self, label):
        lost = False
        while True:
            try:
                connection = connect()
                rows(connection, "SELECT key_vault.kek_import(%s, %s)", (label, self.truth.kek(label)))
                connection.close()
                return
            except psycopg2.Error as error:
                # The KEK was imported before the server was killed.
                if lost and error.pgcode == "42710":
                    return
                # Between the reload and root_key_rotate() the new root key seals nothing yet.
                if error.pgcode != "KV106":
                    # An error without a code, or with one of these: the server has been killed and is starting again.
                    if error.pgcode not in (None, "57P02", "57P03"):
                        raise
                    lost = True
                time.sleep(0.05)

    def wait_until_crashed(self):
        n = self.counts["kill -9"]
        while len(re.findall(r"all server processes terminated; reinitializing", self.log_text())) < n:
            time.sleep(0.05)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def run(self):
        set_up(self.truth)
        for n in range(3):
            self.situation.begins(("unknown", f"late{n}"))
        sessions = [kind(self, number) for number, kind in
                    enumerate(kind for kind, n in SESSIONS for _ in range(n))]
        self.start = time.monotonic()
        for session in sessions:
            session.start()
        killer = administrators.Killer(self)
        killer.start()
        self.over.wait(self.seconds)
        self.over.set()
        deadline = time.monotonic() + PATIENCE
        # No session is killed while the sessions make their repairs.
        for thread in [killer] + sessions:
            thread.join(max(0, deadline - time.monotonic()))
        stuck = [s for s in sessions if s.is_alive()]
        ok(len(sessions) == 50 and not stuck, f"{len(sessions)} sessions ran, and ended", self.hanging(stuck))
        self.tell()
        if stuck:
            os._exit(1)

    def hanging(self, stuck):
        if not stuck:
            return ""
        lines = [f"{s.name} (pid {s.pid}): {s.statement}" for s in stuck]
        lines += map(str, rows(connect(), "SELECT pid, application_name, wait_event, pg_blocking_pids(pid), left(query, 80) "
                               "FROM pg_stat_activity WHERE state <> 'idle'"))
        return "\n".join(lines)

    def tell(self):
        for what, n in sorted(self.counts.items()):
            note(f"{what}: {n}")
        by_state = collections.defaultdict(dict)
        for (kind, sqlstate), n in sorted(self.errors.items()):
            by_state[sqlstate][kind] = n
        for sqlstate, kinds in sorted(by_state.items()):
            note(f"errors {sqlstate}: {sum(kinds.values())} ({', '.join(f'{k} {n}' for k, n in kinds.items())})")
        for kind in FAULTS:
            found = self.faults[kind]
            ok(not found, f"during it: no {kind}", final.few(found))

    def finish(self):
        connection = connect()
        suspended = rows(connection, "SELECT label, version FROM key_vault.keks WHERE state = 'suspended'")
        ok(not suspended, "no KEK is suspended still", final.few(suspended))
        for label in self.labels:
            if not rows(connection, "SELECT FROM key_vault.keks WHERE label = %s AND state = 'active'", (label,)):
                rows(connection, "SELECT key_vault.kek_rotate(%s)", (label,))
        reasons = rows(connection, "SELECT sqlstate, reason, count(*) FROM lorawan.rejected WHERE message IS NOT NULL GROUP BY 1, 2")
        unexplained = [r for r in reasons if r[0] not in ("KV002", "KV007")]
        ok(not unexplained, "messages were rejected for suspended KEKs only", final.few(unexplained))
        note(f"rejected meanwhile: {reasons}")
        # The KEKs that came late may have come after the last replay.  Neither the owner of the storage nor a superuser,
        # for whom the owner's privileges count, may open their envelopes.
        ingester = connect("ingester")
        rows(ingester, "SELECT lorawan.replay_rejected()")
        ingester.close()
        left = rows(connection, "SELECT sqlstate, reason FROM lorawan.rejected WHERE message IS NOT NULL")
        ok(not left, "replay_rejected() stores all of them", final.few(left))
        cut = rows(connection, "SELECT count(*), bool_and(sqlstate = '22P02') FROM lorawan.rejected")[0]
        ok(cut == (len(self.cut_lines), True), f"the lines that were cut are there: {cut[0]}", len(self.cut_lines))
        connection.close()

        never = self.rolled_back - self.acknowledged
        final.check_messages(self.truth, self.acknowledged, never)
        final.check_session_keys(self.truth)
        final.check_stored_keys(self.truth, self.stored, self.stored_unsure)
        final.check_made_tables(self.truth)
        final.check_usage()
        final.check_audit_log()
        final.rewrap_and_destroy(self.labels)
        final.check_messages(self.truth, self.acknowledged, never, "afterwards: ")
        final.check_session_keys(self.truth, "afterwards: ")
        final.check_stored_keys(self.truth, self.stored, self.stored_unsure, "afterwards: ")
        final.check_usage("afterwards: ")
        self.look_at_log()

    def look_at_log(self):
        log = self.log_text()
        n = len(re.findall(r"was terminated by signal", log))
        ok(n == self.counts["kill -9"], "no process crashed", n)
        # LOG lines of recovery are left out: at the end of the WAL, recovery always finds an unexpected record.
        bad = re.findall(r".*(?:PANIC|TRAP:|(?:WARNING|ERROR|FATAL):.*(?:leak|could not find|unexpected|corrupt)).*", log)
        ok(not bad, "the server's log tells of no fault", final.few(bad))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--root-key", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--crashes", action="store_true")
    parser.add_argument("--seed", default=str(time.time_ns()))
    soak = Soak(parser.parse_args())
    note(f"seed {soak.seed}, {soak.seconds:g} s")
    soak.run()
    soak.finish()


if __name__ == "__main__":
    main()
    sys.exit(0)
