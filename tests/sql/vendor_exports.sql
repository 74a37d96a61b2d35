-- Exports in the shape of Salesforce, HubSpot, Bitrix24 and Zoho go in by the documented steps: crm.stage_import(), crm.suggest_mapping(), crm.import_table().
-- Nobody names a column; the dirt in them (ids, lists of ids, ranges, planned dates, shared names, words of theirs for stages) is that of such exports.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET client_min_messages = warning;
BEGIN;
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2020-01-01', 1.1), ('RUB', 'USD', '2020-01-01', 0.01), ('GBP', 'USD', '2020-01-01', 1.3);
CREATE SCHEMA st;
CREATE FUNCTION pg_temp.load(source regclass, target text, sys text) RETURNS TABLE (target_table text, read bigint, inserted bigint, bad bigint, reasons text)
LANGUAGE plpgsql AS $$
DECLARE b crm.import_batches;
BEGIN
    b := crm.import_table(source, crm.suggest_mapping(source, target, sys));
    RETURN QUERY SELECT target, b.rows_read, b.rows_inserted, b.rows_bad,
        (SELECT string_agg(r.line || ' ' || r.reason, ' | ' ORDER BY r.line) FROM crm.import_rows AS r WHERE r.batch_id = b.id AND r.state = 'bad');
END $$;

-- ---- Salesforce ----

SELECT crm.stage_import('st.sf_user', $csv$"Id","Username","LastName","FirstName","Name","Email","IsActive","TimeZoneSidKey","LanguageLocaleKey","CreatedDate"
"0055g000008XyZ1AAK","sara@corp.example.prod","Weber","Sara","Sara Weber","sara@corp.example","1","Europe/Berlin","de","2022-12-01T08:00:00.000+0000"
"0055g000008XyZ2AAK","tom@corp.example.prod","Reed","Tom","Tom Reed","tom@corp.example","1","America/Chicago","en_US","2022-12-01T08:00:00.000+0000"
"0055g000008XyZ3AAK","old@corp.example.prod","Gone","Olga","Olga Gone","olga@corp.example","0","Europe/Berlin","en_US","2020-12-01T08:00:00.000+0000"
$csv$);
SELECT * FROM pg_temp.load('st.sf_user', 'users', 'salesforce');

