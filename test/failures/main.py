"""Makes the nth call of each kind fail in each statement of a script, n = 1, 2, ... to the last.

    main.py LIBRARY GATE --root-keys LIST [--points N] [--one-of N] [--only PATTERN] [--kinds KIND,...] [--temperatures warm,cold] [--rounds N] [--seed N]

LIBRARY is fault.c's, GATE is test/pgtap/gate.sql, from which the calls of all functions are, LIST is the value of key_vault.root_key
to change to.  Of each statement and kind, N calls fail (the first, the last and some between), without --points all; with
--one-of N, only one of N functions is called, and one of N statements tried for memory that is lost.  The seed chooses.

Each statement is tried warm, in a session that has run all of them, and cold, in a new session.  What must be:
an error of the kind, or the right answer; then the same statement has the right answer in the same session.
Last, the same calls fail in many rounds, and no memory is lost.  Takes PGHOST and PGPORT of a server that has nothing else to do.
"""

import argparse
import collections
import os
import random
import re
import time

import psycopg2

from script import ANY, SET_UP, STATEMENTS, Statement, statements_of_gate

DATABASE = "failures"
OPTIONS = "-c search_path=key_vault,key_vault_internal,public -c client_min_messages=warning -c jit=off -c synchronous_commit=off"

# What a call that fails may raise
ERRORS = {
    "palloc": {"53200"},
    "malloc": {"53200"},
    "openssl": {"53200", "XX000"},
    "spi": {"58030"},
    "system": {"53200", "KV102", "KV105"},
    "disk": {"53100"},
    "cancel": {"57014"},
}


class Crash(Exception):
    """The session has ended."""


class Session:
    def __init__(self):
        for _ in range(600):
            try:
                self.connection = psycopg2.connect(dbname=DATABASE, options=OPTIONS)
                break
            except psycopg2.OperationalError as error:
                failure = error
                time.sleep(0.1)
        else:
            raise failure
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        # If the server could not load this library to its end, it could not load it again.
        self.must("LOAD 'plpgsql'")

    def run(self, sql):
        """The answer: a value, a row or rows; ("error", SQLSTATE) for an error."""
        del self.connection.notices[:]
        try:
            self.cursor.execute(sql)
            if self.cursor.description is None:
                return self.cursor.statusmessage
            rows = self.cursor.fetchall()
        except psycopg2.Error as error:
            if self.connection.closed or error.pgcode is None or error.pgcode in ("57P01", "57P02", "57P03"):
                raise Crash(str(error).strip())
            self.message = f"{error.pgcode}: {error.diag.message_primary} ({error.diag.source_function})"
            return ("error", error.pgcode)
        if len(rows) == 1:
            return rows[0][0] if len(rows[0]) == 1 else rows[0]
        return rows

    def must(self, sql):
        answer = self.run(sql)
        if isinstance(answer, tuple) and answer[:1] == ("error",):
            raise AssertionError(f"{sql}: {self.message}")
        return answer

    def close(self):
        self.connection.close()


def is_error(answer):
    return isinstance(answer, tuple) and len(answer) == 2 and answer[0] == "error"


def is_right(answer, expected):
    if expected is ANY:
        return not is_error(answer)
    return clean(answer) == clean(expected)


def clean(answer):
    """Bytes compare as bytes do."""
    if isinstance(answer, memoryview):
        return bytes(answer)
    if isinstance(answer, (list, tuple)):
        return [clean(a) for a in answer]
    return answer


