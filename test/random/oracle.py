"""The answer that every statement must get.

The oracle knows the committed state, and for each session the changes that it has
not committed.  Every answer follows from these: the bytes, or the SQLSTATE.

A transaction that changes KEKs or grants holds a lock on them until its end, so at
most one transaction has changes; the test keeps the same rule for role memberships.
So a session with changes has its own copy of what it changed, one for each level of
savepoints.
"""

from collections import namedtuple

import lorawan

DENIED = "42501"
DUPLICATE = "42710"
WRONG_STATE = "55000"
ABORTED = "25P02"
KEK_UNKNOWN = "KV001"
KEK_SUSPENDED = "KV002"
KEK_DESTROYED = "KV003"
KEY_INTEGRITY = "KV004"
KEY_CONTEXT = "KV005"
KEY_LENGTH = "KV006"
KEK_NOT_ACTIVE = "KV007"

STATUS = {
    KEK_UNKNOWN: "KEK unknown",
    KEK_SUSPENDED: "KEK suspended",
    KEK_DESTROYED: "KEK destroyed",
    KEY_INTEGRITY: "integrity failure",
    KEY_CONTEXT: "other DevAddr",
    KEY_LENGTH: "not a session key",
}

ROLES = ("a", "b", "c", "g")
GROUP = "g"
# This role has only the privileges that the test grants, so at times it has none.
OUTSIDER = "c"
# All roles but the outsider hold this privilege on a label that the steps do not touch.
FLOOR_LABEL = "floor"
FLOOR_PRIVILEGE = "derive"

PRIVILEGES = ("wrap", "unwrap", "decrypt", "derive", "rewrap", "admin")
OPENS_KEYS = {"unwrap", "decrypt", "derive", "rewrap"}

Kek = namedtuple("Kek", "label version state suspended_from material")
# A wrapped key: its parts, the key in it if it is intact, and the material of its KEK.
Key = namedtuple("Key", "text algorithm kek_id wrapped plain dev_addr material intact forged")


class Failure(Exception):
    """An error that the server must raise."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Vault:
    """The tables of KEKs and of grants, as they are at one time."""

    def __init__(self, keks=(), grants=()):
        self.keks = dict(keks)
        self.grants = frozenset(grants)

    def versions(self, label):
        """The versions of a label, newest first, as (kek_id, Kek)."""
        return sorted(((i, k) for i, k in self.keks.items() if k.label == label),
                      key=lambda item: -item[1].version)

    def active(self, label):
        for kek_id, kek in self.keks.items():
            if kek.label == label and kek.state == "active":
                return kek_id, kek
        return None

    def with_kek(self, kek_id, kek):
        new = Vault(self.keks, self.grants)
        new.keks[kek_id] = kek
        return new

    def with_grants(self, grants):
        return Vault(self.keks, grants)


class Roles:
    """Which roles are members of the group, and which are superusers."""

    def __init__(self, members=(), superusers=()):
        self.members = frozenset(members)
        self.superusers = frozenset(superusers)

    def with_member(self, role, is_in):
        return Roles(self.members | {role} if is_in else self.members - {role}, self.superusers)

    def with_superuser(self, role, is_in):
        return Roles(self.members, self.superusers | {role} if is_in else self.superusers - {role})


class Level:
    """A transaction or a savepoint: its changes, and the state before it."""

    def __init__(self, role):
        self.role_before = role
        self.vault = None
        self.roles = None


class Session:
    def __init__(self):
        self.role = None        # None: the superuser that connected
        self.levels = []        # empty: no transaction is open
        self.failed = False
        self.begun_repeatable_read = False


class View:
    """The state that a statement of a session sees, and its role."""

    def __init__(self, vault, roles, role):
        self.vault, self.roles, self.role = vault, roles, role

    def is_superuser(self):
        return self.role is None or self.role in self.roles.superusers

    def role_and_groups(self):
        return {self.role} | ({GROUP} if self.role in self.roles.members else set())

    def held(self, label):
        if self.is_superuser():
            return set(PRIVILEGES)
        mine = self.role_and_groups()
        return {p for (l, r, p) in self.vault.grants if l == label and r in mine}

    def require(self, label, privileges):
        if not self.held(label) & set(privileges):
            raise Failure(DENIED)

    # The rules of a look-up, as in src/vault/vault.c.

    def open(self, key, privileges):
        """The key's bytes."""
        kek = self.vault.keks.get(key.kek_id)
        if kek is None:
            raise Failure(KEK_UNKNOWN)
        self.require(kek.label, privileges)
        if kek.state == "suspended":
            raise Failure(KEK_SUSPENDED)
        if kek.state == "destroyed":
            raise Failure(KEK_DESTROYED)
        if not key.intact:
            raise Failure(KEY_INTEGRITY)
        return key.plain

    def crypt(self, key, direction, dev_addr, f_cnt, payload):
        plain = self.open(key, ["decrypt"])
        if key.dev_addr is not None and key.dev_addr != dev_addr:
            raise Failure(KEY_CONTEXT)
        if len(plain) != 16:
            raise Failure(KEY_LENGTH)
        return lorawan.crypt(plain, direction, dev_addr, f_cnt, payload)

    def try_crypt(self, *args):
        """The payload or None, and the status."""
        try:
            return self.crypt(*args), "ok"
        except Failure as failure:
            if failure.code == DENIED:
                raise
            return None, STATUS[failure.code]

    def key_check_value(self, key):
        plain = self.open(key, OPENS_KEYS)
        if len(plain) not in (16, 24, 32):
            raise Failure(KEY_LENGTH)
        return lorawan.key_check_value(plain)

    # The rules of wrapping, as in src/vault/wrapping.c.

    def wrapping_kek(self, label, privilege):
        active = self.vault.active(label)
        self.require(label, [privilege])
        if active is None:
            raise Failure(KEK_NOT_ACTIVE if self.vault.versions(label) else KEK_UNKNOWN)
        return active

    def wrap(self, label):
        return self.wrapping_kek(label, "wrap")

    def rewrap(self, key):
        self.open(key, ["rewrap"])
        return self.wrapping_kek(self.vault.keks[key.kek_id].label, "rewrap")

    def rewrap_to(self, key, label):
        self.open(key, ["unwrap"])
        return self.wrapping_kek(label, "wrap")

    def bind(self, key, dev_addr):
        plain = self.open(key, ["rewrap"])
        if key.dev_addr is not None and key.dev_addr != dev_addr:
            raise Failure(KEY_CONTEXT)
        kek = self.wrapping_kek(self.vault.keks[key.kek_id].label, "rewrap")
        if not lorawan.fits_aes_kw(plain):
            raise Failure(KEY_LENGTH)
        return kek

    # The rules of administration, as in src/admin/kek_admin.c.  Each function returns the new Vault.

    def version(self, label, version):
        for kek_id, kek in self.vault.versions(label):
            if kek.version == version:
                return kek_id, kek
        raise Failure(KEK_UNKNOWN)

    def next_version(self, label, how, material):
        versions = self.vault.versions(label)
        if how == "create" and versions:
            raise Failure(DUPLICATE)
        if how == "rotate" and not versions:
            raise Failure(KEK_UNKNOWN)
        # One that was destroyed may come back as a new version.
        if material is not None and any(k.material == material and k.state != "destroyed" for _, k in versions):
            raise Failure(DUPLICATE)
        return versions[0][1].version + 1 if versions else 1

    def add_version(self, label, kek_id, version, material):
        vault = self.vault
        active = vault.active(label)
        if active is not None:
            vault = vault.with_kek(active[0], active[1]._replace(state="deactivated"))
        return vault.with_kek(kek_id, Kek(label, version, "active", None, material))

    def change_state(self, how, label, version):
        kek_id, kek = self.version(label, version)
        allowed = {
            "suspend": ("active", "deactivated", "compromised"),
            "resume": ("suspended",),
            "compromise": ("active", "deactivated", "suspended"),
            "destroy": ("active", "deactivated", "compromised", "suspended"),
        }[how]
        if kek.state not in allowed:
            raise Failure(KEK_DESTROYED if kek.state == "destroyed" else WRONG_STATE)
        suspended_from = None
        if how == "suspend":
            state, suspended_from = "suspended", kek.state
        elif how == "resume":
            state = kek.suspended_from
            if state == "active" and self.vault.active(label) is not None:
                state = "deactivated"
        else:
            state = {"compromise": "compromised", "destroy": "destroyed"}[how]
        return self.vault.with_kek(kek_id, kek._replace(state=state, suspended_from=suspended_from))


