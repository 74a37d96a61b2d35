-- Work that waits is served in turn whenever somebody becomes free, of any table, in any queue or none.
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
BEGIN;
\i :helper
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
INSERT INTO crm.users (id, name) VALUES (9701, 'Ada'), (9702, 'Ben');
INSERT INTO crm.teams (id, name) VALUES (9701, 'Desk'), (9702, 'Other');
INSERT INTO crm.team_memberships (team_id, user_id, valid) VALUES (9701, 9701, '[2020-01-01,)');
INSERT INTO crm.agents (user_id, capacity) VALUES (9701, 1), (9702, 0);
INSERT INTO crm.queues (id, code, name, team_id, routing_method, sticky) VALUES (9701, 'desk', 'Desk', 9701, 'round_robin', false);
INSERT INTO crm.skills (id, code, name) VALUES (9701, 'rare', 'Rare');
CREATE FUNCTION pg_temp.owners(like_subject text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT string_agg(k.subject || ':' || coalesce(u.name, '-'), ' ' ORDER BY k.id) FROM crm.tickets AS k LEFT JOIN crm.users AS u ON u.id = k.owner_id
    WHERE k.subject LIKE like_subject $$;
CREATE FUNCTION pg_temp.done(what text) RETURNS void LANGUAGE sql AS $$ SELECT count(crm.resolve_ticket(k.id)) FROM crm.tickets AS k WHERE k.subject = what $$;

-- the oldest of those that can be served gets the place, in the moment it is there; what needs what nobody has keeps nobody waiting
SELECT count(crm.open_ticket('a1', queue => 'desk')), count(crm.open_ticket('a2', queue => 'desk', skill_ids => '{9701}')), count(crm.open_ticket('a3', queue => 'desk')),
       count(crm.open_ticket('a4', queue => 'desk'));
INSERT INTO crm.tickets (subject, queue_id) VALUES ('a5', 9701);
SELECT pg_temp.owners('a%');
SELECT pg_temp.done('a1');
SELECT pg_temp.owners('a%');
-- a skill learnt, a ticket deleted, a ticket taken over by somebody else, more room, an agent back: each is a place
INSERT INTO crm.user_skills (user_id, skill_id) VALUES (9701, 9701);
SELECT pg_temp.owners('a%');
DELETE FROM crm.tickets WHERE subject = 'a3';
SELECT pg_temp.owners('a%');
UPDATE crm.tickets SET owner_id = 9702 WHERE subject = 'a2';
SELECT pg_temp.owners('a%');
UPDATE crm.agents SET capacity = 2 WHERE user_id = 9701;
SELECT pg_temp.owners('a%');
SELECT count(*) AS still_wait FROM crm_internal.waiting_work;
-- one who comes new does not overtake, whatever made the place; the urgent go first
UPDATE crm.agents SET status = 'offline' WHERE user_id = 9701;
UPDATE crm.agents SET capacity = 4 WHERE user_id = 9701;
SELECT count(crm.open_ticket('b1', queue => 'desk')), count(crm.open_ticket('b2', queue => 'desk', priority => 'urgent')), count(crm.open_ticket('b3', queue => 'desk'));
SELECT (crm.set_agent_status('away', now() + interval '1 hour', 9701)).status;
SELECT a.reason FROM crm.route_ticket((SELECT id FROM crm.tickets WHERE subject = 'b3'), as_of => now() + interval '2 hours') AS a;
SELECT pg_temp.owners('b%');
-- what is given back is not given to the same one at once, and waits
SELECT pg_temp.done('a4'), pg_temp.done('a5');
UPDATE crm.tickets SET owner_id = NULL WHERE subject = 'b2';
SELECT pg_temp.owners('b%');

-- no queue, by a rule, and a table that is not tickets
DELETE FROM crm.tickets WHERE subject ~ '^[ab][0-9]';
UPDATE crm.agents SET status = 'offline', capacity = 1;
INSERT INTO crm.assignment_rules (id, subject_table, position, name, user_ids, method) VALUES (9701, 'tickets', 1, 'all', '{9702}', 'round_robin'),
    (9702, 'opportunities', 1, 'deals', '{9702}', 'round_robin'), (9703, 'activities', 1, 'tasks', '{9702}', 'round_robin');
SELECT count(crm.open_ticket('c1')), count(crm.open_ticket('c2'));
INSERT INTO crm.opportunities (id, name, created_at) VALUES (9701, 'first', now() - interval '1 hour'), (9702, 'second', now());
SELECT o.id, (crm.route_record('opportunities', o.id)).reason FROM crm.opportunities AS o WHERE o.id IN (9701, 9702) ORDER BY o.id DESC;
SELECT reason, count(*) FROM crm.assignments WHERE rule_id IN (9701, 9702) GROUP BY 1;
UPDATE crm.agents SET status = 'available' WHERE user_id = 9702;
SELECT o.id, o.owner_id FROM crm.opportunities AS o WHERE o.id IN (9701, 9702) ORDER BY o.id;
SELECT pg_temp.owners('c%');
SELECT (crm.move_opportunity(9701, 'lost', '{"loss_reason": "price"}')).id;
SELECT pg_temp.done('c1');
SELECT pg_temp.owners('c%');
SELECT o.id, o.owner_id FROM crm.opportunities AS o WHERE o.id IN (9701, 9702) ORDER BY o.id;

-- a thousand that nobody can take: the others are served by one pass, and each is told why once
UPDATE crm.assignment_rules SET active = false;
UPDATE crm.agents SET status = 'available', capacity = 100;
INSERT INTO crm.skills (id, code, name) VALUES (9702, 'none', 'None');
INSERT INTO crm.tickets (subject, queue_id, skill_ids, created_at) SELECT 'd', 9701, '{9702}', now() - interval '1 day' FROM generate_series(1, 1000);
INSERT INTO crm.tickets (subject, queue_id) VALUES ('e1', 9701);
SELECT crm.route_waiting(now(), 10) AS given, crm.route_waiting(now(), 10) AS again;
SELECT pg_temp.owners('e%');
SELECT a.reason, count(*), count(DISTINCT a.subject_id) FROM crm.assignments AS a JOIN crm.tickets AS k ON k.id = a.subject_id AND k.subject = 'd' WHERE a.subject_table = 'tickets' GROUP BY 1;
DELETE FROM crm.tickets WHERE subject = 'd';

-- the work of somebody who left: reopened it is nobody's, and open it is handed out again
INSERT INTO crm.team_memberships (team_id, user_id, valid) VALUES (9701, 9702, '[2020-01-01,)');
INSERT INTO crm.tickets (subject, queue_id, owner_id) VALUES ('f1', 9701, 9702), ('f2', 9701, 9702);
SELECT pg_temp.done('f1');
UPDATE crm.users SET active = false WHERE id = 9702;
SELECT count(crm.reopen_ticket(k.id)) FROM crm.tickets AS k WHERE k.subject = 'f1';
SELECT pg_temp.owners('f%');
SELECT crm.route_waiting();
SELECT pg_temp.owners('f%');

-- an ordinary agent makes a place, and sees no more than before; trouble undoes nothing
UPDATE crm.users SET active = true WHERE id = 9702;
UPDATE crm.users SET active = false WHERE id = 9702;
UPDATE crm.agents SET capacity = 0;
DELETE FROM crm.tickets WHERE subject ~ '^[ef][0-9]';
UPDATE crm.agents SET capacity = 1 WHERE user_id = 9701;
SELECT g.access FROM crm.grant_access('regress_crm_agent', 'agent', 9701) AS g;
SELECT count(crm.open_ticket('g1', queue => 'desk')), count(crm.open_ticket('g2', queue => 'desk'));
SET LOCAL ROLE regress_crm_agent;
SELECT pg_temp.done('g1');
RESET ROLE;
SELECT pg_temp.owners('g%');
SELECT count(crm.open_ticket('g3', queue => 'desk'));
CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no assignments today'; END $$;
CREATE TRIGGER assignments_fail BEFORE INSERT ON crm.assignments FOR EACH ROW EXECUTE FUNCTION pg_temp.fail();
SELECT pg_temp.done('g2');
SELECT pg_temp.owners('g%'), (SELECT count(*) FROM crm.tickets WHERE subject = 'g2' AND closed_at IS NOT NULL) AS solved;
SELECT e.payload ->> 'message' AS trouble FROM crm.events AS e WHERE e.kind = 'routing.trouble';
DROP TRIGGER assignments_fail ON crm.assignments;

-- another company: its own pass, its own agents; the owner's pass serves all
SET LOCAL crm.tenant = :'second';
INSERT INTO crm.users (id, name) VALUES (9791, 'Zoe');
INSERT INTO crm.teams (id, name) VALUES (9791, 'There');
INSERT INTO crm.team_memberships (team_id, user_id, valid) VALUES (9791, 9791, '[2020-01-01,)');
INSERT INTO crm.agents (user_id, capacity, status) VALUES (9791, 5, 'away');
INSERT INTO crm.queues (id, code, name, team_id, routing_method) VALUES (9791, 'there', 'There', 9791, 'round_robin');
SELECT count(crm.open_ticket('z1', queue => 'there', priority => 'high'));
SET LOCAL crm.tenant = :'first';
UPDATE crm.agents SET away_until = now() WHERE user_id = 9791;
SELECT crm.route_waiting() > 0 AS given;
SELECT pg_temp.owners('z%'), current_setting('crm.tenant') = :'first' AS still_here;
-- a row of another company than the session's, with working hours there
SET LOCAL crm.tenant = :'second';
SELECT (crm.define_calendar('there', '{"zone": "UTC", "weekly": {"mon": [["00:00","24:00"]], "tue": [["00:00","24:00"]], "wed": [["00:00","24:00"]], "thu": [["00:00","24:00"]], "fri": [["00:00","24:00"]], "sat": [["00:00","24:00"]], "sun": [["00:00","24:00"]]}}')).code;
UPDATE crm.agents SET capacity = 1, calendar_id = (SELECT c.id FROM crm.calendars AS c WHERE c.code = 'there') WHERE user_id = 9791;
SELECT count(crm.open_ticket('z2', queue => 'there'));
SET LOCAL crm.tenant = :'first';
DELETE FROM crm.tickets WHERE subject = 'z1';
SELECT pg_temp.owners('z%'), current_setting('crm.tenant') = :'first' AS still_here;
SELECT t.transfers, t.mine FROM (SELECT count(*) AS transfers, bool_and(x.tenant_id = :second) AS mine FROM crm.ticket_transfers AS x WHERE x.to_owner_id = 9791) AS t;

-- a skill learnt, a team joined, somebody who works here again: each is served what waited for it
INSERT INTO crm.users (id, name) VALUES (9780, 'Eve');
INSERT INTO crm.agents (user_id, capacity) VALUES (9780, 9);
INSERT INTO crm.skills (id, code, name) VALUES (9780, 'wanted', 'Wanted');
INSERT INTO crm.teams (id, name) VALUES (9780, 'New');
INSERT INTO crm.queues (id, code, name, team_id, routing_method) VALUES (9780, 'new', 'New', 9780, 'longest_idle');
SELECT count(crm.open_ticket('n1', queue => 'new')), count(crm.open_ticket('n2', queue => 'new', skill_ids => '{9780}'));
SELECT pg_temp.owners('n%');
INSERT INTO crm.team_memberships (team_id, user_id, valid) VALUES (9780, 9780, '[2020-01-01,)');
SELECT pg_temp.owners('n%');
INSERT INTO crm.user_skills (user_id, skill_id) VALUES (9780, 9780);
SELECT pg_temp.owners('n%');
UPDATE crm.users SET active = false WHERE id = 9780;
SELECT count(crm.open_ticket('n3', queue => 'new'));
SELECT pg_temp.owners('n3');
UPDATE crm.users SET active = true WHERE id = 9780;
SELECT pg_temp.owners('n3');
-- and whose ticket is solved has been free since
UPDATE crm.agents SET last_released_at = NULL WHERE user_id = 9780;
SELECT pg_temp.done('n1');
SELECT a.last_released_at IS NOT NULL AS noted FROM crm.agents AS a WHERE a.user_id = 9780;
ROLLBACK;
