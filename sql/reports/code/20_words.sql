-- The words of the pages, in English and Persian.

CREATE OR REPLACE FUNCTION crm_analytics.report_factor_words(language text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN $1 = 'fa' THEN
    '{"deal.lead_source": "منبع فرصت", "deal.product": "محصول", "deal.product_family": "خانواده محصول", "deal.owner": "مسئول", "deal.team": "تیم",
      "deal.territory": "منطقه", "deal.competitor": "رقیب",
      "deal.has_contact": "دارای مخاطب", "deal.amount": "مبلغ", "account.industry": "صنعت مشتری", "account.country": "کشور مشتری",
      "account.size": "کارکنان مشتری", "account.kind": "نوع مشتری",
      "account.was_customer": "مشتری پیشین", "lead.source": "منبع سرنخ", "lead.medium": "رسانه", "lead.campaign": "کارزار", "lead.channel": "کانال",
      "lead.country": "کشور", "lead.industry": "صنعت", "lead.size": "کارکنان",
      "lead.product": "محصول", "lead.product_family": "خانواده محصول", "lead.owner": "مسئول", "lead.team": "تیم",
      "lead.has_company": "شرکت نام برده شده", "lead.has_email": "دارای ایمیل", "lead.has_phone": "دارای تلفن",
      "lead.came_again": "دوباره آمده", "lead.first_response": "نخستین پاسخ", "value yes": "بله", "value no": "خیر", "value never": "هرگز",
      "value within 15 minutes": "تا ۱۵ دقیقه", "value within an hour": "تا یک ساعت",
      "value within a day": "تا یک روز", "value later": "دیرتر", "value organisation": "سازمان", "value person": "شخص", "value household": "خانوار"}'::jsonb
    ELSE
    '{"deal.lead_source": "Source of the deal", "deal.product": "Product", "deal.product_family": "Product family", "deal.owner": "Owner",
      "deal.team": "Team", "deal.territory": "Territory", "deal.competitor": "Competitor",
      "deal.has_contact": "Has a contact", "deal.amount": "Amount", "account.industry": "Industry of the customer",
      "account.country": "Country of the customer", "account.size": "Employees of the customer",
      "account.kind": "Kind of customer", "account.was_customer": "Was a customer already", "lead.source": "Source of the lead", "lead.medium": "Medium",
      "lead.campaign": "Campaign", "lead.channel": "Channel",
      "lead.country": "Country", "lead.industry": "Industry", "lead.size": "Employees", "lead.product": "Product",
      "lead.product_family": "Product family", "lead.owner": "Owner", "lead.team": "Team",
      "lead.has_company": "Named a company", "lead.has_email": "Has an e-mail address", "lead.has_phone": "Has a telephone",
      "lead.came_again": "Came again", "lead.first_response": "First response",
      "value yes": "yes", "value no": "no", "value never": "never", "value within 15 minutes": "within 15 minutes",
      "value within an hour": "within an hour", "value within a day": "within a day",
      "value later": "later", "value organisation": "organisation", "value person": "person", "value household": "household"}'::jsonb
    END
$$;
COMMENT ON FUNCTION crm_analytics.report_factor_words(text) IS
'Words for the attributes of crm_analytics.outcome_factors, by their name, and for their values, by value and the name; part of report_words.';

