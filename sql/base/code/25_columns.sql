-- Rules of columns (crm.column_rules) that owners write are checked as those are that the CRM declares.

CREATE OR REPLACE FUNCTION crm_internal.check_column_rule()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.check_column_rule(NEW.table_name, NEW.column_name, NEW.rule, NEW.other);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_column_rule() IS 'Trigger of crm.column_rules: errors of crm.check_column_rule().';
CREATE OR REPLACE TRIGGER column_rules_before_check BEFORE INSERT OR UPDATE ON crm.column_rules
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_column_rule();