SELECT crm.stage_import('st.sf_account', $csv$"Id","IsDeleted","Name","Type","ParentId","BillingStreet","BillingCity","BillingState","BillingPostalCode","BillingCountry","Phone","Fax","Website","Industry","AnnualRevenue","NumberOfEmployees","Description","OwnerId","CreatedDate","CurrencyIsoCode"
"0015g00000AbCdEAAV","0","Acme GmbH","Customer","","Hauptstr. 1","Berlin","","10115","Germany","+49 30 901820","","https://www.acme.example","Technology","1250000","120","First line
second line, with ""quotes""","0055g000008XyZ1AAK","2023-01-15T09:30:00.000+0000","EUR"
"0015g00000AbCdeAAF","0","Acme Austria","Customer","0015g00000AbCdEAAV","Ring 5","Wien","","1010","Austria","+43 1 51570","","","Technology","","","","0055g000008XyZ1AAK","2023-02-01T10:00:00.000+0000","EUR"
"0015g00000AbCdFAAV","0","Globex Inc.","Prospect","","1 Main St","Springfield","IL","62701","United States","(217) 555-0100","","globex.example","Manufacturing","5.6E+7","900","","0055g000008XyZ2AAK","2023-03-01T10:00:00.000+0000","USD"
"0015g00000AbCdGAAV","0","Initech","Prospect","","","Austin","TX","","USA","512-555-0148","","http://initech.example","","","","","0055g000008XyZ2AAK","2023-03-05T10:00:00.000+0000","USD"
"0015g00000AbCdHAAV","0","پارس صنعت","Customer","","خیابان آزادی","تهران","","","Iran","021 8820 1234","","","","","45","","0055g000008XyZ1AAK","2023-04-01T10:00:00.000+0000","EUR"
"0015g00000AbCdIAAV","1","Deleted Ltd","Other","","","","","","","","","","","","","","0055g000008XyZ1AAK","2023-04-02T10:00:00.000+0000","EUR"
$csv$);
SELECT * FROM pg_temp.load('st.sf_account', 'accounts', 'salesforce');
SELECT crm.stage_import('st.sf_contact', $csv$"Id","IsDeleted","AccountId","LastName","FirstName","Salutation","Name","MailingStreet","MailingCity","MailingPostalCode","MailingCountry","Phone","Fax","MobilePhone","HomePhone","OtherPhone","ReportsToId","Email","Title","Department","LeadSource","Birthdate","Description","OwnerId","HasOptedOutOfEmail","DoNotCall","CreatedDate"
"0035g00000QwErTAAV","0","0015g00000AbCdEAAV","Müller","Anna","Frau","Anna Müller","Hauptstr. 1","Berlin","10115","Germany","+49 30 901821","","+49 170 1234567","","","","anna.mueller@acme.example","CEO","Management","Web","1975-03-04","","0055g000008XyZ1AAK","0","0","2023-01-16T09:30:00.000+0000"
"0035g00000QwErtAAF","0","0015g00000AbCdEAAV","Schmidt","Jörg","Herr","Jörg Schmidt","","","","Germany","+49 30 901822","","","","","0035g00000QwErTAAV","joerg@acme.example","Buyer","Purchasing","Web","","","0055g000008XyZ1AAK","1","0","2023-01-17T09:30:00.000+0000"
"0035g00000QwErUAAV","0","0015g00000AbCdFAAV","Burns","Monty","Mr.","Monty Burns","","Springfield","","United States","(217) 555-0101","","","","","","mburns@globex.example","Owner","","Partner","","","0055g000008XyZ2AAK","0","1","2023-03-02T09:30:00.000+0000"
"0035g00000QwErVAAV","0","","Nobody","","","Nobody","","","","","","","","","","","","","","","","","0055g000008XyZ3AAK","0","0","2023-03-02T09:30:00.000+0000"
"0035g00000QwErWAAV","0","0015g00000AbCdHAAV","کریمی","مینا","","مینا کریمی","","تهران","","Iran","","","0912 345 6789","","","","mina@pars.example","","","","","","0055g000008XyZ1AAK","0","0","2023-04-02T09:30:00.000+0000"
$csv$);
SELECT * FROM pg_temp.load('st.sf_contact', 'contacts', 'salesforce');
SELECT crm.stage_import('st.sf_lead', $csv$"Id","IsDeleted","LastName","FirstName","Salutation","Name","Title","Company","Street","City","State","PostalCode","Country","Phone","MobilePhone","Email","Website","Description","LeadSource","Status","Industry","Rating","AnnualRevenue","NumberOfEmployees","OwnerId","IsConverted","ConvertedDate","CreatedDate"
"00Q5g00000LeAdAAAV","0","Stone","Ivy","Ms.","Ivy Stone","CTO","Umbra LLC","","Boston","MA","","United States","617-555-0111","","ivy@umbra.example","umbra.example","wants a demo","Web","Open - Not Contacted","Finance","Hot","","50","0055g000008XyZ1AAK","0","","2024-01-02T10:00:00.000+0000"
"00Q5g00000LeAdaAAF","0","Rossi","Paolo","","Paolo Rossi","","Pasta SpA","","Roma","","","Italy","+39 06 555 0123","","paolo@pasta.example","","","Phone Inquiry","Working - Contacted","","","","","0055g000008XyZ2AAK","0","","2024-01-03T10:00:00.000+0000"
"00Q5g00000LeAdBAAV","0","Dead","Lead","","Lead Dead","","Nope Ltd","","","","","","","","not-an-email","","","Web","Closed - Not Converted","","","","","0055g000008XyZ2AAK","0","","2024-01-04T10:00:00.000+0000"
"00Q5g00000LeAdCAAV","0","Müller","Anna","","Anna Müller","CEO","Acme GmbH","","","","","Germany","","","anna.mueller@acme.example","","","Web","Closed - Converted","","","","","0055g000008XyZ1AAK","1","2023-01-16","2023-01-10T10:00:00.000+0000"
$csv$);
SELECT * FROM pg_temp.load('st.sf_lead', 'leads', 'salesforce');
SELECT crm.stage_import('st.sf_opportunity', $csv$"Id","IsDeleted","AccountId","Name","Description","StageName","Amount","Probability","CloseDate","Type","NextStep","LeadSource","IsClosed","IsWon","CurrencyIsoCode","OwnerId","CreatedDate","ContactId"
"0065g00000OpLkJAAV","0","0015g00000AbCdEAAV","Acme - 100 pumps","","Closed Won","12500.0","100.0","2023-05-31","New Business","","Web","1","1","EUR","0055g000008XyZ1AAK","2023-02-01T10:00:00.000+0000","0035g00000QwErTAAV"
"0065g00000OpLkjAAF","0","0015g00000AbCdFAAV","Globex upgrade","","Closed Lost","7000.5","0.0","2023-06-30","Existing Business","","Partner","1","0","USD","0055g000008XyZ2AAK","2023-03-01T10:00:00.000+0000",""
"0065g00000OpLkKAAV","0","0015g00000AbCdGAAV","Initech printers","","Negotiation/Review","","90.0","2099-01-31","New Business","Call","","0","0","USD","0055g000008XyZ2AAK","2023-03-11T10:00:00.000+0000",""
"0065g00000OpLkLAAV","0","0015g00000AbCdHAAV","پمپ","","Proposal/Price Quote","1000000","75.0","2099-02-28","","","","0","0","EUR","0055g000008XyZ1AAK","2023-04-11T10:00:00.000+0000","0035g00000QwErWAAV"
"0065g00000OpLkMAAV","0","","No account","","Id. Decision Makers","500","60.0","2099-02-28","","","","0","0","EUR","0055g000008XyZ3AAK","2023-04-11T10:00:00.000+0000",""
"0065g00000OpLkNAAV","0","0015g00000AbCdFAAV","Value","","Value Proposition","500","50.0","2099-02-28","","","","0","0","USD","0055g000008XyZ2AAK","2023-04-11T10:00:00.000+0000",""
$csv$);
SELECT * FROM pg_temp.load('st.sf_opportunity', 'opportunities', 'salesforce');
SELECT crm.stage_import('st.sf_case', $csv$"Id","CaseNumber","ContactId","AccountId","SuppliedName","SuppliedEmail","Type","Status","Reason","Origin","Subject","Priority","Description","IsClosed","ClosedDate","OwnerId","CreatedDate"
"5005g00000CaSeAAAV","00001001","0035g00000QwErTAAV","0015g00000AbCdEAAV","","","Problem","Closed","","Email","Pump leaks","High","it drips","1","2023-07-02T12:00:00.000+0000","0055g000008XyZ1AAK","2023-07-01T09:00:00.000+0000"
"5005g00000CaSeaAAF","00001002","","","Visitor","v@x.example","Question","New","","Web","How much?","Low","","0","","0055g000008XyZ2AAK","2023-07-03T09:00:00.000+0000"
"5005g00000CaSeBAAV","00001003","0035g00000QwErUAAV","0015g00000AbCdFAAV","","","","Escalated","","Phone","Broken","Medium","","0","","0055g000008XyZ2AAK","2023-07-04T09:00:00.000+0000"
"5005g00000CaSeCAAV","00001004","0035g00000QwErWAAV","0015g00000AbCdHAAV","","","Feature Request","Working","","Email","ویژگی تازه","Medium","","0","","0055g000008XyZ1AAK","2023-07-05T09:00:00.000+0000"
$csv$);
SELECT * FROM pg_temp.load('st.sf_case', 'tickets', 'salesforce');
SELECT a.name, a.roles, a.country, a.currency, a.employees, u.name AS owner, p.name AS parent FROM crm.accounts AS a
LEFT JOIN crm.users AS u ON u.id = a.owner_id LEFT JOIN crm.accounts AS p ON p.id = a.parent_id WHERE a.source_system = 'salesforce' ORDER BY a.source_id COLLATE "C";
SELECT c.name, a.name AS account, u.name AS owner, (SELECT string_agg(p.kind || ' ' || p.value_key, ', ' ORDER BY p.kind, p.id) FROM crm.contact_points AS p WHERE p.contact_id = c.id) AS points
FROM crm.contacts AS c LEFT JOIN crm.accounts AS a ON a.id = c.account_id LEFT JOIN crm.users AS u ON u.id = c.owner_id
WHERE c.source_system = 'salesforce' ORDER BY c.source_id COLLATE "C";
SELECT l.name, l.company, l.phone, l.amount, s.code AS stage, u.name AS owner, l.closed_at IS NOT NULL AS closed FROM crm.leads AS l
JOIN crm.stages AS s ON s.id = l.stage_id LEFT JOIN crm.users AS u ON u.id = l.owner_id WHERE l.source_system = 'salesforce' ORDER BY l.source_id COLLATE "C";
SELECT o.name, a.name AS account, c.name AS contact, u.name AS owner, s.code AS stage, o.amount, o.currency, o.close_date, o.expected_close_date
FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id LEFT JOIN crm.accounts AS a ON a.id = o.account_id
LEFT JOIN crm.contacts AS c ON c.id = o.contact_id LEFT JOIN crm.users AS u ON u.id = o.owner_id WHERE o.source_system = 'salesforce' ORDER BY o.source_id COLLATE "C";
SELECT k.subject, c.name AS contact, s.code AS stage, k.channel, k.priority, k.type, k.created_at AT TIME ZONE 'UTC' AS opened, k.closed_at AT TIME ZONE 'UTC' AS closed
FROM crm.tickets AS k JOIN crm.stages AS s ON s.id = k.stage_id LEFT JOIN crm.contacts AS c ON c.id = k.contact_id WHERE k.source_system = 'salesforce' ORDER BY k.source_id COLLATE "C";
SELECT name, email, active FROM crm.users ORDER BY source_id COLLATE "C";

-- ---- HubSpot ----

SELECT crm.stage_import('st.hs_company', $csv$﻿Record ID,Company name,Company owner,Create Date,Phone Number,Last Activity Date,City,Country/Region,Industry,Number of Employees,Annual Revenue,Company Domain Name,Lifecycle Stage,Associated Contact IDs
9876543210,Hooli,Sara Weber (sara@corp.example),2023-01-05 10:15,+1 650 555 0100,2024-02-01 08:00,Palo Alto,United States,COMPUTER_SOFTWARE,5000,100000000,hooli.example,Customer,151;152
9876543211,"Pied Piper, Inc.",Tom Reed (tom@corp.example),2023-02-05 10:15,,,Palo Alto,United States,COMPUTER_SOFTWARE,12,,piedpiper.example,Opportunity,153
9876543212,Raviga,No owner,2023-02-06 10:15,650-555-0102,,,,VENTURE_CAPITAL_PRIVATE_EQUITY,,,,Lead,
9876543213,Hooli,Tom Reed (tom@corp.example),2023-02-07 10:15,,,London,United Kingdom,,,,hooli.uk,Lead,
$csv$);
SELECT * FROM pg_temp.load('st.hs_company', 'accounts', 'hubspot');
SELECT crm.stage_import('st.hs_contact', $csv$Record ID,First Name,Last Name,Email,Phone Number,Mobile Phone Number,Contact owner,Primary Associated Company ID,Associated Company IDs,Associated Company,Lifecycle Stage,Lead Status,Create Date,Marketing contact status,Job Title
151,Gavin,Belson,gavin@hooli.example,+1 650 555 0111,,Sara Weber (sara@corp.example),9876543210,9876543210;9876543211,Hooli;Pied Piper,Customer,,2023-01-05 10:20,Marketing contact,CEO
152,Denpok,,denpok@hooli.example,,,Sara Weber (sara@corp.example),9876543210,9876543210,Hooli,Customer,OPEN,2023-01-06 10:20,Non-marketing contact,Advisor
153,Richard,Hendricks,richard@piedpiper.example,,+1 650 555 0113,Tom Reed (tom@corp.example),9876543211,9876543211,"Pied Piper, Inc.",Opportunity,IN_PROGRESS,2023-02-05 10:20,,CEO
154,,,info@raviga.example,,,,,,,Lead,NEW,2023-02-07 10:20,,
155,Jared,Dunn,,,,Tom Reed (tom@corp.example),,,,Subscriber,,2023-02-08 10:20,,
$csv$);
SELECT * FROM pg_temp.load('st.hs_contact', 'contacts', 'hubspot');
SELECT crm.stage_import('st.hs_deal', $csv$Record ID,Deal Name,Pipeline,Deal Stage,Amount,Close Date,Create Date,Deal owner,Currency,Associated Company IDs,Associated Company,Associated Contact IDs,Deal Type,Closed Lost Reason
5550001,Hooli box,Sales Pipeline,Closed won,25000,2023-05-05 12:00,2023-03-01 09:00,Sara Weber (sara@corp.example),USD,9876543210,Hooli,151;152,newbusiness,
5550002,Middle out,Sales Pipeline,Closed lost,"1,200.50",2023-06-05 12:00,2023-03-02 09:00,Tom Reed (tom@corp.example),USD,9876543211,"Pied Piper, Inc.",153,newbusiness,Price
5550003,Fund,Sales Pipeline,Appointment scheduled,,2099-06-05 12:00,2023-03-03 09:00,Tom Reed (tom@corp.example),USD,9876543212,Raviga,,,
5550004,Box 2,Sales Pipeline,Contract sent,900,2099-06-05 12:00,2023-03-04 09:00,,USD,9876543210,Hooli,151,existingbusiness,
$csv$);
SELECT * FROM pg_temp.load('st.hs_deal', 'opportunities', 'hubspot');
SELECT crm.stage_import('st.hs_ticket', $csv$Ticket ID,Ticket name,Pipeline,Ticket status,Create date,Close date,Priority,Ticket owner,Source,Associated Contact,Associated Company,Ticket description
7001,Box is hot,Support Pipeline,Closed,2023-07-01 10:00,2023-07-02 11:00,HIGH,Sara Weber (sara@corp.example),EMAIL,Gavin Belson (gavin@hooli.example),Hooli,smoke
7002,Login,Support Pipeline,Waiting on contact,2023-07-03 10:00,,MEDIUM,Tom Reed (tom@corp.example),CHAT,Richard Hendricks (richard@piedpiper.example),"Pied Piper, Inc.",
7003,Bug,Support Pipeline,New,2023-07-04 10:00,,,,FORM,,,cannot save
$csv$);
SELECT * FROM pg_temp.load('st.hs_ticket', 'tickets', 'hubspot');
SELECT a.name, a.roles, a.country, a.currency, a.employees, u.name AS owner, p.name AS parent FROM crm.accounts AS a
LEFT JOIN crm.users AS u ON u.id = a.owner_id LEFT JOIN crm.accounts AS p ON p.id = a.parent_id WHERE a.source_system = 'hubspot' ORDER BY a.source_id COLLATE "C";
SELECT c.name, a.name AS account, u.name AS owner, (SELECT string_agg(p.kind || ' ' || p.value_key, ', ' ORDER BY p.kind, p.id) FROM crm.contact_points AS p WHERE p.contact_id = c.id) AS points
FROM crm.contacts AS c LEFT JOIN crm.accounts AS a ON a.id = c.account_id LEFT JOIN crm.users AS u ON u.id = c.owner_id
WHERE c.source_system = 'hubspot' ORDER BY c.source_id COLLATE "C";
SELECT o.name, a.name AS account, c.name AS contact, u.name AS owner, s.code AS stage, o.amount, o.currency, o.close_date, o.expected_close_date
FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id LEFT JOIN crm.accounts AS a ON a.id = o.account_id
LEFT JOIN crm.contacts AS c ON c.id = o.contact_id LEFT JOIN crm.users AS u ON u.id = o.owner_id WHERE o.source_system = 'hubspot' ORDER BY o.source_id COLLATE "C";
SELECT k.subject, c.name AS contact, s.code AS stage, k.channel, k.priority, k.type, k.created_at AT TIME ZONE 'UTC' AS opened, k.closed_at AT TIME ZONE 'UTC' AS closed
FROM crm.tickets AS k JOIN crm.stages AS s ON s.id = k.stage_id LEFT JOIN crm.contacts AS c ON c.id = k.contact_id WHERE k.source_system = 'hubspot' ORDER BY k.source_id COLLATE "C";

-- ---- Bitrix24 ----

UPDATE crm.tenants SET country = 'RU';
SELECT crm.stage_import('st.bx_company', $csv$"ID";"Company Name";"Company Type";"Industry";"Employees";"Annual Revenue";"Currency";"Responsible person";"Created";"Work Phone";"Fax";"Corporate Website";"Work E-mail";"Country"
"11";"ООО Ромашка";"Client";"Manufacturing";"50-250";"1000000.00";"RUB";"Sara Weber";"10.01.2023 09:00:00";"+74951234567,+74951234568";"";"http://romashka.example";"info@romashka.example";"Russia"
"12";"Vector LLC";"Supplier";"IT";"less than 50";"";"USD";"Tom Reed";"11.01.2023 09:00:00";"";"";"";"";""
"13";"ООО Лютик";"Client";"Other";"over 500";"5500000.00";"RUB";"Sara Weber";"12.01.2023 09:00:00";"8 (495) 765-43-21";"";"";"sales@lutik.example;info@lutik.example";"Россия"
$csv$);
SELECT * FROM pg_temp.load('st.bx_company', 'accounts', 'bitrix24');
SELECT crm.stage_import('st.bx_contact', $csv$"ID";"Salutation";"First name";"Last name";"Second name";"Date of birth";"Company";"Position";"Work Phone";"Mobile";"Home Phone";"Work E-mail";"Home E-mail";"Responsible person";"Created on";"Source"
"21";"";"Иван";"Петров";"Сергеевич";"05.03.1980";"ООО Ромашка";"Директор";"+7 495 123-45-67";"+7 916 123-45-67";"";"ivan@romashka.example";"ivan.p@mail.example";"Sara Weber";"13.01.2023 10:00:00";"Web Site"
"22";"Ms.";"Olga";"Smirnova";"";"";"Vector LLC";"Buyer";"+1 212 555 0170,+1 212 555 0171";"";"";"olga@vector.example";"";"Tom Reed";"14.01.2023 10:00:00";"Call"
"23";"";"Олег";"Сидоров";"";"";"ООО Лютик";"";"";"8 903 111-22-33";"";"";"";"Tom Reed";"15.01.2023 10:00:00";""
$csv$);
SELECT * FROM pg_temp.load('st.bx_contact', 'contacts', 'bitrix24');
SELECT crm.stage_import('st.bx_lead', $csv$"ID";"Название лида";"Имя";"Фамилия";"Название компании";"Стадия";"Источник";"Ответственный";"Дата создания";"Сумма";"Валюта";"Рабочий телефон";"Мобильный телефон";"Рабочий e-mail";"Частный e-mail";"Комментарий"
"1001";"Заявка с сайта";"Иван";"Петров";"ООО Ромашка";"Новый";"Веб-сайт";"Sara Weber";"15.01.2024 10:30:00";"150 000,00";"RUB";"+7 495 123-45-67, +7 495 123-45-68";"+7 916 123-45-67";"ivan@romashka.example";"";"перезвонить"
"1002";"Звонок";"Анна";"Иванова";"";"В работе";"Звонок";"Tom Reed";"16.01.2024 11:00:00";"";"RUB";"";"8 916 765-43-21";"";"anna@mail.example";""
"1003";"Мусор";"";"";"";"Некачественный лид";"Другое";"Sara Weber";"17.01.2024 12:00:00";"0,00";"RUB";"";"";"";"";""
"1004";"Готов";"Олег";"Сидоров";"ООО Лютик";"Качественный лид";"Рекомендация";"Tom Reed";"18.01.2024 12:00:00";"1 200,50";"RUB";"";"";"oleg@lutik.example";"";""
$csv$);
SELECT * FROM pg_temp.load('st.bx_lead', 'leads', 'bitrix24');
SELECT crm.stage_import('st.bx_deal', $csv$"ID";"Название сделки";"Стадия сделки";"Компания";"Контакт";"Сумма";"Валюта";"Дата начала";"Предполагаемая дата закрытия";"Ответственный";"Дата создания";"Вероятность";"Тип"
"31";"Поставка насосов";"Сделка успешна";"ООО Ромашка";"Иван Петров";"250 000,00";"RUB";"01.02.2023";"01.03.2023";"Sara Weber";"01.02.2023 10:00:00";"100";"Продажа"
"32";"Сервис";"Сделка провалена";"ООО Лютик";"Олег Сидоров";"15 000,50";"RUB";"02.02.2023";"05.03.2023";"Tom Reed";"02.02.2023 10:00:00";"0";"Услуги"
"33";"Новый цех";"Подготовка документов";"ООО Ромашка";"";"1 500 000,00";"RUB";"03.02.2023";"31.12.2099";"Sara Weber";"03.02.2023 10:00:00";"50";"Продажа"
$csv$);
SELECT * FROM pg_temp.load('st.bx_deal', 'opportunities', 'bitrix24');
SELECT a.name, a.roles, a.country, a.currency, a.employees, u.name AS owner, p.name AS parent FROM crm.accounts AS a
LEFT JOIN crm.users AS u ON u.id = a.owner_id LEFT JOIN crm.accounts AS p ON p.id = a.parent_id WHERE a.source_system = 'bitrix24' ORDER BY a.source_id COLLATE "C";
SELECT c.name, a.name AS account, u.name AS owner, (SELECT string_agg(p.kind || ' ' || p.value_key, ', ' ORDER BY p.kind, p.id) FROM crm.contact_points AS p WHERE p.contact_id = c.id) AS points
FROM crm.contacts AS c LEFT JOIN crm.accounts AS a ON a.id = c.account_id LEFT JOIN crm.users AS u ON u.id = c.owner_id
WHERE c.source_system = 'bitrix24' ORDER BY c.source_id COLLATE "C";
SELECT l.name, l.company, l.phone, l.amount, s.code AS stage, u.name AS owner, l.closed_at IS NOT NULL AS closed FROM crm.leads AS l
JOIN crm.stages AS s ON s.id = l.stage_id LEFT JOIN crm.users AS u ON u.id = l.owner_id WHERE l.source_system = 'bitrix24' ORDER BY l.source_id COLLATE "C";
SELECT o.name, a.name AS account, c.name AS contact, u.name AS owner, s.code AS stage, o.amount, o.currency, o.close_date, o.expected_close_date
FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id LEFT JOIN crm.accounts AS a ON a.id = o.account_id
LEFT JOIN crm.contacts AS c ON c.id = o.contact_id LEFT JOIN crm.users AS u ON u.id = o.owner_id WHERE o.source_system = 'bitrix24' ORDER BY o.source_id COLLATE "C";

-- ---- Zoho ----

UPDATE crm.tenants SET country = 'US';
SELECT crm.stage_import('st.zh_account', $csv$Record Id,Account Owner.id,Account Owner,Account Name,Phone,Website,Parent Account.id,Parent Account,Account Number,Account Type,Industry,Annual Revenue,Employees,Billing Street,Billing City,Billing Country,Created Time,Currency
zcrm_4150868000000225013,zcrm_4150868000000100001,Sara Weber,Zylker,+971 4 555 1000,http://zylker.example,,,0,Customer,Technology,650000.00,250,,Dubai,United Arab Emirates,2023-01-10 09:00:00,USD
zcrm_4150868000000225014,zcrm_4150868000000100002,Tom Reed,Zylker West,,,zcrm_4150868000000225013,Zylker,0,Customer,,,,,,,2023-01-11 09:00:00,USD
zcrm_4150868000000225015,zcrm_4150868000000100002,Tom Reed,Benton,+44 20 7946 0123,,,,12,-None-,Real Estate,0.00,,,London,United Kingdom,2023-01-12 09:00:00,GBP
$csv$);
SELECT * FROM pg_temp.load('st.zh_account', 'accounts', 'zoho');
SELECT crm.stage_import('st.zh_contact', $csv$Record Id,Contact Owner.id,Contact Owner,Lead Source,First Name,Last Name,Account Name.id,Account Name,Email,Title,Phone,Mobile,Email Opt Out,Secondary Email,Mailing City,Mailing Country,Created Time
zcrm_4150868000000226001,zcrm_4150868000000100001,Sara Weber,Advertisement,Kris,Marrier,zcrm_4150868000000225013,Zylker,kris@zylker.example,VP,+971 4 555 0101,+971 50 555 0101,false,kris2@zylker.example,Dubai,United Arab Emirates,2023-01-20 09:00:00
zcrm_4150868000000226002,zcrm_4150868000000100002,Tom Reed,-None-,,Foller,zcrm_4150868000000225015,Benton,capla@benton.example,,+44 20 7946 0124,,true,,London,United Kingdom,2023-01-21 09:00:00
$csv$);
SELECT * FROM pg_temp.load('st.zh_contact', 'contacts', 'zoho');
SELECT crm.stage_import('st.zh_lead', $csv$Record Id,Lead Owner.id,Lead Owner,Company,First Name,Last Name,Title,Email,Phone,Fax,Mobile,Website,Lead Source,Lead Status,Industry,No. of Employees,Annual Revenue,Rating,Created Time,Street,City,State,Zip Code,Country,Description,Converted
zcrm_4150868000000228001,zcrm_4150868000000100001,Sara Weber,Rangoni,Carissa,Kidman,VP,carissa@rangoni.example,555-555-5555,,,,Advertisement,Contacted,Service Provider,100,850000.00,-None-,2023-03-01 09:00:00,,,,,,,false
zcrm_4150868000000228002,zcrm_4150868000000100002,Tom Reed,Oh My,James,Merced,,james@ohmy.example,+1 555 010 2030,,,,Cold Call,Junk Lead,-None-,0,0.00,,2023-03-02 09:00:00,,,,,,,false
$csv$);
SELECT * FROM pg_temp.load('st.zh_lead', 'leads', 'zoho');
SELECT crm.stage_import('st.zh_deal', $csv$Record Id,Deal Owner.id,Deal Owner,Deal Name,Account Name.id,Account Name,Contact Name.id,Contact Name,Amount,Currency,Stage,Probability (%),Closing Date,Type,Lead Source,Created Time,Next Step
zcrm_4150868000000227001,zcrm_4150868000000100001,Sara Weber,Zylker deal,zcrm_4150868000000225013,Zylker,zcrm_4150868000000226001,Kris Marrier,45000.00,USD,Closed Won,100,2023-04-30,New Business,Advertisement,2023-02-01 09:00:00,
zcrm_4150868000000227002,zcrm_4150868000000100002,Tom Reed,Benton deal,zcrm_4150868000000225015,Benton,zcrm_4150868000000226002,Foller,250.00,GBP,Closed Lost to Competition,0,2023-05-30,-None-,-None-,2023-02-02 09:00:00,
zcrm_4150868000000227003,zcrm_4150868000000100002,Tom Reed,West deal,zcrm_4150868000000225014,Zylker West,,,,USD,Identify Decision Makers,60,2099-05-30,,,2023-02-03 09:00:00,
zcrm_4150868000000227004,zcrm_4150868000000100002,Tom Reed,West deal 2,zcrm_4150868000000225014,Zylker West,,,70000.00,USD,Proposal/Price Quote,75,2099-05-30,,,2023-02-03 09:00:00,
$csv$);
SELECT * FROM pg_temp.load('st.zh_deal', 'opportunities', 'zoho');
SELECT a.name, a.roles, a.country, a.currency, a.employees, u.name AS owner, p.name AS parent FROM crm.accounts AS a
LEFT JOIN crm.users AS u ON u.id = a.owner_id LEFT JOIN crm.accounts AS p ON p.id = a.parent_id WHERE a.source_system = 'zoho' ORDER BY a.source_id COLLATE "C";
SELECT c.name, a.name AS account, u.name AS owner, (SELECT string_agg(p.kind || ' ' || p.value_key, ', ' ORDER BY p.kind, p.id) FROM crm.contact_points AS p WHERE p.contact_id = c.id) AS points
FROM crm.contacts AS c LEFT JOIN crm.accounts AS a ON a.id = c.account_id LEFT JOIN crm.users AS u ON u.id = c.owner_id
WHERE c.source_system = 'zoho' ORDER BY c.source_id COLLATE "C";
SELECT l.name, l.company, l.phone, l.amount, s.code AS stage, u.name AS owner, l.closed_at IS NOT NULL AS closed FROM crm.leads AS l
JOIN crm.stages AS s ON s.id = l.stage_id LEFT JOIN crm.users AS u ON u.id = l.owner_id WHERE l.source_system = 'zoho' ORDER BY l.source_id COLLATE "C";
SELECT o.name, a.name AS account, c.name AS contact, u.name AS owner, s.code AS stage, o.amount, o.currency, o.close_date, o.expected_close_date
FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id LEFT JOIN crm.accounts AS a ON a.id = o.account_id
LEFT JOIN crm.contacts AS c ON c.id = o.contact_id LEFT JOIN crm.users AS u ON u.id = o.owner_id WHERE o.source_system = 'zoho' ORDER BY o.source_id COLLATE "C";

-- a lead with several numbers is found by the first and gives its contact all of them
SELECT l.phone_key, (crm.convert_lead(l.id)).contact_id AS converted FROM crm.leads AS l WHERE l.source_system = 'bitrix24' AND l.source_id = '1001' \gset
SELECT :'phone_key' AS phone_key, string_agg(p.kind || ' ' || p.value_key || CASE WHEN p.is_primary THEN ' first' ELSE '' END, ', ' ORDER BY p.kind, p.id) AS points
FROM crm.contact_points AS p WHERE p.contact_id = :converted AND p.kind IN ('mobile', 'phone');
-- what the other system had deleted is no record here, and each row says so; a date of deletion counts, a no does not
SELECT r.line, r.state, r.reason FROM crm.import_rows AS r WHERE r.reason LIKE '%deleted%' ORDER BY 1;
SELECT crm.stage_import('st.gone', $csv$id,name,Deleted At
1,Here,
2,Gone,2024-03-01
3,Not gone,FALSE
$csv$);
SELECT * FROM pg_temp.load('st.gone', 'accounts', 'gone');
SELECT name FROM crm.accounts WHERE source_system = 'gone' ORDER BY 1;

-- nobody was made out of an id, and no owner twice
SELECT count(*) FROM crm.users WHERE name ~ '[0-9]{4}';
SELECT name FROM crm.users GROUP BY name HAVING count(*) > 1;

-- ---- when a row was closed is said without a history as well ----

CREATE TABLE st.closed (k text, s text, opened text, closed text);
INSERT INTO st.closed VALUES ('1', 'resolved', '2024-01-02 10:00', '2024-01-03 11:30'), ('2', 'new', '2024-01-02 10:00', ''), ('3', 'resolved', '2024-01-05 10:00', '2024-01-03 11:30');
SELECT rows_inserted, rows_bad, problems -> 0 ->> 'reason' AS reason FROM crm.import_table('st.closed', '{"target": "tickets", "source_system": "c", "key": "k",
    "columns": {"subject": "k", "stage_id": {"column": "s", "lookup": "stages"}, "created_at": "opened", "closed_at": "closed"}}');
SELECT subject, created_at AT TIME ZONE 'UTC' AS opened, closed_at AT TIME ZONE 'UTC' AS closed FROM crm.tickets WHERE source_system = 'c' ORDER BY subject;
ROLLBACK;
