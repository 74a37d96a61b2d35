-- Knowledge base and surveys
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';

SELECT v.number, v.is_published FROM crm.write_article('reset', 'Resetting your password', 'Open the settings, choose security, and reset it.', visibility => 'public') AS v;
SELECT count(*) FROM crm.search_articles('password');
SELECT v.number, v.is_published FROM crm.publish_article('reset') AS v;
SELECT v.number, v.is_published FROM crm.write_article('reset', 'Resetting a password', 'Open the account page. Ask the hotline otherwise.', publish => true) AS v;
SELECT v.number FROM crm.write_article('reset', 'بازنشانی گذرواژه', 'برای بازنشانی گذرواژه به صفحهٔ تنظیمات بروید. کتاب‌های راهنما آنجاست.', 'fa', publish => true) AS v;
SELECT v.number FROM crm.write_article('vpn', 'Password of the VPN', 'Only for members of staff.', visibility => 'internal', publish => true) AS v;
SELECT v.number FROM crm.write_article('invoice', 'Where are my invoices?', 'Your password opens the customers area.', visibility => 'customers', publish => true) AS v;

-- by stem, by visibility, by language; the old version is not found
SELECT code, language, title, visibility FROM crm.search_articles('passwords');
SELECT code FROM crm.search_articles('passwords', 'customers');
SELECT code FROM crm.search_articles('password', 'internal');
SELECT code FROM crm.search_articles('security');
SELECT code, snippet FROM crm.search_articles('hotline OR nothing');
SELECT code FROM crm.search_articles('password -hotline', 'customers');
-- Arabic letters find Persian ones; the beginning of a word finds its plural
SELECT code, language FROM crm.search_articles('بازنشاني');
SELECT code, language FROM crm.search_articles('کتاب', in_language => 'fa');
SELECT count(*) FROM crm.search_articles('کتاب', in_language => 'en');
SELECT count(*) FROM crm.search_articles('') UNION ALL SELECT count(*) FROM crm.search_articles(NULL) UNION ALL SELECT count(*) FROM crm.search_articles('!&|:*''');
SELECT count(*) FROM crm.search_articles('password', 'everything');
-- an older text comes back; an archived article is not found
SELECT v.number FROM crm.publish_article('reset', number => 1) AS v;
SELECT code FROM crm.search_articles('security');
SELECT crm.publish_article('reset', number => 7);
SELECT crm.publish_article('nothing');
SELECT state FROM crm.archive_article('reset');
SELECT count(*) FROM crm.search_articles('security');
SELECT crm.archive_article('nothing');
-- deflections
SELECT d.outcome FROM crm.articles a, crm.record_deflection(a.id, 'solved', query => 'password') d WHERE a.code = 'reset';
SELECT d.outcome FROM crm.articles a, crm.record_deflection(a.id, 'not_solved') d WHERE a.code = 'reset';
SELECT crm.record_deflection(a.id, 'perhaps') FROM crm.articles a WHERE a.code = 'reset';
SELECT crm.record_deflection(-1, 'solved');
SELECT article, solved, not_solved, deflection_rate FROM crm_analytics.article_deflections WHERE article = 'reset';

-- surveys: sent on events, with a delay, not after reopening, once for a subject, not too often
INSERT INTO crm.users (id, name) VALUES (9201, 'Ada');
INSERT INTO crm.contacts (id, name) VALUES (9201, 'Mina'), (9202, 'Omid');
INSERT INTO crm.surveys (code, kind, on_event, delay, rest_period, condition, question) VALUES
    ('after', 'csat', 'ticket.resolved', '0', '0', NULL, '{"en": "How did we do?"}'),
    ('effort', 'ces', 'ticket.resolved', '1 hour', '0', '$.priority == "urgent"', '{}'),
    ('rare', 'nps', 'ticket.resolved', '0', '30 days', NULL, '{}');
ALTER TABLE crm.tickets ALTER COLUMN id RESTART WITH 920001;
SELECT k.id FROM crm.open_ticket('One', contact_id => 9201, priority => 'urgent', owner_id => 9201) AS k;
SELECT k.id FROM crm.open_ticket('Two', contact_id => 9201) AS k;
SELECT k.id FROM crm.open_ticket('Of nobody') AS k;
SELECT (crm.resolve_ticket(i)).id FROM generate_series(920001, 920003) AS i;
CREATE TEMP VIEW asked AS
SELECT s.code, r.subject_id, r.contact_id, r.owner_id, r.sent_at IS NOT NULL AS sent, r.cancelled_at IS NOT NULL AS cancelled, r.score
FROM crm.survey_responses r JOIN crm.surveys s ON s.id = r.survey_id ORDER BY r.subject_id, s.code;
SELECT * FROM asked;
SELECT kind, subject_table, payload ->> 'survey' AS survey, payload ->> 'kind' AS of_kind, length(payload ->> 'token') AS token, payload ->> 'about_id' AS about
FROM crm.events WHERE kind = 'survey.send' ORDER BY id;
SELECT crm.send_due_surveys();
SELECT crm.next_survey_at() > now() AS planned;
SELECT (crm.reopen_ticket(920001)).id;
SELECT * FROM asked WHERE code = 'effort';
SELECT (crm.resolve_ticket(920001)).id;
SELECT crm.send_due_surveys(now() + interval '61 minutes'), crm.send_due_surveys(now() + interval '61 minutes');
SELECT * FROM asked;

