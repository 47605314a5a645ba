"""Makes the nth call of each kind fail in each statement of a script, n = 1, 2, ... to the last.

    main.py LIBRARY GATE --ports PORT,... --root-keys LIST [--points N] [--one-of N] [--every] [--results FILE]
            [--only PATTERN] [--kinds KIND,...] [--temperatures warm,cold] [--rounds N] [--seed N]

LIBRARY is fault.c's, GATE is test/pgtap/gate.sql, from which the calls of all functions are, PORTS are of servers that have nothing
else to do, LIST is the value of key_vault.root_key to change them to.

Each statement is tried warm, in a session that has run all of them, and cold, in a new session.  What must be:
an error of the kind, or the right answer; then the same statement has the right answer in the same session.
Last, the same calls fail in many rounds, and no memory is lost.

With --points N, of each statement and kind N calls fail (the first, the last and some between); with --one-of N, only one of
N functions is called, and one of N statements tried for memory that is lost.  The seed chooses.
Without --points, each call fails; but of the allocations from one place (places.c says what that is), and of the cancellations
there, only the first and the last do, and only in the quickest of the statements that come to the place, unless there is --every.
Of a statement that makes very many calls only the first from each place does.
Each server works off the statements, in parts of some minutes.  What comes of each part is appended to FILE as soon as it is
known, and what FILE has as "ok" is not done again.
"""

import argparse
import collections
import concurrent.futures
import multiprocessing
import os
import random
import re
import time

import psycopg2

from script import ANY, SET_UP, STATEMENTS, Statement, statements_of_gate

DATABASE = "failures"

# Of how many calls a part is: some seconds to some minutes
POINTS_OF_PART = 1000
OPTIONS = "-c search_path=key_vault,key_vault_internal,public -c client_min_messages=warning -c jit=off -c synchronous_commit=off"

# The kinds of which there are so many that places count
BY_PLACE = {"palloc", "cancel"}

# From how many calls of a kind on only the first from each place fails, since such a statement takes long
MANY_CALLS = 65536

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
        # A server that has crashed takes a moment.
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
            self.calls = session.must("SELECT fault_calls()")


class Result:
    """What came of a task; it goes from a worker to the main process."""

    def __init__(self, name):
        self.name = name
        self.problems = []
        self.counts = []
        self.tried = collections.Counter()
        self.outcomes = collections.defaultdict(collections.Counter)
        self.grown = collections.Counter()
        self.begun = time.monotonic()
        self.seconds = 0
        self.total = 0  # of all calls
        self.seconds_of_call = 0
        self.places = {}  # of each kind by place: how many calls at each are to fail

    def lines(self):
        text = ", ".join(self.counts)
        yield f"{'not ok' if self.problems else 'ok'} - {self.name}{': ' if text else ''}{text}, {self.seconds:.0f} s"
        for problem in self.problems[:10]:
            yield f"# {problem}"


class Points:
    """Which calls are to fail.  A task is a part of a statement's, and takes each parts-th of them, and those at some places."""

    def __init__(self, worker, statement, kind, warm, part=1, parts=1, only=None):
        self.worker, self.statement, self.kind, self.warm = worker, statement, kind, warm
        self.part, self.parts = part, parts
        self.only = only
        self.arguments = worker.arguments
        self.by_place = kind in BY_PLACE and not self.arguments.points and not self.arguments.every
        self.places, self.covered = {}, set()
        self.total = 0
        self.count()

    def count(self):
        session = self.worker.session if self.warm else Session()
        self.total = Trial(session, self.statement, self.kind, -1 if self.by_place else 0).calls
        if self.by_place:
            lines = session.must("SELECT fault_places()").splitlines()
            places = {int(place): (int(first), int(last if self.total < MANY_CALLS else first)) for place, first, last in map(str.split, lines)}
            self.places = {place: calls for place, calls in places.items() if self.only is None or place in self.only}
        if not self.warm:
            session.close()

    def wanted(self):
        if self.by_place:
            missing = [calls for place, calls in self.places.items() if place not in self.covered]
            return sorted({call for calls in missing for call in calls})
        if self.arguments.points and self.arguments.points < self.total:
            dice = self.worker.dice
            return sorted({1, self.total} | set(dice.sample(range(1, self.total + 1), max(self.arguments.points - 2, 1))))
        return range(self.part, self.total + 1, self.parts)

    def rounds(self):
        """The server does not make exactly the same allocations each time, so the nth may be at another place."""
        yield self.wanted()
        for _ in range(3 if self.by_place else 0):
            self.count()
            if self.wanted():
                yield self.wanted()


