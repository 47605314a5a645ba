/*
 * fuzz_settings.c
 *	  The settings that are lists of URIs, and the PKCS#11 URIs in them: a list that is
 *	  accepted gives the same entries when it is written with quotes, and a URI that is
 *	  accepted means the same when each byte of it is percent-encoded.  A PIN in a URI is in
 *	  no error.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "../../src/common/uri_list.h"
#include "../../src/token/token_uri.h"

#include "must.h"
#include "postgres_stub.h"

static void
add_attribute(StringInfo uri, char separator, const char *name, const char *value, size_t len)
{
	if (value == NULL)
		return;
	appendStringInfo(uri, "%c%s=", separator, name);
	for (size_t i = 0; i < len; i++)
		appendStringInfo(uri, "%%%02X", (unsigned char) value[i]);
}

static void
add_text(StringInfo uri, char separator, const char *name, const char *value)
{
	add_attribute(uri, separator, name, value, value ? strlen(value) : 0);
}

static void
same(const char *one, const char *other)
{
	MUST((one == NULL) == (other == NULL));
	MUST(one == NULL || strcmp(one, other) == 0);
}

/* The PIN of a URI that has one as an attribute, behind whatever separator. */
static const char *
find_pin(const char *location)
{
	for (const char *pin = location; (pin = strstr(pin, "pin-value=")) != NULL; pin++)
		if (pin == location || pin[-1] == ';' || pin[-1] == '&' || pin[-1] == '?')
			return pin + strlen("pin-value=");
	return NULL;
}

static void
try_uri(const char *location)
{
	TokenUri	uri;
	TokenUri	again;
	DeferredError error = {0};
	StringInfoData written;
	const char *pin = find_pin(location);

	if (!token_uri_parse(location, &uri, &error))
	{
		MUST(error.message != NULL && error.sqlstate != 0);
		/* Long enough, and nowhere else in the URI, so that an error can have it from there only. */
		if (pin != NULL && strlen(pin) > 20 && strstr(location, pin) == pin)
			MUST(strstr(error.message, pin) == NULL &&
				 (error.detail == NULL || strstr(error.detail, pin) == NULL));
		return;
	}
	MUST(pin == NULL);

	/* The first attribute begins with no separator. */
	initStringInfo(&written);
	add_text(&written, ';', "token", uri.token);
	add_text(&written, ';', "manufacturer", uri.manufacturer);
	add_text(&written, ';', "model", uri.model);
	add_text(&written, ';', "serial", uri.serial);
	add_text(&written, ';', "slot-id", uri.slot_id);
	add_text(&written, ';', "object", uri.object);
	add_attribute(&written, ';', "id", uri.id, uri.id_size);
	add_text(&written, ';', "type", uri.type);
	appendStringInfoChar(&written, '?');
	add_text(&written, '&', "module-path", uri.module_path);
	add_text(&written, '&', "pin-source", uri.pin_source);
	if (written.data[0] == ';')
		written.data++;
	if (strchr(written.data, '?')[1] == '&')
	{
		char	   *query = strchr(written.data, '?') + 1;

		memmove(query, query + 1, strlen(query));
	}

	MUST(token_uri_parse(written.data, &again, &error));
	same(uri.token, again.token);
	same(uri.manufacturer, again.manufacturer);
	same(uri.model, again.model);
	same(uri.serial, again.serial);
	same(uri.slot_id, again.slot_id);
	same(uri.object, again.object);
	same(uri.type, again.type);
	same(uri.module_path, again.module_path);
	same(uri.pin_source, again.pin_source);
	MUST((uri.id == NULL) == (again.id == NULL) && uri.id_size == again.id_size);
	MUST(uri.id == NULL || memcmp(uri.id, again.id, uri.id_size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *list = pnstrdup((const char *) data, size);
	const char *rest = list;
	char	   *entry;
	bool		has_empty = false;
	bool		is_valid;
	DeferredError error = {0};
	StringInfoData quoted;

	is_valid = uri_list_check(list, "key_vault.root_key", 1, &error);
	MUST(is_valid || (error.message != NULL && error.detail != NULL));

	initStringInfo(&quoted);
	while ((entry = uri_list_next(&rest)) != NULL)
	{
		MUST(rest >= list && rest <= list + strlen(list) && strlen(entry) <= strlen(list));
		has_empty |= *entry == '\0';
		appendStringInfoString(&quoted, quoted.len > 0 ? " , \"" : " \"");
		for (char *c = entry; *c != '\0'; c++)
			appendStringInfoString(&quoted, *c == '"' ? "\"\"" : (char[]) {*c, '\0'});
		appendStringInfoChar(&quoted, '"');
		try_uri(strncmp(entry, "pkcs11:", 7) == 0 ? entry + 7 : entry);
	}
	if (is_valid && !has_empty)
	{
		const char *rest_of_quoted = quoted.data;
		char	   *again;

		MUST(uri_list_check(quoted.data, "key_vault.root_key", 1, &error));
		rest = list;
		do
		{
			entry = uri_list_next(&rest);
			again = uri_list_next(&rest_of_quoted);
			same(entry, again);
		} while (entry != NULL);
	}
	stub_free_all();
	return 0;
}