-- answers
CREATE TEMP VIEW token AS SELECT payload ->> 'survey' AS survey, (payload ->> 'about_id')::bigint AS about, payload ->> 'token' AS token FROM crm.events WHERE kind = 'survey.send';
SELECT r.score, r.comment FROM token t, crm.answer_survey(t.token, 5, 'Thank you') AS r WHERE t.survey = 'after' AND t.about = 920001;
SELECT r.score, r.comment FROM token t, crm.answer_survey(t.token, 2) AS r WHERE t.survey = 'after' AND t.about = 920001;
SELECT crm.answer_survey(t.token, 6) FROM token t WHERE t.survey = 'after' AND t.about = 920001;
SELECT crm.answer_survey(t.token, 0) FROM token t WHERE t.survey = 'after' AND t.about = 920001;
SELECT crm.answer_survey(t.token, NULL) FROM token t WHERE t.survey = 'after' AND t.about = 920001;
SELECT crm.answer_survey(t.token, 99999) FROM token t WHERE t.survey = 'after' AND t.about = 920001;
SELECT r.score FROM token t, crm.answer_survey(t.token, 0) AS r WHERE t.survey = 'rare';
SELECT crm.answer_survey('guess', 5);
SELECT crm.answer_survey(NULL, 5);
\set VERBOSITY sqlstate
SELECT crm.answer_survey(t.token, 5, as_of => now() + interval '15 days') FROM token t WHERE t.survey = 'after' AND t.about = 920002;
\set VERBOSITY terse
SELECT r.subject_table, r.sent_at IS NOT NULL AS sent FROM crm.send_survey('rare', 9202) AS r;
SELECT crm.send_survey('nothing', 9202);
SELECT (crm.confirm_event(id)).payload ? 'token' AS kept_token FROM crm.events WHERE kind = 'survey.send' ORDER BY id LIMIT 1;
-- the token stands nowhere but in the event
SELECT count(*) FROM crm.survey_responses r, token t WHERE t.token IS NOT NULL AND to_jsonb(r)::text LIKE '%' || t.token || '%';

-- what is excluded is excluded, in every form of the word; a language that was archived stays archived
SELECT count(crm.write_article('pump1', 'Pump', 'Loud noises.', visibility => 'public', publish => true)),
       count(crm.write_article('pump2', 'Pump', 'Quiet at last.', visibility => 'public', publish => true));
SELECT q, (SELECT string_agg(a.code, ' ' ORDER BY a.code) FROM crm.search_articles(q) AS a) AS found
FROM unnest('{pump,pump -noise,pump -noises,-noise pump,"pump -\"loud noise\"",pump -quiet -noise,pumps or motor,-pump,"  "}'::text[]) AS q;
SELECT count(crm.archive_article('pump1'));
SELECT count(crm.write_article('pump1', 'Pompe', 'bruit', language => 'fr', publish => true));
SELECT (SELECT count(*) FROM crm.search_articles('loud')) AS archived, (SELECT count(*) FROM crm.search_articles('bruit')) AS french;
SELECT count(crm.publish_article('pump1'));
SELECT count(*) AS english_again FROM crm.search_articles('loud');

-- the outbox: claimed once, the lease runs out, retried, given up
DELETE FROM crm.events;
-- archived by a plain UPDATE, another language published later; a ticket is its whole conversation
SELECT count(crm.write_article('plain', 'A whistling valve', 'Turn it.', visibility => 'public', publish => true));
UPDATE crm.articles SET state = 'archived' WHERE code = 'plain';
SELECT count(crm.write_article('plain', 'Une vanne', 'Tourner.', language => 'fr', publish => true));
SELECT count(*) FILTER (WHERE a.language = 'en') AS english, count(*) FILTER (WHERE a.language = 'fr') AS french
FROM (SELECT * FROM crm.search_articles('whistling') UNION ALL SELECT * FROM crm.search_articles('vanne')) AS a;
INSERT INTO crm.tickets (id, subject) VALUES (9971, 'two'), (9972, 'one');
SELECT count(crm.add_ticket_message(9971, 'the valve whistles', 'internal')), count(crm.add_ticket_message(9971, 'and it leaks', 'internal')),
       count(crm.add_ticket_message(9972, 'the valve whistles', 'internal'));
SELECT s.ticket_id FROM crm.search_tickets('valve -leaks') AS s;
SELECT count(*) FROM crm.search_tickets('valve') AS s;
SELECT (crm.emit_event('test.one', payload => '{"n": 1}', dedupe_key => 'a')).payload, (crm.emit_event('test.one', payload => '{"n": 2}', dedupe_key => 'a')).payload;
SELECT (crm.emit_event('test.later', scheduled_at => now() + interval '1 hour')).attempts;
SELECT kind, claimed_by, attempts FROM crm.claim_events('mailer');
SELECT count(*) FROM crm.claim_events('other');
SELECT kind, claimed_by, attempts FROM crm.claim_events('other', as_of => now() + interval '6 minutes');
SELECT e.last_error, e.failed_at IS NULL AS retried FROM crm.events o, crm.fail_event(o.id, 'timeout', '1 minute') e WHERE o.kind = 'test.one';
SELECT kind, attempts FROM crm.claim_events('mailer', as_of => now() + interval '2 hours', kinds => '{test.later}');
SELECT e.delivered_at IS NOT NULL AS delivered FROM crm.events o, crm.confirm_event(o.id) e WHERE o.kind = 'test.later';
SELECT e.failed_at IS NOT NULL AS given_up FROM crm.events o, crm.fail_event(o.id, 'no such address') e WHERE o.kind = 'test.one';
SELECT count(*) FROM crm.claim_events('mailer', as_of => now() + interval '1 day');
SELECT crm.confirm_event(-1);
SELECT crm.fail_event(-1, 'x');
SELECT crm.claim_events('mailer', 0);
SELECT crm.emit_event('Bad Kind');
ROLLBACK;
