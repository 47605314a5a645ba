"""The checks at the end of a run, made in new sessions."""

import collections

from database import ANALYSTS, connect, rows
from report import note, ok


def few(things):
    things = list(things)
    return "\n".join(str(thing) for thing in things[:10]) + (f"\n... {len(things)} in all" if len(things) > 10 else "")


def check_messages(truth, acknowledged, never, when="", roles=tuple(sorted(ANALYSTS))):
    """Every acknowledged message is there once and decrypts, in each mode of the cache; those that
    were rolled back and not sent again are not there."""
    for role in roles:
        connection = connect(role)
        found = rows(connection, "SELECT dev_eui, session_key_id, f_cnt, payload, status FROM lorawan.uplink_decrypted")
        connection.close()
        ids = collections.Counter()
        wrong = []
        for dev_eui, session_key_id, f_cnt, payload, status in found:
            dev_eui = bytes(dev_eui)
            session_key_id = None if session_key_id is None else bytes(session_key_id)
            ids[dev_eui, session_key_id, f_cnt] += 1
            if payload is None or bytes(payload) != truth.payload(session_key_id or dev_eui, f_cnt) \
                    or status not in ("decrypted", "plain"):
                wrong.append((dev_eui.hex(), f_cnt, status, payload and bytes(payload).hex()))
        ok(len(found) > 0 and not wrong, f"{when}{role}: all uplinks decrypt to what was sent", few(wrong))
        if role == roles[0]:
            note(f"{when}{len(found)} uplinks, {len(acknowledged)} acknowledged")
            missing = set(acknowledged) - set(ids)
            twice = [i for i, n in ids.items() if n > 1]
            ok(not missing, f"{when}every acknowledged message is there", few(missing))
            ok(not twice, f"{when}none is there twice", few(twice))
            back = never & set(ids)
            ok(not back, f"{when}none is there that was rolled back", few(back))


def check_session_keys(truth, when=""):
    connection = connect()
    wrong = [(bytes(i).hex(), "another key" if key is not None else f"no key, envelope of {label}, {uplinks} uplinks")
             for i, key, label, uplinks in rows(connection, """
                 SELECT s.session_key_id, key_vault.unwrap(s.app_s_key), s.kek_label,
                        (SELECT count(*) FROM lorawan.uplink u WHERE u.session_key_id = s.session_key_id)
                   FROM lorawan.session s""")
             if key is None or bytes(key) != truth.session_key(bytes(i))]
    ok(not wrong, f"{when}every session has its key", few(wrong))


def check_stored_keys(truth, there, unsure, when=""):
    connection = connect()
    found = {i: bytes(key) for i, key in rows(connection, "SELECT id, key_vault.unwrap(key) FROM store.key")}
    wrong = [i for i, key in found.items() if key != truth.stored_key(i)]
    ok(not wrong, f"{when}every key of the user's table is what was wrapped", few(wrong))
    missing = there - set(found)
    more = set(found) - there - (unsure or set())
    if unsure is None:
        # A session that was ended may have committed a change without getting the answer.
        more = set()
    ok(not missing and not more, f"{when}they are those that were committed: {len(found)}", few(missing), few(more))


def check_made_tables(truth, when=""):
    """In the tables that transactions made while KEKs were destroyed, each key opens.  Then they are dropped."""
    connection = connect()
    lost = []
    n = 0
    for (name,) in rows(connection, "SELECT oid::regclass::text FROM pg_class WHERE relname LIKE 'copy%' AND relkind = 'r'"):
        for i, state in rows(connection, f"SELECT t.id, k.state FROM {name} t "
                             "LEFT JOIN key_vault.keks k ON k.kek_id = key_vault.kek_id(t.key)"):
            n += 1
            if state in (None, "destroyed"):
                lost.append((name, i, state))
        if not lost:
            lost += [(name, i, "wrong") for i, key in rows(connection, f"SELECT id, key_vault.unwrap(key) FROM {name}")
                     if bytes(key) != truth.stored_key(i)]
        rows(connection, f"DROP TABLE {name}")
    ok(not lost, f"{when}no key is lost that a transaction had stored in a new table: {n}", few(lost))


def check_usage(when=""):
    """Compares kek_usage() with a count of the keys by their text forms."""
    connection = connect()
    # kv1:ALGORITHM:KEK_ID:HEX
    columns = rows(connection, "SELECT c.oid::regclass::text, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
                   "WHERE a.atttypid = 'key_vault.wrapped_key'::regtype AND a.attnum > 0 AND NOT a.attisdropped "
                   "AND c.relkind = 'r'")
    keks = {str(kek_id): (label, version) for kek_id, label, version
            in rows(connection, "SELECT kek_id, label, version FROM key_vault.kek")}
    own = collections.Counter()
    for relation, column in columns:
        for (text,) in rows(connection, f'SELECT "{column}"::text FROM {relation} WHERE "{column}" IS NOT NULL'):
            own[(*keks[text.split(":")[2]], relation, column)] += 1
    told = {(label, version, relation, column): n for label, version, relation, column, n in rows(
        connection, "SELECT kek_label, kek_version, relation::text, \"column\"::text, keys FROM key_vault.kek_usage()")}
    ok(own and dict(own) == told, f"{when}kek_usage() agrees with a count: {sum(own.values())} keys in {len(columns)} columns",
       few(set(own.items()) ^ set(told.items())))


def rewrap_and_destroy(labels, when=""):
    """Does what an administrator does at the end: rewraps all keys, so that none is left under an old version, and
    destroys some of the old versions."""
    connection = connect()
    for label in labels:
        rows(connection, "CALL key_vault.rewrap_all(%s)", (label,))
        left = rows(connection, "SELECT u.* FROM key_vault.kek_usage(%s) u WHERE state NOT IN ('active', 'destroyed')", (label,))
        ok(not left, f"{when}rewrap_all() leaves no key of {label} under an old version", few(left))
        old = rows(connection, "SELECT version FROM key_vault.keks WHERE label = %s AND state NOT IN ('active', 'destroyed') "
                   "ORDER BY version DESC LIMIT 5", (label,))
        for (version,) in old:
            rows(connection, "SELECT key_vault.kek_destroy(%s, %s)", (label, version))
    note(f"{when}old versions were destroyed")


def check_audit_log(when=""):
    connection = connect()
    wrong = rows(connection, """
        SELECT k.label, k.version, k.state FROM key_vault.keks k
         WHERE (SELECT count(*) FROM key_vault.audit_log l WHERE (l.label, l.version) = (k.label, k.version)
                   AND l.event IN ('created', 'imported', 'rotated')) <> 1
            OR (SELECT count(*) FROM key_vault.audit_log l WHERE (l.label, l.version) = (k.label, k.version)
                   AND l.event = 'destroyed') <> (k.state = 'destroyed')::integer
            OR (SELECT count(*) FILTER (WHERE l.event = 'suspended') - count(*) FILTER (WHERE l.event = 'resumed')
                  FROM key_vault.audit_log l WHERE (l.label, l.version) = (k.label, k.version)) <> 0
               AND k.state <> 'destroyed'""")
    ok(not wrong, f"{when}the audit log tells the same as the KEKs", few(wrong))
