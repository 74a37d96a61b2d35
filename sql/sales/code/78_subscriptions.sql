-- Subscriptions: their intervals, that their lines are dated facts, and changing, cancelling and renewing them.
--
-- A line holds for a range of days. A change ends it and begins another one, so nothing that was said of a past day is written over; what was billed is
-- not changed but for its end. Intervals are counted from the first day of the subscription, so that one that began on the 31st comes back to it.

-- ---- intervals ----

CREATE OR REPLACE FUNCTION crm_internal.add_months(day date, months integer, calendar text)
RETURNS date
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN CASE calendar WHEN 'jalali' THEN crm.jalali_add_months(day, months) ELSE (day + make_interval(months => months))::date END;
END
$$;
COMMENT ON FUNCTION crm_internal.add_months(date, integer, text) IS
'A day some months of a calendar later: the same day of the month, or the last one of a shorter month.';

CREATE OR REPLACE FUNCTION crm_internal.interval_at(starts_on date, months integer, calendar text, day date)
RETURNS daterange
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n integer := floor((crm_analytics.month_number(day, calendar) - crm_analytics.month_number(starts_on, calendar))::numeric / months);
BEGIN
    -- the month says it but for the day
    IF crm_internal.add_months(starts_on, n * months, calendar) > day THEN
        n := n - 1;
    ELSIF crm_internal.add_months(starts_on, (n + 1) * months, calendar) <= day THEN
        n := n + 1;
    END IF;
    RETURN daterange(crm_internal.add_months(starts_on, n * months, calendar), crm_internal.add_months(starts_on, (n + 1) * months, calendar));
END
$$;
COMMENT ON FUNCTION crm_internal.interval_at(date, integer, text, date) IS
'The interval that holds a day, of those of some months of a calendar that are counted from a first day.';

-- ---- rows ----

CREATE OR REPLACE FUNCTION crm_internal.fill_subscription()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: lines count, whoever sees them
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.currency, NEW.calendar, NEW.interval_months, NEW.starts_on) IS DISTINCT FROM (OLD.currency, OLD.calendar, OLD.interval_months, OLD.starts_on)
           AND EXISTS (SELECT FROM crm.subscription_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.subscription_id = NEW.id) THEN
            RAISE EXCEPTION 'subscription "%" has lines, so its currency, calendar, interval and first day stay', NEW.name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Cancel it and make another one, or delete its lines first.';
        END IF;
        RETURN NEW;
    END IF;
    NEW.calendar := coalesce(NEW.calendar, (SELECT CASE WHEN t.fiscal_year_start LIKE 'jalali:%' THEN 'jalali' ELSE 'gregorian' END
                                            FROM crm.tenants AS t WHERE t.tenant_id = NEW.tenant_id));
    NEW.starts_on := coalesce(NEW.starts_on, crm.local_day(NEW.tenant_id, now()));
    NEW.next_bill_on := NULL;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_subscription() IS
'Row trigger of subscriptions: calendar and first day that nobody gave; what lines rest on stays once there are lines. Error 55000.';
CREATE OR REPLACE TRIGGER subscriptions_before_fill BEFORE INSERT OR UPDATE OF currency, calendar, interval_months, starts_on ON crm.subscriptions
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_subscription();