CREATE OR REPLACE FUNCTION crm_analytics.report_customer_words(language text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN $1 = 'fa' THEN
    '{"clv": "ارزش ۱۲ ماه آینده", "p_alive": "احتمال مشتری ماندن", "next_order": "سفارش بعدی", "churn_on": "از دست می‌رود در",
      "promises": "تعهدهای به‌موقع",
      "satisfaction": "رضایت", "overdue": "عقب‌افتاده", "gone": "از دست رفته", "no_order": "هنوز سفارشی نیست",
      "no_model": "مدلی فعال نیست", "answers": "پاسخ",
      "need": "نیاز اصلی", "wallet": "سهم ما از خرید مشتری", "last_order": "آخرین سفارش", "ordered": "سفارش‌ها",
      "ordered_month": "سفارش‌ها در هر ماه",
      "next": "مشتریان برتر: چه در پیش است", "orders_n": "سفارش", "activities_n": "فعالیت", "orders_12_months": "سفارش‌های ۱۲ ماه",
      "revenue_12_months": "مبلغ سفارش‌های ۱۲ ماه",
      "open_balance": "مانده حساب", "overdue_amount": "معوق", "payment_days": "میانگین روزهای تا پرداخت",
      "open_receivables": "مطالبات باز", "overdue_receivables": "مطالبات معوق", "mean_payment_days_12_months": "میانگین روزهای تا پرداخت",
      "open_invoices": "فاکتورهای باز", "invoices_n": "فاکتور", "invoice_number": "شماره", "due": "سررسید", "open": "مانده",
      "days_overdue": "روز تأخیر", "loyalty_tier": "سطح وفاداری", "loyalty_points": "امتیاز وفاداری", "points_expire": "منقضی می‌شود در"}'::jsonb
    ELSE
    '{"clv": "Worth, 12 months ahead", "p_alive": "Still a customer", "next_order": "Next order", "churn_on": "Counts as gone on",
      "promises": "Promises kept",
      "satisfaction": "Satisfaction", "overdue": "overdue", "gone": "counts as gone", "no_order": "no order yet",
      "no_model": "no model in use", "answers": "answers",
      "need": "Needs most", "wallet": "Our share of its spend", "last_order": "Last order", "ordered": "Ordered", "ordered_month": "Ordered by month",
      "next": "Best customers: what comes next", "orders_n": "orders", "activities_n": "activities",
      "orders_12_months": "Orders, 12 months", "revenue_12_months": "Ordered, 12 months", "open_balance": "Owes us", "overdue_amount": "Overdue",
      "payment_days": "Mean days to pay", "open_receivables": "Receivables", "overdue_receivables": "Overdue receivables",
      "mean_payment_days_12_months": "Mean days to pay", "open_invoices": "Open invoices", "invoices_n": "invoices", "invoice_number": "Number", "due": "Due",
      "open": "Open", "days_overdue": "Days overdue", "loyalty_tier": "Loyalty tier", "loyalty_points": "Loyalty points",
      "points_expire": "expire on"}'::jsonb
    END
$$;
COMMENT ON FUNCTION crm_analytics.report_customer_words(text) IS 'Words for what a customer is worth and how it is kept; part of report_words.';

