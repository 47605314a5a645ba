-- Changes the table uplink of version 1.0, in which each uplink has a counter and a DevAddr, and is either encrypted or
-- plain.  In this version, f_cnt, dev_addr and encrypted are NULL if the message left out the field that would say it.
--
-- Version 1.0 stored an uplink whose message has no key as plain, even if its session has a key.  In such rows encrypted
-- becomes NULL, once, so that ciphertext is no longer shown as a payload.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_allow_left_out()
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = 'uplink'::regclass AND a.attname = 'encrypted' AND a.attnotnull)
    THEN
        RETURN;
    END IF;
    ALTER TABLE uplink ALTER f_cnt DROP NOT NULL, ALTER dev_addr DROP NOT NULL, ALTER encrypted DROP NOT NULL;
    UPDATE uplink u SET encrypted = NULL
      FROM session s
     WHERE s.dev_eui = u.dev_eui AND s.session_key_id = u.session_key_id AND NOT u.encrypted
       AND (s.app_s_key IS NOT NULL OR s.encrypted_key IS NOT NULL);
END
$$;
COMMENT ON FUNCTION key_vault_internal.storage_allow_left_out() IS
'lets f_cnt, dev_addr and encrypted of the table uplink in the schema that comes first in search_path be NULL, and sets encrypted to NULL where version 1.0 could not know it; does nothing to a table that allows it already';
