-- Room for a changed row beside the old one, on a full disk too.
ALTER TABLE key_vault.kek SET (fillfactor = 50);

-- A label that one database has accepted is accepted by all: in another encoding it has another
-- length.  What a new label may be is asked when it is made.
ALTER TABLE key_vault.kek DROP CONSTRAINT kek_label_check;
ALTER TABLE key_vault.kek ADD CONSTRAINT kek_label_check CHECK (label <> '');
