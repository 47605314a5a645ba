"""Sessions that write: they store messages, or keep keys in a user's own table.

A message counts as acknowledged when its statement, or the COMMIT after it, was answered.  After an error a message is sent
again, as a sender would do.  The test also remembers the messages that were rolled back on purpose.
"""

import io

from session import Refused, Session
from traffic import Device

DEVICES = 12


class Ingester(Session):
    role = "ingester"

    def __init__(self, soak, number):
        super().__init__(soak, number)
        stack = "tts" if number % 2 else "chirpstack"
        self.devices = [Device(soak.truth, 1000 * number + n, stack) for n in range(DEVICES)]
        self.again = []

    def explained(self, sqlstate, start, end):
        # If the label at rest has no active version, a plaintext key cannot be wrapped, and the
        # sender gets an error.  To compare a plaintext key, the KEK of the session's key is needed.
        return (sqlstate in ("KV002", "KV007") and self.soak.situation.may_be("suspended", start, end)
                or sqlstate == "40P01" and self.several)

    # Whether transactions of this session write the rows of several devices, in any order: then two of
    # them may wait for each other.
    several = False

    def messages(self, n):
        """n messages: those that must be sent again, some that other sessions have sent, and new ones."""
        found, self.again = self.again[:n], self.again[n:]
        while len(found) < n:
            if self.soak.sent and self.rng.random() < 0.05:
                found.append(self.rng.choice(self.soak.sent))
            else:
                found.append(self.rng.choice(self.devices).next(plain=self.rng.random() < 0.03))
        return found

    def acknowledge(self, messages):
        for message in messages:
            self.soak.acknowledged.add(message.id)
            if len(self.soak.sent) < 2000:
                self.soak.sent.append(message)
            else:
                self.soak.sent[self.rng.randrange(2000)] = message
        self.soak.counts.add("messages acknowledged", len(messages))

    def send(self, messages):
        try:
            self.deliver(messages)
        except Refused:
            self.again += messages
            raise
        self.acknowledge(messages)

    def last_step(self):
        """Sends again and again, until all messages are stored."""
        self.soak.senders_go_on.wait()
        while self.again:
            try:
                self.send(self.messages(min(10, len(self.again))))
            except Refused:
                pass

    def step(self):
        self.send(self.messages(1))

    def deliver(self, messages):
        for message in messages:
            if self.rng.random() < 0.01:
                # A line that is not JSON, which the storage wraps as a whole and keeps.
                line = message.text[:-self.rng.randrange(1, 40)]
                if self.sql("SELECT lorawan.ingest(%s::text)", (line,))[0][0] != "rejected":
                    self.soak.fault("wrong outcome", f"{self.name}: a cut line is not rejected")
                self.soak.cut_lines.add(line)
            cast = self.rng.choice(["text", "jsonb"])
            outcome = self.sql(f"SELECT lorawan.ingest(%s::{cast})", (message.text,))[0][0]
            if outcome not in ("uplink", "duplicate", "rejected"):
                self.soak.fault("wrong outcome", f"{self.name}: {outcome}")
            self.soak.counts.add(f"outcome {outcome}")


class CopyIngester(Ingester):
    several = True

    def step(self):
        self.send(self.messages(self.rng.randrange(1, 50)))

    def deliver(self, messages):
        lines = "".join(f"{m.text}\n" for m in messages)
        self.sql("COPY lorawan.inbox FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')", copy=io.StringIO(lines))


class TransactionIngester(Ingester):
    """Stores several messages in each transaction, with errors in savepoints, and rolls some back."""

    several = True

    def step(self):
        messages = self.messages(self.rng.randrange(2, 20))
        if self.rng.random() < 0.15:
            self.soak.rolled_back.update(m.id for m in messages)
            self.again += [m for m in messages if self.rng.random() < 0.5]
            self.sql("BEGIN")
            for message in messages:
                self.sql("INSERT INTO lorawan.inbox VALUES (%s)", (message.text,))
            self.sql("ROLLBACK")
            self.soak.counts.add("transactions of messages rolled back")
        else:
            self.send(messages)

    def deliver(self, messages):
        self.sql("BEGIN")
        for message in messages:
            if self.rng.random() < 0.2:
                self.sql("SAVEPOINT s")
                self.sql("INSERT INTO lorawan.inbox VALUES (%s)", (message.text,))
                self.sql("ROLLBACK TO s")
            self.sql("INSERT INTO lorawan.inbox VALUES (%s)", (message.text,))
        self.sql("COMMIT")


