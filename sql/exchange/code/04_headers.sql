-- What other systems call our columns: Salesforce, HubSpot, Bitrix24, Zoho, Pipedrive, and Persian exports; target * is for all tables.

CREATE OR REPLACE FUNCTION crm.import_synonyms_people()
RETURNS TABLE (target text, name text, called text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('*', '#deleted', '{isdeleted,is deleted,deleted,is_deleted,deleted at,deletedat,archived,is archived,archived at,record deleted,'
     'حذف‌شده,حذف شده,удалено,удален}'::text[]),
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
    ('users', 'name', '{name,full name,sales agent,user name,display name,agent,agent name,employee,employee name,sales rep,نام,نام کاربر,'
     'نام و نام خانوادگی,کارشناس}'),
    ('users', '#key', '{user id,userid,username,login}'),
    ('users', 'email', '{email,e-mail,email address,user email,ایمیل}'),
    ('users', 'active', '{active,is active,status,فعال}'),
    ('users', '#first', '{first name,firstname,given name}'),
    ('users', '#last', '{last name,lastname,surname,family name,نام خانوادگی}')
$$;
COMMENT ON FUNCTION crm.import_synonyms_people() IS
'What other systems call the columns of accounts, contacts, users and of all tables; see crm.import_synonyms().';

CREATE OR REPLACE FUNCTION crm.import_synonyms_sales()
RETURNS TABLE (target text, name text, called text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('leads', '#key', '{lead id,leadid,lead number,prospect id,lead record id,شناسه سرنخ,کد سرنخ}'::text[]),
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
    ('orders', 'channel', '{channel,sales channel,source,کانال فروش}')
$$;
COMMENT ON FUNCTION crm.import_synonyms_sales() IS
'What other systems call the columns of leads, opportunities and orders; see crm.import_synonyms().';

CREATE OR REPLACE FUNCTION crm.import_synonyms_service()
RETURNS TABLE (target text, name text, called text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('opportunity_lines', 'opportunity_id', '{opportunity name,opportunity,deal name,deal,opportunity id,deal id,معامله}'::text[]),
    ('opportunity_lines', 'product_id', '{product name,product,product code,item,sku,کالا,محصول,نام کالا,کد کالا}'),
    ('opportunity_lines', 'quantity', '{quantity,qty,count,تعداد,مقدار}'),
    ('opportunity_lines', 'unit_price', '{unit price,sales price,price,list price,قیمت واحد,فی,قیمت}'),
    ('opportunity_lines', 'discount_percent', '{discount,discount %,discount percent,تخفیف,درصد تخفیف}'),
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
    ('ticket_messages', '#key', '{message id,comment id,reply id,email message id,case comment id,شناسه پیام}'),
    ('ticket_messages', 'ticket_id', '{ticket id,ticketid,ticket number,ticket no,ticket,case number,case id,parent id,case,request id,issue id,شماره تیکت}'),
    ('ticket_messages', 'body', '{body,comment,comment body,text,text body,message,content,note,متن,پیام,شرح}'),
    ('ticket_messages', 'direction', '{direction,incoming,message direction,جهت}'),
    ('ticket_messages', 'sent_at', '{sent at,sent,date,message date,created date,created time,created at,timestamp,تاریخ}'),
    ('ticket_messages', 'author_address', '{from,from address,from email,sender,sender email,author email,فرستنده}'),
    ('ticket_messages', 'author_kind', '{author type,author role,sender type}'),
    ('ticket_messages', 'channel', '{channel,source,via,کانال}'),
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
    ('activities', 'account_id', '{account name,account,company,company name,organization,شرکت,نام شرکت}')
$$;
COMMENT ON FUNCTION crm.import_synonyms_service() IS
'What other systems call the columns of lines, tickets, products and activities; see crm.import_synonyms().';

CREATE OR REPLACE FUNCTION crm.import_synonyms()
RETURNS TABLE (target text, name text, called text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 120
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.target, p.name, p.called FROM crm.import_synonyms_people() AS p
    UNION ALL SELECT s.target, s.name, s.called FROM crm.import_synonyms_sales() AS s
    UNION ALL SELECT v.target, v.name, v.called FROM crm.import_synonyms_service() AS v
    UNION ALL SELECT r.target, r.name, r.called FROM crm.import_synonyms_russian() AS r
$$;
COMMENT ON FUNCTION crm.import_synonyms() IS
'What other systems call the columns of a table (* for all tables); #key the key, #first and #last the halves of a name, '
'#country the country of telephone numbers, #deleted whether the other system had deleted the row, email.other a contact point with a '
'label. For crm.suggest_mapping().';
