/*
 * json_split.c
 *	  Takes a text apart into the JSON objects in it.
 *
 * The text is read once, by the rules of RFC 8259 for brackets, commas, colons and strings,
 * which find the end of an object, or the place where it cannot go on.  In the latter case it
 * is not known where the object should have ended: the text is read again from the next line
 * that begins with an object, or cannot be a part of this one.
 *
 * Invariants: each byte that is not skipped is in exactly one piece; the time is linear in the
 * size of the text (see reads_single_lines()).
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "json_split.h"
#include "json_tree.h"

/* What can come next in an object or array. */
typedef enum Expected
{
	EXPECT_VALUE,
	EXPECT_FIRST_VALUE,			/* or the end of the array */
	EXPECT_NAME,
	EXPECT_FIRST_NAME,			/* or the end of the object */
	EXPECT_COLON,
	EXPECT_COMMA_OR_END
} Expected;

typedef enum ScanResult
{
	SCAN_DONE,
	SCAN_OPEN,					/* it may go on in the next lines */
	SCAN_BROKEN
} ScanResult;

struct JsonSplitter
{
	JsonPiece	piece;
	void	   *context;
	bool		in_array;		/* in an array whose elements are pieces */

	/* The value that has begun; it is at the beginning of kept. */
	bool		in_value;
	bool		is_broken;
	size_t		indentation;	/* of the line in which it began */
	size_t		at;				/* where to go on reading */
	Expected	expected;
	StringInfoData brackets;	/* those that are open */
	StringInfoData kept;

	size_t		added;			/* bytes that came */
	size_t		read_again;		/* bytes that were read more than once */
};