CREATE OR REPLACE FUNCTION crm_internal.fill_subscription_line()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.subscriptions;
    whole daterange;
    was CONSTANT record := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
    -- security definer: what was billed counts, whoever sees it; the lock holds off who bills it meanwhile
    SELECT x.* INTO s FROM crm.subscriptions AS x WHERE x.tenant_id = was.tenant_id AND x.id = was.subscription_id FOR NO KEY UPDATE;
    IF TG_OP <> 'INSERT' AND EXISTS (SELECT FROM crm.subscription_bills AS b WHERE b.tenant_id = OLD.tenant_id AND b.line_id = OLD.id) THEN
        -- amounts that are computed are not there yet
        IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - '{during,monthly_amount,description,source_system,source_id}'::text[])
                               IS DISTINCT FROM (to_jsonb(OLD) - '{during,monthly_amount,description,source_system,source_id}'::text[])
           OR lower(NEW.during) <> lower(OLD.during) THEN
            RAISE EXCEPTION 'line % of subscription "%" has been billed, so it stays', OLD.id, s.name USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'End it and begin another line: crm.change_subscription(). What was billed beyond its end is credited.';
        END IF;
    END IF;
    IF TG_OP = 'DELETE' OR s.id IS NULL THEN
        -- without a subscription row security or the foreign key speaks
        IF TG_OP <> 'DELETE' THEN
            NEW.during := coalesce(NEW.during, daterange(crm.local_day(NEW.tenant_id, now()), NULL));
            NEW.interval_months := coalesce(NEW.interval_months, 1);
        END IF;
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.subscription_id IS DISTINCT FROM OLD.subscription_id THEN
        RAISE EXCEPTION 'a line cannot be moved to another subscription' USING ERRCODE = 'invalid_parameter_value', HINT = 'End it and insert it there.';
    END IF;
    whole := daterange(s.starts_on, s.ends_on, '[]');
    NEW.interval_months := s.interval_months;
    NEW.during := coalesce(NEW.during, whole);
    IF NOT NEW.during <@ whole THEN
        RAISE EXCEPTION 'subscription "%" holds from % to %, the line does not lie in it', s.name, to_char(s.starts_on, 'YYYY-MM-DD'),
            coalesce(to_char(s.ends_on, 'YYYY-MM-DD'), 'no end') USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'The line holds for ' || NEW.during || '.', HINT = 'Give it days of the subscription, or renew that first: crm.renew_subscription().';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_subscription_line() IS
'Row trigger of lines of subscriptions: they lie within it, have its interval, and stay once they were billed, but for their end. Errors 22023, 55000.';
CREATE OR REPLACE TRIGGER subscription_lines_before_during BEFORE INSERT OR UPDATE OR DELETE ON crm.subscription_lines
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_subscription_line();
CREATE OR REPLACE TRIGGER subscription_lines_before_fill BEFORE INSERT OR UPDATE OF product_id, quantity, unit_price, unit_cost, tax_category_id, tax_percent,
    price_includes_tax ON crm.subscription_lines FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_line('subscriptions', 'subscription_id');

-- ---- when something is to be billed ----

-- Days of a line that stand on no invoice; what costs nothing is not billed.
CREATE OR REPLACE FUNCTION crm_internal.unbilled_days(tenant bigint, subscription bigint, bills_from date)
RETURNS TABLE (line_id bigint, days daterange)
LANGUAGE plpgsql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
        SELECT l.id, u.days
        FROM crm.subscription_lines AS l
        CROSS JOIN LATERAL unnest(datemultirange(l.during * daterange(bills_from, NULL)) - coalesce(
            (SELECT range_agg(b.days) FROM crm.subscription_bills AS b WHERE b.tenant_id = tenant AND b.line_id = l.id), '{}'::datemultirange)) AS u (days)
        WHERE l.tenant_id = tenant AND l.subscription_id = subscription AND l.quantity * l.unit_price * (100 - l.discount_percent) > 0;
END
$$;
COMMENT ON FUNCTION crm_internal.unbilled_days(bigint, bigint, date) IS 'Days of the lines of a subscription that were not billed, those to come with them.';

CREATE OR REPLACE FUNCTION crm_internal.time_bill()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: all lines and bills count, whoever sees them
    IF EXISTS (SELECT FROM crm.subscription_bills AS b JOIN crm.subscription_lines AS l ON l.tenant_id = b.tenant_id AND l.id = b.line_id
               WHERE b.tenant_id = NEW.tenant_id AND b.subscription_id = NEW.id AND NOT b.days <@ l.during) THEN
        NEW.next_bill_on := '-infinity';
        RETURN NEW;
    END IF;
    SELECT min(CASE NEW.billed WHEN 'advance' THEN lower(u.days)
                    ELSE upper(crm_internal.interval_at(NEW.starts_on, NEW.interval_months, NEW.calendar, lower(u.days))) END)
    INTO NEW.next_bill_on FROM crm_internal.unbilled_days(NEW.tenant_id, NEW.id, NEW.bills_from) AS u;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.time_bill() IS
