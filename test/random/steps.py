"""The kinds of steps: their SQL, and the oracle's answer to each.

A step is a JSON object, {"s": session, "op": kind, ...}.  It contains everything but
the values that the server makes up: keys have names, and a KEK version is given by its
distance from the newest.  So a step still means something after others were left out.
"""

from collections import namedtuple

import lorawan
from oracle import ABORTED, GROUP, OUTSIDER, Failure, Key, View

KEY = "%s::key_vault.wrapped_key"

# A parameter that is itself a statement
Nested = namedtuple("Nested", "sql params")


# Counts of the payloads, keys and key check values that were right
values_compared = 0


class Mismatch(Exception):
    """The server's answer is not the oracle's.  kind says how they differ."""

    def __init__(self, wanted, got, kind="another answer"):
        super().__init__(f"wanted {wanted}, got {got}")
        self.kind = kind


class Plan:
    """
    A statement.  decide() raises the Failure that it must end with, or returns
    done(rows, run), which looks at its answer and tells the world.
    """

    def __init__(self, sql, params, decide):
        self.sql, self.params, self.decide = sql, params, decide
        self.want = None            # the SQLSTATE, if it must fail
        self.done = None


def plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


def same(wanted, got):
    global values_compared
    if wanted != got:
        raise Mismatch(repr(wanted), repr(got))
    values = wanted if isinstance(wanted, list) else [wanted]
    values_compared += sum(isinstance(value, bytes) for value in values)


def always(done):
    """A decide() for a step that cannot fail."""
    return lambda: done


def one_value(wanted):
    """A decide() for a statement whose answer is one value."""
    def decide():
        value = wanted()
        return lambda rows, run: same(value, plain(rows[0][0]))
    return decide


# ----------------------------------------------------------------------------
# Uses of a key
# ----------------------------------------------------------------------------

DIRECTIONS = {"up": (lorawan.UPLINK, "uplink"), "down": (lorawan.DOWNLINK, "downlink")}

# These statements are prepared in every session, with a generic plan.
PREPARE_SQL = [
    f"PREPARE {name} (key_vault.wrapped_key, bytea, bigint, bytea) AS "
    f"SELECT key_vault.lorawan_decrypt_{name}($1, $2, $3, $4)" for _, name in DIRECTIONS.values()]

Use = namedtuple("Use", "expression params wanted")     # wanted(view) raises or returns


def use_of(world, step):
    """Returns None if there is no such key."""
    key = world.keys.get(step["key"])
    if key is None:
        return None
    call = step["call"]
    if call == "unwrap":
        return Use(f"key_vault.unwrap({KEY})", (key.text,), lambda view: view.open(key, ["unwrap"]))
    if call == "key_check_value":
        return Use(f"key_vault.key_check_value({KEY})", (key.text,), lambda view: view.key_check_value(key))

    dev_addr = bytes.fromhex(step["dev_addr"])
    if call == "status":
        return Use(f"key_vault.key_status({KEY}, %s)", (key.text, dev_addr),
                   lambda view: view.try_crypt(key, 0, dev_addr, 0, b"")[1])

    direction, name = DIRECTIONS[step["dir"]]
    args = (dev_addr, step["f_cnt"], bytes.fromhex(step["payload"]))
    if call == "try_decrypt":
        return Use(f"key_vault.lorawan_try_decrypt_{name}({KEY}, %s, %s, %s)", (key.text, *args),
                   lambda view: view.try_crypt(key, direction, *args)[0])
    expression = f"EXECUTE {name}(%s, %s, %s, %s)"
    if call in ("decrypt", "encrypt"):
        expression = f"key_vault.lorawan_{call}_{name}({KEY}, %s, %s, %s)"
    return Use(expression, (key.text, *args), lambda view: view.crypt(key, direction, *args))


def op_use(world, session, view, step):
    use = use_of(world, step)
    if use is None:
        return None
    sql = use.expression if step["call"] == "execute" else f"SELECT {use.expression}"
    return Plan(sql, use.params, one_value(lambda: use.wanted(view)))


