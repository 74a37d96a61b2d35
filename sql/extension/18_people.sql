CREATE FUNCTION crm.check_version() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_version';
COMMENT ON FUNCTION crm.check_version() IS
'BEFORE UPDATE row trigger: an update that carries another version than the row''s present one (or the one after it) fails with CR201; every update counts version on and sets updated_at.';

CREATE FUNCTION crm.check_custom_fields() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_custom_fields';
COMMENT ON FUNCTION crm.check_custom_fields() IS
'BEFORE INSERT OR UPDATE row trigger with the table''s name: column custom must hold what crm.custom_fields declares. CR202 names the fields, DETAIL says what is wrong with each.';

CREATE FUNCTION crm.check_tags() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_tags';
COMMENT ON FUNCTION crm.check_tags() IS 'BEFORE INSERT OR UPDATE row trigger: column tags as crm.normalize_tags() gives it.';

CREATE FUNCTION crm.check_tree() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_tree';
COMMENT ON FUNCTION crm.check_tree() IS
'AFTER INSERT OR UPDATE row trigger with the names of the table and of its parent column: no row may stand below itself. Error CR204; two sessions cannot make half a circle each.';

CREATE FUNCTION crm.normalize_tags(tags text[]) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_tags';
COMMENT ON FUNCTION crm.normalize_tags(text[]) IS
'Tags folded as crm.fold_text() does, sorted, each once, without empty ones. Error 22001 for a tag of more than 100 characters.';