'Row trigger of subscriptions: the day of the next bill follows from its lines and from what was billed, whatever is written.';
CREATE OR REPLACE TRIGGER subscriptions_before_time_bill BEFORE UPDATE ON crm.subscriptions FOR EACH ROW
    WHEN (OLD.next_bill_on IS DISTINCT FROM NEW.next_bill_on OR OLD.billed IS DISTINCT FROM NEW.billed
          OR OLD.bills_from IS DISTINCT FROM NEW.bills_from)
    EXECUTE FUNCTION crm_internal.time_bill();

CREATE OR REPLACE FUNCTION crm_internal.retime_bills()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    touched CONSTANT record := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    -- security definer: it follows whoever changes a line, or deletes a draft; the value is a wish, which the trigger of subscriptions works out
    UPDATE crm.subscriptions AS s SET next_bill_on = CASE WHEN s.next_bill_on = '-infinity' THEN 'infinity'::date ELSE '-infinity' END
    WHERE s.tenant_id = touched.tenant_id AND s.id = touched.subscription_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.retime_bills() IS 'Row trigger of lines and of what was billed: the day of the next bill follows.';
CREATE OR REPLACE TRIGGER subscription_lines_after_retime AFTER INSERT OR UPDATE OR DELETE ON crm.subscription_lines
    FOR EACH ROW EXECUTE FUNCTION crm_internal.retime_bills();
CREATE OR REPLACE TRIGGER subscription_bills_after_retime AFTER INSERT OR UPDATE OR DELETE ON crm.subscription_bills
    FOR EACH ROW EXECUTE FUNCTION crm_internal.retime_bills();

CREATE OR REPLACE FUNCTION crm_internal.follow_end()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: lines follow their subscription, whoever ends it; what would begin after the end never was
    DELETE FROM crm.subscription_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.subscription_id = NEW.id AND lower(l.during) > NEW.ends_on;
    UPDATE crm.subscription_lines AS l SET during = daterange(lower(l.during), NEW.ends_on + 1)
    WHERE l.tenant_id = NEW.tenant_id AND l.subscription_id = NEW.id
      AND (upper(l.during) IS NOT DISTINCT FROM OLD.ends_on + 1 OR NOT l.during <@ daterange(NEW.starts_on, NEW.ends_on, '[]'));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_end() IS 'Row trigger of subscriptions: lines that go to the end follow it, no line goes beyond.';
CREATE OR REPLACE TRIGGER subscriptions_after_end AFTER UPDATE OF ends_on ON crm.subscriptions
    FOR EACH ROW WHEN (OLD.ends_on IS DISTINCT FROM NEW.ends_on) EXECUTE FUNCTION crm_internal.follow_end();

-- ---- commands ----

CREATE OR REPLACE FUNCTION crm_internal.subscription_for_change(tenant bigint, id bigint)
RETURNS crm.subscriptions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.subscriptions;
BEGIN
    PERFORM crm_internal.require('subscriptions', id, 'change');
    SELECT s.* INTO found FROM crm.subscriptions AS s WHERE s.tenant_id = tenant AND s.id = subscription_for_change.id FOR NO KEY UPDATE;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'subscription % does not exist, or is not visible to you', id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.subscription_for_change(bigint, bigint) IS 'A subscription that the caller may change, locked. Errors: P0002, 42501.';

CREATE OR REPLACE FUNCTION crm_internal.change_line(s crm.subscriptions, change jsonb, from_day date)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given CONSTANT jsonb := change - 'line_id';
    was crm.subscription_lines;
    line crm.subscription_lines;
