\echo
\echo '== A generated company'
SELECT * FROM crm.generate_demo(:size, :seed);
