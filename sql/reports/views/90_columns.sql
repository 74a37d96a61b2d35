-- Comments of the columns of reporting views. A name means the same wherever it stands; the few that need more words
-- in one view have a comment of their own beside that view, which stays.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT v.relname, a.attname, d.meaning
        FROM pg_catalog.pg_class AS v
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0
        JOIN (VALUES
            -- whose and where
            ('tenant_id', 'Company the row belongs to.'), ('account_id', 'The account.'), ('opportunity_id', 'The opportunity.'),
            ('activity_id', 'The activity.'),
            ('contact_id', 'The contact.'), ('product_id', 'The product.'), ('pipeline_id', 'The pipeline.'), ('stage_id', 'The stage.'),
            ('quota_id', 'The quota.'),
            ('user_id', 'The user; NULL: nobody.'), ('owner_id', 'User who owns it; NULL: nobody.'), ('team_id', 'The team; NULL: none.'),
            ('territory_id', 'The territory; NULL: none.'),
            ('competitor_id', 'Account of the competitor it was lost to; NULL: none given.'), ('parent_id', 'The account or team above; NULL: none.'),
            ('manager_id', 'The user''s manager.'),
            ('from_stage_id', 'Stage the subject came from; NULL: it began here.'), ('to_stage_id', 'Stage the subject went to; NULL: it is still here.'),
            ('subject_table', 'Table of the subjects: opportunities, leads, tickets ...'), ('subject_id', 'Id of the subject in that table.'),
            ('visit', 'Number of the stay among all of the subject, from 1.'),
            ('related_table', 'Table of the record it is about.'), ('related_id', 'Id of the record it is about.'),
            ('source_table', 'Table the row comes from.'), ('source_id', 'Id of the row in that table.'),
            ('name', 'Name for people.'), ('code', 'Code by which programs name it.'), ('email', 'E-mail address.'),
            ('access', 'Access level: reader, agent, manager or admin.'),
            ('owner', 'Name of the owner.'), ('team', 'Name of the team.'), ('territory', 'Name of the territory.'), ('manager', 'Name of the manager.'),
            ('parent_name', 'Name of the account above.'),
            ('pipeline', 'Name of the pipeline.'), ('pipeline_code', 'Code of the pipeline.'), ('stage', 'Name of the stage.'),
            ('reason', 'Name of the reason; NULL: none given.'),
            ('kind', 'Kind, as in the table.'), ('type', 'Type of the stage: open, on_hold, won, done, lost or cancelled.'),
            ('roles', 'What the account is to the company: customer, prospect ...'),
            ('is_customer', 'Whether customer is among the roles.'), ('industry', 'Industry.'), ('country', 'Country, ISO 3166-1 code.'), ('city', 'City.'),
            ('employees', 'Number of employees.'),
            ('family', 'Product family.'), ('tier', 'Place of the product among those of its family.'), ('unit', 'Unit of the figure or of the quantity.'),
            ('active', 'Whether it is in use; of a cohort: customers who bought again in that month.'),
            ('list_price', 'List price of one unit, in currency.'), ('cost', 'Cost of one unit, in currency.'),
            ('position', 'Place among the stages of the pipeline.'),
            ('is_open', 'Under way: type open or on_hold.'), ('rotting_days', 'Days in the stage after which a deal counts as forgotten; 0 or NULL: never.'),
            ('funnel_step', 'Place on the way to success, from 1.'),
            ('state', 'open, won, lost or cancelled, by the type of the stage.'), ('category', 'Forecast category; closed: won.'),
            ('forecast_category', 'Forecast category of the stage.'),
            ('lead_source', 'Where the deal came from; NULL: not known.'), ('loss_reason', 'Code of the reason it was lost; NULL: none given.'),
            ('direction', 'in or out.'),
            ('attribute', 'What was looked at, with the record it stands on.'), ('value', 'The figure; of a factor, the value of the attribute.'),
            ('area', 'sales, service or marketing.'), ('metric', 'Name of the figure.'),
            ('what', 'Kind of event: activity, stage, order, ticket, message or lead.'),
            ('detail', 'Which one of the kind: call, name of the stage, ticket_opened ...'),
            ('title', 'Subject or name.'), ('note', 'Outcome, amount, priority, text or source, by the kind of event.'), ('at', 'When it happened.'),
            -- days
            ('created_at', 'When it was made.'), ('due_at', 'When it is due.'), ('done_at', 'When it was done; NULL: not yet.'),
            ('closed_at', 'When it was closed; NULL: it is open.'),
            ('entered_at', 'When the stay began.'), ('left_at', 'When the stay ended; NULL: it has not.'),
            ('last_activity_at', 'When the last activity was done or made.'), ('last_ticket_at', 'When the last ticket was opened.'),
            ('created_on', 'Day it was made, in the tenant''s zone.'), ('done_on', 'Day it was done, in the tenant''s zone.'),
            ('closed_on', 'Day of closing; where none was given, that of closed_at in the tenant''s zone.'),
            ('rate_on', 'Day of the exchange rate: that of closing, today for open ones.'),
            ('expected_on', 'Day it is expected to close; NULL: none given.'),
            ('expected_month', 'First day of the month it is expected to close; NULL: none given.'),
            ('closed_month', 'First day of the month of closing.'), ('created_month', 'First day of the month of creation.'),
            ('month', 'The month: its first day (in dim_date its number).'),
            ('first_won_on', 'Day of the first win.'), ('last_won_on', 'Day of the last win.'), ('last_order_on', 'Day of the last sale.'),
            ('period', 'Days of the quota.'), ('period_start', 'First day of the quota.'),
            ('cohort_month', 'First day of the month of the first win.'), ('months', 'Months since then.'),
            ('incomplete', 'The month is running; its figures are NULL.'),
            ('year', 'Gregorian year.'), ('quarter', 'Gregorian quarter, 1 to 4.'), ('day', 'Day of the Gregorian month.'),
            ('month_name', 'English name of the month.'), ('weekday_name', 'English name of the weekday.'),
            ('iso_weekday', '1 Monday to 7 Sunday.'), ('iso_year', 'Year of the ISO week.'), ('iso_week', 'ISO week, 1 to 53.'),
            ('jalali_year', 'Jalali year.'), ('jalali_quarter', 'Jalali quarter, 1 to 4.'),
            ('jalali_month', 'Jalali month, 1 to 12.'), ('jalali_day', 'Day of the Jalali month.'),
            ('jalali_month_name', 'Name of the Jalali month in Latin letters.'), ('jalali_month_name_fa', 'Name of the Jalali month in Persian.'),
            ('weekday_name_fa', 'Persian name of the weekday.'), ('holiday_name', 'Name of the holiday; NULL: none.'),
            -- money: base currency unless there is a column currency beside it
            ('amount', 'Amount in the tenant''s base currency; beside a column currency, in that.'), ('currency', 'ISO 4217 code of the amount beside it.'),
            ('rate', 'Units of base currency for one unit of currency on rate_on; NULL: not known.'),
            ('base_amount', 'Amount in base currency; NULL where there is no amount or no rate.'),
            ('weighted', 'Amount times probability, in base currency.'), ('base_weighted', 'Amount times probability, in base currency.'),
            ('won_amount', 'Amount won, in base currency.'), ('lost_amount', 'Amount lost, in base currency.'),
            ('open_amount', 'Amount open, in base currency at today''s rate.'), ('open_weighted', 'Open amount times probability, in base currency.'),
            ('average_won_amount', 'won_amount over won, in base currency; NULL without a win.'),
            ('quota', 'Amount asked, in base currency at the rate of the first day of the period.'),
            ('attainment', 'won_amount over quota, a share of one; NULL without a quota.'),
            ('order_amount', 'Sales less returns, in base currency at the rate of each day.'),
            ('ordered_amount', 'Ordered less returned by line, in base currency at the rate of each day.'),
            ('missing_rates', 'Amounts left out of the sums because their exchange rate is not known.'),
            -- counts
            ('opportunities', 'Number of opportunities.'), ('won', 'Number won.'), ('lost', 'Number lost.'), ('open', 'Number open.'),
            ('closed', 'Number closed, one way or the other.'),
            ('activities', 'Number of activities.'), ('calls', 'Calls among the activities.'), ('meetings', 'Meetings and visits among the activities.'),
            ('done', 'How many of them are done.'),
            ('done_late', 'Done after their due instant.'), ('opportunities_created', 'Opportunities made in the month that the user owns.'),
            ('won_quantity', 'Units won.'), ('members', 'Users of the team with a quota.'),
            ('orders', 'Number of sales.'), ('ordered_quantity', 'Units ordered less units returned.'), ('tickets', 'Number of tickets, merged ones aside.'),
            ('open_tickets', 'Tickets that are open.'),
            ('reopened_tickets', 'Tickets opened again after their solution.'), ('leads', 'Number of leads, merged ones aside.'),
            ('converted_leads', 'Leads that were converted.'), ('converted', 'Number converted.'), ('disqualified', 'Number disqualified.'),
            ('customers', 'Customers whose first win was in the month.'), ('subjects', 'Subjects that were ever in the stage.'),
            ('finished', 'Subjects that have left it.'), ('visits', 'Stays.'), ('reached_next', 'reached of the next step.'),
            -- shares and times
            ('win_rate', 'won over (won + lost), a share of one; NULL where nothing was closed.'), ('amount_win_rate', 'The same by amount.'),
            ('overall_win_rate', 'win_rate of all for which the attribute is known.'),
            ('conversion', 'converted over closed, a share of one.'), ('overall_conversion', 'conversion of all for which the attribute is known.'),
            ('conversion_from_start', 'reached over reached of the first step, a share of one.'),
            ('retention', 'active over customers, a share of one.'), ('lift', 'Rate of the value over that of all: 1 is as usual.'),
            ('weight_of_evidence', 'Log odds of the value against all; above 0 speaks for success.'),
            ('information', 'What the value adds to information_value.'),
            ('information_value', 'Strength of the attribute: below 0.02 none, to 0.1 weak, to 0.3 medium, above strong.'),
            ('p_value', 'Probability of such a difference by chance.'), ('significant', 'p_value below 0.05 over the number of values of the attribute.'),
            ('probability', 'Probability in per cent.'),
            ('won_cycle_days', 'Days from creation to closing, added up over the won ones.'),
            ('lost_cycle_days', 'Days from creation to closing, added up over the lost ones.'), ('mean_won_cycle_days', 'Mean days from creation to a win.'),
            ('mean_days', 'Mean in days.'), ('p25_days', 'First quartile in days.'), ('median_days', 'Median in days.'),
            ('p75_days', 'Third quartile in days.'), ('p90_days', '90th percentile in days.'),
            ('oldest_running_days', 'Longest time in days of those still in the stage.'), ('age_days', 'Days since creation, of open ones.'),
            ('days_in_stage', 'Days in the present stage, of open ones.'),
            ('is_done', 'Whether it is done.'), ('is_running', 'Whether the stay has not ended.')
        ) AS d(name, meaning) ON d.name = a.attname
        WHERE v.relnamespace = 'crm_analytics'::regnamespace AND v.relkind = 'v' AND pg_catalog.col_description(v.oid, a.attnum) IS NULL
          AND v.relname IN ('dim_date', 'dim_account', 'dim_user', 'dim_product', 'dim_stage', 'fact_opportunities', 'fact_activities', 'pipeline_now', 'pipeline_by_stage',
              'expected_by_day', 'closed_by_day', 'closed_by_owner', 'win_rate', 'cycle_time', 'forecast', 'loss_reasons', 'lead_sources', 'account_totals', 'product_totals',
              'stage_visits', 'stage_conversion', 'time_in_stage', 'user_activity', 'activities_by_day', 'opportunities_created', 'individual_performance', 'overdue_activities',
              'quota_attainment', 'team_quota_attainment', 'cohort_retention', 'outcome_factors', 'win_factors', 'lead_factors', 'customer_timeline', 'customer_totals', 'dashboard')
    LOOP
        EXECUTE pg_catalog.format('COMMENT ON COLUMN crm_analytics.%I.%I IS %L', c.relname, c.attname, c.meaning);
    END LOOP;
END
$$;