def op_many(world, session, view, step):
    """Uses many keys within one statement."""
    direction, name = DIRECTIONS[step["dir"]]
    rows = [(world.keys[key], bytes.fromhex(dev_addr), f_cnt, bytes.fromhex(payload))
            for key, dev_addr, f_cnt, payload in step["rows"] if key in world.keys]
    if not rows:
        return None

    def decide():
        wanted = [view.try_crypt(key, direction, *args)[0] for key, *args in rows]
        return lambda got, run: same(wanted, [plain(row[0]) for row in got])

    columns = [list(column) for column in zip(*((key.text, *args) for key, *args in rows))]
    return Plan(f"SELECT key_vault.lorawan_try_decrypt_{name}(k::key_vault.wrapped_key, d, f, p) "
                "FROM unnest(%s::text[], %s::bytea[], %s::bigint[], %s::bytea[]) WITH ORDINALITY AS t (k, d, f, p, n) "
                "ORDER BY n", columns, decide)


def forged(view, key, step):
    """A wrapped key that an attacker might make out of another one, or None."""
    kind = step["kind"]
    if kind == "flip":
        wrapped = bytearray(key.wrapped)
        wrapped[step["at"] % len(wrapped)] ^= 1 << step["at"] % 8
        key = key._replace(wrapped=bytes(wrapped), intact=False)
    elif kind == "longer":
        key = key._replace(wrapped=key.wrapped + bytes(8), intact=False)
    elif kind == "shorter":
        if len(key.wrapped) <= {"aes-kw": 24, "aes-kw-bound": 32, "aes-kwp": 16}[key.algorithm]:
            return None
        key = key._replace(wrapped=key.wrapped[:-8], intact=False)
    elif kind == "unknown":
        key = key._replace(kek_id=step["kek_id"])
    elif kind == "kek":
        versions = view.vault.versions(step["label"])
        if step["back"] >= len(versions) or versions[step["back"]][0] == key.kek_id:
            return None
        kek_id, kek = versions[step["back"]]
        # The changed key opens if both KEKs were imported from the same material.
        key = key._replace(kek_id=kek_id, intact=key.material is not None and key.material == kek.material)
    elif key.algorithm == "aes-kw-bound":
        key = key._replace(algorithm="aes-kw", plain=lorawan.context(key.dev_addr) + key.plain, dev_addr=None)
    elif key.algorithm == "aes-kw" and len(key.plain) >= 24:
        key = key._replace(algorithm="aes-kw-bound", intact=key.plain.startswith(lorawan.context(b"")),
                           dev_addr=key.plain[4:8], plain=key.plain[8:])
    else:
        return None
    return key._replace(text=f"kv1:{key.algorithm}:{key.kek_id}:{key.wrapped.hex()}", forged=True)


def op_forge(world, session, view, step):
    key = world.keys.get(step["key"])
    key = None if key is None or key.forged else forged(view, key, step)
    if key is None:
        return None
    world.keys[step["as"]] = key
    return op_use(world, session, view, {**step, "key": step["as"]})


def op_describe(world, session, view, step):
    key = world.keys.get(step["key"])
    if key is None:
        return None
    kek = view.vault.keks.get(key.kek_id)
    wanted = (kek.label, kek.version) if kek else (None, None)
    return Plan(f"SELECT key_vault.kek_label(k), key_vault.kek_version(k) FROM (SELECT {KEY} AS k) AS t", (key.text,),
                always(lambda rows, run: same(wanted, rows[0])))


# ----------------------------------------------------------------------------
# Statements that make wrapped keys
# ----------------------------------------------------------------------------

def new_key(world, step, kek, key, dev_addr):
    """The done() of a statement that returns a wrapped key."""
    kek_id, row = kek
    algorithm = "aes-kw" if lorawan.fits_aes_kw(key) else "aes-kwp"
    if dev_addr is not None:
        algorithm = "aes-kw-bound"

    def done(rows, run):
        text = rows[0][0]
        prefix, got_algorithm, got_kek_id, wrapped = text.split(":")
        same(("kv1", algorithm, kek_id), (prefix, got_algorithm, got_kek_id))
        wrapped = bytes.fromhex(wrapped)
        if row.material is not None:
            same(lorawan.wrap(row.material, key, dev_addr), wrapped)
        world.keys[step["as"]] = Key(text, algorithm, kek_id, wrapped, key, dev_addr, row.material, True, False)
    return done


