-- Who buys is a customer: of a prospect a won deal or an order makes one. What else an account is stays, and so does a customer whose order is
-- cancelled or who has left: that is for people to say, or for what counts purchases (crm_analytics.customer_value).

-- security definer: what somebody has become does not depend on whether who sells may change the account
CREATE OR REPLACE FUNCTION crm_internal.make_customer()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF TG_TABLE_NAME = 'opportunities' THEN
        IF NOT EXISTS (SELECT FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id AND s.type = 'won') THEN
            RETURN NULL;
        END IF;
    END IF;
    UPDATE crm.accounts AS a SET roles = array_append(array_remove(a.roles, 'prospect'), 'customer')
    WHERE a.tenant_id = NEW.tenant_id AND a.id = NEW.account_id AND 'prospect' = ANY (a.roles) AND NOT 'customer' = ANY (a.roles);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.make_customer() IS 'Row trigger of deals that are won and of orders: their account is no prospect any more, but a customer.';
CREATE OR REPLACE TRIGGER opportunities_after_insert_customer AFTER INSERT ON crm.opportunities
    FOR EACH ROW WHEN (NEW.closed_at IS NOT NULL AND NEW.account_id IS NOT NULL) EXECUTE FUNCTION crm_internal.make_customer();
CREATE OR REPLACE TRIGGER opportunities_after_update_customer AFTER UPDATE ON crm.opportunities
    FOR EACH ROW WHEN (NEW.closed_at IS NOT NULL AND NEW.account_id IS NOT NULL
        AND (OLD.closed_at IS NULL OR OLD.stage_id <> NEW.stage_id OR OLD.account_id IS DISTINCT FROM NEW.account_id))
    EXECUTE FUNCTION crm_internal.make_customer();
CREATE OR REPLACE TRIGGER orders_after_insert_customer AFTER INSERT ON crm.orders
    FOR EACH ROW WHEN (NEW.kind = 'sale' AND NEW.state <> 'cancelled') EXECUTE FUNCTION crm_internal.make_customer();
CREATE OR REPLACE TRIGGER orders_after_update_customer AFTER UPDATE ON crm.orders
    FOR EACH ROW WHEN (NEW.kind = 'sale' AND NEW.state <> 'cancelled'
        AND (OLD.kind <> NEW.kind OR OLD.state = 'cancelled' OR OLD.account_id <> NEW.account_id))
    EXECUTE FUNCTION crm_internal.make_customer();
