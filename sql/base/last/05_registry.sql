-- The registry: what was declared is put on the tables, what is not declared any more is forgotten.
SELECT crm_internal.finish_declarations();
