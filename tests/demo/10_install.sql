\echo
\echo '== Installing: CREATE EXTENSION crm; SELECT crm.install();'
CREATE EXTENSION crm;
SELECT crm.install() AS done;
SELECT * FROM crm.version();
