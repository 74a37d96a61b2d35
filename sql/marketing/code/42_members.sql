-- Members of campaigns: who is enrolled, who is held out, which variant they get, and how far they come.
--
-- A draw is a hash of the campaign's seed and the person: nobody can choose it, and anybody can check it. It is written as the row is made, so
-- before the member can be written to, and stays with the row: whatever becomes of the segment, the share or the person, it is not drawn again.

CREATE OR REPLACE FUNCTION crm_internal.campaign_draw(seed bigint, what text, who text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((hashtextextended(what || ' ' || who, seed) >> 11) & 9007199254740991)::double precision / 9007199254740992;
COMMENT ON FUNCTION crm_internal.campaign_draw(bigint, text, text) IS
'Uniform draw in [0, 1) for somebody in a campaign: 53 bits of a hash of what is drawn and who they are, by the seed of the campaign.';

CREATE OR REPLACE FUNCTION crm_internal.draw_variant(tenant bigint, campaign bigint, u double precision)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT v.id FROM (
            SELECT x.id, sum(x.weight) OVER (ORDER BY x.id)::double precision / sum(x.weight) OVER ()::double precision AS upto
            FROM crm.campaign_variants AS x WHERE x.tenant_id = tenant AND x.campaign_id = campaign AND x.active) AS v
        WHERE u < v.upto ORDER BY v.upto LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm_internal.draw_variant(bigint, bigint, double precision) IS
'Variant on which a uniform draw falls, by weight, among those in use; NULL: the campaign has none.';

CREATE OR REPLACE FUNCTION crm_internal.member_rank(status text)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_position('{enrolled,reached,responded,handed_over,converted}'::text[], status);
COMMENT ON FUNCTION crm_internal.member_rank(text) IS 'How far a status is on the way of members; NULL: it is not on it (held_out, declined, removed).';

-- ---- made ----

-- security definer: seed and variants are read, and the campaign is held still, for a writer of any level
CREATE OR REPLACE FUNCTION crm_internal.draw_member()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c crm.campaigns;
    who CONSTANT text := CASE WHEN NEW.contact_id IS NOT NULL THEN 'contacts ' || NEW.contact_id WHEN NEW.lead_id IS NOT NULL THEN 'leads ' || NEW.lead_id
                              ELSE 'accounts ' || NEW.account_id END;
BEGIN
    -- whoever changes the share waits until this member is there, and is refused then
    SELECT x.* INTO c FROM crm.campaigns AS x WHERE x.tenant_id = NEW.tenant_id AND x.id = NEW.campaign_id FOR SHARE;
    IF c.id IS NULL THEN
        RETURN NEW;     -- the foreign key speaks
    END IF;
    IF NEW.source_system IS NOT NULL AND NEW.held_out IS NOT NULL AND NEW.draw IS NOT NULL AND crm.has_access('manager') THEN
        -- drawn in another system before
        NEW.status := CASE WHEN NEW.held_out THEN 'held_out' ELSE NEW.status END;
        RETURN NEW;
    END IF;
    IF c.status IN ('finished', 'cancelled') AND NEW.came_by <> 'response' AND NEW.source_system IS NULL THEN
        RAISE EXCEPTION 'campaign "%" is %', c.name, c.status
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nobody is enrolled in it any more.';
    END IF;
    NEW.draw := crm_internal.campaign_draw(c.seed, 'hold-out', who);
    -- who answers of themselves cannot be left alone any more
    NEW.held_out := NEW.came_by <> 'response' AND NEW.draw < c.hold_out_share;
    IF NEW.held_out THEN
        NEW.status := 'held_out';
        NEW.variant_id := NULL;
    ELSE
        NEW.status := CASE WHEN NEW.status = 'held_out' THEN 'enrolled' ELSE NEW.status END;
        IF NEW.came_by <> 'response' OR NEW.variant_id IS NULL THEN
            NEW.variant_id := crm_internal.draw_variant(c.tenant_id, c.id, crm_internal.campaign_draw(c.seed, 'variant', who));
        END IF;
    END IF;
    NEW.status_at := NEW.enrolled_at;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.draw_member() IS
'Row trigger of campaign_members: hold-out and variant are drawn from the seed of the campaign, whoever writes the row. Of a row that is brought along from '
'another system by a manager, with both held_out and draw, the draw made there counts. Error 55000: the campaign is over.';
CREATE OR REPLACE TRIGGER campaign_members_before_draw BEFORE INSERT ON crm.campaign_members
    FOR EACH ROW EXECUTE FUNCTION crm_internal.draw_member();

-- ---- changed ----

CREATE OR REPLACE FUNCTION crm_internal.other_member(m crm.campaign_members)
RETURNS crm.campaign_members
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.campaign_members;
BEGIN
    SELECT x.* INTO found FROM crm.campaign_members AS x
    WHERE x.tenant_id = m.tenant_id AND x.campaign_id = m.campaign_id AND x.id <> m.id AND x.same_as_id IS NULL
      AND (x.lead_id = m.lead_id OR x.contact_id = m.contact_id OR x.account_id = m.account_id)
    ORDER BY x.id LIMIT 1;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.other_member(crm.campaign_members) IS
'Another member of the same campaign that is the same person; empty where there is none.';

CREATE OR REPLACE FUNCTION crm_internal.campaign_title(tenant bigint, campaign bigint)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT '"' || c.name || '"' FROM crm.campaigns AS c WHERE c.tenant_id = tenant AND c.id = campaign);
END
$$;
COMMENT ON FUNCTION crm_internal.campaign_title(bigint, bigint) IS 'Name of a campaign as errors say it.';

