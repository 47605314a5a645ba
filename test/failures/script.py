"""The statements whose calls are made to fail, and what each must answer."""

import re

UPLINK = """{"end_device_ids": {"device_id": "dev1", "application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0530", "dev_addr": "260B1234"},
 "received_at": "2024-05-01T12:00:00Z", "uplink_message": {"session_key_id": "%s", "f_port": 2, "f_cnt": %d, "frm_payload": "LhFe2aRcmQ==",
 "received_at": "2024-05-01T12:00:00Z", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}"""
CHIRPSTACK = """{"deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": "2024-05-01T12:00:00Z",
 "deviceInfo": {"applicationId": "app2", "devEui": "0102030405060708"}, "devAddr": "260B1234", "fCnt": 65538, "fPort": 2, "data": "LhFe2aRcmQ==",
 "joinServerContext": {"sessionKeyId": "02", "appSKey": {"kekLabel": "app1-kek", "aesKey": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}"""
JOIN = """{"end_device_ids": {"device_id": "dev3", "application_ids": {"application_id": "app1"}, "dev_eui": "0004A30B001C0531", "dev_addr": "260B1234"},
 "received_at": "2024-05-01T12:00:00Z", "join_accept": {"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw==",
 "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}, "received_at": "2024-05-01T12:00:00Z"}}"""
PLAIN = CHIRPSTACK.replace('"kekLabel": "app1-kek", "aesKey": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"', '"kekLabel": "", "aesKey": "7JJYAq5DDKd/091zyyzFiA=="')
FIRST, SECOND = "AYfC0bag8+RHWGmqu8zd7g==", "AAAAAAAAAAAAAAAAAAAAAg=="

# The payload is that of the example in demo/messages; its key is under the KEK 00 01 ... 0f.
PAYLOAD = "\\x0167010e02684a"
KEY = "\\x000102030405060708090a0b0c0d0e0f"

SET_UP = f"""
CREATE EXTENSION key_vault;
SELECT kek_create('gate'), kek_create('net'), kek_create('bürö'), kek_create('lorawan'), kek_create('batch'), kek_create('old'), kek_create('other'), kek_create('taken');
SELECT kek_import('app1-kek', '{KEY}');
CREATE TABLE gate_key AS SELECT wrap('\\xec925802ae430ca77fd3dd73cb2cc588', 'gate') AS key, bind(wrap('\\xec925802ae430ca77fd3dd73cb2cc588', 'gate'), '\\x260B1234') AS bound;
CREATE TABLE known AS SELECT wrap('{KEY}', 'net') AS net, wrap('{KEY}', 'bürö') AS buro, bind(wrap('{KEY}', 'net'), '\\x26011bda') AS bound,
    wrap('{KEY}', 'net')::text AS net_text;
CREATE TABLE batch (n integer PRIMARY KEY, key wrapped_key, original wrapped_key);
INSERT INTO batch SELECT n, k, NULL FROM (SELECT n, wrap(decode(md5(n::text), 'hex'), 'batch') AS k FROM generate_series(1, 40) n) s;
CREATE TABLE original AS SELECT n, key::text FROM batch;
SELECT kek_rotate('batch'), kek_rotate('old');
CREATE TABLE kek_before AS SELECT * FROM kek;
ALTER SYSTEM SET key_vault.root_key = %s;
SELECT pg_reload_conf();
SELECT root_key_rotate();
CREATE FUNCTION seal_as_before() RETURNS void LANGUAGE sql AS $$
    SET LOCAL session_replication_role = replica;
    UPDATE kek SET root_key_id = b.root_key_id, sealed_material = b.sealed_material FROM kek_before b WHERE b.kek_id = kek.kek_id;
    SET LOCAL session_replication_role = origin $$;
CREATE TABLE sealing AS SELECT generate_key('net', 32) AS key;
CALL create_storage('lorawan');
CALL create_storage('taken', keep_messages => true);
SELECT taken.ingest('{UPLINK % (FIRST, 65538)}'::jsonb), taken.ingest('{UPLINK % (FIRST, -1)}'::jsonb),
    taken.ingest(replace('{UPLINK % (SECOND, 65538)}', 'app1-kek', 'late')::jsonb);
CREATE FUNCTION batch_is_right() RETURNS boolean LANGUAGE sql AS $$
    SELECT count(*) = 40 AND bool_and(unwrap(key) = decode(md5(n::text), 'hex')) FROM batch $$;
"""

ANY = object()


class Statement:
    """before: statements of the same transaction, which do not fail.  after: what must then be right, as booleans.
    Without rollback, reset makes everything as it was."""

    def __init__(self, name, sql, answer=ANY, before=(), after=(), rollback=True, reset=(), reports=False, without=()):
        self.name, self.sql, self.answer = name, sql, answer
        self.before, self.after, self.rollback, self.reset = before, after, rollback, reset
        # Whether a failure may be a warning, or a part of the answer
        self.reports = reports
        # Kinds of failures that this statement is not tried with
        self.without = without


def ingest(message):
    return f"SELECT lorawan.ingest('{message}'::jsonb)"


