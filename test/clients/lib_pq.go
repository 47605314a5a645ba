// Go's lib/pq: what docs/clients.md says of it, and more.  Prints TAP lines; libpq's variables say where the server is,
// and the argument is a file with a message.
package main

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/lib/pq"
)

func ok(good bool, name string) {
	if good {
		fmt.Println("ok -", name)
	} else {
		fmt.Println("not ok -", name)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func unhex(digits string) []byte {
	value, err := hex.DecodeString(digits)
	must(err)
	return value
}

// The SQLSTATE of an error.
func sqlstate(err error) string {
	var failed *pq.Error
	if errors.As(err, &failed) {
		return string(failed.Code)
	}
	return ""
}

func main() {
	key, devAddr, frmPayload := unhex("000102030405060708090a0b0c0d0e0f"), unhex("26011bda"), unhex("bc96d0bce3c0d2abfcfa1e")
	body, err := os.ReadFile(os.Args[1])
	must(err)
	connector, err := pq.NewConnector("")
	must(err)
	var notices []string
	db := sql.OpenDB(pq.ConnectorWithNoticeHandler(connector, func(notice *pq.Error) { notices = append(notices, notice.Message) }))

	var wrapped string
	must(db.QueryRow("INSERT INTO session VALUES ($1, key_vault.bind(key_vault.wrap($2, 'app1'), $1)) RETURNING app_s_key", devAddr, key).Scan(&wrapped))
	ok(strings.HasPrefix(wrapped, "kv1:aes-kw-bound:"), "write")
	var payload []byte
	must(db.QueryRow("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, $1, $2) FROM session", 1, frmPayload).Scan(&payload))
	ok(string(payload) == "net payload", "read")
	var found []byte
	must(db.QueryRow("SELECT dev_addr FROM session WHERE app_s_key = $1", wrapped).Scan(&found))
	ok(bytes.Equal(found, devAddr), "compare")
	var keys []string
	must(db.QueryRow("SELECT array_agg(app_s_key) FROM session").Scan(pq.Array(&keys)))
	ok(len(keys) == 1 && keys[0] == wrapped, "array, comes as a slice")
	var count int
	must(db.QueryRow("SELECT count(*) FROM session WHERE app_s_key = ANY($1)", pq.Array(keys)).Scan(&count))
	ok(count == 1, "array, goes back")

	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("CREATE TEMPORARY TABLE copied (LIKE session) ON COMMIT DROP")
	must(err)
	copied, err := tx.Prepare(pq.CopyIn("copied", "dev_addr", "app_s_key"))
	must(err)
	_, err = copied.Exec(devAddr, wrapped)
	must(err)
	_, err = copied.Exec()
	must(err)
	must(copied.Close())
	must(tx.QueryRow("SELECT count(*) FROM copied JOIN session USING (dev_addr, app_s_key)").Scan(&count))
	ok(count == 1, "COPY in text, to the server")
	must(tx.Commit())

	var message map[string]map[string]interface{}
	must(json.Unmarshal(body, &message))
	message["uplink_message"]["f_cnt"] = 2
	object, err := json.Marshal(message)
	must(err)
	var result string
	must(db.QueryRow("SELECT lorawan.ingest($1)", body).Scan(&result))
	ok(result == "uplink", "ingest bytes")
	must(db.QueryRow("SELECT lorawan.ingest($1)", string(body)).Scan(&result))
	ok(result == "duplicate", "ingest a string")
	must(db.QueryRow("SELECT lorawan.ingest($1::jsonb)", object).Scan(&result))
	ok(result == "uplink", "ingest an object")

	_, err = db.Exec("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, $1, 1, '') FROM session", []byte{1, 2, 3, 4})
	ok(sqlstate(err) == "KV005", "SQLSTATE of another DevAddr")
	_, err = db.Exec("SELECT key_vault.unwrap(app_s_key) FROM session")
	ok(sqlstate(err) == "42501", "SQLSTATE of a missing privilege")
	tx, err = db.Begin()
	must(err)
	_, err = tx.Exec("CALL key_vault.rewrap_all('app1')")
	ok(sqlstate(err) == "25001", "rewrap_all, not inside of a transaction")
	must(tx.Rollback())
	_, err = db.Exec("CALL key_vault.rewrap_all('app1')")
	must(err)
	ok(strings.Contains(strings.Join(notices, "\n"), "rewrapped"), "rewrap_all, outside of one, with its notices")
}