def op_wrap(world, session, view, step):
    key = bytes.fromhex(step["plain"])
    return Plan("SELECT key_vault.wrap(%s, %s)::text", (key, step["label"]),
                lambda: new_key(world, step, view.wrap(step["label"]), key, None))


def op_generate(world, session, view, step):
    """Not possible if the statement would succeed, since the test could not see the new key."""
    label, length = step["label"], step["length"]
    if "unwrap" not in view.held(label) and "wrap" in view.held(label):
        return None

    def decide():
        kek = view.wrap(label)

        def done(rows, run):
            key = plain(run(f"SELECT key_vault.unwrap({KEY})", (rows[0][0],))[0][0])
            same(length, len(key))
            new_key(world, step, kek, key, None)(rows, run)
        return done

    return Plan("SELECT key_vault.generate_key(%s, %s)::text", (label, length), decide)


def op_rewrap(world, session, view, step):
    key = world.keys.get(step["key"])
    if key is None:
        return None
    if "label" in step:
        return Plan(f"SELECT key_vault.rewrap({KEY}, %s)::text", (key.text, step["label"]),
                    lambda: new_key(world, step, view.rewrap_to(key, step["label"]), key.plain, key.dev_addr))
    return Plan(f"SELECT key_vault.rewrap({KEY})::text", (key.text,),
                lambda: new_key(world, step, view.rewrap(key), key.plain, key.dev_addr))


def op_bind(world, session, view, step):
    key = world.keys.get(step["key"])
    if key is None:
        return None
    dev_addr = bytes.fromhex(step["dev_addr"])
    return Plan(f"SELECT key_vault.bind({KEY}, %s)::text", (key.text, dev_addr),
                lambda: new_key(world, step, view.bind(key, dev_addr), key.plain, dev_addr))


# ----------------------------------------------------------------------------
# Administration
# ----------------------------------------------------------------------------

class Waits(Exception):
    """Raised if the step might wait for another transaction."""


def begin_administration(world, session, view, label):
    view.require(label, ["admin"])
    # Whether it waits depends on the label and on what the other transaction has done to it.
    if world.is_locked(session, "vault"):
        raise Waits


Change = namedtuple("Change", "expression params new_vault")    # new_vault() raises or returns


def change_of(world, session, view, step):
    """kek_suspend, kek_resume, kek_compromise, kek_destroy"""
    label, how = step["label"], step["how"]
    versions = view.vault.versions(label)
    version = max(1, versions[0][1].version - step["back"]) if versions else 1

    def new_vault():
        begin_administration(world, session, view, label)
        return view.change_state(how, label, version)

    # Without force the KEK must not be active, and all other transactions are waited for.
    force = ""
    if how == "destroy":
        waits = session.levels or world.prepared or any(other.levels for other in world.sessions)
        active = any(kek.version == version and kek.state == "active" for _, kek in versions)
        force = f", force => {bool(step['force'] or waits or active)}"
    return Change(f"key_vault.kek_{how}(%s, %s{force})", (label, version), new_vault)


def op_state(world, session, view, step):
    change = change_of(world, session, view, step)

    def decide():
        vault = change.new_vault()
        return lambda rows, run: world.write(session, vault=vault)

    return Plan(f"SELECT {change.expression}", change.params, decide)