BEGIN
    IF NOT change ? 'line_id' THEN
        line := crm.given_row(NULL::crm.subscription_lines, given, 'open');
        line.subscription_id := s.id;
        line.during := daterange(from_day, s.ends_on, '[]');
        PERFORM crm.insert_row(line);
        RETURN;
    END IF;
    SELECT l.* INTO was FROM crm.subscription_lines AS l
    WHERE l.tenant_id = s.tenant_id AND l.subscription_id = s.id AND l.id::text = change ->> 'line_id';
    IF was.id IS NULL OR NOT was.during @> from_day THEN
        RAISE EXCEPTION 'line % is none of subscription "%" on %', change ->> 'line_id', s.name, to_char(from_day, 'YYYY-MM-DD')
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = (SELECT 'Lines on that day: ' || coalesce(string_agg(l.id::text, ', ' ORDER BY l.id), 'none') || '.' FROM crm.subscription_lines AS l
                            WHERE l.tenant_id = s.tenant_id AND l.subscription_id = s.id AND l.during @> from_day),
                  HINT = 'Change the line that holds on the day.';
    END IF;
    IF given -> 'quantity' <> '0' OR NOT given ? 'quantity' THEN
        line := crm.given_row(was, given, 'open');
    END IF;
    IF line.product_id <> was.product_id THEN
        -- what another product costs says nothing of this one
        line.unit_price := CASE WHEN given ? 'unit_price' THEN line.unit_price END;
        line.price_includes_tax := CASE WHEN given ? 'unit_price' OR given ? 'price_includes_tax' THEN line.price_includes_tax END;
        line.unit_cost := CASE WHEN given ? 'unit_cost' THEN line.unit_cost END;
        line.tax_category_id := CASE WHEN given ? 'tax_category_id' THEN line.tax_category_id END;
        line.tax_percent := CASE WHEN given ? 'tax_percent' THEN line.tax_percent END;
        line.description := CASE WHEN given ? 'description' THEN line.description END;
    END IF;
    IF from_day > lower(was.during) THEN
        UPDATE crm.subscription_lines AS l SET during = daterange(lower(l.during), from_day) WHERE l.tenant_id = s.tenant_id AND l.id = was.id;
        line.replaces_line_id := was.id;
    ELSE
        -- it never was
        line.replaces_line_id := was.replaces_line_id;
        DELETE FROM crm.subscription_lines AS l WHERE l.tenant_id = s.tenant_id AND l.id = was.id;
    END IF;
    IF line.subscription_id IS NOT NULL THEN
        line.id := NULL;
        line.source_system := NULL;
        line.source_id := NULL;
        line.during := daterange(from_day, upper(was.during));
        PERFORM crm.insert_row(line);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.change_line(crm.subscriptions, jsonb, date) IS 'Does one change of crm.change_subscription().';

CREATE OR REPLACE FUNCTION crm.change_subscription(subscription_id bigint, changes jsonb, from_day date DEFAULT NULL)
RETURNS crm.subscriptions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    s crm.subscriptions := crm_internal.subscription_for_change(t, subscription_id);
    day CONSTANT date := coalesce(from_day, greatest(s.starts_on, upper(crm_internal.interval_at(s.starts_on, s.interval_months, s.calendar,
        crm.local_day(t, now())))));
    change jsonb;
BEGIN
    IF changes IS NULL OR jsonb_typeof(changes) <> 'array' OR changes = '[]'
       OR EXISTS (SELECT FROM jsonb_array_elements(changes) AS e WHERE jsonb_typeof(e.value) <> 'object' OR e.value - 'line_id' = '{}'
                  OR e.value ?| '{subscription_id,during,replaces_line_id,id}') THEN
        RAISE EXCEPTION 'changes must be a list of what changes' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'As in [{"line_id": 1, "quantity": 20}, {"product_id": 3, "quantity": 1}]; quantity 0 ends a line. from_day says from when.';
    END IF;
    IF NOT isfinite(day) OR NOT daterange(s.starts_on, s.ends_on, '[]') @> day THEN
        RAISE EXCEPTION 'subscription "%" does not hold on %', s.name, day USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give a day of it as from_day, or renew it first: crm.renew_subscription().';
    END IF;
    FOR change IN SELECT e.value FROM jsonb_array_elements(changes) AS e LOOP
        PERFORM crm_internal.change_line(s, change, day);
    END LOOP;
    SELECT x.* INTO s FROM crm.subscriptions AS x WHERE x.tenant_id = t AND x.id = s.id;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm.change_subscription(bigint, jsonb, date) IS
