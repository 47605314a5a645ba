<?php
// PHP's PDO: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is,
// and the argument is a file with a message.

$key = hex2bin('000102030405060708090a0b0c0d0e0f');
$dev_addr = hex2bin('26011bda');
$frm_payload = hex2bin('bc96d0bce3c0d2abfcfa1e');

function ok($good, $name)
{
    echo $good ? '' : 'not ', "ok - $name\n";
}

$pdo = new PDO('pgsql:');

// The SQLSTATE of what a statement fails with.
function sqlstate($statement)
{
    global $pdo;
    try {
        $pdo->query($statement);
    } catch (PDOException $error) {
        return $error->getCode();
    }
    return '';
}

// Bytes go as PARAM_LOB, and come as a stream.
$insert = $pdo->prepare("INSERT INTO session VALUES (?, key_vault.bind(key_vault.wrap(?, 'app1'), ?)) RETURNING app_s_key");
$insert->bindValue(1, $dev_addr, PDO::PARAM_LOB);
$insert->bindValue(2, $key, PDO::PARAM_LOB);
$insert->bindValue(3, $dev_addr, PDO::PARAM_LOB);
$insert->execute();
$wrapped = $insert->fetchColumn();
ok(str_starts_with($wrapped, 'kv1:aes-kw-bound:'), 'write');

$select = $pdo->prepare('SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, ?, ?) FROM session');
$select->bindValue(1, 1, PDO::PARAM_INT);
$select->bindValue(2, $frm_payload, PDO::PARAM_LOB);
$select->execute();
ok(stream_get_contents($select->fetchColumn()) === 'net payload', 'read');

$select = $pdo->prepare('SELECT dev_addr FROM session WHERE app_s_key = ?');
$select->execute([$wrapped]);
ok(stream_get_contents($select->fetchColumn()) === $dev_addr, 'compare');

$array = $pdo->query('SELECT array_agg(app_s_key) FROM session')->fetchColumn();
ok($array === '{' . $wrapped . '}', 'array, comes as text');
$select = $pdo->prepare('SELECT count(*) FROM session WHERE app_s_key = ANY(?)');
$select->execute([$array]);
ok($select->fetchColumn() == 1, 'array, goes back');

$rows = $pdo->pgsqlCopyToArray('session');
$pdo->exec('CREATE TEMPORARY TABLE copied (LIKE session)');
$pdo->pgsqlCopyFromArray('copied', $rows);
ok($pdo->query('SELECT count(*) FROM copied JOIN session USING (app_s_key)')->fetchColumn() == 1, 'COPY in text');

$body = file_get_contents($argv[1]);
$message = json_decode($body);
$message->uplink_message->f_cnt = 2;
$ingest = $pdo->prepare('SELECT lorawan.ingest(?)');
$ingest->bindValue(1, $body, PDO::PARAM_LOB);
$ingest->execute();
ok($ingest->fetchColumn() === 'uplink', 'ingest bytes');
$ingest = $pdo->prepare('SELECT lorawan.ingest(?)');
$ingest->execute([$body]);
ok($ingest->fetchColumn() === 'duplicate', 'ingest a string');
$ingest->execute([json_encode($message)]);
ok($ingest->fetchColumn() === 'uplink', 'ingest an object');

ok(sqlstate("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, '\\x01020304', 1, '') FROM session") === 'KV005', 'SQLSTATE of another DevAddr');
ok(sqlstate('SELECT key_vault.unwrap(app_s_key) FROM session') === '42501', 'SQLSTATE of a missing privilege');
$pdo->beginTransaction();
ok(sqlstate("CALL key_vault.rewrap_all('app1')") === '25001', 'rewrap_all, not inside of a transaction');
$pdo->rollBack();
ok($pdo->exec("CALL key_vault.rewrap_all('app1')") !== false, 'rewrap_all, outside of one');
$pdo->exec('DELETE FROM session');
