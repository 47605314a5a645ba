"""The database that the programs of this directory work on: KEKs, a storage, a user's own table
of keys, and roles that have exactly the privileges that their work needs."""

import os

import psycopg2

from traffic import LABELS, TRANSPORT

# Each analyst reads with the cache in another mode.
ANALYSTS = {"analyst_on": "SET key_vault.cache = on",
            "analyst_off": "SET key_vault.cache = off",
            "analyst_verify": "SET key_vault.cache = verify",
            "analyst_one": "SET key_vault.cache_size = 0",
            "analyst_age": "SET key_vault.cache_max_age = 1"}
REST = sorted(LABELS.values())


def connect(role=None, **more):
    connection = psycopg2.connect(dbname="postgres", user=role or "postgres", **more)
    connection.autocommit = True
    return connection


def rows(connection, sql, arguments=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchall() if cursor.description else None


def write_root_key(directory, name):
    path = os.path.join(directory, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(os.urandom(32).hex() + "\n")
    return path


def set_root_keys(connection, paths):
    """Sets the list, and returns when every statement that begins from now on has it: a new session gets the list
    that the postmaster has read, and by then the postmaster has signalled the other sessions."""
    value = ", ".join(f"file:{path}" for path in paths)
    rows(connection, f"ALTER SYSTEM SET key_vault.root_key = '{value}'")
    rows(connection, "SELECT pg_reload_conf()")
    while True:
        fresh = connect()
        found = rows(fresh, "SHOW key_vault.root_key")[0][0]
        fresh.close()
        if found == value:
            return


def set_up(truth):
    connection = connect()

    def run(sql, arguments=None):
        return rows(connection, sql, arguments)

    run("CREATE EXTENSION key_vault")
    run("SELECT key_vault.kek_import(%s, %s)", (TRANSPORT, truth.kek(TRANSPORT)))
    for label in REST:
        run("SELECT key_vault.kek_create(%s)", (label,))
    run("CREATE ROLE keeper LOGIN; CREATE ROLE ingester LOGIN; CREATE ROLE holder LOGIN; CREATE ROLE administrator LOGIN;"
        "CREATE ROLE analysts; GRANT keeper TO administrator;"
        "GRANT CREATE ON DATABASE postgres TO keeper")
    for role, setting in ANALYSTS.items():
        run(f"CREATE ROLE {role} LOGIN; GRANT analysts TO {role}; ALTER ROLE {role} {setting}")
    late = [f"late{n}" for n in range(3)]
    for role, privileges, labels in (
            ("keeper", ("rewrap",), REST + [TRANSPORT]),
            ("ingester", ("wrap", "rewrap"), REST),
            ("ingester", ("unwrap",), [TRANSPORT] + late),
            ("holder", ("wrap", "unwrap", "rewrap"), REST),
            ("administrator", ("admin",), REST + [TRANSPORT] + late),
            ("analysts", ("decrypt",), REST + [TRANSPORT] + late)):
        for label in labels:
            for privilege in privileges:
                run("SELECT key_vault.kek_grant(%s, %s::regrole, %s)", (label, role, privilege))

    connection = connect("keeper")
    run("CALL key_vault.create_storage('lorawan', 'rest')")
    for application, label in LABELS.items():
        if label != "rest":
            run("INSERT INTO lorawan.application VALUES (%s, %s)", (application, label))
    run("GRANT USAGE ON SCHEMA lorawan TO ingester, analysts;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA lorawan TO ingester;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA lorawan TO analysts;"
        "CREATE SCHEMA store; GRANT USAGE, CREATE ON SCHEMA store TO holder;"
        "CREATE TABLE store.key (id bigint PRIMARY KEY, key key_vault.wrapped_key NOT NULL);"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON store.key TO holder")
    # Tables that holders make are rewrapped and looked at by the keeper.
    connection = connect()
    run("GRANT holder TO keeper")
