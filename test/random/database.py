"""The server: fresh databases, sessions, and the answers that statements get."""

import os
import re
import time

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from oracle import FLOOR_LABEL, FLOOR_PRIVILEGE, GROUP, OUTSIDER, ROLES
from steps import PREPARE_SQL, RECONNECT, UNDONE_SQL, Mismatch, Nested

# Long enough for every statement that is not blocked; a blocked one stays blocked.
LOCK_TIMEOUT = "60ms"

OPTIONS = " ".join(f"-c {setting}" for setting in (
    f"lock_timeout={LOCK_TIMEOUT}", "statement_timeout=60s", "plan_cache_mode=force_generic_plan",
    "synchronous_commit=off", "client_min_messages=error", "log_min_messages=log",
    "default_transaction_isolation=read\\ committed"))


class Server:
    """Makes the roles and a template database, and drops them at the end."""

    def __init__(self):
        self.prefix = f"key_vault_random_{os.getpid()}"
        self.template = f"{self.prefix}_template"
        self.number = 0
        self.max_prepared = 0
        self.version = ""

    def set_up(self):
        with Maintenance() as run:
            for role in ROLES:
                run(f"CREATE ROLE {self.role(role)}")
            run(f"CREATE DATABASE {self.template} TEMPLATE template0")
            self.max_prepared = int(run("SHOW max_prepared_transactions")[0][0])
            self.version = run("SHOW server_version")[0][0]
        connection = connect(self.template)
        run = runner(connection)
        run("CREATE EXTENSION key_vault")
        run(UNDONE_SQL)
        for role in ROLES:
            if role != OUTSIDER:
                run("SELECT key_vault.kek_grant(%s, %s::regrole, %s)", (FLOOR_LABEL, self.role(role), FLOOR_PRIVILEGE))
        # autovacuum would lock the tables at moments that the steps do not know of.
        for table in ("kek", "kek_privilege"):
            run(f"ALTER TABLE key_vault.{table} SET (autovacuum_enabled = false, toast.autovacuum_enabled = false)")
        connection.close()

    def role(self, name):
        return f"{self.prefix}_{name}"

    def fresh_database(self):
        """Makes the roles anew too, since all databases share them."""
        self.number += 1
        name = f"{self.prefix}_{self.number}"
        with Maintenance() as run:
            for role in ROLES:
                run(f"ALTER ROLE {self.role(role)} NOSUPERUSER")
                if role != GROUP:
                    run(f"REVOKE {self.role(GROUP)} FROM {self.role(role)}")
            run(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return name

    def drop_database(self, name):
        with Maintenance() as run:
            prepared = run("SELECT gid FROM pg_prepared_xacts WHERE database = %s", (name,))
        if prepared:
            connection = connect(name)
            for (gid,) in prepared:
                runner(connection)("ROLLBACK PREPARED %s", (gid,))
            connection.close()
        with Maintenance() as run:
            run(f"DROP DATABASE {name} WITH (FORCE)")

    def drop(self):
        with Maintenance() as run:
            run(f"DROP DATABASE IF EXISTS {self.template} WITH (FORCE)")
            for role in ROLES:
                run(f"DROP ROLE IF EXISTS {self.role(role)}")


class Maintenance:
    """Runs statements in the database postgres; after a crash it waits for the server."""

    def __enter__(self):
        for attempt in range(300):
            try:
                self.connection = connect("postgres")
                return runner(self.connection)
            except psycopg2.OperationalError:
                if attempt == 299:
                    raise
                time.sleep(0.1)

    def __exit__(self, *args):
        self.connection.close()


def connect(database):
    connection = psycopg2.connect(dbname=database, options=OPTIONS, application_name="key_vault random test")
    connection.autocommit = True
    return connection


def runner(connection):
    def run(sql, params=None):
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []
    return run


class Client:
    """One session, as the steps see it."""

    STATISTICS = ("hits", "misses", "withdrawals", "evictions", "expirations", "verifications")

    def __init__(self, server, database, totals):
        self.server, self.database, self.totals = server, database, totals
        self.connection = None
        self.open()

    def open(self):
        self.connection = connect(self.database)
        for sql in PREPARE_SQL:
            self.run(sql)

    def close(self):
        """Adds what the cache counted to the totals, and ends the session."""
        try:
            if self.connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                self.run("ROLLBACK")
            counted = self.run("RESET ROLE") or self.run(
                f"SELECT {', '.join(self.STATISTICS)}, mismatches FROM key_vault.cache_stats()")[0]
        except psycopg2.Error:
            counted = None
        self.connection.close()
        if counted is not None:
            if counted[-1] != 0:
                raise Mismatch("no mismatches in the cache", counted[-1])
            for name, count in zip(self.STATISTICS, counted):
                self.totals[name] = self.totals.get(name, 0) + count

    def run(self, sql, params=None):
        return runner(self.connection)(sql, params)

    def render(self, sql, params):
        """The statement with the names of this run in it, and its parameters."""
        sql = re.sub(r"\{role:(\w+)\}", lambda m: self.server.role(m[1]), sql)
        sql = re.sub(r"\{gid:(\w+)\}", lambda m: f"{self.database}_{m[1]}", sql)
        params = tuple(self.render(*p) if isinstance(p, Nested) else p for p in params)
        if not params:
            return sql
        with self.connection.cursor() as cursor:
            return cursor.mogrify(sql, params).decode()

    def answer(self, sql):
        """(rows, None) or (None, SQLSTATE); a lost connection has no SQLSTATE."""
        if sql == RECONNECT:
            self.close()
            self.open()
            return [], None
        try:
            return self.run(sql), None
        except psycopg2.Error as error:
            return None, error.pgcode or f"no SQLSTATE: {error}"
