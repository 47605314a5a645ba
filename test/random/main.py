"""The program that test/random/run describes and starts."""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time

import psycopg2

import database
import steps
from generator import Generator
from oracle import World
from steps import Mismatch

# This many steps make labels and keys, before the random steps.
OPENING = 24


class Failed(Exception):
    """A step's answer was wrong.  A shorter script must fail with the same "how"."""

    def __init__(self, step, sql, mismatch):
        super().__init__(str(mismatch))
        self.step, self.sql, self.how = step, sql, mismatch.kind


class Run:
    """Sessions on a fresh database, and the oracle's picture of it."""

    def __init__(self, server, n_sessions):
        self.server = server
        self.done = []          # the steps that were taken
        self.errors = 0         # that were as they should be
        self.cache = {}         # what the caches counted
        self.name = server.fresh_database()
        self.world = World(n_sessions)
        self.clients = [database.Client(server, self.name, self.cache) for _ in range(n_sessions)]

    def take(self, step):
        """Takes a step; returns False if the step is not possible now."""
        plan = steps.plan(self.world, step)
        if plan is None:
            return False
        session, client = self.world.sessions[step["s"]], self.clients[step["s"]]
        sql = client.render(plan.sql, plan.params)
        self.done.append(step)
        try:
            rows, code = client.answer(sql)
            if code is not None and code == plan.want:
                self.errors += 1
                self.world.fail(session)
            elif code is not None or plan.want is not None:
                wanted = plan.want or "an answer"
                got = code or [[steps.plain(value) for value in row] for row in rows]
                raise Mismatch(wanted, got, f"{wanted}, not {code or 'an answer'}")
            else:
                plan.done(rows, client.run)
        except Mismatch as mismatch:
            raise Failed(step, sql, mismatch) from None
        except (psycopg2.Error, ValueError, TypeError, IndexError) as error:
            # The answer has the wrong form, or the oracle cannot go on from it.
            raise Failed(step, sql, Mismatch("a sound answer", repr(error), type(error).__name__)) from error
        return True

    def close(self):
        """Drops everything.  Errors that the caches have counted are failures as well."""
        try:
            for client in self.clients:
                client.close()
        finally:
            for client in self.clients:
                client.connection.close()
            self.server.drop_database(self.name)


def failure_of(server, script, n_sessions):
    """Runs the steps; returns the Failed that they end with and the steps that were taken, or None."""
    run = Run(server, n_sessions)
    try:
        for step in script:
            run.take(step)
    except Failed as failed:
        return failed, run.done
    finally:
        try:
            run.close()
        except Mismatch:
            pass
    return None


def leave_out(items, works):
    """The items that are needed for the failure.  Tries to leave out halves first, and single items last."""
    size = max(1, len(items) // 2)
    while size > 0:
        before, start = len(items), 0
        while start < len(items):
            shorter = items[:start] + items[start + size:]
            if works(shorter):
                items = shorter
            else:
                start += size
        # Single items are tried again as long as one more can be left out.
        if size > 1 or len(items) == before:
            size //= 2
    return items


def shrink(server, script, how, n_sessions, seconds):
    """
    Leaves out steps that the failure does not need: first all but the last ones, then
    each kind of step, then single steps, then rows of steps that have many.
    """
    deadline = time.monotonic() + seconds

    def fails(candidate):
        """Whether the steps fail in the same way; the step that fails is always the last one."""
        if time.monotonic() > deadline:
            return False
        found = failure_of(server, candidate, n_sessions)
        return found is not None and found[0].how == how and found[1][-1] is candidate[-1]

    size = 25
    while size < len(script) - OPENING:
        candidate = script[:OPENING] + script[-size:]
        if fails(candidate):
            script = candidate
            break
        size *= 2

    for op in sorted({step["op"] for step in script[:-1]}):
        candidate = [step for step in script[:-1] if step["op"] != op] + script[-1:]
        if fails(candidate):
            script = candidate

    script = leave_out(script[:-1], lambda part: fails(part + script[-1:])) + script[-1:]

    for i, step in enumerate(script):
        if step["op"] == "many":
            def with_rows(rows, i=i, step=step):
                return script[:i] + [{**step, "rows": rows}] + script[i + 1:]
            script = with_rows(leave_out(step["rows"], lambda rows, make=with_rows: fails(make(rows))))
    return script


def print_script(server, script, n_sessions, file, header):
    """The steps as JSON, each after its SQL in one of the runs."""
    run = Run(server, n_sessions)
    try:
        for line in header:
            print(f"# {line}", file=file)
        print(json.dumps({"sessions": n_sessions}), file=file)
        for step in script:
            plan = steps.plan(run.world, step)
            if plan is None:
                continue
            sql = run.clients[step["s"]].render(plan.sql, plan.params)
            print(f"# session {step['s']}: {sql};", file=file)
            try:
                run.take(step)
            except Failed as failed:
                print(f"#   {failed}", file=file)
            else:
                print(f"#   {plan.want or 'as it should be'}", file=file)
            print(json.dumps(step), file=file)
    finally:
        try:
            run.close()
        except Mismatch:
            pass


def read_script(path):
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip() and not line.startswith("#")]
    return lines[0]["sessions"], lines[1:]


