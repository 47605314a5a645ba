"""Shared parts of the differential tests: a database, the oracle lora-packet, random
bytes, and the comparison of long lists of answers, with one TAP line for each list.
"""

import json
import os
import random
import subprocess
import sys
import threading

import psycopg2

LONG = bool(os.environ.get("KEY_VAULT_LONG"))
REQUIRED = bool(os.environ.get("KEY_VAULT_CI"))
SEED = os.environ.get("KEY_VAULT_SEED", "20230210")

rng = random.Random(SEED)

_tests = 0
_failed = 0


def cases(n):
    """How many cases: n, or twenty times as many in the long form."""
    return 20 * n if LONG else n


def random_bytes(n):
    return rng.getrandbits(8 * n).to_bytes(n, "big") if n else b""


def ok(passed, name):
    global _tests, _failed
    _tests += 1
    _failed += not passed
    print(f"{'' if passed else 'not '}ok {_tests} - {name}", flush=True)
    return passed


def same(name, inputs, ours, theirs):
    """One test: whether the two lists are equal.  Shows the first differences, with the
    inputs that led to them."""
    if not (len(inputs) == len(ours) == len(theirs) > 0):
        ok(False, name)
        print(f"# {len(inputs)} inputs, {len(ours)} answers of ours, {len(theirs)} of theirs")
        return
    differences = [i for i in range(len(ours)) if ours[i] != theirs[i]]
    ok(not differences, f"{name}: {len(ours)} cases")
    for i in differences[:5]:
        print(f"# case {i} of seed {SEED}: {inputs[i]}")
        print(f"#   ours:   {ours[i]}")
        print(f"#   theirs: {theirs[i]}")


def end():
    """Ends the list of tests; the exit status says whether all passed."""
    print(f"1..{_tests}")
    sys.exit(_failed != 0)


class LoraPacket:
    """The functions of a module MODULE.js in this directory, run by a node process of their own."""

    def __init__(self, module):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lora_packet.js")
        self.node = subprocess.Popen(["node", script, module], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)

    def call(self, function, arguments):
        """Calls the function once with each list of arguments, and returns the list of answers.
        Bytes are passed as hexadecimal text in both directions."""
        def write():
            for a in arguments:
                self.node.stdin.write(json.dumps([function, a], default=bytes.hex) + "\n")
            self.node.stdin.flush()

        # In a thread, since otherwise both processes could wait with full pipes.
        writer = threading.Thread(target=write)
        writer.start()
        answers = [json.loads(self.node.stdout.readline()) for _ in arguments]
        writer.join()
        return answers


def lora_packet(module):
    """The oracle.  If lora-packet is not installed, this ends the script, with one skipped test, or
    with a failed one if lora-packet must be there."""
    missing = os.environ.get("KEY_VAULT_NO_LORA_PACKET")
    if missing is None:
        return LoraPacket(module)
    if REQUIRED:
        ok(False, f"lora-packet can be installed ({missing})")
    else:
        ok(True, f"# SKIP no lora-packet: {missing}")
    end()


class Database:
    """A database with key_vault in it, for this script alone, dropped at its end."""

    def __init__(self, name):
        self.name = f"key_vault_oracle_{name}"
        self._at_postgres(f"DROP DATABASE IF EXISTS {self.name}", f"CREATE DATABASE {self.name}")
        self.connection = psycopg2.connect(dbname=self.name)
        self.connection.autocommit = True
        self.run("CREATE EXTENSION key_vault")

    def _at_postgres(self, *statements):
        connection = psycopg2.connect(dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.close()

    def run(self, statement, arguments=None):
        """Runs a statement; returns its rows, as a list of tuples, bytea as bytes."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            if cursor.description is None:
                return []
            return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
                    for row in cursor]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.connection.close()
        self._at_postgres(f"DROP DATABASE {self.name}")