class Trial:
    """A statement in a session, with one call failing or with none."""

    def __init__(self, session, statement, kind=None, n=0):
        self.wrong = []
        for sql in statement.reset:
            session.must(sql)
        if statement.rollback:
            session.must("BEGIN")
        for sql in statement.before:
            session.must(sql)
        if kind:
            session.must(f"SELECT fault_at('{kind}', {n})")
        self.answer = session.run(statement.sql)
        self.message = session.message if is_error(self.answer) else None
        self.warned = [notice.strip() for notice in session.connection.notices if notice.startswith("WARNING")]
        # The failure may come only in the statement that ends it.
        self.calls = 0
        in_time = True
        if kind and not is_error(self.answer):
            self.calls = session.run("SELECT fault_calls()")
            in_time = not is_error(self.calls)
        if not is_error(self.answer) and in_time:
            for sql in statement.after:
                answer = session.run(sql)
                if answer is not True:
                    self.wrong.append(f"afterwards: {sql}: {session.message if is_error(answer) else answer}")
        if statement.rollback:
            if is_error(session.run("ROLLBACK")):
                session.must("ROLLBACK")
        elif is_error(self.answer):
            # What a procedure has committed stays.
            for sql in statement.after:
                answer = session.run(sql)
                if answer is not True:
                    self.wrong.append(f"afterwards: {sql}: {session.message if is_error(answer) else answer}")
        if kind and is_error(self.answer):
            self.calls = session.run("SELECT fault_calls()")
        if kind and is_error(self.calls):
            session.must("SELECT fault_calls()")
            self.calls = 0


class Report:
    def __init__(self):
        self.points = collections.Counter()
        self.outcomes = collections.defaultdict(collections.Counter)
        self.failures = 0

    def line(self, ok, text):
        print(f"{'ok' if ok else 'not ok'} - {text}", flush=True)
        self.failures += not ok

    def note(self, text):
        print(f"# {text}", flush=True)


def points_of(total, wanted, dice):
    if wanted is None or total <= wanted:
        return range(1, total + 1)
    return sorted({1, total} | set(dice.sample(range(1, total + 1), max(wanted - 2, 1))))


def try_point(session, statement, kind, n, report):
    """Problems of one point."""
    problems = []
    trial = Trial(session, statement, kind, n)
    report.points[kind] += 1
    fired = trial.calls < 0
    if is_error(trial.answer) and not is_right(trial.answer, statement.answer):
        report.outcomes[kind][trial.answer[1]] += 1
        if not fired:
            problems.append(f"an error without a failure: {trial.message}")
        elif trial.answer[1] not in ERRORS[kind]:
            problems.append(f"raises {trial.message}")
        problems += trial.wrong
    else:
        right = is_right(trial.answer, statement.answer) and not trial.wrong
        reported = statement.reports and (trial.warned or re.search("out of memory|could not read|canceling|KV10[25]", repr(trial.answer), re.I))
        report.outcomes[kind]["not reached" if not fired else "right" if right else "reported"] += 1
        if not right and not reported:
            problems.append(f"answers {clean(trial.answer)!r} {trial.wrong or ''} {trial.warned or ''}")
    again = Trial(session, statement)
    if not is_right(again.answer, statement.answer):
        problems.append(f"then: {again.message or clean(again.answer)!r}")
    problems += [f"then {wrong}" for wrong in again.wrong]
    return problems


def try_statement(statement, kinds, warm, arguments, dice, report, session):
    """Returns the session to go on with."""
    problems = []
    name = f"{statement.name}, {'warm' if warm else 'cold'}"
    counts = []
    for kind in [kind for kind in kinds if kind not in statement.without]:
        counting = session if warm else Session()
        total = Trial(counting, statement, kind, 0).calls
        if not warm:
            counting.close()
        wanted = points_of(total, arguments.points, dice)
        counts.append(f"{kind} {len(wanted)}/{total}")
        for n in wanted:
            trying = session if warm else None
            try:
                trying = trying or Session()
                problems += [f"{kind} {n}: {problem}" for problem in try_point(trying, statement, kind, n, report)]
            except (Crash, AssertionError) as error:
                problems.append(f"{kind} {n}: {type(error).__name__}: {error}")
                if warm:
                    session.close()
                    session = warm_session()
            finally:
                if not warm and trying:
                    trying.close()
            if len(problems) > 10:
                break
        if len(problems) > 10:
            break
    report.line(not problems, f"{name}: {', '.join(counts)}")
    for problem in problems[:10]:
        report.note(problem)
    return session


def warm_session():
    session = Session()
    session.must("LOAD 'key_vault'")
    return session


def memory(session):
    """What the session has of memory, of locked memory and of open files."""
    answer = dict(session.must("""
        SELECT name, sum(used_bytes)::bigint FROM pg_backend_memory_contexts
         WHERE parent IS NULL OR name LIKE 'key_vault%' GROUP BY name
        UNION ALL SELECT 'malloc', fault_heap()"""))
    pid = session.connection.get_backend_pid()
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        answer["locked kB"] = int(re.search(r"VmLck:\s+(\d+)", status.read()).group(1))
    answer["files"] = len(os.listdir(f"/proc/{pid}/fd"))
    return answer