def op_new_version(world, session, view, step):
    """kek_create, kek_rotate, kek_import"""
    label, how = step["label"], step["how"]
    material = bytes.fromhex(step["material"]) if how == "import" else None

    def decide():
        begin_administration(world, session, view, label)
        version = view.next_version(label, how, material)

        def done(rows, run):
            same(version, rows[0][0])
            kek_id = run("SELECT kek_id::text FROM key_vault.keks WHERE label = %s AND version = %s",
                         (label, version))[0][0]
            world.write(session, vault=view.add_version(label, kek_id, version, material))
        return done

    params = {"create": (label, step.get("bits")), "rotate": (label,), "import": (label, material)}[how]
    return Plan(f"SELECT key_vault.kek_{how}({', '.join(['%s'] * len(params))})", params, decide)


def op_grant(world, session, view, step):
    """kek_grant, kek_revoke"""
    label, role, privilege = step["label"], step["role"], step["privilege"]
    grant = (label, role, privilege)

    def decide():
        begin_administration(world, session, view, label)
        changes = (grant in view.vault.grants) == (step["how"] == "revoke")
        grants = view.vault.grants ^ {grant} if changes else view.vault.grants

        def done(rows, run):
            same(changes, rows[0][0])
            world.write(session, vault=view.vault.with_grants(grants))
        return done

    return Plan(f"SELECT key_vault.kek_{step['how']}(%s, '{{role:{role}}}'::regrole, %s)", (label, privilege), decide)


def op_has_privilege(world, session, view, step):
    return Plan("SELECT key_vault.has_kek_privilege(%s, %s)", (step["label"], step["privilege"]),
                one_value(lambda: step["privilege"] in view.held(step["label"])))


def op_keks(world, session, view, step):
    wanted = sorted((k.label, k.version, k.state, i) for i, k in view.vault.keks.items())
    return Plan("SELECT label, version, state, kek_id::text FROM key_vault.keks", (),
                always(lambda rows, run: same(wanted, sorted(rows))))


def op_member(world, session, view, step):
    """Puts a role into the group or takes it out; only the superuser does this step and the next."""
    if session.role is not None or world.is_locked(session, "roles"):
        return None
    role, joins = step["role"], step["joins"]
    roles = view.roles.with_member(role, joins)
    sql = f"GRANT {{role:{GROUP}}} TO {{role:{role}}}" if joins else f"REVOKE {{role:{GROUP}}} FROM {{role:{role}}}"
    return Plan(sql, (), always(lambda rows, run: world.write(session, roles=roles)))


def op_superuser(world, session, view, step):
    if session.role is not None or world.is_locked(session, "roles"):
        return None
    role, becomes = step["role"], step["becomes"]
    roles = view.roles.with_superuser(role, becomes)
    return Plan(f"ALTER ROLE {{role:{role}}} {'' if becomes else 'NO'}SUPERUSER", (),
                always(lambda rows, run: world.write(session, roles=roles)))


# ----------------------------------------------------------------------------
# A change and a use in one statement
# ----------------------------------------------------------------------------

def op_both(world, session, view, step):
    """The change takes effect for the parts of the statement that come after it."""
    use = use_of(world, step["use"])
    if use is None:
        return None
    change = change_of(world, session, view, step["change"])

    def decide():
        vault = change.new_vault()
        wanted = use.wanted(View(vault, view.roles, view.role))

        def done(rows, run):
            same(wanted, plain(rows[0][1]))
            world.write(session, vault=vault)
        return done

    return Plan(f"SELECT {change.expression}, {use.expression}", change.params + use.params, decide)


# The change, a use after it, an error that undoes the change, and the use again
UNDONE_SQL = """
CREATE FUNCTION undone(change text, use text, OUT during text, OUT after text) LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE change;
        BEGIN
            EXECUTE use INTO during;
        EXCEPTION WHEN OTHERS THEN
            during := SQLSTATE;
        END;
        RAISE EXCEPTION USING ERRCODE = 'UNDO1';
    EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE <> 'UNDO1' THEN
            during := SQLSTATE;
        END IF;
    END;
    BEGIN
        EXECUTE use INTO after;
    EXCEPTION WHEN OTHERS THEN
        after := SQLSTATE;
    END;
END
$$"""


