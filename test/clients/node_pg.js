// node's pg: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is, and
// the argument is a file with a message.
const fs = require('fs');
const { pipeline } = require('stream/promises');
const { Client } = require('pg');
const copy = require('pg-copy-streams');

const key = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
const devAddr = Buffer.from('26011bda', 'hex');
const frmPayload = Buffer.from('bc96d0bce3c0d2abfcfa1e', 'hex');
const body = fs.readFileSync(process.argv[2]);
const client = new Client();

function ok(good, name) {
  console.log(`${good ? 'ok' : 'not ok'} - ${name}`);
}

// The only value that a query returns.
async function value(text, values) {
  const { rows } = await client.query({ text, values, rowMode: 'array' });
  return rows[0][0];
}

// The SQLSTATE of what a statement fails with.
async function sqlstate(statement) {
  try {
    await client.query(statement);
  } catch (error) {
    return error.code;
  }
  return undefined;
}

async function main() {
  await client.connect();
  const wrapped = await value("INSERT INTO session VALUES ($1, key_vault.bind(key_vault.wrap($2, 'app1'), $1)) RETURNING app_s_key", [devAddr, key]);
  ok(wrapped.startsWith('kv1:aes-kw-bound:'), 'write');
  const payload = await value('SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, $1, $2) FROM session', [1, frmPayload]);
  ok(payload.equals(Buffer.from('net payload')), 'read');
  ok((await value('SELECT dev_addr FROM session WHERE app_s_key = $1', [wrapped])).equals(devAddr), 'compare');
  const keys = await value('SELECT array_agg(app_s_key)::text[] FROM session');
  ok(keys.length === 1 && keys[0] === wrapped, 'array, comes as an array of text');
  ok(await value('SELECT count(*) FROM session WHERE app_s_key = ANY($1)', [keys]) === '1', 'array, goes back');
  for (const form of ['text', 'binary']) {
    await client.query('CREATE TEMPORARY TABLE copied (LIKE session)');
    const rows = [];
    for await (const chunk of client.query(copy.to(`COPY session TO STDOUT (FORMAT ${form})`))) {
      rows.push(chunk);
    }
    await pipeline([Buffer.concat(rows)], client.query(copy.from(`COPY copied FROM STDIN (FORMAT ${form})`)));
    ok(await value('SELECT count(*) FROM copied JOIN session USING (app_s_key)') === '1', `COPY in ${form}`);
    await client.query('DROP TABLE copied');
  }
  const message = JSON.parse(body);
  message.uplink_message.f_cnt = 2;
  ok(await value('SELECT lorawan.ingest($1)', [body]) === 'uplink', 'ingest bytes');
  ok(await value('SELECT lorawan.ingest($1)', [body.toString()]) === 'duplicate', 'ingest a string');
  ok(await value('SELECT lorawan.ingest($1)', [message]) === 'uplink', 'ingest an object');
  ok(await sqlstate("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, '\\x01020304', 1, '') FROM session") === 'KV005', 'SQLSTATE of another DevAddr');
  ok(await sqlstate('SELECT key_vault.unwrap(app_s_key) FROM session') === '42501', 'SQLSTATE of a missing privilege');
  await client.query('BEGIN');
  ok(await sqlstate("CALL key_vault.rewrap_all('app1')") === '25001', 'rewrap_all, not inside of a transaction');
  await client.query('ROLLBACK');
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.message));
  await client.query("CALL key_vault.rewrap_all('app1')");
  ok(notices.some((notice) => notice.includes('rewrapped')), 'rewrap_all, outside of one, with its notices');
  await client.end();
}

main();
