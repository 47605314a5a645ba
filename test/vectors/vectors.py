"""Published test vectors, through src/crypto and through SQL: AES-KW, AES-KWP and AES-CMAC.

    vectors.py PROGRAM

PROGRAM is vectors.c, compiled.  Vectors are read from where they are: NIST's CAVP (KW, KWP, CMAC) in the directory
KEY_VAULT_CAVP (by default where Debian's python3-cryptography-vectors puts them), Wycheproof's (aes_wrap,
aes_kwp, aes_cmac) in the directory KEY_VAULT_WYCHEPROOF.  Prints TAP.
"""

import collections
import glob
import json
import os
import re
import subprocess
import sys

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
from oracle import REQUIRED, Database, end, ok

CAVP = os.environ.get("KEY_VAULT_CAVP", "/usr/lib/python3/dist-packages/cryptography_vectors")
WYCHEPROOF = os.environ.get("KEY_VAULT_WYCHEPROOF")

# plain is what is wrapped or authenticated, result the wrapped key or the MAC.  valid: whether the result is right.
# may_refuse: a refusal is no fault either.
Vector = collections.namedtuple("Vector", "name algorithm key plain result valid may_refuse")


def report(wrong, name):
    """One test, which fails where there are lines that say what is wrong."""
    ok(not wrong, name)
    for line in wrong[:5]:
        print(f"# {line}")


def missing(name, reason):
    if REQUIRED:
        ok(False, f"{name} is there ({reason})")
    else:
        ok(True, f"# SKIP {name}: {reason}")


def cavp_wrapping(path):
    """KW_AE: encryption, all valid.  KW_AD: decryption, FAIL in place of P where C is not valid."""
    algorithm = "kwp" if os.path.basename(path).startswith("KWP") else "kw"
    for block in open(path, encoding="ascii").read().split("COUNT = ")[1:]:
        fields = dict(re.findall(r"^(\w) = ?([0-9a-f]*)$", block, re.M))
        yield Vector(f"{os.path.basename(path)} {block.split()[0]}", algorithm, fields["K"], fields.get("P"), fields["C"],
                     "FAIL" not in block, False)


def cavp_cmac(path):
    """NIST SP 800-38B's examples: blocks of KEY, MESSAGE and OUTPUT, all valid."""
    for block in open(path, encoding="ascii").read().split("COUNT = ")[1:]:
        fields = dict(re.findall(r"^(\w+) =\s?([0-9a-f]*)$", block, re.M))
        yield Vector(f"{os.path.basename(path)} {block.split()[0]}", "cmac", fields["KEY"], fields["MESSAGE"],
                     fields["OUTPUT"], True, False)


def wycheproof(path):
    algorithm = {"aes_wrap": "kw", "aes_kwp": "kwp", "aes_cmac": "cmac"}[os.path.basename(path)[:-len("_test.json")]]
    for group in json.load(open(path, encoding="utf-8"))["testGroups"]:
        for test in group["tests"]:
            yield Vector(f"{os.path.basename(path)} {test['tcId']}", algorithm, test["key"], test["msg"],
                         test.get("ct", test.get("tag")), test["result"] != "invalid", test["result"] == "acceptable")


def is_aes_key(vector):
    return len(vector.key) // 2 in (16, 24, 32)


def in_c(program, operation, vectors, argument):
    text = "".join(f"{operation} {v.key or '-'} {argument(v) or '-'}\n" for v in vectors)
    answers = subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout.split()
    assert len(answers) == len(vectors)
    return ["" if answer == "-" else answer for answer in answers]


def check(name, vectors, answers, expected):
    """expected: of a vector, what the answer must be; None: it must be an error."""
    wrong = [f"{v.name}: {answer}, expected {expected(v) or 'an error'}" for v, answer in zip(vectors, answers)
             if answer != (expected(v) if expected(v) is not None else "error") and not (v.may_refuse and answer == "error")]
    report(wrong if vectors else ["there are none"], f"{name}: {len(vectors)} vectors")


