-- What other systems call values of ours: stages, channels, kinds of customers; and their columns in Russian exports.

CREATE OR REPLACE FUNCTION crm.import_value_synonyms()
RETURNS TABLE (target text, name text, ours text, called text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('leads', 'stage_id', 'new', '{open - not contacted,not contacted,open,unprocessed,новый,не обработан,новая}'::text[]),
    ('leads', 'stage_id', 'working', '{working - contacted,contacted,attempted to contact,attempting contact,contact in future,in progress,in process,'
     'connected,open deal,в работе,в обработке}'),
    ('leads', 'stage_id', 'qualified', '{pre-qualified,marketing qualified lead,sales qualified lead,opportunity,качественный лид,quality lead}'),
    ('leads', 'stage_id', 'converted', '{closed - converted,customer}'),
    ('leads', 'stage_id', 'disqualified', '{closed - not converted,unqualified,not qualified,junk lead,junk,lost lead,bad timing,некачественный лид}'),
    ('opportunities', 'stage_id', 'prospecting', '{appointment scheduled,appointmentscheduled,lead in,initial contact,new,новая}'),
    ('opportunities', 'stage_id', 'qualification', '{qualified to buy,qualifiedtobuy,qualified,contact made,квалификация}'),
    ('opportunities', 'stage_id', 'needs_analysis', '{needs defined,demo scheduled}'),
    ('opportunities', 'stage_id', 'value_proposition', '{presentation scheduled,presentationscheduled}'),
    ('opportunities', 'stage_id', 'decision_makers', '{id. decision makers,identify decision makers,decision maker bought-in,decisionmakerboughtin}'),
    ('opportunities', 'stage_id', 'proposal', '{proposal/price quote,proposal/quote,proposal made,quote,подготовка документов,предложение,'
     'счёт на предоплату,счет на предоплату,prepayment invoice,prepaid invoice,document preparation}'),
    ('opportunities', 'stage_id', 'negotiation', '{negotiation/review,negotiations started,contract sent,contractsent,in progress,в работе,'
     'финальный счёт,финальный счет,final invoice}'),
    ('opportunities', 'stage_id', 'won', '{closed won,closedwon,deal won,сделка успешна,успешна}'),
    ('opportunities', 'stage_id', 'lost', '{closed lost,closedlost,closed lost to competition,deal lost,сделка провалена,провалена,analyze failure}'),
    ('opportunities', 'pipeline_id', 'sales', '{sales pipeline,default,default pipeline,general,standard,общее}'),
    ('tickets', 'pipeline_id', 'support', '{support pipeline,default,default pipeline,general}'),
    ('tickets', 'stage_id', 'open', '{working,escalated,in progress,in process,waiting on us}'),
    ('tickets', 'stage_id', 'waiting', '{waiting on contact,waiting on customer,waiting for customer,awaiting customer,awaiting reply,pending}'),
    ('tickets', 'stage_id', 'on_hold', '{hold,waiting on third party}'),
    ('tickets', 'stage_id', 'resolved', '{solved}'),
    ('tickets', 'channel', 'mail', '{email,e-mail}'),
    ('tickets', 'channel', 'web', '{form,website,web form,portal,customer portal}'),
    ('tickets', 'channel', 'phone', '{call,telephone,phone call}'),
    ('tickets', 'channel', 'chat', '{live chat,whatsapp,messenger}'),
    ('tickets', 'channel', 'social', '{facebook,twitter,instagram,social media}'),
    ('tickets', 'type', 'request', '{feature request,service request,task}'),
    ('tickets', 'type', 'question', '{general inquiry,inquiry,query}'),
    ('tickets', 'type', 'problem', '{bug,electrical,mechanical,electronic,structural}'),
    ('*', 'priority', 'normal', '{medium,moderate,standard}'),
    ('*', 'priority', 'urgent', '{critical,highest}'),
    ('*', 'priority', 'low', '{lowest,minor}'),
    ('accounts', 'roles', 'customer', '{client,existing customer,customer - direct,customer - channel,клиент}'),
    ('accounts', 'roles', 'prospect', '{lead,opportunity,subscriber,marketing qualified lead,sales qualified lead}'),
    ('accounts', 'roles', NULL, '{other,investor,press,evangelist,прочее}'),
    ('accounts', 'roles', 'partner', '{channel partner / reseller,reseller,technology partner,integrator,installation partner,партнёр,партнер}'),
    ('accounts', 'roles', 'supplier', '{vendor,поставщик}'),
    ('accounts', 'roles', 'competitor', '{конкурент}'),
    ('*', 'country', 'RU', '{россия,российская федерация}'),
    ('*', 'country', 'BY', '{беларусь,белоруссия}'),
    ('*', 'country', 'KZ', '{казахстан}'),
    ('*', 'country', 'UA', '{украина}'),
    ('*', 'country', 'UZ', '{узбекистан}')
$$;
COMMENT ON FUNCTION crm.import_value_synonyms() IS
'What other systems call values of a column (* for all tables): their names of stages, channels, types (ours NULL: nothing here). For crm.suggest_mapping().';

CREATE OR REPLACE FUNCTION crm.import_synonyms_russian()
RETURNS TABLE (target text, name text, called text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('*', 'owner_id', '{ответственный,менеджер,ответственное лицо}'::text[]),
    ('*', 'created_at', '{дата создания,создан,создано}'),
    ('*', 'tags', '{теги,метки}'),
    ('accounts', 'name', '{название компании,компания,название}'),
    ('accounts', 'roles', '{company type,account type,type,lifecycle stage,customer type,тип компании}'),
    ('accounts', 'currency', '{currency,currency iso code,currencyisocode,currency code,ارز,واحد پول,валюта}'),
    ('accounts', 'website', '{corporate website,корпоративный сайт,сайт}'),
    ('accounts', 'email', '{рабочий e-mail}'),
    ('accounts', 'phone', '{рабочий телефон,телефон}'),
    ('accounts', 'industry', '{сфера деятельности,отрасль}'),
    ('accounts', 'employees', '{кол-во сотрудников,количество сотрудников}'),
    ('accounts', 'annual_revenue', '{годовой оборот}'),
    ('accounts', 'city', '{город}'),
    ('accounts', 'address', '{адрес}'),
    ('accounts', 'country', '{страна}'),
    ('accounts', 'fax', '{факс}'),
    ('contacts', '#first', '{имя}'),
    ('contacts', '#last', '{фамилия}'),
    ('contacts', 'account_id', '{компания,название компании}'),
    ('contacts', 'title', '{должность}'),
    ('contacts', 'email', '{рабочий e-mail}'),
    ('contacts', 'email.other', '{частный e-mail}'),
    ('contacts', 'phone', '{рабочий телефон}'),
    ('contacts', 'mobile', '{мобильный телефон}'),
    ('contacts', 'phone.home', '{домашний телефон}'),
    ('contacts', 'birth_date', '{дата рождения}'),
    ('contacts', '#country', '{mailing country,country,country/region,home country,страна,کشور}'),
    ('users', 'time_zone', '{time zone,timezone,timezonesidkey}'),
    ('leads', '#first', '{имя}'),
    ('leads', '#last', '{фамилия}'),
    ('leads', 'name', '{название лида}'),
    ('leads', 'company', '{название компании,компания}'),
    ('leads', 'stage_id', '{стадия,статус}'),
    ('leads', 'source', '{источник}'),
    ('leads', 'email', '{рабочий e-mail}'),
    ('leads', 'phone', '{рабочий телефон,мобильный телефон}'),
    ('leads', 'amount', '{сумма}'),
    ('leads', 'currency', '{валюта}'),
    ('leads', 'message', '{комментарий}'),
    ('leads', 'title', '{должность}'),
    ('opportunities', 'name', '{название сделки,название}'),
    ('opportunities', 'stage_id', '{стадия сделки,стадия}'),
    ('opportunities', 'account_id', '{компания}'),
    ('opportunities', 'contact_id', '{контакт}'),
    ('opportunities', 'amount', '{сумма}'),
    ('opportunities', 'currency', '{валюта}'),
    ('opportunities', 'close_date', '{предполагаемая дата закрытия,дата закрытия,дата завершения}'),
    ('opportunities', 'probability', '{вероятность}'),
    ('opportunities', 'pipeline_id', '{воронка,направление}'),
    ('opportunities', 'lead_source', '{источник}'),
    ('tickets', 'pipeline_id', '{pipeline,ticket pipeline}')
$$;
COMMENT ON FUNCTION crm.import_synonyms_russian() IS
'What Russian exports call our columns, and names of columns that only few systems have; see crm.import_synonyms().';
