-- Room for a changed row beside the old one, on a full disk too.
ALTER TABLE key_vault.kek SET (fillfactor = 50);
