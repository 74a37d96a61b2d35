-- From an export to a mapping without typing forty columns: the table of a file, and a mapping guessed from names and values.

CREATE OR REPLACE FUNCTION crm.stage_import(table_name text, content text, separator text DEFAULT NULL)
RETURNS regclass
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    path CONSTANT text[] := parse_ident(table_name);
    full_name CONSTANT text := format('%I.%I', CASE WHEN cardinality(path) > 1 THEN path[1] ELSE 'public' END, path[cardinality(path)]);
    header text[];
    names text[];
    odd record;
BEGIN
    SELECT c.cells INTO header FROM crm.read_csv(content, separator) AS c ORDER BY c.line LIMIT 1;
    IF header IS NULL OR content IS NULL THEN
        RAISE EXCEPTION 'there is no header line to make table % from', table_name USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give the content of the file, or its first line alone and fill the table with \copy.';
    END IF;
    -- every column has a name, and no two have one
    SELECT array_agg(CASE WHEN u.twin > 1 THEN u.name || '_' || u.twin ELSE u.name END ORDER BY u.n) INTO names
    FROM (SELECT h.n, x.name, row_number() OVER (PARTITION BY x.name ORDER BY h.n) AS twin
          FROM unnest(header) WITH ORDINALITY AS h(cell, n)
          CROSS JOIN LATERAL (SELECT coalesce(left(crm.import_cell(jsonb_build_object('h', h.cell), '{h}', '', '{}', '{}', false), 58), 'column_' || h.n) AS
              name) AS x) AS u;
    EXECUTE format('CREATE TABLE %s (%s)', full_name, (SELECT string_agg(format('%I text', n), ', ' ORDER BY i) FROM unnest(names) WITH ORDINALITY AS u(n, i)));
    EXECUTE format('INSERT INTO %s SELECT %s FROM crm.read_csv($1, $2) AS c ORDER BY c.line OFFSET 1', full_name,
                   (SELECT string_agg(format('c.cells[%s]', i), ', ' ORDER BY i) FROM unnest(names) WITH ORDINALITY AS u(n, i))) USING content, separator;
    SELECT count(*) AS n, (array_agg(c.line ORDER BY c.line))[1:10] AS lines INTO odd FROM crm.read_csv(content, separator) AS c WHERE cardinality(c.cells) >
        cardinality(names);
    IF odd.n > 0 THEN
        RAISE WARNING '% lines have more values than the header has names', odd.n USING DETAIL = 'Lines: ' || array_to_string(odd.lines, ', '),
            HINT = 'What is too much was left out. Look at these lines: a value with the separator in it needs quotes.';
    END IF;
    RETURN full_name::regclass;
END
$$;
COMMENT ON FUNCTION crm.stage_import(text, text, text) IS
'Makes a table out of the content of a file with separated values: a column of type text for each name of its first line, a row for each other line. With the '
'first line alone the table is empty, for \copy. table_name: with its schema, else public. Returns the table. Errors: 22023 no header, 42P07 the table exists.';

