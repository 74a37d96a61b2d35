CREATE OR REPLACE TRIGGER loss_reasons_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.loss_reasons
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
