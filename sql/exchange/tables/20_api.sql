-- What the facade for applications keeps: the names that other systems have for records, and the answers to commands that may be sent again.

CREATE TABLE crm.external_ids (
    tenant_id bigint NOT NULL DEFAULT crm.tenant_id(),
    subject_table text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    subject_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT external_ids_pkey PRIMARY KEY (tenant_id, subject_table, source, external_id),
    CONSTRAINT external_ids_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES crm.tenants (tenant_id),
    CONSTRAINT external_ids_source_check CHECK (source <> ''),
    CONSTRAINT external_ids_external_id_check CHECK (external_id <> '')
);
CREATE INDEX external_ids_subject_id_idx ON crm.external_ids (tenant_id, subject_table, subject_id);
COMMENT ON TABLE crm.external_ids IS
'What other systems call records of the CRM: one record may have a name in each of several systems. Written by crm.upsert_record() and '
'crm.link_record(); what imports know by source_system and source_id is found as well.';
SELECT crm.declare_table('crm.external_ids', '{"class": "child", "parent": {"subject_id": {"table_in": "subject_table", "merge": true}},
    "erase": {"rows": "delete"}}');
COMMENT ON COLUMN crm.external_ids.subject_table IS 'Entity of the record: its table''s name in crm.registry.';
COMMENT ON COLUMN crm.external_ids.source IS 'The other system, in the company''s own words, such as erp.';
COMMENT ON COLUMN crm.external_ids.external_id IS 'What that system calls the record; unique for the entity and the source.';
COMMENT ON COLUMN crm.external_ids.subject_id IS 'Id of the record.';

CREATE TABLE crm.api_requests (
    tenant_id bigint NOT NULL DEFAULT crm.tenant_id(),
    caller text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    function_name text NOT NULL,
    arguments_key text NOT NULL,
    answer jsonb,
    requested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_requests_pkey PRIMARY KEY (tenant_id, caller, request_id),
    CONSTRAINT api_requests_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES crm.tenants (tenant_id)
);
CREATE INDEX api_requests_requested_at_idx ON crm.api_requests (requested_at);
COMMENT ON TABLE crm.api_requests IS
'Commands that were sent with a key (setting crm.request_id), and what they answered: the same key again gets the same answer. Kept for a week.';
SELECT crm.declare_table('crm.api_requests', '{"class": "owner", "personal": ["answer"]}');
COMMENT ON COLUMN crm.api_requests.caller IS 'Who sent it: the CRM user, or the database role that is none.';
COMMENT ON COLUMN crm.api_requests.request_id IS 'The key, of the caller''s choice.';
COMMENT ON COLUMN crm.api_requests.function_name IS 'Function that was called.';
COMMENT ON COLUMN crm.api_requests.arguments_key IS 'Hash of its arguments: the same key with other arguments is refused.';
COMMENT ON COLUMN crm.api_requests.answer IS 'What it answered.';
COMMENT ON COLUMN crm.api_requests.requested_at IS 'When it was sent first.';
INSERT INTO crm.maintenance_tasks (name, position, function_name, every, batch) VALUES
    ('forget_requests', 80, 'crm.forget_requests', '1 hour', 10000);

CREATE TABLE crm_internal.api_schemas (
    schema_name text NOT NULL,
    CONSTRAINT api_schemas_pkey PRIMARY KEY (schema_name)
);
COMMENT ON TABLE crm_internal.api_schemas IS 'Schemas that crm.create_api() filled; crm.install() keeps them as the code is.';
COMMENT ON COLUMN crm_internal.api_schemas.schema_name IS 'The schema.';