CREATE OR REPLACE FUNCTION crm_internal.keep_member()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    other crm.campaign_members;
BEGIN
    IF NEW.held_out <> OLD.held_out OR NEW.draw <> OLD.draw OR NEW.variant_id IS DISTINCT FROM OLD.variant_id OR NEW.campaign_id <> OLD.campaign_id
       OR NEW.enrolled_at <> OLD.enrolled_at OR NEW.came_by <> OLD.came_by THEN
        RAISE EXCEPTION 'what was drawn for a member of campaign % cannot be changed', crm_internal.campaign_title(OLD.tenant_id, OLD.campaign_id)
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Campaign, hold-out, draw, variant and enrolment stay as they are. Set the status to removed to end the membership.';
    END IF;
    IF NEW.status <> OLD.status AND OLD.held_out THEN
        RAISE EXCEPTION 'the member is held out of campaign %', crm_internal.campaign_title(OLD.tenant_id, OLD.campaign_id)
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Who is held out is left alone, so that the effect of the campaign can be measured.';
    END IF;
    IF NEW.status <> OLD.status AND NEW.status = 'held_out' THEN
        RAISE EXCEPTION 'the member was not drawn to be held out of campaign %', crm_internal.campaign_title(OLD.tenant_id, OLD.campaign_id)
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'The hold-out is drawn when members are enrolled. Set the status to removed to end the membership.';
    END IF;
    -- a merge or a conversion made this person one that is a member already: that member goes on
    IF NEW.same_as_id IS NULL AND (NEW.lead_id IS DISTINCT FROM OLD.lead_id OR NEW.contact_id IS DISTINCT FROM OLD.contact_id
                                       OR NEW.account_id IS DISTINCT FROM OLD.account_id) THEN
        other := crm_internal.other_member(NEW);
        NEW.same_as_id := other.id;
    END IF;
    IF NEW.status <> OLD.status THEN
        NEW.status_at := CASE WHEN NEW.status_at = OLD.status_at THEN now() ELSE NEW.status_at END;
        IF crm_internal.member_rank(NEW.status) >= 2 THEN
            NEW.reached_at := coalesce(NEW.reached_at, NEW.status_at);
        END IF;
        IF crm_internal.member_rank(NEW.status) BETWEEN 3 AND 4 THEN
            NEW.responded_at := coalesce(NEW.responded_at, NEW.status_at);
        END IF;
        IF NEW.status = 'converted' THEN
            NEW.converted_at := coalesce(NEW.converted_at, NEW.status_at);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_member() IS
'Row trigger of campaign_members: what was drawn stays, who is held out is left alone (55000), instants follow the status, and of two members that turn out '
'to be one person one goes on.';
CREATE OR REPLACE TRIGGER campaign_members_before_keep BEFORE UPDATE ON crm.campaign_members
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_member();

