-- From the table uplink of version 1.0, in which each uplink has a counter and is encrypted or plain, to that of today,
-- where NULL says that a message left out what would tell.
--
-- Version 1.0 took a message without a key for plain, also in a session that has a key.  Such rows are marked as ones of
-- which it is not known, once, so that no ciphertext goes on being shown as a payload.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_allow_left_out()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = 'uplink'::regclass AND a.attname = 'encrypted' AND a.attnotnull)
    THEN
        RETURN;
    END IF;
    ALTER TABLE uplink ALTER f_cnt DROP NOT NULL, ALTER encrypted DROP NOT NULL;
    UPDATE uplink u SET encrypted = NULL
      FROM session s
     WHERE s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id AND NOT u.encrypted
       AND (s.app_s_key IS NOT NULL OR s.encrypted_key IS NOT NULL);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_allow_left_out() IS
'lets f_cnt and encrypted of the table uplink in the schema that comes first in search_path be NULL, and sets encrypted to NULL where version 1.0 could not know it; does nothing to a table that allows it already';