def try_point(session, statement, points, n, result):
    """Problems of one point."""
    problems = []
    kind = points.kind
    trial = Trial(session, statement, kind, n)
    result.tried[kind] += 1
    fired = trial.calls < 0
    if fired and points.by_place:
        points.covered.add(session.must("SELECT fault_place()"))
    if is_error(trial.answer) and not is_right(trial.answer, statement.answer):
        result.outcomes[kind][trial.answer[1]] += 1
        if not fired:
            problems.append(f"an error without a failure: {trial.message}")
        elif trial.answer[1] not in ERRORS[kind]:
            problems.append(f"raises {trial.message}")
        problems += trial.wrong
    else:
        right = is_right(trial.answer, statement.answer) and not trial.wrong
        reported = statement.reports and (trial.warned or re.search("out of memory|could not (read|compute)|canceling|KV10[25]", repr(trial.answer), re.I))
        result.outcomes[kind]["not reached" if not fired else "right" if right else "reported"] += 1
        if not right and not reported:
            problems.append(f"answers {clean(trial.answer)!r} {trial.wrong or ''} {trial.warned or ''}")
    again = Trial(session, statement)
    if not is_right(again.answer, statement.answer):
        problems.append(f"then: {again.message or clean(again.answer)!r}")
    problems += [f"then {wrong}" for wrong in again.wrong]
    return problems


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