class World:
    """The whole state: committed, prepared, and the changes of each session."""

    def __init__(self, n_sessions):
        self.vault = Vault(grants=[(FLOOR_LABEL, r, FLOOR_PRIVILEGE) for r in ROLES if r != OUTSIDER])
        self.roles = Roles()
        self.sessions = [Session() for _ in range(n_sessions)]
        self.prepared = {}      # gid: (vault or None, roles or None)
        self.keys = {}          # name: Key

    @staticmethod
    def own_changes(session):
        """The session's own vault and roles; each is None if the session has not changed it."""
        vault = roles = None
        for level in session.levels:
            vault = level.vault or vault
            roles = level.roles or roles
        return vault, roles

    def view(self, session):
        vault, roles = self.own_changes(session)
        return View(vault or self.vault, roles or self.roles, session.role)

    def is_locked(self, session, what):
        """Whether another transaction has changes of the "vault" or of the "roles"."""
        which = ("vault", "roles").index(what)
        return (any(self.own_changes(other)[which] is not None for other in self.sessions if other is not session)
                or any(changes[which] is not None for changes in self.prepared.values()))

    # Commands of transactions

    def commit_changes(self, vault, roles):
        if vault is not None:
            self.vault = vault
        if roles is not None:
            self.roles = roles

    def write(self, session, vault=None, roles=None):
        if session.levels:
            top = session.levels[-1]
            top.vault = vault or top.vault
            top.roles = roles or top.roles
        else:
            self.commit_changes(vault, roles)

    def begin(self, session, repeatable_read=False):
        session.levels = [Level(session.role)]
        session.begun_repeatable_read = repeatable_read

    def fail(self, session):
        """After an error in a statement: the innermost level is undone at once."""
        if session.levels:
            session.failed = True
            session.levels[-1].vault = session.levels[-1].roles = None

    def end(self, session):
        session.levels = []
        session.failed = session.begun_repeatable_read = False

    def commit(self, session):
        if session.failed:
            self.rollback(session)
        else:
            self.commit_changes(*self.own_changes(session))
            self.end(session)

    def rollback(self, session):
        session.role = session.levels[0].role_before
        self.end(session)

    def savepoint(self, session):
        session.levels.append(Level(session.role))

    def rollback_to(self, session, depth):
        session.role = session.levels[depth].role_before
        session.levels[depth:] = [Level(session.role)]
        session.failed = False

    def release(self, session, depth):
        to = session.levels[depth - 1]
        for level in session.levels[depth:]:
            to.vault = level.vault or to.vault
            to.roles = level.roles or to.roles
        del session.levels[depth:]

    def prepare(self, session, gid):
        self.prepared[gid] = self.own_changes(session)
        self.end(session)

    def finish_prepared(self, gid, commit):
        changes = self.prepared.pop(gid)
        if commit:
            self.commit_changes(*changes)
