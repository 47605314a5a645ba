/*
 * unknown_label.c
 *	  Errors and notices about a KEK label that does not exist.
 *
 * Such a label is often mistyped, so they suggest the nearest label that exists.
 *
 * Invariant: they suggest only a label that the current role may know, because it may read the
 * view key_vault.keks or holds a privilege on the label.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "../common/errors.h"
#include "access.h"
#include "kek_row.h"
#include "unknown_label.h"

/*
 * A label is suggested if it differs by at most this number of characters that were
 * inserted, left out or replaced.
 */
#define MAX_TYPING_ERRORS 3

bool
may_know_labels(void)
{
	Oid			view = get_relname_relid("keks", get_namespace_oid("key_vault", true));

	return OidIsValid(view) &&
		pg_class_aclcheck(view, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

const char *
nearest_label(const char *label)
{
	bool		may_know_all = may_know_labels();
	const char *nearest = NULL;
	int			limit = Min(MAX_TYPING_ERRORS, (int) strlen(label) / 2);
	ListCell   *cell;

	foreach(cell, kek_rows_all())
	{
		const KekRow *row = lfirst(cell);
		int			distance;

		CHECK_FOR_INTERRUPTS();
		distance = varstr_levenshtein_less_equal(label, strlen(label), row->label, strlen(row->label),
												 1, 1, 1, limit, true);
		if (distance > limit || (!may_know_all && access_held(row->label) == 0))
			continue;
		nearest = row->label;
		limit = distance - 1;
	}
	return nearest;
}

void
require_label_exists(const char *label, const char *hint)
{
	const char *nearest;

	if (kek_rows_by_label(label) != NIL)
		return;
	nearest = nearest_label(label);
	ereport(ERROR,
			(errcode(ERRCODE_KEK_UNKNOWN),
			 errmsg("KEK label \"%s\" does not exist", label),
			 nearest != NULL ? errhint("There is a label \"%s\".", nearest) : errhint("%s", hint)));
}

void
notice_unknown_label(const char *label, const char *detail)
{
	const char *nearest;

	if (kek_rows_by_label(label) != NIL)
		return;
	nearest = nearest_label(label);
	ereport(NOTICE,
			(errmsg("KEK label \"%s\" does not exist", label),
			 errdetail("%s", detail),
			 nearest != NULL ? errhint("There is a label \"%s\".", nearest) : 0));
}
