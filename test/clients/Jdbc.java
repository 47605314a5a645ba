// JDBC: what docs/clients.md says of it, and more.  Prints TAP lines; JDBC_URL says where the server is, and the argument
// is a file with a message.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.sql.Types;
import java.util.Arrays;
import java.util.HexFormat;
import org.postgresql.PGConnection;
import org.postgresql.PGResultSetMetaData;
import org.postgresql.copy.CopyManager;
import org.postgresql.core.Field;
import org.postgresql.util.PGobject;

public class Jdbc {
    static final byte[] KEY = HexFormat.of().parseHex("000102030405060708090a0b0c0d0e0f");
    static final byte[] DEV_ADDR = HexFormat.of().parseHex("26011bda");
    static final byte[] FRM_PAYLOAD = HexFormat.of().parseHex("bc96d0bce3c0d2abfcfa1e");

    static void ok(boolean good, String name) {
        System.out.println((good ? "ok" : "not ok") + " - " + name);
    }

    // Executes a query, and goes to its only row.
    static ResultSet row(PreparedStatement statement) throws SQLException {
        ResultSet row = statement.executeQuery();
        row.next();
        return row;
    }

    // The SQLSTATE of what a statement fails with.
    static String sqlState(Connection connection, String text) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(text);
        } catch (SQLException error) {
            return error.getSQLState();
        }
        return null;
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(System.getenv("JDBC_URL"))) {
            readAndWrite(connection);
            copy(connection);
            ingest(connection, Files.readAllBytes(Path.of(arguments[0])));
            ok("KV005".equals(sqlState(connection, "SELECT key_vault.lorawan_decrypt_uplink(app_s_key, '\\x01020304', 1, '') FROM session")), "SQLSTATE of another DevAddr");
            ok("42501".equals(sqlState(connection, "SELECT key_vault.unwrap(app_s_key) FROM session")), "SQLSTATE of a missing privilege");
            rewrapAll(connection);
        }
    }

    static void readAndWrite(Connection connection) throws SQLException {
        PreparedStatement insert = connection.prepareStatement(
            "INSERT INTO session VALUES (?, key_vault.bind(key_vault.wrap(?, 'app1'), ?)) RETURNING app_s_key");
        insert.setBytes(1, DEV_ADDR);
        insert.setBytes(2, KEY);
        insert.setBytes(3, DEV_ADDR);
        String key = row(insert).getString(1);
        ok(key.startsWith("kv1:aes-kw-bound:"), "write");

        PreparedStatement decrypt = connection.prepareStatement("SELECT key_vault.lorawan_decrypt_uplink(app_s_key, dev_addr, ?, ?) FROM session");
        decrypt.setLong(1, 1);
        decrypt.setBytes(2, FRM_PAYLOAD);
        ok(Arrays.equals(row(decrypt).getBytes(1), "net payload".getBytes()), "read");
        // After some executions the driver prepares a statement, and gets bytes in binary.
        ResultSet payload = row(decrypt);
        for (int i = 0; i < 10; i++) {
            payload = row(decrypt);
        }
        int format = payload.getMetaData().unwrap(PGResultSetMetaData.class).getFormat(1);
        ok(format == Field.BINARY_FORMAT && Arrays.equals(payload.getBytes(1), "net payload".getBytes()), "read in binary");

        PreparedStatement compare = connection.prepareStatement("SELECT dev_addr FROM session WHERE app_s_key = ?");
        compare.setObject(1, key, Types.OTHER);
        ok(Arrays.equals(row(compare).getBytes(1), DEV_ADDR), "compare");

        PreparedStatement store = connection.prepareStatement("UPDATE session SET app_s_key = ?");
        store.setString(1, key);
        ok(store.executeUpdate() == 1 && Arrays.equals(row(compare).getBytes(1), DEV_ADDR), "store a string");

        PreparedStatement aggregate = connection.prepareStatement("SELECT array_agg(app_s_key)::text[] FROM session");
        String[] keys = (String[]) row(aggregate).getArray(1).getArray();
        ok(Arrays.equals(keys, new String[] {key}), "array, comes as an array of text");
        PreparedStatement any = connection.prepareStatement("SELECT count(*) FROM session WHERE app_s_key = ANY(?::key_vault.wrapped_key[])");
        any.setArray(1, connection.createArrayOf("text", keys));
        ok(row(any).getInt(1) == 1, "array, goes back");
    }

    static void copy(Connection connection) throws Exception {
        CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
        Statement statement = connection.createStatement();
        for (String form : new String[] {"text", "binary"}) {
            ByteArrayOutputStream rows = new ByteArrayOutputStream();
            manager.copyOut("COPY session TO STDOUT (FORMAT " + form + ")", rows);
            statement.execute("CREATE TEMPORARY TABLE copied (LIKE session)");
            manager.copyIn("COPY copied FROM STDIN (FORMAT " + form + ")", new ByteArrayInputStream(rows.toByteArray()));
            ResultSet count = statement.executeQuery("SELECT count(*) FROM copied JOIN session USING (app_s_key)");
            ok(count.next() && count.getInt(1) == 1, "COPY in " + form);
            statement.execute("DROP TABLE copied");
        }
    }

    static void ingest(Connection connection, byte[] body) throws SQLException {
        PreparedStatement ingest = connection.prepareStatement("SELECT lorawan.ingest(?)");
        ingest.setBytes(1, body);
        ok(row(ingest).getString(1).equals("uplink"), "ingest bytes");
        String string = new String(body, StandardCharsets.UTF_8);
        ingest.setString(1, string);
        ok(row(ingest).getString(1).equals("duplicate"), "ingest a string");
        PGobject object = new PGobject();
        object.setType("json");
        object.setValue(string.replace("\"f_cnt\": 1", "\"f_cnt\": 2"));
        ingest.setObject(1, object);
        ok(row(ingest).getString(1).equals("uplink"), "ingest an object");
    }

    static void rewrapAll(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        ok("25001".equals(sqlState(connection, "CALL key_vault.rewrap_all('app1')")), "rewrap_all, not inside of a transaction");
        connection.rollback();
        connection.setAutoCommit(true);
        Statement call = connection.createStatement();
        call.execute("CALL key_vault.rewrap_all('app1')");
        boolean noticed = false;
        for (SQLWarning notice = call.getWarnings(); notice != null; notice = notice.getNextWarning()) {
            noticed |= notice.getMessage().contains("rewrapped");
        }
        ok(noticed, "rewrap_all, outside of one, with its notices as warnings");
    }
}