def report(server, script, failed, n_sessions, seconds, header):
    print(f"not ok - step {len(script)}: {failed.step['op']} of session {failed.step['s']}: {failed}")
    print(f"# {failed.sql}")
    print(f"# shrinking {len(script)} steps, for {seconds} s at most", flush=True)
    found = failure_of(server, script, n_sessions)
    if found is None or found[0].how != failed.how:
        print("# the steps did not fail in the same way again; this is the whole script")
    else:
        script = shrink(server, script, failed.how, n_sessions, seconds)
    handle, path = tempfile.mkstemp(prefix="key_vault-random-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        print_script(server, script, n_sessions, file, header)
    print(f"# {len(script)} steps are left:")
    with open(path, encoding="utf-8") as file:
        print(file.read(), end="")
    print(f"# replay: test/random/run --replay {path}")


def test(server, options):
    """Returns True if no answer was wrong."""
    if options.replay:
        n_sessions, script = read_script(options.replay)
        header = [f"from {options.replay}"]
    else:
        n_sessions, script = options.sessions, None
        header = [f"seed {options.seed}, {n_sessions} sessions, PostgreSQL {server.version}"]
        print(f"{header[0]}, {options.steps} steps", flush=True)
        if server.max_prepared == 0:
            print("skipped: two-phase commit, since max_prepared_transactions is 0", flush=True)

    run = Run(server, n_sessions)
    failed = None
    start = time.monotonic()
    try:
        if script is not None:
            for step in script:
                run.take(step)
        else:
            generator = Generator(random.Random(options.seed), run.world, server.max_prepared > 0)
            while len(run.done) < options.steps:
                step = generator.step()
                if step is not None:
                    run.take(step)
    except Failed as caught:
        failed = caught
    finally:
        try:
            run.close()
        except Mismatch as mismatch:
            failed = failed or Failed(run.done[-1], "SELECT mismatches FROM key_vault.cache_stats()", mismatch)
    if failed is not None:
        report(server, run.done, failed, n_sessions, options.shrink, header)
        return False
    counted = ", ".join(f"{count} {name}" for name, count in run.cache.items())
    print(f"ok - {len(run.done)} steps in {time.monotonic() - start:.0f} s: {steps.values_compared} values compared, "
          f"{run.errors} errors as they should be; of the caches: {counted}")
    return True


def main():
    parser = argparse.ArgumentParser(prog="test/random/run", description="Random interleavings against an oracle.")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--replay", metavar="FILE", help="a script that was printed, instead of random steps")
    parser.add_argument("--shrink", type=int, metavar="SECONDS", default=120,
                        help="time for making a failed script shorter")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10 ** 9)

    # A signal becomes an exception, so that databases and roles are dropped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = database.Server()
    passed = False
    try:
        server.set_up()
        passed = test(server, options)
    except psycopg2.Error as error:
        print(f"not ok - {error}")
    finally:
        server.drop()
    print(f"{int(passed)} passed, {int(not passed)} failed")
    sys.exit(0 if passed else 1)


main()