def check_in_c(program, source, vectors):
    for algorithm, suffix in (("kw", ""), ("kwp", "_pad")):
        mine = [v for v in vectors if v.algorithm == algorithm]
        check(f"{source}, {algorithm.upper()} unwraps, in C", mine, in_c(program, "unwrap" + suffix, mine, lambda v: v.result),
              lambda v: v.plain if v.valid else None)
        mine = [v for v in mine if v.valid]
        check(f"{source}, {algorithm.upper()} wraps, in C", mine, in_c(program, "wrap" + suffix, mine, lambda v: v.plain),
              lambda v: v.result)
    mine = [v for v in vectors if v.algorithm == "cmac" and is_aes_key(v)]
    left_out = sum(1 for v in vectors if v.algorithm == "cmac") - len(mine)
    answers = in_c(program, "cmac", mine, lambda v: v.plain)
    wrong = [v.name for v, answer in zip(mine, answers) if (answer[:len(v.result)] == v.result) != v.valid]
    report(wrong if mine else ["there are none"],
           f"{source}, CMAC, in C: {len(mine)} vectors, {left_out} with keys that AES does not have")


class Sql:
    """KEKs of a database by their keys; each answer is in hexadecimal digits, or "error"."""

    def __init__(self, database):
        self.database = database
        self.keks = {}

    def import_keks(self, keys):
        """All at once: each import would have every KEK that is open checked anew."""
        self.database.run("SELECT count(key_vault.kek_import('vectors ' || key, decode(key, 'hex'))) FROM unnest(%s) key",
                          (sorted(set(keys) - set(self.keks)),))
        self.keks = dict(self.database.run("SELECT substr(label, 9), kek_id FROM key_vault.keks WHERE label LIKE 'vectors %%'", ()))

    def ask(self, query, *parameters):
        try:
            return self.database.run(query, parameters)[0][0]
        except psycopg2.Error:
            return "error"

    def unwrap(self, vector):
        text = f"kv1:aes-{vector.algorithm}:{self.keks[vector.key]}:{vector.result}"
        return self.ask("SELECT encode(key_vault.unwrap(%s::key_vault.wrapped_key), 'hex')", text)

    def wrap(self, vector):
        return self.ask("SELECT split_part(key_vault.wrap(%s, %s)::text, ':', 4)", bytes.fromhex(vector.plain), "vectors " + vector.key)


def check_in_sql(sql, source, vectors):
    sql.import_keks([v.key for v in vectors if v.algorithm != "cmac"])
    for algorithm in ("kw", "kwp"):
        mine = [v for v in vectors if v.algorithm == algorithm]
        check(f"{source}, {algorithm.upper()} unwraps, in SQL", mine, [sql.unwrap(v) for v in mine],
              lambda v: v.plain if v.valid else None)
        # wrap() takes AES-KWP for what AES-KW cannot wrap, and only for that.
        mine = [v for v in mine if v.valid and v.plain != "" and (algorithm == "kw") == (len(v.plain) >= 32 and len(v.plain) % 16 == 0)]
        check(f"{source}, {algorithm.upper()} wraps, in SQL", mine, [sql.wrap(v) for v in mine], lambda v: v.result)


def main():
    sources = []
    files = sorted(path for path in glob.glob(f"{CAVP}/keywrap/kwtestvectors/KW*_A[ED]_*.txt") if "_inv" not in path)
    macs = sorted(glob.glob(f"{CAVP}/CMAC/nist-800-38b-aes*.txt"))
    if files and macs:
        sources.append(("CAVP", [v for f in files for v in cavp_wrapping(f)] + [v for f in macs for v in cavp_cmac(f)]))
    else:
        missing("CAVP", f"no vectors in {CAVP}")
    files = sorted(glob.glob(f"{WYCHEPROOF}/aes_*_test.json")) if WYCHEPROOF else []
    files = [f for f in files if os.path.basename(f) in ("aes_wrap_test.json", "aes_kwp_test.json", "aes_cmac_test.json")]
    if files:
        sources.append(("Wycheproof", [v for f in files for v in wycheproof(f)]))
    else:
        # No Debian package has them, so nowhere are they required.
        ok(True, "# SKIP Wycheproof: KEY_VAULT_WYCHEPROOF names no directory with its vectors")
    with Database("vectors") as database:
        sql = Sql(database)
        for source, vectors in sources:
            check_in_c(sys.argv[1], source, vectors)
            check_in_sql(sql, source, vectors)
    end()


main()
