/*
 * kek_label.c
 *	  KEK labels, and their bytes for cryptography.
 *
 * A label is text in the encoding of its database.  A dump or a subscription converts it
 * to the encoding of another database, where KEKs must still open.  So the additional
 * data of a sealed KEK has the label in UTF-8.
 *
 * Invariant: if a label cannot be converted, that is no error.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "kek_label.h"
#include "kek_row.h"

static bool
is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if (IS_HIGHBIT_SET(*text))
			return false;
	return true;
}

/* Returns NULL if the text cannot be converted, or is NULL. */
static char *
convert(const char *text, int from, int to)
{
	size_t		size;
	size_t		room;
	char	   *converted;
	Oid			conversion;

	if (text == NULL)
		return NULL;
	if (from == to)
		return pstrdup(text);
	size = strlen(text);
	room = size * MAX_CONVERSION_GROWTH + 1;
	conversion = FindDefaultConversionProc(from, to);
	if (!OidIsValid(conversion))
		return NULL;
	converted = palloc(room);
	if (pg_do_encoding_conversion_buf(conversion, from, to, (unsigned char *) text, size,
									  (unsigned char *) converted, room, true) < size)
		return NULL;
	return converted;
}

const char *
kek_label_utf8(const char *label)
{
	int			encoding = GetDatabaseEncoding();
	char	   *utf8;

	if (is_ascii(label) || encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return label;
	utf8 = convert(label, encoding, PG_UTF8);
	return utf8 != NULL ? utf8 : label;
}

static List *
add_spelling(List *spellings, char *spelling)
{
	ListCell   *cell;

	if (spelling == NULL)
		return spellings;
	foreach(cell, spellings)
	{
		if (strcmp(lfirst(cell), spelling) == 0)
			return spellings;
	}
	return lappend(spellings, spelling);
}

/* Adds a label in an encoding, and converted to the encodings that KEKs are sealed with. */
static List *
add_spellings(List *spellings, char *label, int encoding)
{
	spellings = add_spelling(spellings, label);
	spellings = add_spelling(spellings, convert(label, encoding, PG_UTF8));
	return add_spelling(spellings, convert(label, encoding, PG_MULE_INTERNAL));
}

/*
 * Makes the label's bytes in each encoding that a database or a dump can have.  In a
 * database with SQL_ASCII the label may be in UTF-8 or in any encoding that can be converted
 * to UTF-8, so each of them is tried.  MULE_INTERNAL can be converted to and from UTF-8 only
 * by way of another encoding.
 */
List *
kek_label_spellings(const char *label)
{
	int			encoding = GetDatabaseEncoding();
	const char *utf8 = kek_label_utf8(label);
	List	   *spellings = NIL;

	if (is_ascii(label))
		return NIL;
	spellings = add_spelling(spellings, pstrdup(label));
	for (int other = 0; other < _PG_LAST_ENCODING_; other++)
	{
		if (other == PG_SQL_ASCII)
			continue;
		spellings = add_spellings(spellings, convert(utf8, PG_UTF8, other), other);
		spellings = add_spellings(spellings, encoding == PG_SQL_ASCII ? pstrdup(label) :
								  convert(label, encoding, other), other);
	}
	return spellings;
}

void
kek_label_check(const char *label)
{
	size_t		size = strlen(kek_label_utf8(label));
	bool		has_control = false;

	if (kek_rows_by_label(label) != NIL)
		return;
	for (const char *c = label; *c != '\0'; c++)
		has_control |= (unsigned char) *c < ' ' || *c == 0x7f;

	if (size == 0 || size > KEK_LABEL_MAX_SIZE || has_control)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid KEK label"),
				 errdetail("A KEK label has 1 to %d bytes in UTF-8 and no control characters.",
						   KEK_LABEL_MAX_SIZE)));
}
