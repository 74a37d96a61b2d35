-- Tokens that stand for a right: what is stored of one is its SHA-256 alone.

CREATE OR REPLACE FUNCTION crm_internal.new_token()
RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '') $$;
COMMENT ON FUNCTION crm_internal.new_token() IS 'A token that nobody guesses.';