CREATE OR REPLACE FUNCTION crm_analytics.report_words(language text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN $1 = 'fa' THEN
    '{"currencies": {"IRR": "ریال", "USD": "دلار آمریکا", "EUR": "یورو", "AED": "درهم امارات", "TRY": "لیر ترکیه", "IQD": "دینار عراق", "GBP": "پوند"},
      "pipeline": "قیف فروش", "dashboard": "نمای کلی", "customer": "پرونده مشتری", "made": "تهیه‌شده در", "currency": "مبالغ به", "none": "داده‌ای نیست",
      "open_amount": "ارزش فرصت‌های باز", "weighted": "ارزش وزنی", "amount": "مبلغ", "deals": "فرصت", "open_deals": "فرصت‌های باز", "won_amount": "فروش ۱۲ ماه گذشته",
      "win_rate": "نرخ موفقیت", "cycle": "میانگین روزهای تا فروش", "days": "روز", "of_closed": "از بسته‌شده‌ها", "last12": "۱۲ ماه گذشته",
      "funnel": "قیف تبدیل مراحل", "funnel_note": "هر فرصت یک بار شمرده می‌شود", "waterfall": "تغییر قیف فروش", "by_stage": "فرصت‌های باز بر پایه مرحله",
      "stage_note": "روشن: مبلغ، پررنگ: وزنی", "forecast": "پیش‌بینی ماهانه", "owners": "فرصت‌های باز بر پایه مسئول",
      "won_lost": "برده و باخته در هر ماه", "won_lost_note": "تعداد فرصت‌ها", "won": "برده", "lost": "باخته", "time": "زمان در مرحله", "time_note": "روز؛ فرصت‌های در جریان سانسورشده به شمار می‌آیند",
      "stage": "مرحله", "subjects": "تعداد", "running": "در جریان", "median": "میانه", "p90": "صدک ۹۰", "oldest": "قدیمی‌ترین", "loss": "دلایل باخت", "no_reason": "بدون دلیل",
      "bottlenecks": "گلوگاه‌ها", "bottlenecks_note": "سهم از کل انتظار در ۱۲ ماه گذشته", "arrivals": "ورودی", "departures": "خروجی", "in_progress": "کار در جریان", "service": "روز در مرحله",
      "queue": "تغییر صف", "share": "سهم تأخیر", "loops": "بازگشت", "slowest": "کندترین مسیر", "quota": "تحقق سهمیه", "quota_note": "روشن: سهمیه، پررنگ: فروش", "rotting": "فرصت‌های راکد", "deal": "فرصت",
      "owner": "مسئول", "account": "مشتری", "expected": "بسته‌شدن", "in_stage": "روز در مرحله", "nobody": "بدون مسئول", "unknown": "نامشخص",
      "start": "آغاز", "new": "تازه", "reopened": "بازگشوده", "grown": "افزایش", "shrunk": "کاهش", "pushed": "عقب‌افتاده", "pulled": "جلوافتاده", "cancelled": "لغوشده", "removed": "حذف‌شده", "end": "پایان",
      "omitted": "کنارگذاشته", "best_case": "خوش‌بینانه", "most_likely": "محتمل", "commit": "قطعی", "closed": "بسته‌شده", "category_pipeline": "در قیف",
      "sales": "فروش", "service_area": "خدمات", "marketing": "بازاریابی", "open_opportunities": "فرصت‌های باز", "weighted_amount": "ارزش وزنی", "won_12_months": "فروش‌های ۱۲ ماه",
      "won_amount_12_months": "مبلغ فروش ۱۲ ماه", "win_rate_12_months": "نرخ موفقیت ۱۲ ماه", "mean_cycle_days_12_months": "میانگین روزهای تا فروش", "missing_rates": "بدون نرخ ارز",
      "customers": "مشتریان", "accounts": "حساب‌ها", "overdue_activities": "کارهای عقب‌افتاده", "open_tickets": "تیکت‌های باز", "opened_30_days": "تیکت‌های ۳۰ روز", "closed_30_days": "بسته‌شده در ۳۰ روز",
      "median_first_response_30_days": "میانه نخستین پاسخ", "new_opportunities_30_days": "فرصت‌های تازه ۳۰ روز", "source_known_30_days": "با منبع مشخص", "new_leads_30_days": "سرنخ‌های تازه ۳۰ روز",
      "revenue": "فروش ماهانه", "sources": "منابع فرصت‌ها", "sources_note": "نرخ موفقیت هر منبع", "activity": "فعالیت‌ها در هر هفته", "top": "مشتریان برتر", "cohorts": "بازگشت مشتریان",
      "cohorts_note": "سهم خریداران هر ماه که ماه‌های بعد باز خریدند", "people": "عملکرد افراد", "people_note": "۳ ماه گذشته", "activities": "فعالیت‌ها", "factors": "آنچه با برد همراه است", "factors_note": "تنها رابطه‌های معنادار؛ همبستگی علت نیست",
      "attribute": "ویژگی", "value": "مقدار", "lift": "ضریب", "cases": "موارد", "call": "تماس", "mail": "نامه", "meeting": "جلسه", "task": "وظیفه", "note": "یادداشت", "visit": "بازدید", "message": "پیام",
      "lifetime": "فروش تا امروز", "first": "نخستین خرید", "last_activity": "آخرین فعالیت", "contacts": "افراد", "name": "نام", "title": "سمت", "subject": "موضوع", "reach": "راه تماس", "timeline": "رویدادها", "when": "زمان", "what": "رویداد",
      "month": "ماه", "industry": "صنعت", "country": "کشور", "rates_missing": "برخی مبالغ نرخ ارز ندارند و در جمع نیامده‌اند:", "tickets": "تیکت‌ها", "priority": "اولویت", "opened": "گشایش", "hours": "ساعت", "products": "محصولات", "other": "سایر", "minutes": "دقیقه",
      "unassigned_tickets": "تیکت‌های بی‌مسئول", "promises_kept_30_days": "تعهدهای به‌موقع ۳۰ روز", "satisfied_30_days": "رضایت ۳۰ روز", "converted_leads_12_months": "سرنخ‌های موفق ۱۲ ماه",
      "lead_conversion_12_months": "نرخ تبدیل سرنخ ۱۲ ماه", "median_lead_response_30_days": "میانه پاسخ به سرنخ", "sale": "سفارش", "return": "مرجوعی", "ticket_opened": "گشایش تیکت", "ticket_solved": "حل تیکت",
      "message_in": "پیام مشتری", "message_out": "پاسخ ما", "lead_came": "سرنخ تازه", "lead_converted": "تبدیل سرنخ", "orders": "سفارش‌ها",
      "bought": "آنچه سفارش داده‌اند", "forecast_quota_note": "خط: سهمیه؛ ستون: برده و فرصت‌های باز با احتمال", "quota_line": "سهمیه",
      "won_lost_amount": "مبلغ برده و باخته در هر ماه",
      "lead_factors": "آنچه با تبدیل سرنخ همراه است", "conversion": "نرخ تبدیل"}'::jsonb
    ELSE
    '{"currencies": {}, "pipeline": "Pipeline", "dashboard": "Dashboard", "customer": "Customer", "made": "as of", "currency": "Amounts in", "none": "No data",
      "open_amount": "Open pipeline", "weighted": "Weighted", "amount": "Amount", "deals": "deals", "open_deals": "Open deals", "won_amount": "Won",
      "win_rate": "Win rate", "cycle": "Mean days to win", "days": "days", "of_closed": "of closed", "last12": "last 12 months",
      "funnel": "Conversion from stage to stage", "funnel_note": "each deal counted once", "waterfall": "How the pipeline changed", "by_stage": "Open pipeline by stage",
      "stage_note": "light: amount, strong: weighted", "forecast": "Forecast by month", "owners": "Open pipeline by owner",
      "won_lost": "Won and lost by month", "won_lost_note": "number of deals", "won": "Won", "lost": "Lost", "time": "Time in stage", "time_note": "days; running ones counted as censored",
      "stage": "Stage", "subjects": "Deals", "running": "Running", "median": "Median", "p90": "90 %", "oldest": "Oldest", "loss": "Why deals were lost", "no_reason": "no reason given",
      "bottlenecks": "Bottlenecks", "bottlenecks_note": "by share of all waiting, last 12 months", "arrivals": "In", "departures": "Out", "in_progress": "In progress", "service": "Days each",
      "queue": "Queue", "share": "Share of waiting", "loops": "Back", "slowest": "Slowest way out", "quota": "Quota attainment", "quota_note": "light: quota, strong: won", "rotting": "Deals that wait too long", "deal": "Deal",
      "owner": "Owner", "account": "Account", "expected": "Expected", "in_stage": "Days in stage", "nobody": "nobody", "unknown": "not known",
      "start": "Start", "new": "New", "reopened": "Reopened", "grown": "Grown", "shrunk": "Shrunk", "pushed": "Pushed", "pulled": "Pulled", "cancelled": "Cancelled", "removed": "Removed", "end": "End",
      "omitted": "Omitted", "best_case": "Best case", "most_likely": "Most likely", "commit": "Commit", "closed": "Closed", "category_pipeline": "Pipeline",
      "sales": "Sales", "service_area": "Service", "marketing": "Marketing", "open_opportunities": "Open deals", "weighted_amount": "Weighted", "won_12_months": "Deals won, 12 months",
      "won_amount_12_months": "Won, 12 months", "win_rate_12_months": "Win rate, 12 months", "mean_cycle_days_12_months": "Mean days to win", "missing_rates": "Without exchange rate",
      "customers": "Customers", "accounts": "Accounts", "overdue_activities": "Overdue activities", "open_tickets": "Open tickets", "opened_30_days": "Opened, 30 days", "closed_30_days": "Closed, 30 days",
      "median_first_response_30_days": "Median first response", "new_opportunities_30_days": "New deals, 30 days", "source_known_30_days": "Source known", "new_leads_30_days": "New leads, 30 days",
      "revenue": "Won by month", "sources": "Where deals come from", "sources_note": "number of deals and win rate", "activity": "Activities by week", "top": "Best customers", "cohorts": "Customers who come back",
      "cohorts_note": "share of first buyers of a month who bought again later", "people": "Performance of people", "people_note": "last 3 months", "activities": "Activities", "factors": "What goes with winning", "factors_note": "significant ones only; association is not cause",
      "attribute": "Attribute", "value": "Value", "lift": "Lift", "cases": "Closed", "call": "Calls", "mail": "Mails", "meeting": "Meetings", "task": "Tasks", "note": "Notes", "visit": "Visits", "message": "Messages",
      "lifetime": "Won so far", "first": "First win", "last_activity": "Last activity", "contacts": "People", "name": "Name", "title": "Title", "subject": "Subject", "reach": "Reach at", "timeline": "What happened", "when": "When", "what": "What",
      "month": "Month", "industry": "Industry", "country": "Country", "rates_missing": "Amounts without an exchange rate are left out of the sums:", "tickets": "Tickets", "priority": "Priority", "opened": "Opened", "hours": "hours", "products": "Products", "other": "other", "minutes": "minutes",
      "unassigned_tickets": "Tickets of nobody", "promises_kept_30_days": "Promises kept, 30 days", "satisfied_30_days": "Satisfied, 30 days", "converted_leads_12_months": "Leads converted, 12 months",
      "lead_conversion_12_months": "Lead conversion, 12 months", "median_lead_response_30_days": "Median answer to a lead", "sale": "Order", "return": "Return", "ticket_opened": "Ticket opened", "ticket_solved": "Ticket solved",
      "message_in": "Message from them", "message_out": "Message to them", "lead_came": "Lead came", "lead_converted": "Lead converted",
      "orders": "Orders", "bought": "by what they ordered", "forecast_quota_note": "line: quota; columns: won, and open deals by their probability",
      "quota_line": "Quota", "won_lost_amount": "Won and lost by amount",
      "lead_factors": "What goes with converting a lead", "conversion": "Conversion"}'::jsonb
    END || crm_analytics.report_factor_words($1) || crm_analytics.report_customer_words($1)
