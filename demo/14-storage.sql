-- One call makes tables, views and functions for the messages of both network servers.

CALL key_vault.create_storage('lorawan', kek_label => 'app1-at-rest')
\p \g

-- Lines of JSON are inserted into the table inbox; a webhook calls lorawan.ingest(message).
\set the_things_stack `cat messages/the-things-stack.json`
\set chirpstack `cat messages/chirpstack.json`
INSERT INTO lorawan.inbox VALUES (:'the_things_stack'), (:'chirpstack');
SELECT expect(lorawan.ingest(:'chirpstack'), 'duplicate') AS delivered_again,
       lorawan.ingest('{"temperature": 21}') AS something_else;

SELECT received_at, device_id, dev_addr, f_cnt, expect(payload, '\x0167010e02684a') AS payload, status
  FROM lorawan.uplink_decrypted
\p \g

SELECT id, reason, message FROM lorawan.rejected;
