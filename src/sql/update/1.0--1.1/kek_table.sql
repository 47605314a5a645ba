-- Leaves room for a changed row on the same page as the old one, so that a KEK can be changed when the disk is full.
ALTER TABLE key_vault.kek SET (fillfactor = 50);

-- The length of a label depends on the database's encoding, and a label that one database has accepted must
-- be accepted by all.  So the length is checked only when a label is made.
ALTER TABLE key_vault.kek DROP CONSTRAINT kek_label_check;
ALTER TABLE key_vault.kek ADD CONSTRAINT kek_label_check CHECK (label <> '');

-- The time at which a destruction was put off.
ALTER TABLE key_vault.kek_destruction ADD COLUMN put_off_at timestamptz;