$$;
COMMENT ON FUNCTION crm_analytics.report_words(text) IS 'Words of the reports in a language, en or fa, by key.';

CREATE OR REPLACE FUNCTION crm_analytics.report_date(on_date date, language text, form text DEFAULT 'day') RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN $2 = 'fa' THEN crm.format_jalali($1, CASE $3 WHEN 'month' THEN 'TMMonth TMYY' WHEN 'short' THEN 'TMFMMM/TMFMDD' ELSE 'TMFMDD TMMonth TMYYYY' END)
                ELSE pg_catalog.to_char($1, CASE $3 WHEN 'month' THEN 'Mon YY' WHEN 'short' THEN 'DD Mon' ELSE 'FMDD Mon YYYY' END) END
$$;
COMMENT ON FUNCTION crm_analytics.report_date(date, text, text) IS
'A date for readers, Gregorian in en, Jalali in fa; form day, month or short.';

CREATE OR REPLACE FUNCTION crm_analytics.report_card(title text, note text, body text, wide boolean DEFAULT false) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<section class="card' || CASE WHEN $4 THEN ' wide' ELSE '' END || '"><h2>' || crm.escape_html(coalesce($1, '')) || '</h2>'
           || CASE WHEN $2 IS NULL THEN '' ELSE '<p class="sub">' || (SELECT string_agg('<bdi>' || crm.escape_html(part) || '</bdi>', ' · ' ORDER BY place)
                                                                  FROM pg_catalog.string_to_table($2, ' · ') WITH ORDINALITY AS p(part, place)) || '</p>' END || coalesce($3, '') || '</section>'
