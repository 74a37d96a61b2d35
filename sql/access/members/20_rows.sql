-- What policies compare columns with: lists worked out once a query, so that a condition can be one of an index; and the
-- question for another row, by which a child is seen as its parent.

CREATE FUNCTION crm.check_tenant() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'crm_check_tenant';
COMMENT ON FUNCTION crm.check_tenant() IS
'Row trigger that fires before all others: refuses a row of a tenant other than the current one, where the table''s row security '
'applies to the writer. Then columns that the CRM writes (crm.column_rules, purpose write): such a writer may not give them another value than they '
'would have anyway. Error 42501.';

CREATE FUNCTION crm.whole_tenant() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_whole_tenant';
COMMENT ON FUNCTION crm.whole_tenant() IS
'Tenant of which the current role sees every row: that of a manager, an admin, the owner, or a reader who is no user. NULL for everybody else.';

CREATE FUNCTION crm.sight_support(internal) RETURNS internal
LANGUAGE c STABLE STRICT
AS 'MODULE_PATHNAME', 'crm_sight_support';
COMMENT ON FUNCTION crm.sight_support(internal) IS
'Planner support: crm.in_sight() as conditions of indexes for who sees a part of the rows, and as one question a query for who sees all.';

CREATE FUNCTION crm.in_sight(tenant_id bigint, mine boolean) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT crm.sight_support
AS 'MODULE_PATHNAME', 'crm_in_sight';
COMMENT ON FUNCTION crm.in_sight(bigint, boolean) IS
'Whether a row of this tenant is seen: it is of the current tenant, and the current role sees every row of it (crm.whole_tenant()) or this one for the reason '
'given as mine. What policies for reading are made of; the planner puts plain conditions in its place.';

CREATE FUNCTION crm.seen_user_ids() RETURNS bigint[]
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_seen_user_ids';
COMMENT ON FUNCTION crm.seen_user_ids() IS 'Users whose rows the current user sees as their owner: themselves and the people of teams they lead.';

CREATE FUNCTION crm.own_user_ids() RETURNS bigint[]
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_own_user_ids';
COMMENT ON FUNCTION crm.own_user_ids() IS 'The current user in an array; empty where the role is none.';

CREATE FUNCTION crm.led_team_ids() RETURNS bigint[]
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_led_team_ids';
COMMENT ON FUNCTION crm.led_team_ids() IS 'Teams the current user leads, with all teams below them.';

CREATE FUNCTION crm.own_team_ids() RETURNS bigint[]
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_own_team_ids';
COMMENT ON FUNCTION crm.own_team_ids() IS 'Teams the current user leads, with all teams below them, and teams they are a member of.';

CREATE FUNCTION crm.rows_support(internal) RETURNS internal
LANGUAGE c STABLE STRICT
AS 'MODULE_PATHNAME', 'crm_rows_support';
COMMENT ON FUNCTION crm.rows_support(internal) IS
'Planner support: crm.can_see_row() as the condition of an index, where few rows are seen.';

-- not STABLE: the planner would fetch the whole list to estimate with it
CREATE FUNCTION crm.visible_ids(relation regclass) RETURNS bigint[]
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_visible_ids';
COMMENT ON FUNCTION crm.visible_ids(regclass) IS 'Ids of all rows of a table of the CRM that the current role sees, by the table''s row security.';
SELECT crm.declare_function('crm.visible_ids', 'reader');

CREATE FUNCTION crm.can_see_row(relation regclass, id bigint) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5 SUPPORT crm.rows_support
AS 'MODULE_PATHNAME', 'crm_can_see_row';
COMMENT ON FUNCTION crm.can_see_row(regclass, bigint) IS
'Whether the current role sees the row of a table that has this id, by the table''s row security. False where there is no such row; NULL for NULL.';

CREATE FUNCTION crm.can_change_row(relation regclass, id bigint) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'crm_can_change_row';
COMMENT ON FUNCTION crm.can_change_row(regclass, bigint) IS
'Whether the current role sees the row of a table that has this id and may update it, by the table''s row security.';

CREATE FUNCTION crm.can_see_record(subject_table text, id bigint) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'crm_can_see_record';
COMMENT ON FUNCTION crm.can_see_record(text, bigint) IS
'As crm.can_see_row(), by the name the registry has for the table. True for a name that it has not: there is no record to hide behind.';

CREATE FUNCTION crm.can_change_record(subject_table text, id bigint) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'crm_can_change_record';
COMMENT ON FUNCTION crm.can_change_record(text, bigint) IS
'As crm.can_change_row(), by the name the registry has for the table; true for a name that it has not.';

CREATE FUNCTION crm.subject_table_of(relation regclass, id bigint) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'crm_subject_table_of';
COMMENT ON FUNCTION crm.subject_table_of(regclass, bigint) IS
'What the row of a table that has this id says in its column subject_table, such as the table of a segment''s members; NULL where there is no '
'such row.';
