"""psycopg 3: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is,
and the argument is a file with a message."""

import json
import sys

import psycopg
from psycopg.types.json import Jsonb

KEY = bytes(range(16))
DEV_ADDR = bytes.fromhex("26011bda")
FRM_PAYLOAD = bytes.fromhex("bc96d0bce3c0d2abfcfa1e")
with open(sys.argv[1], "rb") as message:
    BODY = message.read()


def ok(good, name):
    print(f"{'ok' if good else 'not ok'} - {name}")


def sqlstate(connection, statement, *arguments):
    """The SQLSTATE of what a statement fails with, in a savepoint."""
    try:
        with connection.transaction():
            connection.execute(statement, arguments)
    except psycopg.Error as error:
        return error.sqlstate
    return None


with psycopg.connect() as connection:
    key = connection.execute(
        "INSERT INTO session VALUES (%s, key_vault.bind(key_vault.wrap(%s, 'app1'), %s)) RETURNING app_s_key",
        (DEV_ADDR, KEY, DEV_ADDR)).fetchone()[0]
    ok(key.startswith("kv1:aes-kw-bound:"), "write")
    for binary in (False, True):
        payload = connection.execute(
            "SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, %s, %s) FROM session",
            (1, FRM_PAYLOAD), binary=binary).fetchone()[0]
        ok(payload == b"net payload", f"read{' in binary' if binary else ''}")
    binary_key = connection.execute("SELECT app_s_key FROM session", binary=True).fetchone()[0]
    ok(isinstance(binary_key, bytes) and len(binary_key) == 50, "read in binary, a key as bytes")
    ok(connection.execute("SELECT dev_addr FROM session WHERE app_s_key = %s", (key,)).fetchone()[0] == DEV_ADDR, "compare")
    keys = connection.execute("SELECT array_agg(app_s_key)::text[] FROM session").fetchone()[0]
    ok(keys == [key], "array, comes as a list of text")
    ok(connection.execute("SELECT count(*) FROM session WHERE app_s_key = ANY(%s::key_vault.wrapped_key[])", (keys,)).fetchone()[0] == 1, "array, goes back")
    for form in ("text", "binary"):
        with connection.cursor().copy(f"COPY session TO STDOUT (FORMAT {form})") as copy:
            rows = b"".join(copy)
        connection.execute("CREATE TEMPORARY TABLE copied (LIKE session) ON COMMIT DROP")
        with connection.cursor().copy(f"COPY copied FROM STDIN (FORMAT {form})") as copy:
            copy.write(rows)
        ok(connection.execute("SELECT count(*) FROM copied JOIN session USING (app_s_key)").fetchone()[0] == 1, f"COPY in {form}")
        connection.execute("DROP TABLE copied")
    ingest = "SELECT lorawan.ingest(%s)"
    ok(connection.execute(ingest, (BODY,)).fetchone()[0] == "uplink", "ingest bytes")
    ok(connection.execute(ingest, (BODY.decode(),)).fetchone()[0] == "duplicate", "ingest a string")
    message = json.loads(BODY)
    message["uplink_message"]["f_cnt"] = 2
    ok(connection.execute(ingest, (Jsonb(message),)).fetchone()[0] == "uplink", "ingest an object")
    ok(sqlstate(connection, "SELECT key_vault.lorawan_decrypt_uplink(app_s_key, %s, 1, '')  FROM session", b"\1\2\3\4") == "KV005", "SQLSTATE of another DevAddr")
    ok(sqlstate(connection, "SELECT key_vault.unwrap(app_s_key) FROM session") == "42501", "SQLSTATE of a missing privilege")

with psycopg.connect(autocommit=True) as connection:
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("CALL key_vault.rewrap_all('app1')")
    ok(any("rewrapped" in notice for notice in notices), "rewrap_all, outside of a transaction, with its notices")
    with connection.transaction(force_rollback=True):
        ok(sqlstate(connection, "CALL key_vault.rewrap_all('app1')") == "25001", "rewrap_all, not inside of one")
    connection.execute("DELETE FROM session")
