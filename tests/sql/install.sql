-- The first test of the schedule: every other one finds the CRM installed.
CREATE EXTENSION crm;
SELECT crm.install() = 'installed ' || crm.library_version() AS installed;
SELECT crm.install() = 'up to date at ' || crm.library_version() AS again;
SELECT v.library = v.extension AS same_extension, v.library = v.schema AS same_schema, v.advice FROM crm.version() AS v;