CREATE OR REPLACE FUNCTION crm.import_name_key(name text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT regexp_replace(crm.fold_text(name), '[[:space:][:punct:]]+', '', 'g') $$;
COMMENT ON FUNCTION crm.import_name_key(text) IS 'A name of a column without blanks, signs and case: two columns of one key are called the same.';

-- what other systems call our columns: Salesforce, HubSpot, Bitrix24, Zoho, Pipedrive, and Persian exports; target * is for all tables
CREATE OR REPLACE FUNCTION crm.import_synonyms()
RETURNS TABLE (target text, name text, called text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 120
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('*', '#key', '{id,recordid,record id,objectid,hs object id,external id,شناسه,کد,ردیف,unique id,internal id,hs_object_id,شماره رکورد,کد رکورد}'::text[]),
    ('*', 'owner_id', '{owner,owner name,record owner,account owner,contact owner,opportunity owner,lead owner,deal owner,hubspot owner,responsible,'
     'responsible person,assigned to,sales agent,seller,مسئول,owner id,assigned user,assigned user name,assignee,sales rep,sales representative,'
     'salesperson,sales person,rep,account manager,ticket owner,case owner,company owner,potential owner,deal - owner,person - owner,'
     'organization - owner,owner.name,owner full name,کارشناس,کارشناس فروش,کارشناس مسئول,مالک,مسئول فروش,فروشنده,مسئول پیگیری}'),
    ('*', 'tags', '{tags,tag,labels,برچسب,label,keywords,برچسب‌ها,تگ,تگ‌ها}'),
    ('*', 'created_at', '{created date,create date,created,created time,createdate,created on,date created,تاریخ ایجاد,created at,create time,'
     'date added,added on,date entered,entered on,added time,date of creation,creation date,opened date,date opened,date/time opened,'
     'deal - deal created,person - person created,organization - organization created,contact since,تاریخ ثبت,تاریخ درج,تاریخ ورود,ایجاد شده در,'
     'زمان ثبت,تاریخ تشکیل}'),
    ('accounts', '#key', '{account id,company id,companyid,accountid,customer id,customer number,customer code,account number,organization id,org id,'
     'client id,company record id,کد مشتری,شماره مشتری,شناسه مشتری,شناسه شرکت,کد شرکت}'),
    ('accounts', 'name', '{account name,company name,company,organization name,organisation,title,نام شرکت,شرکت,نام,account,customer,customer name,'
     'client,client name,business name,legal name,organization - name,organization,نام سازمان,سازمان,مشتری,نام مشتری,عنوان شرکت,نام حساب}'),
    ('accounts', 'annual_revenue', '{annual revenue,revenue,turnover,گردش مالی,annualrevenue,yearly revenue,annual turnover,revenue (annual),'
     'درآمد سالانه,گردش مالی سالانه}'),
    ('accounts', 'employees', '{number of employees,employees,no of employees,headcount,تعداد کارکنان,employee count,company size,employees count,'
     'no. of employees,تعداد پرسنل,تعداد کارمندان,پرسنل}'),
    ('accounts', 'city', '{billing city,city,شهر,mailing city,shipping city,town,city/town,address city,organization - city,شهر محل شرکت}'),
    ('accounts', 'website', '{website,website url,web site,company domain name,وب سایت,url,homepage,home page,company domain,domain,site,domain name,'
     'وب‌سایت,سایت,آدرس سایت}'),
    ('accounts', 'address', '{billing street,street address,address,نشانی,آدرس,billing address,street,full address,address line 1,'
     'billing address line 1,mailing address,organization - address,آدرس شرکت,نشانی شرکت,آدرس پستی}'),
    ('accounts', 'industry', '{industry,sector,صنعت,industry type,business type,line of business,vertical,حوزه فعالیت,زمینه فعالیت,رسته}'),
    ('accounts', 'phone', '{phone,phone number,work phone,تلفن,main phone,company phone,telephone,business phone,account phone,organization - phone,'
     'تلفن ثابت,شماره تلفن,شماره تماس,تلفن شرکت}'),
    ('accounts', 'parent_id', '{parent account,parent company,subsidiary of,parent,parent account name,parent company name,parent account id,شرکت مادر}'),
    ('accounts', 'country', '{billing country,country,country/region,billing country/region,billing country code,country code,country name,'
     'address country,shipping country,mailing country,organization - country,کشور,نام کشور}'),
    ('accounts', 'email', '{email,e-mail,email address,company email,work e-mail,organization - email,ایمیل,پست الکترونیک,پست الکترونیکی,رایانامه}'),
    ('accounts', 'fax', '{fax,fax number,account fax,نمابر,فکس,دورنگار}'),
    ('accounts', 'founded_year', '{year founded,founded,year established,سال تاسیس}'),
    ('contacts', '#key', '{contact id,contactid,person id,person - id,contact number,contact record id,شناسه مخاطب,کد مخاطب,کد شخص}'),
    ('contacts', 'name', '{full name,contact name,name,نام و نام خانوادگی,contact,person,person name,person - name,display name,نام کامل,نام مخاطب,'
     'مخاطب,نام شخص}'),
    ('contacts', '#first', '{first name,firstname,given name,نام,first,forename,person - first name,نام کوچک}'),
    ('contacts', '#last', '{last name,lastname,surname,family name,نام خانوادگی,last,family,person - last name,فامیلی,فامیل}'),
    ('contacts', 'account_id', '{account name,account,company,company name,associated company,organization,شرکت,account id,company id,'
     'organization name,employer,person - organization,associated company name,primary company,primary associated company,related company,نام شرکت,'
     'سازمان,نام سازمان,محل کار}'),
    ('contacts', 'email', '{email,e-mail,email address,work e-mail,mail,ایمیل,primary email,business email,work email,e-mail address,email 1,'
     'e-mail 1 - value,person - email - work,person - email,home e-mail,پست الکترونیک,پست الکترونیکی,آدرس ایمیل,رایانامه}'),
    ('contacts', 'phone', '{phone,phone number,work phone,business phone,telephone,تلفن,office phone,direct phone,phone 1,phone 1 - value,'
     'person - phone - work,person - phone,تلفن ثابت,شماره تلفن,شماره تماس,تلفن محل کار}'),
    ('contacts', 'mobile', '{mobile,mobile phone,mobile phone number,cell,موبایل,تلفن همراه,mobilephone,mobile number,cell phone,cellphone,cellular,'
     'person - phone - mobile,همراه,شماره همراه,شماره موبایل,تلفن موبایل,گوشی}'),
    ('contacts', 'title', '{title,job title,position,سمت,role,person - job title,jobtitle,عنوان شغلی,شغل}'),
    ('contacts', 'department', '{department,واحد,dept,division,بخش,دپارتمان}'),
    ('contacts', 'birth_date', '{birthdate,date of birth,birthday,تاریخ تولد,birth date,dob,person - birthday,تولد,روز تولد}'),
    ('contacts', 'email.other', '{additional email addresses,secondary email,other email,alternate email,alternative email,email 2,e-mail 2 - value,'
     'second email,additional emails,home email,private e-mail,personal email,other e-mail,person - email - home,person - email - other,ایمیل دوم,'
     'ایمیل شخصی,سایر ایمیل‌ها}'),
    ('contacts', 'phone.home', '{home phone,home telephone,person - phone - home,تلفن منزل}'),
    ('contacts', 'phone.other', '{other phone,asst. phone,assistant phone,secondary phone,phone 2,phone 2 - value,additional phone numbers,تلفن دوم}'),
    ('contacts', 'fax', '{fax,fax number,نمابر,فکس,دورنگار}'),
    ('contacts', 'web', '{website,website url,web site,url,وب سایت}'),
    ('leads', '#key', '{lead id,leadid,lead number,prospect id,lead record id,شناسه سرنخ,کد سرنخ}'),
    ('leads', 'name', '{full name,lead name,name,contact name,نام,lead,person name,prospect,prospect name,lead - title,نام سرنخ,سرنخ,نام کامل,'
     'نام و نام خانوادگی,نام مخاطب}'),
    ('leads', '#first', '{first name,firstname,given name,first,نام کوچک}'),
    ('leads', '#last', '{last name,lastname,surname,family name,last,نام خانوادگی,فامیلی}'),
    ('leads', 'company', '{company,company name,account name,شرکت,organization,organization name,business name,associated company,نام شرکت,سازمان,'
     'نام سازمان}'),
    ('leads', 'email', '{email,e-mail,email address,work e-mail,ایمیل,mail,work email,primary email,e-mail address,business email,پست الکترونیک,'
     'پست الکترونیکی,رایانامه}'),
    ('leads', 'phone', '{phone,phone number,mobile,work phone,تلفن,موبایل,mobile phone,mobile phone number,mobile number,telephone,business phone,'
     'cell,cell phone,تلفن همراه,شماره تماس,شماره تلفن,شماره همراه,همراه,تلفن ثابت}'),
    ('leads', 'source', '{lead source,source,original source,منبع,source name,lead - source,original traffic source,منبع سرنخ,نحوه آشنایی,کانال آشنایی}'),
    ('leads', 'stage_id', '{lead status,status,stage,مرحله,lead stage,lifecycle stage,state,وضعیت,وضعیت سرنخ}'),
    ('leads', 'employees', '{number of employees,no of employees,employees,no. of employees,company size,تعداد کارکنان}'),
    ('leads', 'country', '{country,country/region,country code,country name,mailing country,کشور}'),
    ('leads', 'city', '{city,town,mailing city,شهر}'),
    ('leads', 'title', '{title,job title,position,role,سمت,عنوان شغلی}'),
    ('leads', 'industry', '{industry,sector,industry type,صنعت,حوزه فعالیت}'),
    ('leads', 'website', '{website,website url,web site,url,company domain name,وب سایت,وب‌سایت,سایت}'),
    ('leads', 'message', '{description,comment,comments,notes,message,enquiry,inquiry,توضیحات,شرح,پیام}'),
    ('leads', 'campaign', '{campaign,campaign name,utm campaign,primary campaign,کمپین}'),
    ('leads', 'medium', '{medium,utm medium}'),
    ('leads', 'amount', '{amount,opportunity amount,estimated value,value,budget,lead value,مبلغ,ارزش}'),
    ('leads', 'currency', '{currency,currency iso code,lead - currency,ارز,واحد پول}'),
    ('opportunities', '#key', '{opportunity id,opportunityid,deal id,dealid,potential id,deal - id,deal record id,opportunity number,'
     'potential record id,شناسه معامله,کد معامله,شناسه فرصت,شماره فرصت,کد فرصت}'),
    ('opportunities', 'name', '{opportunity name,deal name,dealname,potential name,deal title,title,name,عنوان,نام معامله,opportunity,deal,'
     'deal - title,subject,topic,potential,عنوان معامله,عنوان فرصت,نام فرصت,معامله,فرصت,موضوع}'),
    ('opportunities', 'account_id', '{account name,account,company,associated company,organization,company name,customer,شرکت,مشتری,account id,'
     'company id,customer name,client,client name,deal - organization,organization name,associated company name,primary associated company,'
     'related company,نام شرکت,نام مشتری,سازمان,نام سازمان,حساب}'),
    ('opportunities', 'contact_id', '{contact name,contact,associated contact,primary contact,contact person,contact id,associated contact name,'
     'person,deal - contact person,primary contact name,related contact,مخاطب,نام مخاطب,شخص,رابط}'),
    ('opportunities', 'stage_id', '{stage,deal stage,dealstage,stage name,sales stage,مرحله,status,deal status,opportunity stage,deal - stage,'
     'pipeline stage,stagename,مرحله فروش,مرحله معامله,وضعیت,مرحله فرصت}'),
    ('opportunities', 'pipeline_id', '{pipeline,deal category,sales pipeline,pipeline name,deal pipeline,deal - pipeline,کاریز,خط فروش}'),
    ('opportunities', 'amount', '{amount,deal value,income,value,total,expected revenue,amount in company currency,مبلغ,deal amount,'
     'opportunity amount,total amount,deal - value,sum,price,grand total,مبلغ معامله,مبلغ کل,ارزش,ارزش معامله,قیمت,جمع کل}'),
    ('opportunities', 'currency', '{currency,currency iso code,deal currency,ارز,currencyisocode,currency code,deal - currency of value,'
     'amount currency,واحد پول,نوع ارز}'),
    ('opportunities', 'close_date', '{close date,closedate,closing date,expected close date,won date,completed on,تاریخ بستن,closed date,date closed,'
     'expected close,expected closing,expected close on,estimated close date,planned close date,end date,deal - expected close date,deal - won time,'
     'won time,closed on,close on,تاریخ بسته شدن,تاریخ پیش‌بینی بستن,تاریخ احتمالی بستن,تاریخ پیش بینی بستن,تاریخ پایان,تاریخ خاتمه,تاریخ قرارداد}'),
    ('opportunities', 'probability', '{probability,probability (%),deal probability,win probability,close probability,deal - probability,'
     'probability %,chance,احتمال,درصد احتمال,احتمال موفقیت,درصد موفقیت}'),
    ('opportunities', 'lead_source', '{lead source,source,منبع,original source,source name,deal source,deal - source,منبع سرنخ,نحوه آشنایی}'),
    ('opportunities', 'loss_reason', '{loss reason,closed lost reason,lost reason,reason for loss,دلیل باخت,deal - lost reason,loss_reason,'
     'reason lost,lost - reason,closed lost - reason,دلیل از دست رفتن,علت باخت,علت شکست}'),
    ('opportunities', 'product_id', '{product,product name,primary product,محصول,نام محصول,کالا}'),
    ('opportunity_lines', 'opportunity_id', '{opportunity name,opportunity,deal name,deal,opportunity id,deal id,معامله}'),
    ('opportunity_lines', 'product_id', '{product name,product,product code,item,sku,کالا,محصول,نام کالا,کد کالا}'),
    ('opportunity_lines', 'quantity', '{quantity,qty,count,تعداد,مقدار}'),
    ('opportunity_lines', 'unit_price', '{unit price,sales price,price,list price,قیمت واحد,فی,قیمت}'),
    ('opportunity_lines', 'discount_percent', '{discount,discount %,discount percent,تخفیف,درصد تخفیف}'),
    ('orders', '#key', '{order id,order number,order no,invoice number,invoice no,شماره سفارش,شماره فاکتور,کد سفارش}'),
    ('orders', 'number', '{order number,order no,order no.,order name,invoice number,invoice no,so number,شماره سفارش,شماره فاکتور}'),
    ('orders', 'account_id', '{account name,account,company,company name,customer,customer name,customer id,client,organization,bill to,'
     'billing company,مشتری,نام مشتری,شرکت,نام شرکت,خریدار}'),
    ('orders', 'contact_id', '{contact name,contact,buyer,مخاطب,نام مخاطب}'),
    ('orders', 'opportunity_id', '{opportunity name,opportunity,deal name,deal,معامله,فرصت}'),
    ('orders', 'ordered_at', '{order date,ordered on,order start date,purchase date,date,date of order,invoice date,invoicedate,order time,'
     'تاریخ سفارش,تاریخ خرید,تاریخ فاکتور,تاریخ}'),
    ('orders', 'amount', '{order amount,total,grand total,total amount,total price,order total,amount,net amount,subtotal,مبلغ,مبلغ کل,جمع کل,'
     'مبلغ سفارش}'),
    ('orders', 'currency', '{currency,currency code,currency iso code,ارز,واحد پول}'),
    ('orders', 'channel', '{channel,sales channel,source,کانال فروش}'),
    ('order_lines', 'order_id', '{order number,order no,order,order id,invoice number,invoice no,شماره سفارش,شماره فاکتور}'),
    ('order_lines', 'product_id', '{product name,product,product code,item,sku,stock code,کالا,محصول,نام کالا,کد کالا}'),
    ('order_lines', 'quantity', '{quantity,qty,count,تعداد,مقدار}'),
    ('order_lines', 'unit_price', '{unit price,sales price,price,list price,قیمت واحد,فی,قیمت}'),
    ('order_lines', 'discount_percent', '{discount,discount %,discount percent,تخفیف,درصد تخفیف}'),
    ('tickets', '#key', '{ticket id,ticketid,case number,case id,case no,case no.,case record id,request id,issue id,ticket number,ticket no,ticket #,'
     'شماره تیکت,کد تیکت,شناسه تیکت}'),
    ('tickets', 'subject', '{subject,ticket name,title,case subject,موضوع,case title,summary,ticket subject,request subject,issue,عنوان,عنوان تیکت}'),
    ('tickets', 'description', '{description,content,ticket description,شرح,case description,body,message,details,توضیحات,متن,شرح مشکل}'),
    ('tickets', 'priority', '{priority,اولویت,ticket priority,case priority,severity,urgency,فوریت}'),
    ('tickets', 'stage_id', '{status,ticket status,stage,وضعیت,case status,state,request status,وضعیت تیکت,مرحله}'),
    ('tickets', 'contact_id', '{contact name,contact,requester,requester email,contact id,associated contact,requester name,customer email,'
     'contact email,web email,client,مخاطب,نام مخاطب,درخواست‌کننده,مشتری}'),
    ('tickets', 'account_id', '{account name,company,organization,account id,account,company name,associated company,customer,شرکت,نام شرکت,سازمان}'),
    ('tickets', 'type', '{ticket type,case type,category,request type,نوع,نوع تیکت}'),
    ('tickets', 'channel', '{channel,case origin,origin,source,ticket source,کانال}'),
    ('tickets', 'product_id', '{product,product name,محصول,کالا}'),
    ('tickets', 'closed_at', '{closed date,date closed,close date,date/time closed,closed time,closed at,ticket close date,تاریخ بستن}'),
    ('products', '#key', '{product id,product code,sku,product record id,item id,item number,part number,article number,شناسه کالا,شناسه محصول,'
     'کد محصول}'),
    ('products', 'name', '{product name,product,item,نام کالا,title,item name,description,نام محصول,محصول,کالا,شرح کالا,عنوان کالا}'),
    ('products', 'code', '{product code,sku,کد کالا,item code,article,part number,model,کد محصول,کد,بارکد}'),
    ('products', 'list_price', '{list price,price,unit price,sales price,قیمت,unit cost price,selling price,retail price,base price,rate,قیمت واحد,'
     'قیمت فروش,فی}'),
    ('products', 'family', '{product family,series,category,product category,section,family,category name,group,product group,product line,دسته,'
     'دسته‌بندی,گروه کالا,گروه}'),
    ('products', 'cost', '{cost,unit cost,purchase price,cost price,cost of goods sold,قیمت خرید,بهای تمام شده}'),
    ('products', 'currency', '{currency,currency code,ارز,واحد پول}'),
    ('products', 'unit', '{unit,unit of measure,uom,usage unit,واحد,واحد شمارش}'),
    ('products', 'active', '{active,is active,product active,enabled,فعال}'),
    ('activities', 'subject', '{subject,title,activity subject,موضوع,name,task name,call name,meeting name,activity,عنوان,عنوان فعالیت}'),
    ('activities', 'body', '{description,comments,notes,body,note,details,activity note,توضیحات,شرح,یادداشت}'),
    ('activities', 'done_at', '{completed date,date,activity date,end,completed on,completed at,done time,marked as done time,date/time,call date,'
     'تاریخ انجام,تاریخ}'),
    ('activities', '#key', '{activity id,task id,event id,call id,شناسه فعالیت}'),
    ('activities', 'kind', '{type,activity type,task type,نوع,نوع فعالیت}'),
    ('activities', 'due_at', '{due date,due,deadline,due on,due time,سررسید,مهلت}'),
    ('activities', 'contact_id', '{contact name,contact,name (who),contact person,who,مخاطب,نام مخاطب}'),
    ('activities', 'account_id', '{account name,account,company,company name,organization,شرکت,نام شرکت}'),
    ('users', 'name', '{name,full name,sales agent,user name,display name,agent,agent name,employee,employee name,sales rep,نام,نام کاربر,'
     'نام و نام خانوادگی,کارشناس}'),
    ('users', '#key', '{user id,userid,username,login}'),
    ('users', 'email', '{email,e-mail,email address,user email,ایمیل}'),
    ('users', 'active', '{active,is active,status,فعال}'),
    ('users', '#first', '{first name,firstname,given name}'),
    ('users', '#last', '{last name,lastname,surname,family name,نام خانوادگی}')
$$;
COMMENT ON FUNCTION crm.import_synonyms() IS
'What other systems call the columns of a table (* for all tables); #key the key, #first and #last the halves of a name, email.other a contact point with a '
'label. For crm.suggest_mapping().';

-- the format by which all of the values can be read; NULL: none needs to be said, or none is sure
CREATE OR REPLACE FUNCTION crm.suggest_format(sample text[], kind text)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN kind = 'number' THEN
        (SELECT CASE WHEN count(*) FILTER (WHERE crm.import_number(s, NULL, NULL) IS NULL) = 0 THEN NULL
                     WHEN bool_and(crm.import_number(s, '.', NULL) IS NOT NULL) AND NOT bool_and(crm.import_number(s, ',', NULL) IS NOT NULL) THEN
                         '{"decimal": "."}'::jsonb
                     WHEN bool_and(crm.import_number(s, ',', NULL) IS NOT NULL) AND NOT bool_and(crm.import_number(s, '.', NULL) IS NOT NULL) THEN
                         '{"decimal": ","}' END
         FROM unnest(sample) AS s)
    ELSE
        (SELECT CASE WHEN NOT bool_or(d.fails) FILTER (WHERE d.o = 'any') THEN NULL
                     ELSE (SELECT CASE WHEN count(*) = 1 THEN jsonb_build_object('date_order', min(w.o)) END FROM (
                               SELECT o FROM unnest('{dmy,mdy,jalali,epoch_ms,epoch}'::text[]) AS o
                               WHERE (SELECT bool_and(coalesce(crm.import_date(s, o, 'UTC') BETWEEN '1900-01-01' AND '2200-01-01', false)) FROM
                                   unnest(sample) AS s)) AS w) END
         FROM (SELECT 'any' AS o, crm.import_date(s, 'any', 'UTC') IS NULL AS fails FROM unnest(sample) AS s) AS d) END
$$;
COMMENT ON FUNCTION crm.suggest_format(text[], text) IS 'How the numbers or dates of a sample are written, where the sample leaves no doubt.';

CREATE OR REPLACE FUNCTION crm.suggest_key(source regclass, target text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    goes_to CONSTANT regclass := crm.subject_relation(target);
    candidate record;
    best text;
    counted record;
BEGIN
    -- columns that are called like a key first; then any text that tells all rows apart, but no amount, no date and nothing else that is so by chance
    FOR candidate IN
        SELECT a.attname, min(CASE y.target WHEN suggest_key.target THEN 1 WHEN '*' THEN 2 ELSE 3 END) AS rank
        FROM pg_attribute AS a
        LEFT JOIN crm.import_synonyms() AS y ON y.name = '#key' AND y.target IN ('*', suggest_key.target)
             AND crm.import_name_key(a.attname) IN (SELECT crm.import_name_key(c) FROM unnest(y.called) AS c)
        WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
          AND (y.target IS NOT NULL OR NOT EXISTS (
              SELECT FROM pg_attribute AS g LEFT JOIN crm.import_synonyms() AS s ON s.name = g.attname AND s.target IN ('*', suggest_key.target)
              WHERE g.attrelid = goes_to AND g.attnum > 0 AND g.atttypid NOT IN ('text'::regtype, 'bpchar'::regtype, 'varchar'::regtype)
                AND (crm.import_name_key(g.attname) = crm.import_name_key(a.attname)
                     OR crm.import_name_key(a.attname) IN (SELECT crm.import_name_key(c) FROM unnest(s.called) AS c))))
        GROUP BY a.attname, a.attnum ORDER BY 2, a.attnum
    LOOP
        EXIT WHEN candidate.rank = 3 AND best IS NOT NULL;
        EXECUTE format('SELECT count(*) AS all, count(DISTINCT nullif(btrim(t.%I::text), '''')) AS told FROM %s AS t', candidate.attname, source::regclass)
            INTO counted;
        IF counted."all" > 0 AND counted.told = counted."all" OR counted."all" = 0 AND candidate.rank < 3 THEN
            RETURN candidate.attname;
        END IF;
        IF candidate.rank < 3 AND counted.told > 0 AND best IS NULL THEN
            best := candidate.attname;
        END IF;
    END LOOP;
    IF best IS NOT NULL THEN
        RAISE NOTICE 'column "%" is the key, but does not tell all rows apart', best
            USING HINT = 'Rows without a key, and all but the first of those with one, will be bad rows. Name other columns as "key" if they are '
                         'different records.';
        RETURN best;
    END IF;
    RAISE EXCEPTION 'no column of % tells all of its rows apart', source USING ERRCODE = 'invalid_parameter_value',
        HINT = 'Write the mapping''s "key" as an array of several columns.';
END
$$;
COMMENT ON FUNCTION crm.suggest_key(regclass, text) IS
'The column of a staged table that tells its rows apart: one that is called a key before any other, even where it holds a value twice (a notice says so); error 22023 where there is none.';

CREATE OR REPLACE FUNCTION crm.suggest_column(source regclass, target text, name text, column_name text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    goes_to CONSTANT regclass := crm.subject_relation(target);
    type regtype;
    looked_up record;
    spec jsonb := jsonb_build_object('column', column_name);
BEGIN
    SELECT a.atttypid INTO type FROM pg_attribute AS a WHERE a.attrelid = goes_to AND a.attname = name AND a.attnum > 0;
    SELECT r.subject, r.relation INTO looked_up
    FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = suggest_column.name AND a.attnum = k.conkey[cardinality(k.conkey)]
    JOIN crm.registered_as('found_by') AS r ON r.relation = k.confrelid
    WHERE k.conrelid = goes_to AND k.contype = 'f' AND type = 'bigint'::regtype LIMIT 1;
    IF FOUND THEN
        spec := spec || jsonb_build_object('lookup', looked_up.subject)
             || CASE WHEN crm.import_creates(looked_up.relation) AND looked_up.subject <> target THEN '{"missing": "create"}' ELSE '{}' END::jsonb;
    END IF;
    RETURN CASE WHEN spec - 'column' = '{}' THEN to_jsonb(column_name) ELSE spec END;
END
$$;
COMMENT ON FUNCTION crm.suggest_column(regclass, text, text, text) IS
    'What a mapping may say of one column: its source, and a lookup where it refers to another table.';

CREATE OR REPLACE FUNCTION crm.suggest_formats(source regclass, target text, columns jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    goes_to CONSTANT regclass := crm.subject_relation(target);
    kind text;
    part record;
    sample text[];
    pooled text[];
    written jsonb;
    formats jsonb := '{}';
BEGIN
    -- what all columns of a kind together leave no doubt of counts for all of them; else each is looked at alone
    FOREACH kind IN ARRAY '{number,date}'::text[] LOOP
        pooled := '{}';
        FOR part IN SELECT e.key, coalesce(e.value ->> 'column', e.value #>> '{}') AS from_column FROM jsonb_each(columns) AS e
                    JOIN pg_attribute AS a ON a.attrelid = goes_to AND a.attname = e.key AND NOT e.value ? 'lookup'
                    JOIN pg_type AS y ON y.oid = a.atttypid
                         AND y.typname = ANY (CASE kind WHEN 'date' THEN '{date,timestamptz}'::text[] ELSE '{numeric,int8,int4,int2}' END)
                    WHERE jsonb_typeof(e.value) <> 'array' LOOP
            EXECUTE format('SELECT array_agg(x.v) FROM (SELECT DISTINCT btrim(t.%1$I::text) AS v FROM %2$s AS t
                            WHERE btrim(t.%1$I::text) <> '''' LIMIT 2000) AS x',
                           part.from_column, source::regclass) INTO sample;
            pooled := pooled || coalesce(sample, '{}');
            written := crm.suggest_format(sample, kind);
            IF written IS NOT NULL THEN
                columns := columns || jsonb_build_object(part.key, jsonb_build_object('column', part.from_column) || written);
            END IF;
        END LOOP;
        formats := formats || coalesce(crm.suggest_format(pooled, kind), '{}');
    END LOOP;
    RETURN formats || jsonb_build_object('columns', columns);
END
$$;
COMMENT ON FUNCTION crm.suggest_formats(regclass, text, jsonb) IS
    'Columns of a mapping with how their numbers and dates are written, where the values leave no doubt.';

CREATE OR REPLACE FUNCTION crm.suggest_mapping(source regclass, target text, source_system text DEFAULT 'export')
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation CONSTANT regclass := crm.require_registered(target, 'import');
    found record;
    columns jsonb := '{}';
    used text[] := '{}';
    halves text[];
    first_stage text;
    mapping jsonb;
    rest text;
BEGIN
    FOR found IN
        -- a column is called like ours, or as others call ours; each is used once, the better name first
        SELECT DISTINCT ON (w.name) w.name, w.attname FROM (
            SELECT t.name, a.attname::text AS attname, a.attnum, CASE WHEN crm.import_name_key(a.attname) = crm.import_name_key(t.name) THEN 0 ELSE s.place
                END AS place
            FROM crm.import_targets(relation) AS t
            JOIN pg_attribute AS a ON a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN LATERAL (SELECT min(c.n) AS place FROM crm.import_synonyms() AS y, unnest(y.called) WITH ORDINALITY AS c(called, n)
                               WHERE y.target IN ('*', suggest_mapping.target) AND y.name = t.name AND crm.import_name_key(c.called) =
                                   crm.import_name_key(a.attname)) AS s ON true
            WHERE t.kind <> 'column' OR t.name NOT IN ('updated_at', 'stage_entered_at', 'closed_at', 'custom')
            UNION ALL
            SELECT y.name, a.attname::text, a.attnum, c.n
            FROM crm.import_synonyms() AS y, unnest(y.called) WITH ORDINALITY AS c(called, n), pg_attribute AS a
            WHERE y.target = suggest_mapping.target AND (y.name IN ('#first', '#last')
                   OR split_part(y.name, '.', 1) <> y.name AND split_part(y.name, '.', 1) = ANY (crm.import_point_kinds(relation)))
              AND a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
              AND crm.import_name_key(c.called) = crm.import_name_key(a.attname)) AS w
        WHERE w.place IS NOT NULL ORDER BY w.name, w.place, w.attnum
    LOOP
        IF found.name IN ('#first', '#last') THEN
            halves := halves || found.attname;
        ELSE
            columns := columns || jsonb_build_object(found.name, crm.suggest_column(source, target, found.name, found.attname));
        END IF;
        used := used || found.attname;
    END LOOP;
    IF cardinality(halves) = 2 AND NOT columns ? 'name' OR cardinality(halves) = 2 AND columns ->> 'name' = ANY (halves) THEN
        columns := columns || jsonb_build_object('name', to_jsonb(halves));
    END IF;
    mapping := crm.suggest_formats(source, target, columns);
    columns := mapping -> 'columns';
    mapping := mapping || jsonb_build_object('target', target, 'source_system', source_system, 'key', crm.suggest_key(source, target));
    IF crm.column_exists(relation, 'stage_id') AND columns ? 'created_at' THEN
        -- the day of its creation is the first step of its history
        SELECT s.code INTO first_stage FROM crm.pipelines AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.pipeline_id = p.id
        WHERE p.tenant_id = crm.tenant_id() AND p.subject_table = target ORDER BY p.is_default DESC, p.id, s.is_initial DESC, s.position LIMIT 1;
        IF first_stage IS NOT NULL THEN
            mapping := mapping || jsonb_build_object('history', jsonb_build_array(jsonb_build_object('stage', first_stage, 'at', columns -> 'created_at')));
            columns := columns - 'created_at';
        END IF;
    END IF;
    SELECT string_agg(format('"%s"', a.attname), ', ' ORDER BY a.attnum) INTO rest FROM pg_attribute AS a
    WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (used) AND a.attname <> mapping ->> 'key';
    IF rest IS NOT NULL THEN
        RAISE NOTICE 'columns that the mapping leaves out: %', rest USING HINT = 'Name them in "columns": custom fields are "custom.name".';
    END IF;
    RETURN mapping || jsonb_build_object('columns', columns);
END
$$;
COMMENT ON FUNCTION crm.suggest_mapping(regclass, text, text) IS
'A mapping for crm.import_table() to begin with: columns found by their names, here and in other systems (crm.import_synonyms()), lookups by the keys of the '
'target, formats of numbers and dates where the values leave no doubt, and the key. A notice names the columns that it leaves out. Try it with "dry_run".';
