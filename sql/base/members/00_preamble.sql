\echo Use "CREATE EXTENSION crm" to load this file. \quit

-- The schema may be there (a dump creates it first), but nothing may be in it:
-- an object planted by somebody else would otherwise be taken for ours.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'crm'::pg_catalog.regnamespace)
       OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'crm'::pg_catalog.regnamespace)
       OR EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.typnamespace = 'crm'::pg_catalog.regnamespace)
    THEN
        RAISE EXCEPTION 'schema "crm" already holds objects'
            USING ERRCODE = 'duplicate_object',
                  HINT = 'Move or drop what is in the schema, then create the extension again.';
    END IF;
END
$$;

COMMENT ON SCHEMA crm IS 'The CRM: functions of the extension, and the tables and functions made by crm.install().';
