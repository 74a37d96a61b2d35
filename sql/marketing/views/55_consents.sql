-- Proof of consent.

CREATE OR REPLACE VIEW crm_analytics.consent_proof WITH (security_invoker = true) AS
SELECT c.tenant_id, c.subject_table, c.subject_id, coalesce(k.name, l.name) AS person, c.purpose, p.name AS purpose_name, c.channel, c.state,
       c.stated_at <= now() AND c.id = first_value(c.id) OVER (PARTITION BY c.tenant_id, c.subject_table, c.subject_id, c.purpose, c.channel
           ORDER BY c.stated_at <= now() DESC, c.stated_at DESC, c.state = 'withdrawn' DESC, c.id DESC) AS counts,
       c.legal_basis, c.source AS consent_source, c.text_version, c.wording, c.address_key AS address, c.stated_at, c.recorded_at, u.name AS recorded_by
FROM crm.consents AS c
JOIN crm.message_purposes AS p ON p.tenant_id = c.tenant_id AND p.code = c.purpose
LEFT JOIN crm.contacts AS k ON c.subject_table = 'contacts' AND k.tenant_id = c.tenant_id AND k.id = c.subject_id
LEFT JOIN crm.leads AS l ON c.subject_table = 'leads' AND l.tenant_id = c.tenant_id AND l.id = c.subject_id
LEFT JOIN crm.users AS u ON u.tenant_id = c.tenant_id AND u.id = c.recorded_by;
COMMENT ON VIEW crm_analytics.consent_proof IS
'Proof of consent: one row a statement of a person about being written to, with the words, who wrote it down and when, and which statement counts now. '
'crm.consent_proof() is of one person.';
COMMENT ON COLUMN crm_analytics.consent_proof.counts IS 'Whether this is the statement that counts now for the person, purpose and channel.';
COMMENT ON COLUMN crm_analytics.consent_proof.person IS 'Name of the contact or lead.';
COMMENT ON COLUMN crm_analytics.consent_proof.purpose_name IS 'Purpose, as people read it.';
COMMENT ON COLUMN crm_analytics.consent_proof.address IS 'Address it was said for, in its normal form; NULL: any of the person''s.';
COMMENT ON COLUMN crm_analytics.consent_proof.recorded_by IS 'User who wrote it down; NULL: a role that is none.';
COMMENT ON COLUMN crm_analytics.consent_proof.channel IS 'Channel it is about: email, phone, sms and so on.';
COMMENT ON COLUMN crm_analytics.consent_proof.legal_basis IS 'What allows it: consent, contract or legitimate interest.';
COMMENT ON COLUMN crm_analytics.consent_proof.purpose IS 'Code of the purpose (crm.message_purposes).';
COMMENT ON COLUMN crm_analytics.consent_proof.recorded_at IS 'When it was written down.';
COMMENT ON COLUMN crm_analytics.consent_proof.consent_source IS 'Where it was said: a form, a call, a link in a message, another system.';
COMMENT ON COLUMN crm_analytics.consent_proof.stated_at IS 'When it was said.';
COMMENT ON COLUMN crm_analytics.consent_proof.text_version IS 'Version of the text that was agreed to.';
COMMENT ON COLUMN crm_analytics.consent_proof.wording IS 'The words that were agreed to.';
