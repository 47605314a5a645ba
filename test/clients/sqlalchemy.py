"""SQLAlchemy: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is,
and the argument is a file with a message."""

import io
import json
import logging
import sys

# This file must not be taken for the module.
sys.path.pop(0)
from sqlalchemy import Column, LargeBinary, MetaData, Table, cast, create_engine, func, insert, select, text  # noqa: E402 (after the path)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB  # noqa: E402
from sqlalchemy.exc import DBAPIError  # noqa: E402
from sqlalchemy.types import String, UserDefinedType  # noqa: E402

KEY = bytes(range(16))
DEV_ADDR = bytes.fromhex("26011bda")
FRM_PAYLOAD = bytes.fromhex("bc96d0bce3c0d2abfcfa1e")
with open(sys.argv[1], "rb") as message:
    BODY = message.read()


class WrappedKey(UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_):
        return "key_vault.wrapped_key"


def table(name, *arguments, **options):
    return Table(name, MetaData(), Column("dev_addr", LargeBinary, primary_key=True), Column("app_s_key", WrappedKey, nullable=False),
                 *arguments, **options)


def ok(good, name):
    print(f"{'ok' if good else 'not ok'} - {name}")


def sqlstate(connection, statement):
    """The SQLSTATE of what a statement fails with, in a savepoint."""
    try:
        with connection.begin_nested():
            connection.execute(statement)
    except DBAPIError as error:
        return error.orig.pgcode
    return None


def decrypt(dev_addr):
    return select(func.key_vault.lorawan_decrypt_uplink(session.c.app_s_key, dev_addr, 1, FRM_PAYLOAD, type_=LargeBinary))


session = table("session")
engine = create_engine("postgresql+psycopg2://")
with engine.begin() as connection:
    bound = func.key_vault.bind(func.key_vault.wrap(KEY, "app1"), DEV_ADDR)
    key = connection.execute(insert(session).values(dev_addr=DEV_ADDR, app_s_key=bound).returning(session.c.app_s_key)).scalar()
    ok(key.startswith("kv1:aes-kw-bound:"), "write")
    ok(connection.execute(decrypt(session.c.dev_addr)).scalar() == b"net payload", "read")
    ok(connection.execute(select(session.c.dev_addr).where(session.c.app_s_key == key)).scalar() == DEV_ADDR, "compare")
    keys = connection.execute(select(cast(func.array_agg(session.c.app_s_key), ARRAY(String)))).scalar()
    ok(keys == [key], "array, comes as a list of text")
    ok(connection.execute(select(session.c.dev_addr).where(session.c.app_s_key == func.any(cast(keys, ARRAY(WrappedKey))))).scalar() == DEV_ADDR, "array, goes back")
    for form in ("text", "binary"):
        copied = table("copied", prefixes=["TEMPORARY"])
        copied.create(connection)
        rows = io.BytesIO()
        cursor = connection.connection.cursor()
        cursor.copy_expert(f"COPY session TO STDOUT (FORMAT {form})", rows)
        rows.seek(0)
        cursor.copy_expert(f"COPY copied FROM STDIN (FORMAT {form})", rows)
        ok(connection.execute(select(copied.c.app_s_key)).scalars().all() == [key], f"COPY in {form}")
        copied.drop(connection)
    message = json.loads(BODY)
    message["uplink_message"]["f_cnt"] = 2
    for body, result, name in ((BODY, "uplink", "bytes"), (BODY.decode(), "duplicate", "a string"), (cast(message, JSONB), "uplink", "an object")):
        ok(connection.execute(select(func.lorawan.ingest(body))).scalar() == result, f"ingest {name}")
    ok(sqlstate(connection, decrypt(b"\1\2\3\4")) == "KV005", "SQLSTATE of another DevAddr")
    ok(sqlstate(connection, select(func.key_vault.unwrap(session.c.app_s_key))) == "42501", "SQLSTATE of a missing privilege")
    ok(sqlstate(connection, text("CALL key_vault.rewrap_all('app1')")) == "25001", "rewrap_all, not inside of a transaction")

# SQLAlchemy takes the notices from the driver, and logs them.
notices = []
logger = logging.getLogger("sqlalchemy.dialects.postgresql")
logger.setLevel(logging.INFO)
logger.addFilter(lambda record: notices.append(record.getMessage()))
with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
    connection.execute(text("CALL key_vault.rewrap_all('app1')"))
    ok(any("rewrapped" in notice for notice in notices), "rewrap_all, outside of one, with its notices")