CREATE OR REPLACE FUNCTION crm_internal.follow_member()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF TG_OP = 'INSERT' OR NEW.status <> OLD.status THEN
        INSERT INTO crm.campaign_member_states (tenant_id, member_id, status, entered_at) VALUES (NEW.tenant_id, NEW.id, NEW.status, NEW.status_at);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.same_as_id IS NOT NULL AND OLD.same_as_id IS NULL THEN
        -- the one that goes on knows the person by all names, has come as far as both, and tells where the draws contradict
        UPDATE crm.campaign_members AS m
        SET contradicts = m.contradicts OR NEW.contradicts OR m.held_out <> NEW.held_out,
            lead_id = coalesce(m.lead_id, NEW.lead_id), contact_id = coalesce(m.contact_id, NEW.contact_id),
            status = CASE WHEN NOT m.held_out AND crm_internal.member_rank(NEW.status) > crm_internal.member_rank(m.status) THEN NEW.status ELSE m.status END,
            reached_at = least(m.reached_at, NEW.reached_at), responded_at = least(m.responded_at, NEW.responded_at),
            converted_at = least(m.converted_at, NEW.converted_at)
        WHERE m.tenant_id = NEW.tenant_id AND m.id = NEW.same_as_id;
        UPDATE crm.campaign_members AS m SET same_as_id = NEW.same_as_id WHERE m.tenant_id = NEW.tenant_id AND m.same_as_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_member() IS 'Row trigger of campaign_members: history of status, and the member that goes on where two are one person.';
CREATE OR REPLACE TRIGGER campaign_members_after_insert_follow AFTER INSERT ON crm.campaign_members
    FOR EACH ROW EXECUTE FUNCTION crm_internal.follow_member();
CREATE OR REPLACE TRIGGER campaign_members_after_update_follow AFTER UPDATE ON crm.campaign_members FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR NEW.same_as_id IS DISTINCT FROM OLD.same_as_id) EXECUTE FUNCTION crm_internal.follow_member();

-- ---- enrolled ----

-- People of the audience, as rows that are not stored yet: a lead that is a known contact is that contact.
CREATE OR REPLACE FUNCTION crm_internal.audience_of(campaign crm.campaigns, as_of timestamptz)
RETURNS TABLE (lead_id bigint, contact_id bigint, account_id bigint)
LANGUAGE sql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
    WITH named AS MATERIALIZED (
        SELECT s.subject_table, m.subject_id, a.excluded
        FROM crm.campaign_audiences AS a
        JOIN crm.segments AS s ON s.tenant_id = a.tenant_id AND s.id = a.segment_id
        CROSS JOIN LATERAL crm.segment_members_at(s.name, as_of) AS m
        WHERE a.tenant_id = campaign.tenant_id AND a.campaign_id = campaign.id
    ), people AS (
        SELECT NULL::bigint AS lead_id, k.id AS contact_id, NULL::bigint AS account_id, k.account_id AS of_account
        FROM named AS n JOIN crm.contacts AS k ON k.tenant_id = campaign.tenant_id AND k.id = n.subject_id
        WHERE NOT n.excluded AND n.subject_table = 'contacts'
        UNION ALL
        SELECT l.id, l.contact_id, NULL, l.account_id
        FROM named AS n JOIN crm.leads AS l ON l.tenant_id = campaign.tenant_id AND l.id = n.subject_id
        WHERE NOT n.excluded AND n.subject_table = 'leads' AND l.merged_into_id IS NULL
        UNION ALL
        SELECT NULL, NULL, n.subject_id, n.subject_id FROM named AS n WHERE NOT n.excluded AND n.subject_table = 'accounts'
    )
    SELECT min(p.lead_id), p.contact_id, p.account_id
    FROM people AS p
    WHERE NOT EXISTS (SELECT FROM named AS x WHERE x.excluded AND (
              x.subject_table = 'contacts' AND x.subject_id = p.contact_id OR x.subject_table = 'leads' AND x.subject_id = p.lead_id
              OR x.subject_table = 'accounts' AND x.subject_id = p.of_account))
    GROUP BY p.contact_id, p.account_id, CASE WHEN p.contact_id IS NULL THEN p.lead_id END
$$;
COMMENT ON FUNCTION crm_internal.audience_of(crm.campaigns, timestamptz) IS
'Who is in the segments of a campaign and in none of its excluded ones, at an instant; a lead of an excluded contact or account is excluded with it.';

