-- Configuration of service, told apart from work by its trigger (see the access rules).
CREATE OR REPLACE TRIGGER priorities_after_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.priorities
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER ticket_types_after_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.ticket_types
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER queues_after_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.queues
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER surveys_after_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.surveys
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
