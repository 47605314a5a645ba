"""Sessions that read: the views, the function that raises errors, and the status, in each mode of the cache.
Each row is compared with what the test knows."""

from database import ANALYSTS
from session import Session

# Conditions for the rows that are read: those of one device, a sixteenth of all rows, a quarter of all rows
SOME = ("dev_eui = (SELECT d.dev_eui FROM lorawan.device d ORDER BY random() LIMIT 1)",
        "f_cnt %% 16 = {0}", "f_cnt %% 4 = {0} %% 4")


class Reader(Session):
    def __init__(self, soak, number):
        super().__init__(soak, number)
        self.role = sorted(ANALYSTS)[number % len(ANALYSTS)]

    def explained(self, sqlstate, start, end):
        return (self.withdrawn(sqlstate, start, end)
                or sqlstate == "42501" and self.soak.situation.may_be("revoked", start, end))

    def some(self):
        return self.rng.choice(SOME).format(self.rng.randrange(16)).replace("%%", "%")

    def check(self, row, start, end):
        """row: DevEUI, session key id, counter, payload, status, and where they were
        asked for, label and version of the KEK of its key."""
        dev_eui, session_key_id, f_cnt, payload, status, *kek = row
        soak = self.soak
        may_be = soak.situation.may_be
        sender = bytes(session_key_id if session_key_id is not None else dev_eui)
        readable = status in ("decrypted", "plain")
        known = kek if kek and kek[0] is not None else ()
        where = f"{self.name}: {bytes(dev_eui).hex()} {f_cnt} {kek}"

        if payload is not None and bytes(payload) != soak.truth.payload(sender, f_cnt):
            soak.fault("wrong payload", f"{where}: {bytes(payload).hex()} {status}")
        if (payload is not None) != readable:
            soak.fault("status and payload disagree",
                       f"{where}: status {status}, {'no' if payload is None else 'a'} payload")
        if not (readable
                or status == "KEK suspended" and may_be("suspended", start, end, *known[:1])
                or status == "KEK destroyed" and may_be("destroyed", start, end, *known)
                or status == "not permitted" and may_be("revoked", start, end, *known[:1])
                or status in ("KEK unknown", "envelope not opened") and may_be("unknown", start, end)):
            soak.fault("unexplained status", f"{where}: {status}")
        if known and (readable or payload is not None):
            self.check_use(kek, start, end, where)

    def check_use(self, kek, start, end, where):
        """Checks that the statement used nothing that was withdrawn before it began."""
        must_be = self.soak.situation.must_be
        if must_be(("suspended", *kek), start, end) or must_be(("revoked", kek[0]), start, end):
            self.soak.fault("used though withdrawn", f"{where}")

    def read(self, sql, start=None):
        start = start or self.soak.situation.now()
        rows = self.sql(sql)
        end = self.soak.situation.now()
        for row in rows:
            self.check(row, start, end)
        self.soak.counts.add(f"rows read by {type(self).__name__}", len(rows))
        return rows


class ViewReader(Reader):
    def step(self):
        if self.rng.random() < 0.5:
            self.read("SELECT dev_eui, session_key_id, f_cnt, payload, status FROM lorawan.uplink_decrypted "
                      f"WHERE {self.some()}")
        else:
            self.read("SELECT v.dev_eui, v.session_key_id, v.f_cnt, v.payload, v.status, "
                      "key_vault.kek_label(s.app_s_key), key_vault.kek_version(s.app_s_key) "
                      "FROM (SELECT * FROM lorawan.uplink_decrypted "
                      f"WHERE {self.some()}) v LEFT JOIN lorawan.session s USING (dev_eui, session_key_id)")


class LatestReader(Reader):
    def step(self):
        self.read("SELECT dev_eui, session_key_id, f_cnt, payload, status FROM lorawan.device_latest")


class SnapshotReader(Reader):
    """Reads twice in one snapshot, and must get the same uplinks, although partitions are made and keys move meanwhile."""

    def step(self):
        start = self.soak.situation.now()
        sql = ("SELECT dev_eui, session_key_id, f_cnt, payload, status FROM lorawan.uplink_decrypted "
               f"WHERE f_cnt % 16 = {self.rng.randrange(16)}")
        self.sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        first, second = (sorted((bytes(r[0]), bytes(r[1] or b""), r[2]) for r in self.read(sql, start)) for _ in range(2))
        self.sql("COMMIT")
        if first != second:
            self.soak.fault("snapshot changed", f"{self.name}: {len(first)} rows, then {len(second)}")


class StrictReader(Reader):
    def check(self, row, start, end):
        super().check((*row[:4], "decrypted", *row[4:]), start, end)

    def step(self):
        self.read("SELECT u.dev_eui, u.session_key_id, u.f_cnt, "
                  "key_vault.lorawan_decrypt_uplink(s.app_s_key, u.dev_addr, u.f_cnt, u.frm_payload), "
                  "key_vault.kek_label(s.app_s_key), key_vault.kek_version(s.app_s_key) "
                  f"FROM (SELECT * FROM lorawan.uplink WHERE {self.some()}) u "
                  "JOIN lorawan.session s USING (dev_eui, session_key_id) WHERE s.app_s_key IS NOT NULL")


class StatusReader(Reader):
    def check(self, row, start, end):
        status, *kek = row
        may_be = self.soak.situation.may_be
        if not (status == "ok" or status == "KEK suspended" and may_be("suspended", start, end, kek[0])
                or status == "KEK destroyed" and may_be("destroyed", start, end, *kek)):
            self.soak.fault("unexplained status", f"{self.name}: {status} {kek}")
        if status == "ok":
            self.check_use(kek, start, end, self.name)

    def step(self):
        self.read("SELECT key_vault.key_status(app_s_key, dev_addr), key_vault.kek_label(app_s_key), "
                  "key_vault.kek_version(app_s_key) FROM lorawan.session WHERE app_s_key IS NOT NULL")
