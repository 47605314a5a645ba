"""Makes up random steps.  Most of them succeed, and most use keys that were used before."""

import steps
from oracle import FLOOR_LABEL, GROUP, OUTSIDER, PRIVILEGES, ROLES, Failure

LABELS = ("north", "south", "east", "west")
# Labels that are made during a run, sometimes in a transaction that is rolled back.
LATE_LABELS = ("late", "later")
DEV_ADDRS = ("260b1234", "260b1235", "00000001")
# The same materials are imported again and again, so that labels come to share a KEK.
MATERIALS = (bytes(range(32)).hex(), bytes(range(16)).hex())
KEYS_IN_USE = 20
# Most grants are to the group, since a privilege by membership comes and goes in more ways.
GRANTEES = (*ROLES, GROUP, GROUP, GROUP)
MAX_SAVEPOINTS = 3
MAX_PREPARED = 2
SETTINGS = (
    ("cache", ("on", "on", "off", "verify")),
    ("cache_size", ("0", "1", "4", "8", "16384", "16384")),
    ("cache_max_uses", ("0", "0", "1", "2", "5")),
    ("cache_max_age", ("0", "1", "600")),
)


class Generator:
    def __init__(self, rng, world, two_phase):
        self.rng, self.world, self.two_phase = rng, world, two_phase
        self.names = 0
        self.changed = []       # the KEKs that were changed last
        self.opening = [
            *({"op": "new_version", "how": "create", "label": label, "bits": bits}
              for label, bits in zip(LABELS, (256, 128, 192, 256))),
            {"op": "new_version", "how": "import", "label": "west", "material": MATERIALS[0]},
            {"op": "new_version", "how": "import", "label": "east", "material": MATERIALS[0]},
            *({"op": "grant", "how": "grant", "label": label, "role": role, "privilege": "decrypt"}
              for label in LABELS[:3] for role in ("a", "b", GROUP)),
            *({"op": "wrap", "label": label, "plain": self.bytes(16), "as": self.name("k")} for label in LABELS),
        ]

    def step(self):
        if self.opening:
            return {"s": 0, **self.opening.pop(0)}
        s = self.rng.randrange(len(self.world.sessions))
        self.session = self.world.sessions[s]
        self.view = self.world.view(self.session)
        if self.session.failed and self.rng.random() < 0.9:
            return {"s": s, "op": "transaction", **self.rng.choice((
                {"how": "rollback"}, {"how": "commit"},
                {"how": "rollback_to", "up": 0}, {"how": "rollback_to", "up": 1}))}
        made = self.rng.choices([k[1] for k in self.KINDS], [k[0] for k in self.KINDS])[0](self)
        if made is None:
            return None
        step = {"s": s, **made}
        # An error ends a transaction, so steps that fail are made up less often within one.
        if self.session.levels and made["op"] != "forge" and self.rng.random() < 0.8:
            plan = steps.plan(self.world, step)
            if plan is None or plan.want is not None:
                return None
        return step

    # Parts of steps.

    def name(self, letter):
        self.names += 1
        return f"{letter}{self.names}"

    def bytes(self, n):
        return self.rng.randbytes(n).hex()

    def label(self):
        if self.rng.random() < 0.3:
            # A label with a version that other sessions do not see yet.
            new = [k.label for i, k in self.view.vault.keks.items() if i not in self.world.vault.keks]
            if new:
                return self.rng.choice(new)
        return self.rng.choice(LABELS * 6 + LATE_LABELS)

    def key(self):
        """
        A key's name: a recent one; often one that opens here, and often one whose KEK
        was just changed, by whichever session, committed or not.
        """
        names = list(self.world.keys)[-KEYS_IN_USE:]
        if not names:
            return "none"
        if self.rng.random() < 0.3:
            changed = [name for name in names if self.is_changing(self.world.keys[name].kek_id)]
            return self.rng.choice(changed or names)
        for _ in range(6):
            name = self.rng.choice(names)
            try:
                self.view.open(self.world.keys[name], ["decrypt"])
                break
            except Failure:
                pass
        return name

    def is_changing(self, kek_id):
        return (kek_id in self.changed or kek_id not in self.world.vault.keks
                or self.world.vault.keks[kek_id] != self.view.vault.keks.get(kek_id))

    def dev_addr(self, key_name):
        key = self.world.keys.get(key_name)
        if key is not None and key.dev_addr is not None and self.rng.random() < 0.7:
            return key.dev_addr.hex()
        return self.rng.choice(DEV_ADDRS)

    def use_args(self, key_name):
        return {
            "dir": self.rng.choice(("up", "down")),
            "dev_addr": self.dev_addr(key_name),
            "f_cnt": self.rng.choice((self.rng.randrange(100), self.rng.randrange(2 ** 32))),
            "payload": self.bytes(self.rng.choice((0, 1, 7, 16, 20, 51, self.rng.randrange(256)))),
        }

    def crypt(self, call):
        key = self.key()
        return {"key": key, "call": call, **self.use_args(key)}

    def change(self):
        how = self.rng.choices(("suspend", "resume", "compromise", "destroy"), (30, 50, 4, 4))[0]
        keks = self.view.vault.keks
        if how == "resume":
            ids = [i for i, kek in keks.items() if kek.state == "suspended"]
        else:
            used = [self.world.keys[name].kek_id for name in list(self.world.keys)[-KEYS_IN_USE:]]
            ids = [i for i in used if i in keks]
        label, back = self.label(), self.rng.randrange(3)
        if ids and self.rng.random() < 0.9:
            kek_id = self.rng.choice(ids)
            self.changed = (self.changed + [kek_id])[-2:]
            label = keks[kek_id].label
            back = self.view.vault.versions(label)[0][1].version - keks[kek_id].version
        return {"how": how, "label": label, "back": back, "force": self.rng.random() < 0.8}

    # The steps.

    def use(self):
        call = self.rng.choices(("decrypt", "execute", "encrypt", "try_decrypt", "status", "unwrap", "key_check_value"),
                                (30, 20, 5, 8, 3, 6, 3))[0]
        return {"op": "use", **self.crypt(call)}

    def many(self):
        rows = []
        keys = [self.key() for _ in range(self.rng.randrange(1, 12))]
        for _ in range(self.rng.randrange(2, 50)):
            key = self.rng.choice(keys)
            args = self.use_args(key)
            rows.append([key, args["dev_addr"], args["f_cnt"], args["payload"]])
        return {"op": "many", "dir": self.rng.choice(("up", "down")), "rows": rows}

    def forge(self):
        kind = self.rng.choice(("flip", "flip", "kek", "kek", "longer", "shorter", "shorter", "unknown", "algorithm"))
        made = {"op": "forge", "kind": kind, "as": self.name("f"), **self.crypt("decrypt")}
        if kind == "flip":
            made["at"] = self.rng.randrange(1000)
        elif kind == "kek":
            made.update(label=self.label(), back=self.rng.randrange(3))
        elif kind == "unknown":
            h = self.bytes(16)
            made["kek_id"] = f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
        return made

    def describe(self):
        return {"op": "describe", "key": self.key()}

    def wrap(self):
        length = self.rng.choice((16, 16, 16, 16, 24, 32, 5, 17))
        return {"op": "wrap", "label": self.label(), "plain": self.bytes(length), "as": self.name("k")}

    def generate(self):
        return {"op": "generate", "label": self.label(), "length": self.rng.choice((16, 16, 16, 24, 7)),
                "as": self.name("k")}

    def rewrap(self):
        made = {"op": "rewrap", "key": self.key(), "as": self.name("k")}
        if self.rng.random() < 0.4:
            made["label"] = self.label()
        return made

    def bind(self):
        key = self.key()
        return {"op": "bind", "key": key, "dev_addr": self.dev_addr(key), "as": self.name("k")}

    # Only one session at a time can change KEKs and grants: another one waits, and gives up.
    def if_unlocked(self, step):
        if self.world.is_locked(self.session, "vault") and self.rng.random() > 0.05:
            return None
        return step

    def state(self):
        return self.if_unlocked({"op": "state", **self.change()})

    def new_version(self):
        how = self.rng.choice(("rotate", "rotate", "rotate", "import", "create"))
        made = {"op": "new_version", "how": how, "label": self.label()}
        if how == "import":
            made["material"] = self.rng.choice((*MATERIALS, self.bytes(16), self.bytes(24), self.bytes(32)))
        elif how == "create":
            made.update(label=self.rng.choice(LATE_LABELS), bits=self.rng.choice((128, 192, 256)))
        return self.if_unlocked(made)

    def grant(self):
        made = {"op": "grant", "how": "grant", "label": self.label(), "role": self.rng.choice(GRANTEES),
                "privilege": self.rng.choice(PRIVILEGES + ("decrypt",) * 6)}
        if self.rng.random() < 0.4:
            made["how"] = "revoke"
            # Now and then the outsider loses its last privilege.
            granted = sorted(g for g in self.view.vault.grants
                             if g[0] != FLOOR_LABEL and g[1] in (made["role"], OUTSIDER))
            if granted:
                made["label"], made["role"], made["privilege"] = self.rng.choice(granted)
        return self.if_unlocked(made)

    def has_privilege(self):
        return {"op": "has_privilege", "label": self.label(), "privilege": self.rng.choice(PRIVILEGES)}

    def keks(self):
        return {"op": "keks"}

    def member(self):
        return {"op": "member", "role": self.rng.choice(("a", OUTSIDER)), "joins": self.rng.random() < 0.6}

    def superuser(self):
        return {"op": "superuser", "role": "b", "becomes": self.rng.random() < 0.3}

    def both(self):
        return self.if_unlocked({"op": "both", "change": self.change(),
                                 "use": self.crypt(self.rng.choice(("decrypt", "try_decrypt", "unwrap")))})

    def undone(self):
        return self.if_unlocked({"op": "undone", "change": self.change(),
                                 "use": self.crypt(self.rng.choice(("decrypt", "unwrap")))})

    def transaction(self):
        if not self.session.levels:
            how = "begin_repeatable_read" if self.rng.random() < 0.15 else "begin"
        else:
            how = self.rng.choices(("commit", "rollback", "savepoint", "rollback_to", "release", "prepare"),
                                   (8, 6, 8, 6, 2, 3 if self.two_phase else 0))[0]
        made = {"op": "transaction", "how": how}
        if how == "savepoint" and len(self.session.levels) > MAX_SAVEPOINTS:
            return None
        if how in ("rollback_to", "release"):
            made["up"] = self.rng.randrange(2)
        elif how == "prepare":
            if len(self.world.prepared) >= MAX_PREPARED:
                return None
            made["gid"] = self.name("p")
        return made

    def finish_prepared(self):
        if not self.world.prepared:
            return None
        return {"op": "finish_prepared", "gid": self.rng.choice(list(self.world.prepared)),
                "commit": self.rng.random() < 0.6}

    def set_role(self):
        return {"op": "set_role", "role": self.rng.choice((None, None, None, *ROLES, OUTSIDER))}

    def set(self):
        name, values = self.rng.choice(SETTINGS)
        return {"op": "set", "name": name, "value": self.rng.choice(values)}

    def flush(self):
        return {"op": "flush"}

    def reconnect(self):
        return {"op": "reconnect"}

    KINDS = ((100, use), (14, many), (8, forge), (2, describe), (12, wrap), (3, generate), (10, rewrap), (5, bind),
             (20, state), (8, new_version), (10, grant), (3, has_privilege), (2, keks), (6, member), (3, superuser),
             (4, both), (4, undone), (30, transaction), (12, finish_prepared), (14, set_role), (8, set), (1, flush),
             (1, reconnect))
