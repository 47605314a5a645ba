# Ruby's pg: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is, and
# the argument is a file with a message.

require 'json'
require 'pg'

KEY = ['000102030405060708090a0b0c0d0e0f'].pack('H*')
DEV_ADDR = ['26011bda'].pack('H*')
FRM_PAYLOAD = ['bc96d0bce3c0d2abfcfa1e'].pack('H*')

def ok(good, name)
  puts "#{good ? '' : 'not '}ok - #{name}"
end

$connection = PG.connect

# Bytes go as a parameter in binary, format 1.
def bytes(value)
  { value: value, format: 1 }
end

# The SQLSTATE of what a statement fails with.
def sqlstate(statement)
  $connection.exec(statement)
  nil
rescue PG::Error => error
  error.result.error_field(PG::PG_DIAG_SQLSTATE)
end

key = $connection.exec_params(
  "INSERT INTO session VALUES ($1, key_vault.bind(key_vault.wrap($2, 'app1'), $1)) RETURNING app_s_key",
  [bytes(DEV_ADDR), bytes(KEY)]).getvalue(0, 0)
ok(key.start_with?('kv1:aes-kw-bound:'), 'write')
# With 1 as the last argument the results come in binary.
query = 'SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, $1, $2) FROM session'
ok($connection.exec_params(query, [1, bytes(FRM_PAYLOAD)], 1).getvalue(0, 0) == 'net payload', 'read in binary')
ok($connection.unescape_bytea($connection.exec_params(query, [1, bytes(FRM_PAYLOAD)]).getvalue(0, 0)) == 'net payload', 'read')
binary = $connection.exec_params('SELECT app_s_key FROM session', [], 1).getvalue(0, 0)
ok($connection.exec_params('SELECT count(*) FROM session WHERE app_s_key = $1', [bytes(binary)]).getvalue(0, 0) == '1', 'read in binary, a key, which goes back')
ok($connection.exec_params('SELECT count(*) FROM session WHERE app_s_key = $1', [key]).getvalue(0, 0) == '1', 'compare')
array = $connection.exec('SELECT array_agg(app_s_key) FROM session').getvalue(0, 0)
ok(PG::TextDecoder::Array.new.decode(array) == [key], 'array, comes as text')
ok($connection.exec_params('SELECT count(*) FROM session WHERE app_s_key = ANY($1)', [array]).getvalue(0, 0) == '1', 'array, goes back')

%w[text binary].each do |form|
  rows = []
  $connection.copy_data("COPY session TO STDOUT (FORMAT #{form})") do
    while (row = $connection.get_copy_data)
      rows << row
    end
  end
  $connection.exec('CREATE TEMPORARY TABLE copied (LIKE session)')
  $connection.copy_data("COPY copied FROM STDIN (FORMAT #{form})") { rows.each { |row| $connection.put_copy_data(row) } }
  ok($connection.exec('SELECT count(*) FROM copied JOIN session USING (app_s_key)').getvalue(0, 0) == '1', "COPY in #{form}")
  $connection.exec('DROP TABLE copied')
end

body = File.binread(ARGV[0])
message = JSON.parse(body)
message['uplink_message']['f_cnt'] = 2
ingest = 'SELECT lorawan.ingest($1)'
ok($connection.exec_params('SELECT lorawan.ingest($1::bytea)', [bytes(body)]).getvalue(0, 0) == 'uplink', 'ingest bytes')
ok($connection.exec_params(ingest, [body.force_encoding('UTF-8')]).getvalue(0, 0) == 'duplicate', 'ingest a string')
ok($connection.exec_params(ingest, [message.to_json]).getvalue(0, 0) == 'uplink', 'ingest an object')

ok(sqlstate("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, '\\x01020304', 1, '') FROM session") == 'KV005', 'SQLSTATE of another DevAddr')
ok(sqlstate('SELECT key_vault.unwrap(app_s_key) FROM session') == '42501', 'SQLSTATE of a missing privilege')
$connection.exec('BEGIN')
ok(sqlstate("CALL key_vault.rewrap_all('app1')") == '25001', 'rewrap_all, not inside of a transaction')
$connection.exec('ROLLBACK')
notices = []
$connection.set_notice_processor { |notice| notices << notice }
$connection.exec("CALL key_vault.rewrap_all('app1')")
ok(notices.any? { |notice| notice.include?('rewrapped') }, 'rewrap_all, outside of one, with its notices')
$connection.exec('DELETE FROM session')
