/*
 * hidden_rows.c
 *	  Rows that a table's own heap does not show, as those of a compressed chunk of
 *	  TimescaleDB: a planner hook puts them in.
 *
 * A table NAME beside which there is a view NAME_hidden is read through the view, except
 * with ONLY, and except as the target of a statement.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static planner_hook_type next_hook = NULL;

static Oid
hidden_view(const RangeTblEntry *rte)
{
	char	   *name;

	if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_RELATION || !rte->inh)
		return InvalidOid;
	name = get_rel_name(rte->relid);
	return name == NULL ? InvalidOid :
		get_relname_relid(psprintf("%s_hidden", name), get_rel_namespace(rte->relid));
}

static bool
show_rows(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *cell;

		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst(cell);
			Oid			view_id = hidden_view(rte);
			Relation	view;

			if (!OidIsValid(view_id) || foreach_current_index(cell) + 1 == query->resultRelation)
				continue;
			view = relation_open(view_id, AccessShareLock);
			rte->rtekind = RTE_SUBQUERY;
			rte->subquery = copyObject(get_view_query(view));
			AcquireRewriteLocks(rte->subquery, true, false);
			rte->relid = InvalidOid;
			rte->relkind = 0;
			rte->rellockmode = 0;
			rte->inh = false;
#if PG_VERSION_NUM >= 160000
			rte->perminfoindex = 0;
#else
			rte->requiredPerms = 0;
#endif
			relation_close(view, NoLock);
		}
		return query_tree_walker(query, show_rows, context, 0);
	}
	return expression_tree_walker(node, show_rows, context);
}

static PlannedStmt *
plan(Query *query, const char *text, int options, ParamListInfo params)
{
	(void) show_rows((Node *) query, NULL);
	return next_hook ? next_hook(query, text, options, params) :
		standard_planner(query, text, options, params);
}

void
_PG_init(void)
{
	next_hook = planner_hook;
	planner_hook = plan;
}
