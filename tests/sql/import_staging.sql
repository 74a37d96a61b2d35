-- From an export to the CRM without typing columns: shapes of what other systems write, and a mapping guessed from them.
BEGIN;
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET client_min_messages = notice;
CREATE SCHEMA staging;
CREATE FUNCTION pg_temp.go(source regclass, mapping jsonb) RETURNS TABLE (read bigint, inserted bigint, updated bigint, bad bigint, why jsonb)
LANGUAGE sql AS $$ SELECT b.rows_read, b.rows_inserted, b.rows_updated, b.rows_bad, jsonb_path_query_array(b.problems, '$[*].reason') FROM crm.import_table(source, mapping) AS b $$;

-- separated values as they come
SELECT * FROM crm.read_csv(E'\uFEFFa;b;c\r\n1;"x;""y""\nz";\r\n\r\n2;;3');
SELECT * FROM crm.read_csv('a,b' || E'\n' || '1,"open');
SELECT crm.stage_import('staging.t', E'id,,id,Name \n1,2,3,4\n5,6,7,8,9\n10');
SELECT * FROM staging.t;
SELECT crm.stage_import('staging.t', E'id\n1');
SELECT crm.stage_import('staging.u', '');
SELECT crm.stage_import('staging.head', 'Id,Name,Amount') AS made;
SELECT * FROM staging.head;

-- Salesforce: ids of 18 signs, dates in the order of the user's country, numbers with commas
SELECT crm.stage_import('staging.sf_accounts', $csv$"Account ID","Account Name","Billing City","Industry","Annual Revenue","Employees","Parent Account","Account Owner","Created Date"
"0015g00000AbcdEAAR","Velo Nord GmbH","Hamburg","Retail","12,400,000","1,200","","Jonas Weber","3/14/2023"
"0015g00000AbceEAAR","Velo Süd AG","München","Retail","980,000.50","85","Velo Nord GmbH","Lena Koch","12/1/2023"
$csv$) AS staged;
SELECT jsonb_pretty(crm.suggest_mapping('staging.sf_accounts', 'accounts', 'salesforce'));
SELECT * FROM pg_temp.go('staging.sf_accounts', crm.suggest_mapping('staging.sf_accounts', 'accounts', 'salesforce'));
SELECT a.name, a.city, a.annual_revenue, a.employees, p.name AS parent, u.name AS owner, a.created_at::date FROM crm.accounts AS a
LEFT JOIN crm.accounts AS p ON p.id = a.parent_id LEFT JOIN crm.users AS u ON u.id = a.owner_id ORDER BY a.name;
SELECT crm.stage_import('staging.sf_deals', $csv$"Opportunity ID","Opportunity Name","Account Name","Stage","Amount","Close Date","Created Date","Opportunity Owner","Probability (%)"
"0065g1","40 cargo bikes","Velo Nord GmbH","Closed Won","27,900.00","3/21/2025","2/3/2025","Lena Koch","100"
"0065g2","Service contract","velo süd ag","Qualification","4,100.00","12/31/2099","3/13/2025","Jonas Weber","20%"
"0065g3","Broken","Velo Süd AG","Nirvana","1.00","3/13/2025","3/13/2025","Jonas Weber",""
$csv$) AS staged;
SELECT crm.suggest_mapping('staging.sf_deals', 'opportunities', 'salesforce') AS deals \gset
SELECT * FROM pg_temp.go('staging.sf_deals', :'deals'::jsonb || '{"dry_run": true}');
SELECT * FROM pg_temp.go('staging.sf_deals', :'deals');
SELECT o.name, a.name AS account, s.code, o.amount, o.close_date, o.expected_close_date, o.created_at::date, u.name AS owner FROM crm.opportunities AS o
JOIN crm.accounts AS a ON a.id = o.account_id JOIN crm.stages AS s ON s.id = o.stage_id LEFT JOIN crm.users AS u ON u.id = o.owner_id ORDER BY 1;

-- HubSpot: first and last name, instants in milliseconds
SELECT crm.stage_import('staging.hs_contacts', $csv$Record ID,First Name,Last Name,Email,Phone Number,Company Name,Job Title,Contact owner,Create Date
101,Mina,Tehrani,mina@velo.example,+98 912 345 6789,Velo Nord GmbH,Buyer,Jonas Weber,1710201600000
102,Ali,Karimi,ali@velo.example,,velo nord gmbh,,Lena Koch,1710288000000
103,Bad,Mail,not an address,,,,,1710288000000
$csv$) AS staged;
SELECT * FROM pg_temp.go('staging.hs_contacts', crm.suggest_mapping('staging.hs_contacts', 'contacts', 'hubspot'));
SELECT c.name, a.name AS account, c.title, c.created_at, array_agg(p.value ORDER BY p.value) AS points FROM crm.contacts AS c LEFT JOIN crm.accounts AS a ON a.id = c.account_id
LEFT JOIN crm.contact_points AS p ON p.contact_id = c.id GROUP BY 1, 2, 3, 4 ORDER BY 1;

-- Bitrix24: semicolons, decimal commas, days first
SELECT crm.stage_import('staging.b24', $csv$ID;Deal Name;Company;Stage;Income;Currency;Responsible;Created on;Comment
7;Lights;Velo Nord GmbH;Closed won;"1 250,50";EUR;Jonas Weber;25.02.2025 10:15:00;good
8;Bells;Velo Nord GmbH;Qualification;"900,00";Euro;Lena Koch;13.03.2025 09:00:00;
$csv$) AS staged;
SELECT * FROM pg_temp.go('staging.b24', crm.suggest_mapping('staging.b24', 'opportunities', 'bitrix24'));
SELECT name, amount, currency, created_at FROM crm.opportunities WHERE source_system = 'bitrix24' ORDER BY 1;

-- Zoho: leads with tags
SELECT crm.stage_import('staging.zoho', $csv$Record Id,First Name,Last Name,Company,Email,Phone,Lead Source,Tag,Created Time
zcrm_1,Sara,Lind,Nordlicht,sara@nordlicht.example,+49 40 123456,Web,"hot;vip",2024-05-01 08:30:00
zcrm_2,Tom,,Nordlicht,,,Fair,,2024-05-02 08:30:00
$csv$) AS staged;
SELECT * FROM pg_temp.go('staging.zoho', crm.suggest_mapping('staging.zoho', 'leads', 'zoho'));
SELECT name, company, email, source, tags, created_at FROM crm.leads WHERE source_system = 'zoho' ORDER BY 1;

-- a Persian export
SELECT crm.stage_import('staging.fa', $csv$شناسه,عنوان,مشتری,مبلغ,مرحله,تاریخ ایجاد
۱,فروش چراغ,شركت كيا,۱۲۳٬۴۵۶٫۵,Qualification,۱۴۰۳/۰۱/۰۵
۲,فروش زنگ,شرکت کیا,۱٬۰۰۰,Qualification,۵ فروردین ۱۴۰۳
$csv$) AS staged;
SELECT * FROM pg_temp.go('staging.fa', crm.suggest_mapping('staging.fa', 'opportunities', 'fa'));
SELECT o.name, a.name AS account, o.amount, o.created_at::date FROM crm.opportunities AS o JOIN crm.accounts AS a ON a.id = o.account_id WHERE o.source_system = 'fa' ORDER BY 1;
ROLLBACK;
