/*
 * token_uri.c
 *	  PKCS#11 URIs (RFC 7512), as far as they name tokens and AES keys in them.
 *
 * A URI has attributes, "name=value", that are separated by semicolons.  After a question
 * mark come attributes that are separated by ampersands.  Values are percent-encoded.
 *
 * Invariant: an attribute that is not known is refused, and not ignored: it could say
 * which of two keys is meant.
 */
#include "postgres.h"

#include "../common/errors.h"
#include "../crypto/hex.h"
#include "token_uri.h"

static bool
refuse(DeferredError *error, char *message, char *detail, char *hint)
{
	return deferred_error_set(error, ERRCODE_TOKEN_URI, message, detail, hint);
}

/*
 * Decodes a percent-encoded value; NULL if it is malformed.  The result has
 * *decoded_len bytes, and a zero after them.
 */
static char *
decode(const char *text, size_t len, size_t *decoded_len)
{
	char	   *decoded = palloc(len + 1);
	size_t		n = 0;

	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '%')
		{
			int			high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			int			low = i + 2 < len ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			decoded[n++] = (char) (high << 4 | low);
			i += 2;
		}
		else
			decoded[n++] = text[i];
	}
	decoded[n] = '\0';
	*decoded_len = n;
	return decoded;
}

/* One attribute, "name=value". */
static bool
take_attribute(const char *text, size_t len, bool in_query, TokenUri *uri, DeferredError *error)
{
	struct
	{
		const char *name;
		bool		in_query;
		char	  **value;
	}			known[] =

	{
		{"token", false, &uri->token},
		{"manufacturer", false, &uri->manufacturer},
		{"model", false, &uri->model},
		{"serial", false, &uri->serial},
		{"slot-id", false, &uri->slot_id},
		{"object", false, &uri->object},
		{"id", false, &uri->id},
		{"type", false, &uri->type},
		{"module-path", true, &uri->module_path},
		{"pin-source", true, &uri->pin_source},
	};
	const char *equals = memchr(text, '=', len);
	char	   *name;
	char	   *value;
	size_t		value_len;

	if (equals == NULL)
		return refuse(error, pstrdup("invalid PKCS#11 URI"),
					  pstrdup("An attribute is written name=value."), NULL);
	name = pnstrdup(text, equals - text);
	value = decode(equals + 1, len - (equals + 1 - text), &value_len);
	if (value == NULL)
		return refuse(error, psprintf("invalid PKCS#11 URI: attribute \"%s\" is not percent-encoded", name),
					  pstrdup("A percent sign is followed by two hexadecimal digits."), NULL);
	if (strlen(value) != value_len && strcmp(name, "id") != 0)
		return refuse(error, psprintf("invalid PKCS#11 URI: attribute \"%s\" has a zero byte in it", name),
					  NULL, NULL);

	for (int i = 0; i < lengthof(known); i++)
	{
		if (strcmp(known[i].name, name) != 0 || known[i].in_query != in_query)
			continue;
		if (*known[i].value != NULL)
			return refuse(error, psprintf("invalid PKCS#11 URI: attribute \"%s\" is there twice", name),
						  NULL, NULL);
		*known[i].value = value;
		if (known[i].value == &uri->id)
			uri->id_size = value_len;
		return true;
	}
	return refuse(error, psprintf("PKCS#11 URI with attribute \"%s\" is not supported", name),
				  pstrdup("Before the question mark there may be token, manufacturer, model, serial, slot-id, object, id and type, separated by semicolons; after it, module-path and pin-source, separated by an ampersand."),
				  NULL);
}

static bool
take_attributes(const char *text, size_t len, char separator, bool in_query,
				TokenUri *uri, DeferredError *error)
{
	const char *end = text + len;

	while (text < end)
	{
		const char *next = memchr(text, separator, end - text);
		size_t		this_len = (next != NULL ? next : end) - text;

		if (!take_attribute(text, this_len, in_query, uri, error))
			return false;
		text += this_len + 1;
	}
	return true;
}

/*
 * Whether a PIN is in the URI, whatever stands before it.  Behind a wrong separator it would be
 * the end of another value, a label for example, which errors and views show.
 */
static bool
has_pin(const char *location)
{
	static const char attribute[] = "pin-value=";

	for (const char *c = location; *c != '\0'; c++)
		if (pg_strncasecmp(c, attribute, strlen(attribute)) == 0)
			return true;
	return false;
}

bool
token_uri_parse(const char *location, TokenUri *uri, DeferredError *error)
{
	const char *question_mark = strchr(location, '?');
	size_t		path_len = question_mark ? question_mark - location : strlen(location);

	memset(uri, 0, sizeof(*uri));
	if (has_pin(location))
		return refuse(error, pstrdup("PKCS#11 URI with a PIN in it is refused"),
					  pstrdup("Settings can be shown, and are in files and dumps."),
					  pstrdup("Use pin-source=file:/path, or pin-source=|command, in place of pin-value, and change the PIN."));
	if (!take_attributes(location, path_len, ';', false, uri, error))
		return false;
	if (question_mark != NULL &&
		!take_attributes(question_mark + 1, strlen(question_mark + 1), '&', true, uri, error))
		return false;

	if (uri->type != NULL && strcmp(uri->type, "secret-key") != 0)
		return refuse(error, psprintf("PKCS#11 URI with type \"%s\" is not supported", uri->type),
					  pstrdup("The key is an AES key: type=secret-key."), NULL);
	return true;
}