JsonSplitter *
json_splitter_create(JsonPiece piece, void *context)
{
	JsonSplitter *splitter = palloc0(sizeof(JsonSplitter));

	splitter->piece = piece;
	splitter->context = context;
	initStringInfo(&splitter->brackets);
	initStringInfo(&splitter->kept);
	return splitter;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t
end_of_line(const char *text, size_t at, size_t size)
{
	const char *end = memchr(text + at, '\n', size - at);

	return end != NULL ? end - text : size;
}

/* The end of a string that begins here, or 0: a string cannot go on in the next line. */
static size_t
end_of_string(const char *text, size_t at, size_t size)
{
	for (at++; at < size && text[at] != '\n'; at++)
	{
		if (text[at] == '"')
			return at + 1;
		if (text[at] == '\\')
			at++;
	}
	return 0;
}

/* The end of a number, true, false or null that begins here. */
static size_t
end_of_word(const char *text, size_t at, size_t size)
{
	while (at < size && (isalnum((unsigned char) text[at]) || text[at] == '-' || text[at] == '+' || text[at] == '.'))
		at++;
	return at;
}

static bool
expects_value(const JsonSplitter *splitter)
{
	return splitter->expected == EXPECT_VALUE || splitter->expected == EXPECT_FIRST_VALUE;
}

static bool
begin_bracket(JsonSplitter *splitter, char bracket)
{
	if (!expects_value(splitter))
		return false;
	appendStringInfoChar(&splitter->brackets, bracket);
	splitter->expected = bracket == '{' ? EXPECT_FIRST_NAME : EXPECT_FIRST_VALUE;
	return true;
}

static char
innermost(const JsonSplitter *splitter)
{
	return splitter->brackets.data[splitter->brackets.len - 1];
}

static bool
end_bracket(JsonSplitter *splitter, char bracket, Expected if_empty)
{
	if (innermost(splitter) != bracket ||
		(splitter->expected != EXPECT_COMMA_OR_END && splitter->expected != if_empty))
		return false;
	splitter->brackets.len--;
	splitter->expected = EXPECT_COMMA_OR_END;
	return true;
}

static bool
separate(JsonSplitter *splitter, Expected before, Expected after)
{
	if (splitter->expected != before)
		return false;
	splitter->expected = after;
	return true;
}

static bool
end_scalar(JsonSplitter *splitter, bool is_string)
{
	if (is_string && (splitter->expected == EXPECT_NAME || splitter->expected == EXPECT_FIRST_NAME))
		splitter->expected = EXPECT_COLON;
	else if (expects_value(splitter))
		splitter->expected = EXPECT_COMMA_OR_END;
	else
		return false;
	return true;
}

/* Reads what comes next of the value; returns false if it cannot come here. */
static bool
read_next(JsonSplitter *splitter, const char *text, size_t size)
{
	char		c = text[splitter->at];
	size_t		end = splitter->at + 1;
	bool		fits;

	switch (c)
	{
		case '{':
		case '[':
			fits = begin_bracket(splitter, c);
			break;
		case '}':
			fits = end_bracket(splitter, '{', EXPECT_FIRST_NAME);
			break;
		case ']':
			fits = end_bracket(splitter, '[', EXPECT_FIRST_VALUE);
			break;
		case ',':
			fits = separate(splitter, EXPECT_COMMA_OR_END, innermost(splitter) == '{' ? EXPECT_NAME : EXPECT_VALUE);
			break;
		case ':':
			fits = separate(splitter, EXPECT_COLON, EXPECT_VALUE);
			break;
		default:
			end = c == '"' ? end_of_string(text, splitter->at, size) : end_of_word(text, splitter->at, size);
			fits = end > splitter->at && end_scalar(splitter, c == '"');
			break;
	}
	if (fits)
		splitter->at = end;
	return fits;
}

static ScanResult
read_value(JsonSplitter *splitter, const char *text, size_t size)
{
	if (splitter->is_broken)
		return SCAN_BROKEN;
	while (splitter->at < size)
	{
		if (is_space(text[splitter->at]))
			splitter->at++;
		else if (!read_next(splitter, text, size))
			return SCAN_BROKEN;
		else if (splitter->brackets.len == 0)
			return SCAN_DONE;
	}
	return SCAN_OPEN;
}

/* The white space before the first character of a line; 0 for another character. */
static size_t
indentation_at(const char *text, size_t at)
{
	size_t		n = 0;

	while (n < at && (text[at - n - 1] == ' ' || text[at - n - 1] == '\t'))
		n++;
	return n == at || text[at - n - 1] == '\n' ? n : 0;
}

/*
 * The first line after a place that begins with an object, or that is no part of the value
 * that has begun here; or the end of the text.  Lines inside a value usually have more white
 * space before them than its first line.
 */
static size_t
next_beginning(const JsonSplitter *splitter, const char *text, size_t after, size_t size)
{
	for (size_t at = end_of_line(text, after, size); at < size; at = end_of_line(text, at, size))
	{
		size_t		start = ++at;

		while (at < size && (text[at] == ' ' || text[at] == '\t'))
			at++;
		if (at < size && at - start <= splitter->indentation &&
			(text[at] == '{' || (splitter->in_value && strchr("\"}],:\r\n", text[at]) == NULL)))
			return start;
	}
	return size;
}

/*
 * After a broken value, the text is read again from a later line.  Where this has happened
 * so often that it would take too long, only objects that are whole on one line are looked
 * for.
 */
static bool
reads_single_lines(const JsonSplitter *splitter)
{
	return splitter->read_again > JSON_MAX_SIZE + 4 * splitter->added;
}

/* Whether a line ends as one does that has a whole object. */
static bool
line_ends_object(const char *text, size_t start, size_t size)
{
	size_t		end = end_of_line(text, start, size);

	while (end > start && (is_space(text[end - 1]) || text[end - 1] == ',' || text[end - 1] == ']'))
		end--;
	return end > start && text[end - 1] == '}';
}

static void
pass_on(JsonSplitter *splitter, const char *text, size_t start, size_t end)
{
	while (end > start && is_space(text[end - 1]))
		end--;
	if (end > start)
		splitter->piece(splitter->context, text + start, end - start);
}

static void
begin_value(JsonSplitter *splitter, const char *text, size_t start)
{
	splitter->in_value = true;
	splitter->is_broken = false;
	splitter->indentation = indentation_at(text, start);
	splitter->at = start;
	splitter->expected = EXPECT_VALUE;
	splitter->brackets.len = 0;
}

static size_t
skip_separators(JsonSplitter *splitter, const char *text, size_t at, size_t size)
{
	for (;;)
	{
		if (at < size && (is_space(text[at]) || text[at] == ','))
			at++;
		else if (at < size && (text[at] == ']' || (text[at] == '[' && !splitter->in_array)))
			splitter->in_array = text[at++] == '[';
		else if (size - at >= strlen(BYTE_ORDER_MARK) &&
				 memcmp(text + at, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
			at += strlen(BYTE_ORDER_MARK);
		else
			return at;
	}
}

/* Passes on what does not begin as an object does, and returns where it ends. */
static size_t
pass_on_other(JsonSplitter *splitter, const char *text, size_t start, size_t size)
{
	size_t		end = 0;

	if (splitter->in_array)
	{
		size_t		after;

		/* An element of an array that is no object, as null. */
		end = text[start] == '"' ? end_of_string(text, start, size) : end_of_word(text, start, size);
		for (after = end; after < size && (text[after] == ' ' || text[after] == '\t'); after++)
			;
		if (end <= start || (after < size && strchr(",]\r\n", text[after]) == NULL))
			end = 0;
	}
	if (end == 0)
	{
		splitter->in_array = false;
		splitter->indentation = SIZE_MAX;
		end = next_beginning(splitter, text, start, size);
	}
	pass_on(splitter, text, start, end);
	return end;
}

/*
 * Passes on a value that cannot go on.  Returns where it ends; if it began in an earlier
 * line, and no next object has begun yet, returns start: it is kept.
 */
static size_t
pass_on_broken(JsonSplitter *splitter, const char *text, size_t start, size_t last_lines, size_t size, bool at_end)
{
	size_t		limit = Max(splitter->at, start + 1);
	size_t		end = next_beginning(splitter, text, splitter->is_broken ? splitter->at : start, size);

	while (reads_single_lines(splitter) && end < size && !line_ends_object(text, end, size))
		end = next_beginning(splitter, text, end, size);
	if (end == size && start < last_lines && !at_end && size - start <= JSON_MAX_SIZE)
	{
		splitter->is_broken = true;
		splitter->at = size;
		return start;
	}
	pass_on(splitter, text, start, end);
	splitter->in_value = false;
	splitter->in_array = false;
	splitter->read_again += limit > end ? limit - end : 0;
	return end;
}

/*
 * Passes on the pieces of a text; returns where the rest begins, which is to be kept.
 * last_lines is where the lines begin that came last.
 */
static size_t
split(JsonSplitter *splitter, const char *text, size_t last_lines, size_t size, bool at_end)
{
	size_t		start = 0;

	for (;;)
	{
		size_t		limit;
		ScanResult	result;

		CHECK_FOR_INTERRUPTS();
		if (!splitter->in_value)
		{
			start = skip_separators(splitter, text, start, size);
			if (start == size)
				return size;
			if (text[start] != '{' && text[start] != '[')
			{
				start = pass_on_other(splitter, text, start, size);
				continue;
			}
			begin_value(splitter, text, start);
		}
		limit = reads_single_lines(splitter) ? Max(end_of_line(text, start, size), splitter->at) : size;
		result = read_value(splitter, text, limit);
		if (result == SCAN_DONE)
		{
			splitter->in_value = false;
			pass_on(splitter, text, start, splitter->at);
			start = splitter->at;
		}
		else if (result == SCAN_OPEN && limit == size && !at_end && size - start <= JSON_MAX_SIZE)
			return start;
		else
		{
			size_t		end = pass_on_broken(splitter, text, start, last_lines, size, at_end);

			if (end == start)
				return start;
			start = end;
		}
	}
}

/* Keeps the end of a text, of which all before is passed on. */
static void
keep(JsonSplitter *splitter, const char *text, size_t start, size_t size)
{
	if (text == splitter->kept.data)
		memmove(splitter->kept.data, text + start, size - start);
	else
	{
		resetStringInfo(&splitter->kept);
		enlargeStringInfo(&splitter->kept, size - start + 1);
		memcpy(splitter->kept.data, text + start, size - start);
	}
	splitter->kept.len = size - start;
	if (splitter->in_value)
		splitter->at -= start;
}

void
json_splitter_add(JsonSplitter *splitter, const char *lines, size_t size)
{
	size_t		last_lines = 0;

	splitter->added += size;
	if (splitter->kept.len > 0)
	{
		last_lines = splitter->kept.len + 1;
		appendStringInfoChar(&splitter->kept, '\n');
		appendBinaryStringInfo(&splitter->kept, lines, size);
		lines = splitter->kept.data;
		size = splitter->kept.len;
	}
	keep(splitter, lines, split(splitter, lines, last_lines, size, false), size);
}

void
json_splitter_finish(JsonSplitter *splitter)
{
	(void) split(splitter, splitter->kept.data, splitter->kept.len, splitter->kept.len, true);
	splitter->kept.len = 0;
	splitter->in_array = false;
}
