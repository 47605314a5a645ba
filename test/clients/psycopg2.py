"""psycopg 2: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is,
and the argument is a file with a message."""

import io
import json
import sys

# This file must not be taken for the module.
sys.path.pop(0)
import psycopg2  # noqa: E402 (after the path)
import psycopg2.extras  # noqa: E402

KEY = bytes(range(16))
DEV_ADDR = bytes.fromhex("26011bda")
FRM_PAYLOAD = bytes.fromhex("bc96d0bce3c0d2abfcfa1e")
with open(sys.argv[1], "rb") as message:
    BODY = message.read()


def ok(good, name):
    print(f"{'ok' if good else 'not ok'} - {name}")


def sqlstate(cursor, statement, arguments=None):
    """The SQLSTATE of what a statement fails with, in a savepoint."""
    cursor.execute("SAVEPOINT s")
    try:
        cursor.execute(statement, arguments)
    except psycopg2.Error as error:
        cursor.execute("ROLLBACK TO s")
        return error.pgcode
    return None


connection = psycopg2.connect("")
with connection, connection.cursor() as cursor:
    cursor.execute("INSERT INTO session VALUES (%s, key_vault.bind(key_vault.wrap(%s, 'app1'), %s)) RETURNING app_s_key", (DEV_ADDR, KEY, DEV_ADDR))
    key = cursor.fetchone()[0]
    ok(key.startswith("kv1:aes-kw-bound:"), "write")
    cursor.execute("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, %s, %s) FROM session", (1, FRM_PAYLOAD))
    ok(bytes(cursor.fetchone()[0]) == b"net payload", "read")
    cursor.execute("SELECT dev_addr FROM session WHERE app_s_key = %s", (key,))
    ok(bytes(cursor.fetchone()[0]) == DEV_ADDR, "compare")
    cursor.execute("SELECT array_agg(app_s_key)::text[] FROM session")
    keys = cursor.fetchone()[0]
    ok(keys == [key], "array, comes as a list of text")
    cursor.execute("SELECT count(*) FROM session WHERE app_s_key = ANY(%s::key_vault.wrapped_key[])", (keys,))
    ok(cursor.fetchone()[0] == 1, "array, goes back")
    for form in ("text", "binary"):
        rows = io.BytesIO()
        cursor.copy_expert(f"COPY session TO STDOUT (FORMAT {form})", rows)
        rows.seek(0)
        cursor.execute("CREATE TEMPORARY TABLE copied (LIKE session) ON COMMIT DROP")
        cursor.copy_expert(f"COPY copied FROM STDIN (FORMAT {form})", rows)
        cursor.execute("SELECT count(*) FROM copied JOIN session USING (app_s_key)")
        ok(cursor.fetchone()[0] == 1, f"COPY in {form}")
        cursor.execute("DROP TABLE copied")
    message = json.loads(BODY)
    message["uplink_message"]["f_cnt"] = 2
    for body, result, name in (
            (BODY, "uplink", "bytes"), (BODY.decode(), "duplicate", "a string"), (psycopg2.extras.Json(message), "uplink", "an object")):
        cursor.execute("SELECT lorawan.ingest(%s)", (body,))
        ok(cursor.fetchone()[0] == result, f"ingest {name}")
    ok(sqlstate(cursor, "SELECT key_vault.lorawan_decrypt_uplink(app_s_key, %s, 1, '') FROM session", (b"\1\2\3\4",)) == "KV005", "SQLSTATE of another DevAddr")
    ok(sqlstate(cursor, "SELECT key_vault.unwrap(app_s_key) FROM session") == "42501", "SQLSTATE of a missing privilege")

with connection, connection.cursor() as cursor:
    ok(sqlstate(cursor, "CALL key_vault.rewrap_all('app1')") == "25001", "rewrap_all, not inside of a transaction")
connection.autocommit = True
with connection.cursor() as cursor:
    cursor.execute("CALL key_vault.rewrap_all('app1')")
    ok(any("rewrapped" in notice for notice in connection.notices), "rewrap_all, outside of one, with its notices")
    cursor.execute("DELETE FROM session")
connection.close()