CREATE OR REPLACE FUNCTION crm_internal.enrol_audience(campaign crm.campaigns, as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint;
BEGIN
    -- one at a time: two passes would wait for each other's members in different orders
    PERFORM FROM crm.campaigns AS c WHERE c.tenant_id = campaign.tenant_id AND c.id = campaign.id FOR NO KEY UPDATE;
    INSERT INTO crm.campaign_members (tenant_id, campaign_id, lead_id, contact_id, account_id, came_by, enrolled_at)
    SELECT campaign.tenant_id, campaign.id, a.lead_id, a.contact_id, a.account_id, 'audience', as_of
    FROM crm_internal.audience_of(campaign, as_of) AS a
    WHERE NOT EXISTS (SELECT FROM crm.campaign_members AS m WHERE m.tenant_id = campaign.tenant_id AND m.campaign_id = campaign.id
                      AND m.same_as_id IS NULL AND (m.contact_id = a.contact_id OR m.lead_id = a.lead_id OR m.account_id = a.account_id))
    ORDER BY a.contact_id, a.lead_id, a.account_id
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.enrol_audience(crm.campaigns, timestamptz) IS
'Makes members of those in the audience of a campaign who are none yet; how many.';

CREATE OR REPLACE FUNCTION crm.enrol_audience(campaign_id bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c CONSTANT crm.campaigns := crm_internal.require_campaign(enrol_audience.campaign_id);
BEGIN
    IF c.status IN ('finished', 'cancelled') THEN
        RAISE EXCEPTION 'campaign "%" is %', c.name, c.status
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nobody is enrolled in it any more.';
    END IF;
    RETURN crm_internal.enrol_audience(c, now());
END
$$;
COMMENT ON FUNCTION crm.enrol_audience(bigint) IS
'Makes members of those who are in the segments of a campaign now and are none yet; hold-out and variants are drawn with it. Returns how many. The start of a '
'campaign does it, and the worker does it again while it runs, for those who come into a live segment. Errors: P0002, 55000 a campaign that is over.';
SELECT crm.declare_function('crm.enrol_audience', 'manager');

-- before the campaign can be seen to run its audience is enrolled, and its hold-out drawn
CREATE OR REPLACE FUNCTION crm_internal.start_campaign()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.enrol_audience(NEW, now());
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.start_campaign() IS 'Row trigger of campaigns: as one begins to run, its audience is enrolled.';
CREATE OR REPLACE TRIGGER campaigns_after_update_start AFTER UPDATE ON crm.campaigns FOR EACH ROW
    WHEN (NEW.status = 'running' AND OLD.status <> 'running') EXECUTE FUNCTION crm_internal.start_campaign();

CREATE OR REPLACE FUNCTION crm.move_campaign(campaign_id bigint, status text)
RETURNS crm.campaigns
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c crm.campaigns := crm_internal.require_campaign(move_campaign.campaign_id);
BEGIN
    -- what a second caller waited for may have done it already
    SELECT x.* INTO c FROM crm.campaigns AS x WHERE x.tenant_id = c.tenant_id AND x.id = c.id FOR NO KEY UPDATE;
    IF c.status = move_campaign.status THEN
        RETURN c;
    END IF;
    UPDATE crm.campaigns AS x SET status = move_campaign.status WHERE x.tenant_id = c.tenant_id AND x.id = c.id RETURNING x.* INTO c;
    RETURN c;
END
$$;
COMMENT ON FUNCTION crm.move_campaign(bigint, text) IS
'Starts (running), pauses (paused), ends (finished) or gives up (cancelled) a campaign, and returns it. Harmless the second time. As it starts, its '
'audience is enrolled and its hold-out drawn. Errors: P0002, 55000 a status that does not follow, 23514 an unknown one.';
SELECT crm.declare_function('crm.move_campaign', 'manager');
SELECT crm.declare_api('crm.move_campaign', '{"campaign_id": 1, "status": "running"}');

CREATE OR REPLACE FUNCTION crm_internal.member_of(tenant bigint, campaign bigint, lead bigint, contact bigint, account bigint)
RETURNS crm.campaign_members
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.campaign_members;
BEGIN
    -- the person before the account they belong to. One by one: of one statement with parameters that are NULL a plan is made for each call
    IF contact IS NOT NULL THEN
        SELECT m.* INTO found FROM crm.campaign_members AS m
        WHERE m.tenant_id = tenant AND m.campaign_id = campaign AND m.same_as_id IS NULL AND m.contact_id = contact;
    END IF;
    IF found.id IS NULL AND lead IS NOT NULL THEN
        SELECT m.* INTO found FROM crm.campaign_members AS m
        WHERE m.tenant_id = tenant AND m.campaign_id = campaign AND m.same_as_id IS NULL AND m.lead_id = lead;
    END IF;
    IF found.id IS NULL AND account IS NOT NULL THEN
        SELECT m.* INTO found FROM crm.campaign_members AS m
        WHERE m.tenant_id = tenant AND m.campaign_id = campaign AND m.same_as_id IS NULL AND m.account_id = account;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.member_of(bigint, bigint, bigint, bigint, bigint) IS
'The member of a campaign that somebody is: as contact, as lead, or by their account; empty: none.';

CREATE OR REPLACE FUNCTION crm_internal.enrol(tenant bigint, campaign bigint, lead bigint, contact bigint, account bigint, came_by text, as_of timestamptz,
    variant bigint DEFAULT NULL)
RETURNS crm.campaign_members
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.campaign_members;
BEGIN
    INSERT INTO crm.campaign_members AS x (tenant_id, campaign_id, lead_id, contact_id, account_id, came_by, enrolled_at, variant_id)
    VALUES (tenant, campaign, lead, contact, CASE WHEN num_nonnulls(lead, contact) = 0 THEN account END, enrol.came_by, as_of, variant)
    ON CONFLICT DO NOTHING RETURNING x.* INTO m;
    IF m.id IS NULL THEN
        -- somebody enrolled them while we waited
        m := crm_internal.member_of(tenant, campaign, lead, contact, CASE WHEN num_nonnulls(lead, contact) = 0 THEN account END);
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm_internal.enrol(bigint, bigint, bigint, bigint, bigint, text, timestamptz, bigint) IS
'Makes somebody a member of a campaign, and returns the member; the one that is there where two do it at once.';

CREATE OR REPLACE FUNCTION crm.enrol_member(campaign_id bigint, subject_table text, subject_id bigint)
RETURNS crm.campaign_members
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c CONSTANT crm.campaigns := crm_internal.require_campaign(enrol_member.campaign_id);
    who record;
    m crm.campaign_members;
BEGIN
    SELECT * INTO who FROM crm_internal.who_it_is(c.tenant_id, enrol_member.subject_table, enrol_member.subject_id, 'change');
    m := crm_internal.member_of(c.tenant_id, c.id, who.lead_id, who.contact_id,
        CASE WHEN num_nonnulls(who.lead_id, who.contact_id) = 0 THEN who.account_id END);
    IF m.id IS NULL THEN
        m := crm_internal.enrol(c.tenant_id, c.id, who.lead_id, who.contact_id, who.account_id, 'hand', now());
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.enrol_member(bigint, text, bigint) IS
'Makes a lead, a contact or an account a member of a campaign, and returns the member; the one that is there where there is one, also where two do it at once. '
'Hold-out and variant are drawn. Errors: P0002 no such campaign or person, 42501 not the caller''s to change, 55000 a campaign that is over, 22023.';
SELECT crm.declare_function('crm.enrol_member', 'agent');
SELECT crm.declare_api('crm.enrol_member', '{"campaign_id": 1, "subject_table": "contacts", "subject_id": 1}');

CREATE OR REPLACE FUNCTION crm_internal.who_it_is(tenant bigint, subject_table text, subject_id bigint, what text)
RETURNS TABLE (lead_id bigint, contact_id bigint, account_id bigint)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF subject_table IS NULL OR subject_id IS NULL OR subject_table <> ALL ('{leads,contacts,accounts}'::text[]) THEN
        RAISE EXCEPTION 'campaigns and touches are of leads, contacts and accounts, not of % of "%"', coalesce(subject_id::text, 'none'), subject_table
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give subject_table leads, contacts or accounts, and the id of a row of it as subject_id.';
    END IF;
    PERFORM crm_internal.require(subject_table, subject_id, what);
    RETURN QUERY
        SELECT l.id, l.contact_id, l.account_id FROM crm.leads AS l
        WHERE who_it_is.subject_table = 'leads' AND l.tenant_id = tenant AND l.id = who_it_is.subject_id
        UNION ALL SELECT NULL, k.id, k.account_id FROM crm.contacts AS k
        WHERE who_it_is.subject_table = 'contacts' AND k.tenant_id = tenant AND k.id = who_it_is.subject_id
        UNION ALL SELECT NULL, NULL, a.id FROM crm.accounts AS a
        WHERE who_it_is.subject_table = 'accounts' AND a.tenant_id = tenant AND a.id = who_it_is.subject_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'row % of "%" does not exist', subject_id, subject_table USING ERRCODE = 'no_data_found';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.who_it_is(bigint, text, bigint, text) IS
'A person or account by all the names it has here, for a caller who may see or change it (what). Errors: 22023 another table, P0002, 42501.';

-- for whoever sends: asked before a message is written
CREATE OR REPLACE FUNCTION crm.is_held_out(campaign_id bigint, subject_table text, subject_id bigint)
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    who record;
BEGIN
    SELECT * INTO who FROM crm_internal.who_it_is(t, is_held_out.subject_table, is_held_out.subject_id, 'see');
    RETURN crm_internal.holds_out(t, is_held_out.campaign_id, who.lead_id, who.contact_id, who.account_id);
END
$$;
COMMENT ON FUNCTION crm.is_held_out(bigint, text, bigint) IS
'Whether somebody is left alone by a campaign: a member that the draw held out, as themselves or with their whole account. Nothing of the campaign is sent to '
'them. Errors: 22023, P0002.';
SELECT crm.declare_function('crm.is_held_out', 'agent');

CREATE OR REPLACE FUNCTION crm_internal.holds_out(tenant bigint, campaign bigint, lead bigint, contact bigint, account bigint)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- each by itself: of one statement with parameters that are NULL a plan is made for each call
    IF contact IS NOT NULL AND EXISTS (SELECT FROM crm.campaign_members AS m WHERE m.tenant_id = tenant AND m.campaign_id = campaign
                                       AND m.same_as_id IS NULL AND m.held_out AND m.contact_id = contact) THEN
        RETURN true;
    END IF;
    IF lead IS NOT NULL AND EXISTS (SELECT FROM crm.campaign_members AS m WHERE m.tenant_id = tenant AND m.campaign_id = campaign
                                    AND m.same_as_id IS NULL AND m.held_out AND m.lead_id = lead) THEN
        RETURN true;
    END IF;
    RETURN account IS NOT NULL AND EXISTS (SELECT FROM crm.campaign_members AS m WHERE m.tenant_id = tenant AND m.campaign_id = campaign
                                           AND m.same_as_id IS NULL AND m.held_out AND m.account_id = account);
END
$$;
COMMENT ON FUNCTION crm_internal.holds_out(bigint, bigint, bigint, bigint, bigint) IS 'Whether a campaign leaves somebody alone, by any of their names.';

CREATE OR REPLACE FUNCTION crm.move_member(member_id bigint, status text)
RETURNS crm.campaign_members
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.campaign_members;
BEGIN
    PERFORM crm_internal.require('campaign_members', move_member.member_id, 'change');
    UPDATE crm.campaign_members AS x SET status = move_member.status
    WHERE x.tenant_id = crm.tenant_id() AND x.id = move_member.member_id RETURNING x.* INTO m;
    IF m.id IS NULL THEN
        RAISE EXCEPTION 'there is no member % of a campaign', coalesce(member_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = 'crm.enrol_member() makes one.';
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.move_member(bigint, text) IS
'Gives a member of a campaign another status, with history, and returns it. Errors: P0002, 42501, 55000 a member that is held out, 23514 an unknown status.';
SELECT crm.declare_function('crm.move_member', 'agent');
SELECT crm.declare_api('crm.move_member', '{"member_id": 1, "status": "responded"}');

-- ---- what happens to members elsewhere ----

CREATE OR REPLACE FUNCTION crm_internal.advance_member(m crm.campaign_members, status text, at timestamptz, cause text)
RETURNS crm.campaign_members
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed crm.campaign_members;
BEGIN
    IF m.held_out OR NOT (crm_internal.member_rank(status) > crm_internal.member_rank(m.status)
                          OR status = 'declined' AND m.status NOT IN ('declined', 'removed', 'converted')) THEN
        RETURN m;
    END IF;
    PERFORM crm.because(cause);
    UPDATE crm.campaign_members AS x SET status = advance_member.status, status_at = at
    WHERE x.tenant_id = m.tenant_id AND x.id = m.id RETURNING x.* INTO changed;
    RETURN coalesce(changed, m);
END
$$;
COMMENT ON FUNCTION crm_internal.advance_member(crm.campaign_members, text, timestamptz, text) IS
'Brings a member to a later status; who is there or further, held out or removed stays. Who declined stays so until they answer by hand.';

CREATE OR REPLACE FUNCTION crm_internal.convert_members()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE crm.touches AS h SET contact_id = NEW.contact_id, account_id = coalesce(NEW.account_id, h.account_id)
    WHERE h.tenant_id = NEW.tenant_id AND h.lead_id = NEW.lead_id
      AND (h.contact_id IS DISTINCT FROM NEW.contact_id OR h.account_id IS NULL AND NEW.account_id IS NOT NULL);
    PERFORM crm_internal.advance_member(m, 'converted', NEW.converted_at, 'convert_lead')
    FROM crm.campaign_members AS m
    WHERE m.tenant_id = NEW.tenant_id AND m.lead_id = NEW.lead_id AND m.same_as_id IS NULL;
    UPDATE crm.campaign_members AS m SET contact_id = NEW.contact_id
    WHERE m.tenant_id = NEW.tenant_id AND m.lead_id = NEW.lead_id AND m.contact_id IS DISTINCT FROM NEW.contact_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.convert_members() IS
'Row trigger of lead_conversions: the touches and memberships of the lead are the contact''s too, and the members have converted.';
CREATE OR REPLACE TRIGGER lead_conversions_after_insert_members AFTER INSERT ON crm.lead_conversions
    FOR EACH ROW EXECUTE FUNCTION crm_internal.convert_members();

CREATE OR REPLACE FUNCTION crm_internal.win_members()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id AND s.type IN ('won', 'done')) THEN
        PERFORM crm_internal.advance_member(m, 'converted', NEW.closed_at, 'opportunity.won')
        FROM crm.campaign_members AS m
        WHERE m.tenant_id = NEW.tenant_id AND m.campaign_id = NEW.campaign_id AND m.same_as_id IS NULL
          AND (m.contact_id = NEW.contact_id OR m.account_id = NEW.account_id);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.win_members() IS 'Row trigger of opportunities: a won deal that names a campaign converts its member.';
CREATE OR REPLACE TRIGGER opportunities_after_insert_members AFTER INSERT ON crm.opportunities
    FOR EACH ROW WHEN (NEW.campaign_id IS NOT NULL AND NEW.closed_at IS NOT NULL) EXECUTE FUNCTION crm_internal.win_members();
CREATE OR REPLACE TRIGGER opportunities_after_update_members AFTER UPDATE ON crm.opportunities FOR EACH ROW
    WHEN (NEW.campaign_id IS NOT NULL AND NEW.closed_at IS NOT NULL
          AND (OLD.closed_at IS NULL OR NEW.stage_id <> OLD.stage_id OR NEW.campaign_id IS DISTINCT FROM OLD.campaign_id))
    EXECUTE FUNCTION crm_internal.win_members();

-- ---- time ----

CREATE OR REPLACE FUNCTION crm.advance_campaigns(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c crm.campaigns;
    was CONSTANT text := current_setting('crm.tenant', true);
    n bigint := 0;
BEGIN
    FOR c IN SELECT x.* FROM crm.campaigns AS x
             WHERE x.status = 'running'
               AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = 'crm.advance_campaigns' AND f.tenant_id = x.tenant_id
                               AND f.item = x.id::text AND f.retry_at > as_of)
             ORDER BY x.tenant_id, x.id
    LOOP
        -- the next call finds these done
        EXIT WHEN n >= batch;
        BEGIN
            PERFORM set_config('crm.tenant', c.tenant_id::text, true);
            IF crm.local_day(c.tenant_id, as_of) > c.ends_on THEN
                UPDATE crm.campaigns AS x SET status = 'finished' WHERE x.tenant_id = c.tenant_id AND x.id = c.id AND x.status = 'running';
                n := n + 1;
            ELSE
                n := n + crm_internal.enrol_audience(c, as_of);
            END IF;
        EXCEPTION WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN
            NULL;   -- it goes away by itself
        WHEN OTHERS THEN
            PERFORM crm_internal.note_failed_work('crm.advance_campaigns', c.tenant_id, c.id::text, SQLSTATE, SQLERRM, as_of);
        END;
    END LOOP;
    PERFORM set_config('crm.tenant', coalesce(was, ''), true);
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.advance_campaigns(timestamptz, integer) IS
'Running campaigns of all companies: who has come into their audience is enrolled, and those whose last day has passed are finished. Returns how many members '
'and ends there were. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.advance_campaigns', 'owner');
