"""asyncpg: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is, and
the argument is a file with a message."""

import asyncio
import io
import json
import sys

# This file must not be taken for the module.
sys.path.pop(0)
import asyncpg  # noqa: E402 (after the path)

KEY = bytes(range(16))
DEV_ADDR = bytes.fromhex("26011bda")
FRM_PAYLOAD = bytes.fromhex("bc96d0bce3c0d2abfcfa1e")
with open(sys.argv[1], "rb") as message:
    BODY = message.read()


def ok(good, name):
    print(f"{'ok' if good else 'not ok'} - {name}")


async def sqlstate(connection, statement, *arguments):
    """The SQLSTATE of what a statement fails with, in a transaction or savepoint."""
    try:
        async with connection.transaction():
            await connection.fetch(statement, *arguments)
    except asyncpg.PostgresError as error:
        return error.sqlstate
    return None


async def main():
    connection = await asyncpg.connect()
    # asyncpg speaks binary, unless it is told how a type is in text.
    await connection.set_type_codec("wrapped_key", schema="key_vault", encoder=str, decoder=str, format="text")
    key = await connection.fetchval(
        "INSERT INTO session VALUES ($1, key_vault.bind(key_vault.wrap($2, 'app1'), $1)) RETURNING app_s_key", DEV_ADDR, KEY)
    ok(key.startswith("kv1:aes-kw-bound:"), "write")
    ok(await connection.fetchval("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, $1, $2) FROM session", 1, FRM_PAYLOAD)
       == b"net payload", "read in binary")
    ok(await connection.fetchval("SELECT dev_addr FROM session WHERE app_s_key = $1", key) == DEV_ADDR, "compare")
    keys = await connection.fetchval("SELECT array_agg(app_s_key) FROM session")
    ok(keys == [key], "array, comes as a list")
    ok(await connection.fetchval("SELECT count(*) FROM session WHERE app_s_key = ANY($1::key_vault.wrapped_key[])", keys) == 1, "array, goes back")
    for form in ("text", "binary"):
        rows = io.BytesIO()
        await connection.copy_from_table("session", output=rows, format=form)
        rows.seek(0)
        await connection.execute("CREATE TEMPORARY TABLE copied (LIKE session)")
        await connection.copy_to_table("copied", source=rows, format=form)
        ok(await connection.fetchval("SELECT count(*) FROM copied JOIN session USING (app_s_key)") == 1, f"COPY in {form}")
        await connection.execute("DROP TABLE copied")
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    message = json.loads(BODY)
    message["uplink_message"]["f_cnt"] = 2
    ok(await connection.fetchval("SELECT lorawan.ingest($1::bytea)", BODY) == "uplink", "ingest bytes")
    ok(await connection.fetchval("SELECT lorawan.ingest($1)", BODY.decode()) == "duplicate", "ingest a string")
    ok(await connection.fetchval("SELECT lorawan.ingest($1::jsonb)", message) == "uplink", "ingest an object")
    ok(await sqlstate(connection, "SELECT key_vault.lorawan_decrypt_uplink(app_s_key, $1, 1, '') FROM session", b"\1\2\3\4") == "KV005", "SQLSTATE of another DevAddr")
    ok(await sqlstate(connection, "SELECT key_vault.unwrap(app_s_key) FROM session") == "42501", "SQLSTATE of a missing privilege")
    ok(await sqlstate(connection, "CALL key_vault.rewrap_all('app1')") == "25001", "rewrap_all, not inside of a transaction")
    notices = []
    connection.add_log_listener(lambda _, notice: notices.append(notice.message))
    await connection.execute("CALL key_vault.rewrap_all('app1')")
    await connection.execute("DELETE FROM session")
    await connection.close()
    await asyncio.sleep(0)
    ok(any("rewrapped" in notice for notice in notices), "rewrap_all, outside of one, with its notices")


asyncio.run(main())