$$;
COMMENT ON FUNCTION crm_analytics.report_card(text, text, text, boolean) IS 'One box of a report: title and note as text, body as HTML.';

CREATE OR REPLACE FUNCTION crm_analytics.report_page(title text, subtitle text, body text, language text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<!DOCTYPE html>' || chr(10) || '<html lang="' || CASE WHEN $4 = 'fa' THEN 'fa" dir="rtl' ELSE 'en" dir="ltr' END || '"><head><meta charset="utf-8">'
        || '<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''; img-src data:">'
        || '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        || '<title>' || crm.escape_html($1) || '</title><style>' || crm.chart_style()
        || ':root{color-scheme:light dark}*{box-sizing:border-box}'
        || 'body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Vazirmatn,Tahoma,Roboto,"Noto Sans","Noto Sans Arabic","DejaVu Sans",sans-serif;--page:#f4f6fa}'
        || '@media screen and (prefers-color-scheme:dark){body{--page:#0e141c}}'
        || 'main{max-width:1240px;margin:0 auto;padding:28px 24px 48px}header{margin:0 0 20px}h1{font-size:27px;line-height:1.25;margin:0 0 4px;font-weight:700;letter-spacing:-.01em}'
        || '[dir=rtl] h1{letter-spacing:0}header p{margin:0;color:var(--mut)}h2{font-size:15.5px;margin:0;font-weight:650}'
        || '.sub{margin:1px 0 0;color:var(--mut);font-size:13px}.card>.sub+*,.card>h2+*:not(.sub){margin-top:14px}'
        || '.grid{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:18px}.card{background:var(--card);border:1px solid var(--grid);border-radius:14px;padding:18px 20px 16px;min-width:0}'
        || '.wide{grid-column:1/-1}.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:14px;margin:0 0 18px}'
        || '.tile{position:relative;background:var(--card);border:1px solid var(--grid);border-radius:14px;padding:14px 16px 12px;min-width:0}'
        || '.tl{color:var(--mut);font-size:13px}.tv{font-size:26px;font-weight:700;line-height:1.35;font-variant-numeric:tabular-nums}.tn{color:var(--mut);font-size:12.5px}'
        || '.good .tv{color:var(--pos)}.bad .tv{color:var(--neg)}.cv svg.spark{width:100%;height:34px;margin-top:6px}'
        || '.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px}th{color:var(--mut);font-weight:500;text-align:start;padding:4px 10px 6px;border-bottom:1px solid var(--grid)}'
        || 'td{padding:6px 10px;border-bottom:1px solid var(--grid);vertical-align:baseline;overflow-wrap:anywhere}tr:last-child td{border-bottom:0}th:first-child,td:first-child{padding-inline-start:0}'
        || '.n{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}.bar{display:inline-block;width:72px;height:8px;border-radius:4px;background:var(--grid);margin-inline-start:10px;overflow:hidden}'
        || '.bar i{display:block;height:100%;background:var(--c0);border-radius:4px}.none{color:var(--mut);margin:10px 0 0}.warn{border-inline-start:4px solid var(--c2);background:var(--card);padding:9px 14px;border-radius:8px;margin:0 0 16px}'
        || 'h3{font-size:14px;color:var(--mut);font-weight:600;margin:18px 0 8px}.facts{display:flex;flex-wrap:wrap;gap:6px 22px;margin:8px 0 0;color:var(--mut)}.facts b{color:var(--ink);font-weight:600}'
        || '@media(max-width:820px){.grid{grid-template-columns:minmax(0,1fr)}main{padding:18px 12px}}.card>svg.md,.card>svg.sm{display:none;margin-top:14px}'
        -- every picture is there for each width of screen; rows of tables become lists where columns have no room
        || '@media screen and (max-width:900px){.wide>svg.chart{display:none}.wide>svg.md{display:block}'
        || 'table{font-size:12px}td,th{padding-inline:3px}th{white-space:normal}}'
        || '@media screen and (max-width:560px){.card>svg.chart{display:none}.card>svg.sm{display:block}.card{padding:14px 14px 12px}'
        || '.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}.tv{font-size:21px;overflow-wrap:anywhere}'
        || 'thead{display:none}table,tbody,tr,td{display:block}tr{padding:8px 0;border-bottom:1px solid var(--grid)}tr:last-child{border-bottom:0}'
        || 'td{display:flex;gap:14px;padding:2px 0;border:0}td::before{content:attr(data-l);color:var(--mut);flex:0 0 auto;max-width:45%}td>bdi{text-align:end;margin-inline-start:auto}'
        || 'td:first-child{font-weight:600}td:first-child::before{display:none}td:first-child>bdi{margin-inline-start:0;text-align:start}.bar+bdi{display:none}'
        || '.n{white-space:normal}.bar{display:none}}'
        || '@media print{@page{margin:12mm}body{--page:#fff;font-size:12px;-webkit-print-color-adjust:exact;print-color-adjust:exact}main{max-width:none;padding:0}'
        || '.card,.tile{break-inside:avoid}.card>svg.chart{max-height:250px}.card>svg.md,.card>svg.sm{display:none!important}.grid{gap:10px}.tiles{gap:8px}}'
        || '</style></head><body class="cv"><main><header><h1>' || crm.escape_html($1) || '</h1><p>'
        || (SELECT coalesce(string_agg('<bdi>' || crm.escape_html(part) || '</bdi>', ' · ' ORDER BY place), '')
            FROM pg_catalog.string_to_table($2, ' · ') WITH ORDINALITY AS p(part, place)) || '</p></header>'
        || $3 || '</main></body></html>'
$$;
COMMENT ON FUNCTION crm_analytics.report_page(text, text, text, text) IS
'A whole page around the body of a report (HTML): style sheet, direction of the language, and a content security policy that lets the browser load nothing.';
