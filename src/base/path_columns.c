/*
 * path_columns.c
 *	  Which columns of a row a condition can look at.
 *
 * That follows from its path: the keys that are taken of the row itself.  A path
 * that takes the row as a whole apart, such as $.*, is taken to look at all
 * columns.
 */
#include "base/crm.h"

#include "miscadmin.h"
#include "utils/jsonpath.h"

typedef struct PathColumns
{
	TupleDesc	desc;
	Bitmapset  *columns;
	bool		whole;
} PathColumns;

static void
add_key(PathColumns *c, JsonPathItem *item)
{
	int32		len;
	char	   *key = jspGetString(item, &len);

	for (int i = 0; i < c->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(c->desc, i);

		if (!att->attisdropped && strlen(NameStr(att->attname)) == len &&
			memcmp(NameStr(att->attname), key, len) == 0)
			c->columns = bms_add_member(c->columns, att->attnum);
	}
}

/* current_is_row: @ stands for the row itself. */
static void
walk_path(PathColumns *c, JsonPathItem *item, bool current_is_row)
{
	JsonPathItem v = *item;
	JsonPathItem arg;
	bool		on_row = false; /* what the path has come to is the row */

	check_stack_depth();
	for (;;)
	{
		bool		stays = false;

		switch (v.type)
		{
			case jpiRoot:
				on_row = stays = true;
				break;
			case jpiCurrent:
				on_row = stays = current_is_row;
				break;
			case jpiKey:
				if (on_row)
					add_key(c, &v);
				on_row = false;
				break;
			case jpiFilter:
				jspGetArg(&v, &arg);
				walk_path(c, &arg, on_row);
				stays = true;
				break;
			case jpiAnd:
			case jpiOr:
			case jpiEqual:
			case jpiNotEqual:
			case jpiLess:
			case jpiGreater:
			case jpiLessOrEqual:
			case jpiGreaterOrEqual:
			case jpiAdd:
			case jpiSub:
			case jpiMul:
			case jpiDiv:
			case jpiMod:
			case jpiStartsWith:
				jspGetLeftArg(&v, &arg);
				walk_path(c, &arg, current_is_row);
				jspGetRightArg(&v, &arg);
				walk_path(c, &arg, current_is_row);
				break;
			case jpiNot:
			case jpiIsUnknown:
			case jpiPlus:
			case jpiMinus:
			case jpiExists:
				jspGetArg(&v, &arg);
				walk_path(c, &arg, current_is_row);
				break;
			case jpiLikeRegex:
				jspInitByBuffer(&arg, v.base, v.content.like_regex.expr);
				walk_path(c, &arg, current_is_row);
				break;
			case jpiNull:
			case jpiString:
			case jpiNumeric:
			case jpiBool:
			case jpiVariable:
			case jpiLast:
				break;
			case jpiAnyArray:
			case jpiType:
			case jpiSize:
			case jpiAbs:
			case jpiFloor:
			case jpiCeiling:
			case jpiDouble:
				/* of a part of the row it adds nothing, of the row everything */
				if (on_row)
					c->whole = true;
				break;
			default:
				/* subscripts may hold paths of their own */
				c->whole = true;
		}
		if (!stays)
			on_row = false;
		if (c->whole || !jspGetNext(&v, &arg))
			return;
		v = arg;
	}
}

/*
 * The columns of a row that a condition (jsonpath) may look at, in the current
 * memory context; false: perhaps all of them.
 */
bool
crm_path_columns(Datum condition, TupleDesc desc, Bitmapset **columns)
{
	PathColumns c = {.desc = desc};
	JsonPathItem root;

	jspInit(&root, DatumGetJsonPathP(condition));
	walk_path(&c, &root, false);
	*columns = c.whole ? NULL : c.columns;
	return !c.whole;
}