def chosen_statements(arguments):
    functions = statements_of_gate(arguments.gate)
    statements = STATEMENTS + random.Random(arguments.seed).sample(functions, len(functions) // arguments.one_of)
    return [s for s in statements if re.search(arguments.only, s.name)]


def name_of(statement, task):
    what, _, temperature, part, parts = task
    if what in TASKS:
        return f"{statement.name}: {TASKS[what]}"
    return f"{statement.name}, {temperature}{f', part {part} of {parts}' if parts > 1 else ''}"


class Worker:
    """A server, and a process that works off tasks with it."""

    def __init__(self, arguments, port):
        os.environ["PGPORT"] = port
        self.arguments = arguments
        self.kinds = arguments.kinds.split(",")
        self.dice = random.Random(arguments.seed)
        self.set_up()
        self.statements = chosen_statements(arguments)
        self.session = warm_session()

    def set_up(self):
        connection = psycopg2.connect(dbname="postgres")
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        connection.cursor().execute("CREATE ROLE failures_nobody")
        connection.close()
        session = Session()
        for sql in re.split(r";\n(?! )", SET_UP % f"$${self.arguments.root_keys}$$"):
            if sql:
                session.must(sql)
            while "pg_reload_conf" in sql and session.must("SHOW key_vault.root_key") != self.arguments.root_keys:
                time.sleep(0.01)
        for function, result in (("fault_at(text, integer)", "void"), ("fault_calls()", "integer"), ("fault_place()", "bigint"),
                                 ("fault_places()", "text"), ("fault_heap()", "bigint")):
            session.must(f"CREATE FUNCTION public.{function} RETURNS {result} LANGUAGE C AS '{self.arguments.library}'")
        session.close()

    def work(self, task, places):
        what, number, temperature, part, parts = task
        statement = self.statements[number]
        result = Result(name_of(statement, task))
        try:
            if what == "fail":
                self.fail(statement, temperature == "warm", part, parts, places, result)
            else:
                getattr(self, what)(statement, temperature == "warm", result)
        except (Crash, AssertionError) as error:
            result.problems.append(f"{type(error).__name__}: {error}")
            self.renew()
        result.seconds = time.monotonic() - result.begun
        return task, result

    def renew(self):
        self.session.close()
        self.session = warm_session()
        for statement in self.statements:
            Trial(self.session, statement)

    def learn(self, statement, _warm, result):
        """The right answer where the script has none: that of two runs without a failure, if they agree."""
        first, second = Trial(self.session, statement), Trial(self.session, statement)
        if statement.answer is None:
            statement.answer = first.answer if clean(first.answer) == clean(second.answer) else ANY
        if not all(is_right(t.answer, statement.answer) and not t.wrong for t in (first, second)):
            result.problems.append(f"{first.message} {clean(first.answer)!r} {first.wrong}")

    def measure(self, statement, warm, result):
        """Which calls may fail, and about how long it takes to try one."""
        for kind in [kind for kind in self.kinds if kind not in statement.without]:
            points = Points(self, statement, kind, warm)
            result.total += points.total
            if points.by_place:
                result.places[kind] = {place: len(set(calls)) for place, calls in points.places.items()}
            else:
                result.tried[kind] = len(points.wanted())
        begun = time.monotonic()
        session = self.session if warm else Session()
        Trial(session, statement, "palloc", 0)
        Trial(session, statement)
        if not warm:
            session.close()
        result.seconds_of_call = time.monotonic() - begun

    def fail(self, statement, warm, part, parts, places, result):
        # What is rolled back fills the catalogue with dead rows, and some statements read all of it.
        if not self.arguments.points:
            self.session.must("VACUUM")
        for kind in [kind for kind in self.kinds if kind not in statement.without]:
            points = Points(self, statement, kind, warm, part, parts, places.get(kind))
            for wanted in points.rounds():
                for n in wanted:
                    self.fail_at(n, points, result)
                    if len(result.problems) > 10:
                        return
            missed = len(set(points.places) - points.covered)
            result.counts.append(f"{kind} {result.tried[kind]}/{points.total}" +
                                 (f" from {len(points.covered)} places" if points.by_place else "") +
                                 (f" ({missed} missed)" if missed else ""))

    def fail_at(self, n, points, result):
        session = self.session if points.warm else None
        try:
            session = session or Session()
            result.problems += [f"{points.kind} {n}: {problem}" for problem in try_point(session, points.statement, points, n, result)]
        except (Crash, AssertionError) as error:
            result.problems.append(f"{points.kind} {n}: {type(error).__name__}: {error}")
            if points.warm:
                self.renew()
        finally:
            if not points.warm and session:
                session.close()

    def leak(self, statement, _warm, result):
        """The same call fails again and again in one session.  The server itself keeps something of some statements, also if
        nothing fails; its caches, in malloc, grow anyway."""
        rounds = self.arguments.rounds
        usual = growth_of(self.session, statement, None, 0, rounds)
        for kind in [kind for kind in self.kinds if kind not in statement.without]:
            total = Trial(self.session, statement, kind, 0).calls
            if not total:
                continue
            n = self.dice.randint(1, total)
            for what, growth in growth_of(self.session, statement, kind, n, rounds).items():
                if growth - max(usual[what], 0) >= rounds and what not in ("malloc", "files"):
                    result.problems.append(f"{kind} {n}: {what} grows by {growth / rounds:.0f} with each failure")
                result.grown[what] += growth


# What is said of a statement that is not tried with a failure, warm or cold
TASKS = {"learn": "right without a failure", "leak": "nothing grows with failures"}
worker = None


def start_worker(arguments, ports):
    global worker
    worker = Worker(arguments, ports.get())
    # Each worker learns the answers, and its warm session has run all statements then.
    worker.learned = [worker.work(("learn", number, None, 1, 1), {}) for number in range(len(worker.statements))]


def work(task, places):
    return worker.work(task, places)


def learned():
    return worker.learned


class Report:
    """Prints results, and adds to the file of them."""

    def __init__(self, path):
        self.file = None
        self.done = {}
        self.tried = collections.Counter()
        self.outcomes = collections.defaultdict(collections.Counter)
        self.grown = collections.Counter()
        if path:
            self.file = open(path, "a+", encoding="utf-8")
            self.file.seek(0)
            self.done = {match.group(1): match.group(0) for match in re.finditer(r"^ok - (.*?(, warm|, cold)(, part \d+ of \d+)?): .*$", self.file.read(), re.M)}

    def note(self, text):
        print(f"# {text}", flush=True)
        if self.file:
            print(f"# {time.strftime('%H:%M:%S')} {text}", file=self.file, flush=True)

    def add(self, result):
        for line in result.lines():
            print(line, flush=True)
            if self.file:
                print(line, file=self.file, flush=True)
        self.tried.update(result.tried)
        self.grown.update(result.grown)
        for kind, outcomes in result.outcomes.items():
            self.outcomes[kind].update(outcomes)


def as_done(pool, tasks):
    for future in concurrent.futures.as_completed([pool.submit(work, task, places) for task, places in tasks.items()]):
        yield future.result()


def divide_places(measured):
    """Leaves each place to the quickest of the statements that come to it, of those that are warm, and of those that are cold.

    Which is the quickest must not depend on chance, or the parts in the file of results would not be these.  So of statements
    that make about as many calls the first one is."""
    taken = collections.defaultdict(set)
    for (_, _, temperature, _, _), result in sorted(measured, key=lambda m: (m[1].total.bit_length(), m[0])):
        for kind, places in result.places.items():
            result.places[kind] = {place: calls for place, calls in places.items() if place not in taken[temperature, kind]}
            taken[temperature, kind].update(result.places[kind])
            result.tried[kind] = sum(result.places[kind].values())


def plan(pool, statements, arguments, report):
    """The parts of all statements: the places of each, and the estimated seconds; quick ones first."""
    tasks = [("fail", number, temperature, 1, 1) for temperature in arguments.temperatures.split(",") for number in statements]
    if arguments.points:
        return dict.fromkeys(tasks, {}), dict.fromkeys(tasks, 0)
    measured = list(pool.map(work, [("measure", *task[1:]) for task in tasks], [{}] * len(tasks)))
    divide_places(measured)
    places, seconds = {}, {}
    calls = 0
    for task, result in measured:
        calls_here = sum(result.tried.values())
        parts = 1 + calls_here // POINTS_OF_PART
        calls += calls_here
        report.note(f"to do: {result.name}: {', '.join(f'{kind} {tried}' for kind, tried in result.tried.items())}, "
                    f"about {calls_here * result.seconds_of_call / 60:.1f} minutes")
        for part in range(1, parts + 1):
            name = ("fail", *task[1:3], part, parts)
            places[name] = {kind: {place for place in of_kind if place % parts == part - 1} for kind, of_kind in result.places.items()}
            seconds[name] = calls_here * result.seconds_of_call / parts
    report.note(f"{calls} calls are to fail, which takes one server about {sum(seconds.values()) / 3600:.1f} hours")
    return {name: places[name] for name in sorted(places, key=seconds.get)}, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("gate")
    parser.add_argument("--ports", required=True)
    parser.add_argument("--root-keys", required=True)
    parser.add_argument("--points", type=int)
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--results")
    parser.add_argument("--only", default="")
    parser.add_argument("--kinds", default=",".join(ERRORS))
    parser.add_argument("--temperatures", default="warm,cold")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--one-of", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    report = Report(arguments.results)
    chosen = chosen_statements(arguments)

    ports = multiprocessing.Queue()
    for port in arguments.ports.split(","):
        ports.put(port)
    with concurrent.futures.ProcessPoolExecutor(arguments.ports.count(",") + 1, multiprocessing.get_context("fork"), start_worker, (arguments, ports)) as pool:
        statements = []
        for task, result in pool.submit(learned).result():
            if result.problems:
                report.add(result)
            else:
                statements.append(task[1])
        report.note(f"{len(statements)} statements")

        parts, seconds = plan(pool, statements, arguments, report)
        names = {task: name_of(chosen[task[1]], task) for task in parts}
        for task in [task for task in parts if names[task] in report.done]:
            print(report.done[names[task]], flush=True)
            del parts[task]
        left = sum(seconds[task] for task in parts)
        for task, result in as_done(pool, parts):
            report.add(result)
            left -= seconds[task]
            if report.file:
                report.note(f"about {left / 3600:.1f} hours of one server are left")
        if arguments.rounds:
            dice = random.Random(arguments.seed)
            for _, result in as_done(pool, {("leak", number, None, 1, 1): {} for number in dice.sample(statements, len(statements) // arguments.one_of)}):
                report.add(result)
            report.note(", ".join(f"{what}: {growth}" for what, growth in report.grown.items()))
    for kind in arguments.kinds.split(","):
        report.note(f"{kind}: {report.tried[kind]} calls failed: " +
                    ", ".join(f"{number} {outcome}" for outcome, number in report.outcomes[kind].most_common()))


if __name__ == "__main__":
    main()