def growth_of(session, statement, kind, n, rounds):
    """What is not given back in so many rounds, after as many."""
    for number in range(2 * rounds):
        if number == rounds:
            before = memory(session)
        Trial(session, statement, kind, n)
    after = memory(session)
    return collections.Counter({what: after[what] - before.get(what, 0) for what in after})


def try_leaks(statements, kinds, rounds, dice, report):
    """The same call fails again and again in one session.  The server itself keeps something of some statements, also if
    nothing fails; its caches, in malloc, grow anyway."""
    session = warm_session()
    grown = collections.Counter()
    for statement in statements:
        problems = []
        usual = growth_of(session, statement, None, 0, rounds)
        for kind in [kind for kind in kinds if kind not in statement.without]:
            total = Trial(session, statement, kind, 0).calls
            if not total:
                continue
            n = dice.randint(1, total)
            for what, growth in growth_of(session, statement, kind, n, rounds).items():
                if growth - max(usual[what], 0) >= rounds and what not in ("malloc", "files"):
                    problems.append(f"{kind} {n}: {what} grows by {growth / rounds:.0f} with each failure")
                grown[what] += growth
        report.line(not problems, f"{statement.name}: nothing grows with failures")
        for problem in problems:
            report.note(problem)
    report.note(", ".join(f"{what}: {growth}" for what, growth in grown.items()))
    session.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("gate")
    parser.add_argument("--root-keys", required=True)
    parser.add_argument("--points", type=int)
    parser.add_argument("--only")
    parser.add_argument("--kinds", default=",".join(ERRORS))
    parser.add_argument("--temperatures", default="warm,cold")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--one-of", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    kinds = arguments.kinds.split(",")
    report = Report()

    connection = psycopg2.connect(dbname="postgres")
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
    connection.cursor().execute("CREATE ROLE failures_nobody")
    connection.close()
    session = Session()
    for sql in re.split(r";\n(?! )", SET_UP % f"$${arguments.root_keys}$$"):
        if sql:
            session.must(sql)
        while "pg_reload_conf" in sql and session.must("SHOW key_vault.root_key") != arguments.root_keys:
            time.sleep(0.01)
    session.must(f"CREATE FUNCTION public.fault_at(text, integer) RETURNS void LANGUAGE C AS '{arguments.library}'")
    session.must(f"CREATE FUNCTION public.fault_calls() RETURNS integer LANGUAGE C AS '{arguments.library}'")
    session.must(f"CREATE FUNCTION public.fault_heap() RETURNS bigint LANGUAGE C AS '{arguments.library}'")
    session.close()

    session = warm_session()
    functions = statements_of_gate(arguments.gate)
    statements = STATEMENTS + dice.sample(functions, len(functions) // arguments.one_of)
    if arguments.only:
        statements = [s for s in statements if re.search(arguments.only, s.name)]
    for statement in statements:
        # The right answer where the script has none: that of two runs without a failure, if they agree.
        first, second = Trial(session, statement), Trial(session, statement)
        if statement.answer is None:
            statement.answer = first.answer if clean(first.answer) == clean(second.answer) else ANY
        ok = all(is_right(t.answer, statement.answer) and not t.wrong for t in (first, second))
        if not ok:
            report.line(False, f"{statement.name}: right without a failure")
            report.note(f"{first.message} {clean(first.answer)!r} {first.wrong}")
            statements = [s for s in statements if s is not statement]
    report.note(f"{len(statements)} statements")

    for temperature in arguments.temperatures.split(","):
        for statement in statements:
            session = try_statement(statement, kinds, temperature == "warm", arguments, dice, report, session)
    session.close()
    if arguments.rounds:
        try_leaks(dice.sample(statements, len(statements) // arguments.one_of), kinds, arguments.rounds, dice, report)
    for kind in kinds:
        report.note(f"{kind}: {report.points[kind]} calls failed: " +
                    ", ".join(f"{number} {outcome}" for outcome, number in report.outcomes[kind].most_common()))


if __name__ == "__main__":
    main()