RESET_BATCH = ["UPDATE batch SET key = o.key::wrapped_key FROM original o WHERE o.n = batch.n"]
NONE_REJECTED = ["SELECT count(*) = 0 FROM lorawan.rejected"]
STATEMENTS = [
    Statement("decrypt", "SELECT convert_from(lorawan_decrypt_uplink(net, '\\x26011bda', 1, '\\xbc96d0bce3c0d2abfcfa1e'), 'UTF8') FROM known", "net payload"),
    Statement("decrypt, key as text", "SELECT convert_from(lorawan_decrypt_uplink(net_text::wrapped_key, '\\x26011bda', 1, '\\xbc96d0bce3c0d2abfcfa1e'), 'UTF8') FROM known", "net payload"),
    Statement("decrypt, bound key", "SELECT convert_from(lorawan_decrypt_uplink(bound, '\\x26011bda', 1, '\\xbc96d0bce3c0d2abfcfa1e'), 'UTF8') FROM known", "net payload"),
    Statement("try_decrypt", "SELECT convert_from(lorawan_try_decrypt_uplink(net, '\\x26011bda', 1, '\\xbc96d0bce3c0d2abfcfa1e'), 'UTF8') FROM known", "net payload"),
    Statement("status", "SELECT (lorawan_decrypt_uplink_status(net, '\\x26011bda', 1, '\\xbc96d0bce3c0d2abfcfa1e')).status FROM known", "decrypted"),
    Statement("unwrap", "SELECT unwrap(buro)::text FROM known", KEY),
    Statement("wrap", f"SELECT unwrap(wrap('{KEY}', 'net'))::text", KEY),
    Statement("KWP", "SELECT unwrap(wrap('\\x0102030405', 'net'))::text", "\\x0102030405"),
    Statement("generate", "SELECT length(unwrap(generate_key('net', 20)))", 20),
    Statement("rewrap", "SELECT unwrap(rewrap(net, 'bürö'))::text FROM known", KEY),
    Statement("seal", "SELECT open(key, seal(key, 'text', 'about'), 'about') = 'text' FROM sealing", True),
    Statement("ordered and grouped", "SELECT array_agg(DISTINCT unwrap(key)::text) FROM (SELECT net FROM known UNION SELECT net FROM known ORDER BY 1) s (key)", [KEY]),
    Statement("one statement, many keys", "SELECT bool_and(unwrap(wrap(int4send(n), 'net')) = int4send(n)) FROM generate_series(1, 20) n", True),
    Statement("KEKs sealed under another root key", f"SELECT unwrap(wrap('{KEY}', 'net'))::text", KEY, before=["SELECT seal_as_before()"]),
    Statement("root_key_rotate", "SELECT root_key_rotate() = (SELECT count(*) FROM kek_before)", True, before=["SELECT seal_as_before()"],
              after=[f"SELECT unwrap(net) = '{KEY}' FROM known"]),
    Statement("kek_create", "SELECT kek_create('new')", ANY),
    Statement("kek_rotate", "SELECT kek_rotate('net')", ANY, after=["SELECT count(*) = 2 FROM keks WHERE label = 'net'"]),
    Statement("kek_suspend, resume", "SELECT kek_suspend('net', 1), kek_resume('net', 1)", ANY),
    Statement("kek_suspend", "SELECT unwrap(net) FROM known", ("error", "KV002"), before=["SELECT kek_suspend('net', 1)"]),
    Statement("kek_grant", "SELECT kek_grant('net', 'failures_nobody', 'unwrap'), kek_revoke('net', 'failures_nobody', 'unwrap')", ANY),
    Statement("kek_destroy", "SELECT kek_destroy('old', 1)", ANY, after=["SELECT state::text = 'destroyed' FROM keks WHERE label = 'old' AND version = 1"]),
    Statement("kek_destroy refuses", "SELECT kek_destroy('batch', 1)", ("error", "KV008"), reset=RESET_BATCH),
    Statement("kek_destroy, forced", "SELECT kek_destroy('net', 1, true)", ANY),
    Statement("kek_schedule_destroy", "SELECT kek_schedule_destroy('old', 1, '1 day')", ANY),
    Statement("kek_cancel_destroy", "SELECT kek_cancel_destroy('old', 1)", ANY, before=["SELECT kek_schedule_destroy('old', 1, '1 day')"]),
    Statement("kek_destroy_due", "SELECT kek_destroy_due()", 1, before=["SELECT kek_schedule_destroy('old', 1, '0')"],
              after=["SELECT state::text = 'destroyed' FROM keks WHERE label = 'old' AND version = 1"], reports=True),
    Statement("kek_health", "SELECT count(*) > 5 FROM kek_health", True),
    Statement("health", "SELECT count(*) > 5 AND bool_and(status IN ('ok', 'warning', 'critical')) FROM health()", True, without=("system",)),
    Statement("kek_usage", "SELECT sum(keys)::integer FROM kek_usage('batch')", 40, reports=True),
    Statement("check_keys", "SELECT problems::text FROM check_keys() WHERE problems IS NOT NULL", [], reports=True),
    Statement("root_keys", "SELECT array_agg(problem) FROM root_keys()", [None, None, None], reports=True),
    Statement("views", "SELECT (SELECT count(*) FROM keks) > 0 AND (SELECT count(*) FROM wrapped_key_columns) > 0 AND (SELECT count(*) FROM key_envelope_columns) > 0 "
              "AND (SELECT count(*) FROM kek_privileges) >= 0 AND (SELECT count(*) FROM audit_log) > 0", True),
    Statement("rewrap_all", "CALL rewrap_all('batch', 10, only_table => 'batch')", ANY, rollback=False,
              reset=RESET_BATCH,
              after=["SELECT batch_is_right()"]),
    Statement("create_storage", "CALL create_storage('made')", ANY, after=["SELECT count(*) = 1 FROM storages() WHERE schema = 'made'"]),
    Statement("ingest", ingest(UPLINK % (FIRST, 65538)), "uplink",
              after=NONE_REJECTED + [f"SELECT payload = '{PAYLOAD}' FROM lorawan.uplink_decrypted"]),
    Statement("ingest, ChirpStack", ingest(CHIRPSTACK), "uplink",
              after=NONE_REJECTED + [f"SELECT payload = '{PAYLOAD}' FROM lorawan.uplink_decrypted"]),
    Statement("ingest, join", ingest(JOIN), "join", after=NONE_REJECTED),
    Statement("ingest, key in the clear", ingest(PLAIN), "uplink",
              after=NONE_REJECTED + ["SELECT unwrap(app_s_key) = '\\xec925802ae430ca77fd3dd73cb2cc588' FROM lorawan.session"]),
    Statement("ingest, duplicate", ingest(UPLINK % (FIRST, 65538)), "duplicate", before=[ingest(UPLINK % (FIRST, 65538))], after=NONE_REJECTED),
    Statement("ingest, rejected", ingest(UPLINK % (FIRST, -1)), "rejected", after=["SELECT count(*) = 1 FROM lorawan.rejected"]),
    Statement("ingest, a text", f"SELECT array_agg(r) FROM lorawan.ingest('{UPLINK % (FIRST, 65538)} {CHIRPSTACK}'::text) r", ANY, after=["SELECT count(*) = 2 FROM lorawan.uplink"] + NONE_REJECTED),
    Statement("inbox", f"INSERT INTO lorawan.inbox VALUES ('{UPLINK % (FIRST, 65538)}'), ('{CHIRPSTACK}'), ('{JOIN}'), ('{UPLINK % (SECOND, 65538)}')", ANY,
              after=NONE_REJECTED + [f"SELECT count(*) = 3 AND bool_and(payload = '{PAYLOAD}') FROM lorawan.uplink_decrypted"]),
    Statement("inbox, halved", f"INSERT INTO lorawan.inbox VALUES ('{UPLINK % (FIRST, 65538)}'), ('{CHIRPSTACK}'), ('{UPLINK % (FIRST, -1)}'), ('{UPLINK % (SECOND, 65538)}')", ANY,
              after=["SELECT count(*) = 1 FROM lorawan.rejected", f"SELECT count(*) = 3 AND bool_and(payload = '{PAYLOAD}') FROM lorawan.uplink_decrypted"]),
    Statement("uplink_decrypted", "SELECT payload::text, status FROM taken.uplink_decrypted ORDER BY status", ANY),
    Statement("device_latest", "SELECT count(*) FROM taken.device_latest", 1),
    Statement("replay_rejected", "SELECT taken.replay_rejected()::text", "(1,0,1)", before=[f"SELECT kek_import('late', '{KEY}')"]),
    Statement("move_session", f"SELECT move_session('taken', '\\x0004A30B001C0530', decode('{FIRST}', 'base64'), 'app9')", ANY,
              before=["INSERT INTO taken.application VALUES ('app9', 'other')"],
              after=[f"SELECT bool_or(payload = '{PAYLOAD}') FROM taken.uplink_decrypted"]),
    Statement("update_storage", "CALL update_storage('taken')", ANY),
    Statement("maintain_storage", "CALL maintain_storage('taken', 2)", ANY, rollback=False),
]


def statements_of_gate(path):
    """A call of each function of the extension, from the test that has one of each."""
    found = []
    text = open(path, encoding="utf-8").read()
    for name, outcome, call in re.findall(r"^    \('([^']+)', '([^']+)', (?:NULL|\$\$(.*?)\$\$)\)[,;]", text, re.M):
        function = name.split("(")[0]
        # The script has the same call of create_storage(), which takes longer than any other.
        if call and function != "create_storage":
            call = call.replace("LABEL", "'gate'").replace("KEY", "(SELECT key FROM gate_key)").replace("BOUND", "(SELECT bound FROM gate_key)")
            found.append(Statement(
                name, call if call.startswith("CALL ") else "SELECT " + call,
                ANY if function in ("cache_stats", "storage_activity") else None,
                reports=function in ("check_keys", "check_column", "explain_key", "health", "kek_destroy_due", "kek_usage", "root_keys"),
                # What could not be locked stays so, and these say it.
                without=("system",) if function in ("health", "memory_is_locked") else ()))
    return found