'Changes lines of a subscription from a day on, by default from the first day of its next interval: [{"line_id": 1, "quantity": 20}, {"product_id": 3}]. A '
'change ends a line and begins another one with the columns given; quantity 0 ends it; without line_id a line is added. Days that were billed otherwise are '
'credited and billed anew by crm.bill_subscriptions(). Returns the subscription. Errors, which change nothing: P0002, 42501, 22023 no such line on the day, a '
'day outside of it, 42703 an unknown column, CR203, CR205.';
SELECT crm.declare_function('crm.change_subscription', 'agent');

CREATE OR REPLACE FUNCTION crm.cancel_subscription(subscription_id bigint, reason text, last_day date DEFAULT NULL)
RETURNS crm.subscriptions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    s crm.subscriptions := crm_internal.subscription_for_change(t, subscription_id);
    day CONSTANT date := coalesce(last_day, least(s.ends_on, upper(crm_internal.interval_at(s.starts_on, s.interval_months, s.calendar,
        greatest(s.starts_on, crm.local_day(t, now())))) - 1));
BEGIN
    IF s.cancelled_at IS NOT NULL THEN
        RETURN s;
    END IF;
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'a subscription is cancelled with a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say why in reason.';
    END IF;
    IF NOT isfinite(day) OR NOT daterange(s.starts_on, s.ends_on, '[]') @> day THEN
        RAISE EXCEPTION 'subscription "%" does not hold on %', s.name, day USING ERRCODE = 'invalid_parameter_value',
            HINT = 'last_day is a day of it; one that never began is deleted.';
    END IF;
    UPDATE crm.subscriptions AS x SET cancelled_at = now(), cancel_reason = reason, ends_on = day WHERE x.tenant_id = t AND x.id = s.id;
    SELECT x.* INTO s FROM crm.subscriptions AS x WHERE x.tenant_id = t AND x.id = s.id;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm.cancel_subscription(bigint, text, date) IS
'Cancels a subscription with its last day, by default that of the interval that runs. What was billed beyond it is credited by crm.bill_subscriptions(). No '
'deal about its renewal is opened any more. Returns it; harmless the second time. Errors: P0002, 42501, 22023 no reason, a day outside of it.';
SELECT crm.declare_function('crm.cancel_subscription', 'agent');

CREATE OR REPLACE FUNCTION crm.renew_subscription(subscription_id bigint, last_day date)
RETURNS crm.subscriptions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    s crm.subscriptions := crm_internal.subscription_for_change(t, subscription_id);
BEGIN
    IF s.ends_on IS NULL OR last_day <= s.ends_on OR NOT isfinite(last_day) THEN
        RAISE EXCEPTION 'subscription "%" %', s.name, coalesce('goes on until ' || to_char(s.ends_on, 'YYYY-MM-DD') || ' already', 'has no end')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Renew it with a later last day; crm.cancel_subscription() ends it.';
    END IF;
    UPDATE crm.subscriptions AS x SET cancelled_at = NULL, cancel_reason = NULL, ends_on = last_day WHERE x.tenant_id = t AND x.id = s.id;
    SELECT x.* INTO s FROM crm.subscriptions AS x WHERE x.tenant_id = t AND x.id = s.id;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm.renew_subscription(bigint, date) IS
'Lets a subscription go on until a later last day (NULL: without an end), with the lines that went to its end; one that was cancelled is so no more. Returns '
'it. Errors: P0002, 42501, 22023 a day that is not later.';
SELECT crm.declare_function('crm.renew_subscription', 'agent');