class Holder(Session):
    """Keeps keys in a table of its own.  The bytes of each key follow from its number.  It wraps, rewraps, moves keys
    between labels, deletes, rolls back, and checks that the keys have not changed."""

    role = "holder"

    def __init__(self, soak, number):
        super().__init__(soak, number)
        self.next = number * 10_000_000
        self.there = set()
        self.unsure = set()
        self.tables = 0

    def explained(self, sqlstate, start, end):
        return self.withdrawn(sqlstate, start, end) or sqlstate == "40001" and self.repeatable

    repeatable = False

    def label(self):
        return self.rng.choice(self.soak.labels)

    def step(self):
        kind = self.rng.random()
        if kind < 0.35:
            self.add()
        elif kind < 0.6:
            self.change()
        elif kind < 0.7:
            self.remove()
        elif kind < 0.73:
            self.table()
        else:
            self.check()

    def add(self):
        ids = range(self.next, self.next + self.rng.randrange(1, 20))
        self.next = ids.stop
        back = self.rng.random() < 0.2
        if not back:
            self.unsure.update(ids)
        self.sql("BEGIN")
        for number in ids:
            self.sql("INSERT INTO store.key VALUES (%s, key_vault.wrap(%s, %s))",
                     (number, self.soak.truth.stored_key(number), self.label()))
        self.sql("ROLLBACK" if back else "COMMIT")
        if not back:
            self.unsure.difference_update(ids)
            self.there.update(ids)
            self.soak.counts.add("keys wrapped", len(ids))

    def change(self):
        self.repeatable = self.rng.random() < 0.3
        try:
            self.sql("BEGIN ISOLATION LEVEL REPEATABLE READ" if self.repeatable else "BEGIN")
            self.sql(f"UPDATE store.key SET key = key_vault.rewrap(key{self.rng.choice(['', ', %s'])}) "
                     "WHERE id IN (SELECT id FROM store.key WHERE id / 10000000 = %s ORDER BY random() LIMIT 20)"
                     .replace(", %s)", f", '{self.label()}')"), (self.number,))
            self.sql("ROLLBACK" if self.rng.random() < 0.2 else "COMMIT")
        finally:
            self.repeatable = False

    def remove(self):
        ids = set(self.rng.sample(sorted(self.there), min(len(self.there), 5)))
        self.unsure |= ids
        self.there -= ids
        self.sql("DELETE FROM store.key WHERE id = ANY (%s)", (list(ids),))
        self.unsure -= ids

    def table(self):
        """Makes a table with a key, which no other session sees until it is committed.  Meanwhile KEKs are rotated and
        keys rewrapped, and it may seem that no key needs the KEK of this key any more."""
        if self.tables == 3:
            return
        self.tables += 1
        name = f"store.copy_{self.number}_{self.tables}"
        self.sql("BEGIN")
        self.sql(f"CREATE TABLE {name} AS SELECT id, key FROM store.key WHERE id / 10000000 = %s LIMIT 50", (self.number,))
        before = self.soak.counts["KEKs destroyed"]
        for _ in range(30):
            if self.soak.counts["KEKs destroyed"] > before + 1 or self.soak.over.is_set():
                break
            self.soak.over.wait(0.1)
        self.sql("COMMIT")
        self.soak.counts.add("tables made")

    def check(self):
        rows = self.sql("SELECT id, key_vault.unwrap(key) FROM store.key WHERE id / 10000000 = %s", (self.number,))
        for number, key in rows:
            if bytes(key) != self.soak.truth.stored_key(number):
                self.soak.fault("wrong key", f"{self.name}: {number}")
        self.soak.counts.add("keys unwrapped", len(rows))
        missing = self.there - {number for number, _ in rows}
        if missing:
            self.soak.fault("key lost", f"{self.name}: {sorted(missing)[:5]}")

    def last_step(self):
        self.soak.stored.update(self.there)
        self.soak.stored_unsure.update(self.unsure)
