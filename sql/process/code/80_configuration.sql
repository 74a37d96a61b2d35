CREATE OR REPLACE TRIGGER skills_after_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.skills
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER assignment_rules_after_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.assignment_rules
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
