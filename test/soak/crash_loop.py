"""Kills every process of the server with SIGKILL, while sessions store messages, rotate KEKs, rewrap keys, rotate the
root key and destroy KEKs.  The moments are random, but each second one is in a run of rewrap_all().  Then it starts the
server again, and looks in new sessions:
all committed rows are there, no key is lost, every payload decrypts, and rewrap_all() goes on
where it was and finishes.

    crash_loop.py --minutes N --root-key FILE --log FILE --data DIRECTORY [--seed N]

The server is as for soak.py, and it is left running; pg_ctl is in the path.
"""

import argparse
import ctypes
import os
import random
import re
import subprocess
import sys
import time

import administrators
import final
import kill_server
import readers
import writers
from database import ANALYSTS, connect, rows, set_up
from report import note, ok
from session import Session
from soak import PATIENCE, Soak

BIG = 20000

# The run of rewrap_all() in the big table that has begun and not finished, unless its label has been rotated since
UNFINISHED = """
    SELECT s.label, s.relation::regclass::text, (s.next_row::text::point)[0]::bigint FROM key_vault.rewrap_state s
      JOIN key_vault.kek k ON k.kek_id = s.kek_id AND k.state = 'active'
     WHERE s.finished_at IS NULL AND s.pass > 0 AND s.label = 'big'"""


class BigRewrapper(Session):
    """Rewraps a table in many batches, so that the kill comes between two batches or within one.  The pauses make
    a run last longer than it takes this process to kill the server, on a busy machine too."""

    role = "keeper"

    def explained(self, sqlstate, start, end):
        # Between the reload and root_key_rotate() the new root key seals nothing yet.
        return self.withdrawn(sqlstate, start, end) or sqlstate == "KV106"

    def step(self):
        self.sql("SELECT key_vault.kek_rotate('big')")
        self.sql("CALL key_vault.rewrap_all('big', batch_size => 200, sleep => '50 ms')")
        self.soak.counts.add("runs of rewrap_all through the big table")


SESSIONS = (
    (writers.Ingester, 3), (writers.CopyIngester, 1), (writers.TransactionIngester, 1), (writers.Holder, 3),
    (readers.ViewReader, 1),
    (administrators.Rotator, 1), (administrators.Rewrapper, 1), (administrators.Destroyer, 1),
    (administrators.Scheduler, 1), (administrators.RootRotator, 1), (BigRewrapper, 1),
)


PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """From now on, processes of the server become children of this process when their parent dies, so that it can
    reap them.  A new postmaster still sees a process that nobody has reaped, and not every system's init reaps."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def is_there(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


class CrashLoop(Soak):
    def __init__(self, options):
        super().__init__(options)
        self.data = options.data
        self.round = 0
        self.resumed = 0

    def kill_all(self):
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as file:
            postmaster = file.readline().strip()
        # In a process of its own, for which the threads of this one do not make the moment last seconds.
        killed = subprocess.run([sys.executable, kill_server.__file__, postmaster], check=True, stdout=subprocess.PIPE, text=True)
        pids = [int(pid) for pid in killed.stdout.split()]
        while any(is_there(pid) for pid in pids):
            time.sleep(0.01)

    def pg_ctl(self, *arguments):
        subprocess.run(["pg_ctl", "-D", self.data, "-w", "-t", str(PATIENCE), *arguments],
                       check=True, stdout=subprocess.DEVNULL)

    def start_server(self):
        self.pg_ctl("-l", self.log, "start")

    def work_and_crash(self):
        self.over.clear()
        self.senders_go_on.clear()
        sessions = [kind(self, 100 * self.round + number) for number, kind in
                    enumerate(kind for kind, n in SESSIONS for _ in range(n))]
        for session in sessions:
            session.start()
        time.sleep(self.rng.uniform(0.5, 4))
        # Each second crash stops rewrap_all() for certain, however slow the machine is.
        if self.round % 2 == 0:
            self.wait_for_rewrap_all()
        self.situation.begins(("crashed",))
        acknowledged, stored = set(self.acknowledged), set(self.stored)
        answered, schedules = list(self.answered), dict(self.schedules)
        self.over.set()
        self.kill_all()
        # The answers that sessions got before the kill
        stored = stored.union(*(s.there for s in sessions if isinstance(s, writers.Holder)))
        self.start_server()
        deadline = time.monotonic() + PATIENCE
        others = [s for s in sessions if not isinstance(s, writers.Ingester)]
        self.stopped_runs()
        for session in others:
            session.join(max(0, deadline - time.monotonic()))
        self.situation.ended(("crashed",))
        when = f"crash {self.round}: "
        # At least these: more may have been committed between the copy of the list and the kill.
        self.check(when, acknowledged, stored, answered, schedules)
        self.senders_go_on.set()
        for session in sessions:
            session.join(max(0, deadline - time.monotonic()))
        stuck = [s for s in sessions if s.is_alive()]
        ok(not stuck, f"{when}the sessions go on and end", self.hanging(stuck))

    def wait_for_rewrap_all(self):
        """Waits until rewrap_all() has a part of the big table behind it, and a part before it."""
        connection = connect()
        deadline = time.monotonic() + PATIENCE
        while not rows(connection, UNFINISHED) and time.monotonic() < deadline:
            time.sleep(0.001)
        connection.close()

    def stopped_runs(self):
        """The tables in which rewrap_all() was stopped and must go on: those of labels that have not
        been rotated since."""
        connection = connect()
        self.stopped = rows(connection, UNFINISHED)
        ok(rows(connection, "SHOW fsync")[0][0] == "on", f"crash {self.round}: fsync is on")
        connection.close()

    def finish_rewrapping(self, when):
        for label, table, block in self.stopped:
            connection = connect(options="-c client_min_messages=notice")
            rows(connection, "CALL key_vault.rewrap_all(%s)", (label,))
            told = "".join(connection.notices)
            found = re.search(rf"table {re.escape(table)}: goes on where it was stopped, in block (\d+)", told)
            ok(found is not None and int(found[1]) == block, f"{when}rewrap_all() goes on in block {block} of {table}", told)
            self.resumed += 1
            connection.close()

    def check(self, when, acknowledged, stored, answered, schedules):
        connection = connect()
        keks = {(label, version): (state, destroy_at) for label, version, state, destroy_at in rows(
            connection, "SELECT label, version, state, destroy_at FROM key_vault.keks")}
        lost = [a for a in answered if (a[1], a[2]) not in keks or a[0] == "destroyed" and keks[a[1], a[2]][0] != "destroyed"]
        ok(not lost, f"{when}what administrators were answered is done: {len(answered)}", final.few(lost))
        wrong = [kek for kek, is_scheduled in schedules.items()
                 if self.schedules.get(kek) == is_scheduled and keks[kek][0] != "destroyed"
                 and (keks[kek][1] is not None) != is_scheduled]
        ok(not wrong, f"{when}so are schedules of destruction: {len(schedules)}", final.few(wrong))
        sealed = rows(connection, "SELECT count(*) FROM key_vault.kek_health WHERE root_key_id IS NOT NULL "
                      "AND root_key_position IS NULL")[0][0]
        ok(sealed == 0, f"{when}every KEK is sealed under a root key of the list", sealed)
        rows(connection, "SELECT lorawan.replay_rejected()")
        connection.close()
        roles = [sorted(ANALYSTS)[self.round % len(ANALYSTS)]]
        final.check_messages(self.truth, acknowledged, set(), when, roles)
        final.check_session_keys(self.truth, when)
        final.check_stored_keys(self.truth, stored, None, when)
        final.check_made_tables(self.truth, when)
        connection = connect()
        wrong = rows(connection, "SELECT count(*), bool_and(key_vault.unwrap(key) = plain) FROM store.big")[0]
        ok(wrong == (BIG, True), f"{when}every key of the big table opens", wrong)
        final.check_usage(when)
        final.check_audit_log(when)
        connection.close()
        self.finish_rewrapping(when)
        final.rewrap_and_destroy(["big"], when)

    def run(self):
        self.rng = random.Random(f"{self.seed} crashes")
        adopt_orphans()
        self.pg_ctl("-m", "fast", "stop")
        self.start_server()
        set_up(self.truth)
        connection = connect()
        rows(connection, "SELECT key_vault.kek_create('big')")
        rows(connection, "SELECT key_vault.kek_grant('big', 'keeper', p) FROM unnest(ARRAY['admin', 'rewrap']) p")
        rows(connection, "CREATE TABLE store.big AS SELECT n AS id, decode(md5(n::text), 'hex') AS plain, "
             "key_vault.wrap(decode(md5(n::text), 'hex'), 'big') AS key FROM generate_series(1, %s) n", (BIG,))
        rows(connection, "ALTER TABLE store.big OWNER TO keeper")
        connection.close()
        for n in range(3):
            self.import_kek(f"late{n}")
        self.start = time.monotonic()
        while self.round < 3 or time.monotonic() - self.start < self.seconds:
            self.round += 1
            self.work_and_crash()
        self.tell()
        ok(self.resumed > 0, f"rewrap_all() was stopped in the middle {self.resumed} times of {self.round}")
        self.finish()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--root-key", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", default=str(time.time_ns()))
    options = parser.parse_args()
    options.crashes = False
    loop = CrashLoop(options)
    note(f"seed {loop.seed}, {loop.seconds:g} s")
    loop.run()


if __name__ == "__main__":
    main()
    sys.exit(0)