def op_undone(world, session, view, step):
    use = use_of(world, step["use"])
    if use is None:
        return None
    change = change_of(world, session, view, step["change"])

    def text(get):
        try:
            return get().hex()
        except Failure as failure:
            return failure.code

    def decide():
        wanted = (text(lambda: use.wanted(View(change.new_vault(), view.roles, view.role))),
                  text(lambda: use.wanted(view)))
        return lambda rows, run: same(wanted, rows[0])

    return Plan("SELECT during, after FROM undone(%s, %s)",
                (Nested(f"SELECT {change.expression}", change.params),
                 Nested(f"SELECT encode({use.expression}, 'hex')", use.params)), decide)


# ----------------------------------------------------------------------------
# Transactions, roles, settings
# ----------------------------------------------------------------------------

def op_transaction(world, session, view, step):
    how = step["how"]
    depth = len(session.levels) - 1 - step.get("up", 0)
    if (how.startswith("begin") == bool(session.levels)
            or how in ("rollback_to", "release") and depth < 1
            or how == "prepare" and (session.failed or step["gid"] in world.prepared)):
        return None
    sql, do = {
        "begin": ("BEGIN", world.begin),
        "begin_repeatable_read": ("BEGIN ISOLATION LEVEL REPEATABLE READ", lambda s: world.begin(s, True)),
        "commit": ("COMMIT", world.commit),
        "rollback": ("ROLLBACK", world.rollback),
        "savepoint": (f"SAVEPOINT s{len(session.levels)}", world.savepoint),
        "rollback_to": (f"ROLLBACK TO s{depth}", lambda s: world.rollback_to(s, depth)),
        "release": (f"RELEASE s{depth}", lambda s: world.release(s, depth)),
        "prepare": (f"PREPARE TRANSACTION '{{gid:{step.get('gid')}}}'", lambda s: world.prepare(s, step["gid"])),
    }[how]
    return Plan(sql, (), always(lambda rows, run: do(session)))


def op_finish_prepared(world, session, view, step):
    """Only the superuser takes this step, outside of a transaction."""
    if session.levels or session.role is not None or step["gid"] not in world.prepared:
        return None
    return Plan(f"{'COMMIT' if step['commit'] else 'ROLLBACK'} PREPARED '{{gid:{step['gid']}}}'", (),
                always(lambda rows, run: world.finish_prepared(step["gid"], step["commit"])))


def op_set_role(world, session, view, step):
    def done(rows, run):
        session.role = step["role"]

    return Plan(f"SET ROLE {{role:{step['role']}}}" if step["role"] else "RESET ROLE", (), always(done))


def op_set(world, session, view, step):
    if session.role is not None:
        return None
    return Plan(f"SET key_vault.{step['name']} = %s", (step["value"],), always(lambda rows, run: None))


def op_flush(world, session, view, step):
    if session.role is not None:
        return None
    return Plan("SELECT key_vault.cache_flush()", (), always(lambda rows, run: None))


RECONNECT = "reconnect"


def op_reconnect(world, session, view, step):
    def done(rows, run):
        session.role = None

    return None if session.levels else Plan(RECONNECT, (), always(done))


OPS = {name[3:]: function for name, function in list(globals().items()) if name.startswith("op_")}

# These steps are not taken with an old snapshot, which must not write, and does not show the present table.
NOT_REPEATABLE_READ = {"state", "new_version", "grant", "both", "undone", "keks"}
NOT_BY_OUTSIDER = {"both", "undone"}


def plan(world, step):
    """
    The step in the present state.  None if it is not possible: it names something
    that is not there, would wait for a lock, or has more than one right answer.
    """
    session = world.sessions[step["s"]]
    view = world.view(session)
    op = step["op"]
    if (session.begun_repeatable_read and op in NOT_REPEATABLE_READ
            or session.role == OUTSIDER and op in NOT_BY_OUTSIDER):
        return None
    made = OPS[op](world, session, view, step)
    if made is None:
        return None

    if session.failed and not (op == "transaction" and step["how"] in ("commit", "rollback", "rollback_to")):
        made.want = ABORTED
        return made
    try:
        made.done = made.decide()
    except Waits:
        return None
    except Failure as failure:
        made.want = failure.code
    return made
