-- Tenants and currencies, and the triggers of every row.

-- ISO 4217, with the minor units it gives
INSERT INTO crm.currencies (code, name, minor_units) VALUES
    ('AED', 'UAE Dirham', 2),
    ('AFN', 'Afghani', 2),
    ('ALL', 'Lek', 2),
    ('AMD', 'Armenian Dram', 2),
    ('ANG', 'Netherlands Antillean Guilder', 2),
    ('AOA', 'Kwanza', 2),
    ('ARS', 'Argentine Peso', 2),
    ('AUD', 'Australian Dollar', 2),
    ('AWG', 'Aruban Florin', 2),
    ('AZN', 'Azerbaijan Manat', 2),
    ('BAM', 'Convertible Mark', 2),
    ('BBD', 'Barbados Dollar', 2),
    ('BDT', 'Taka', 2),
    ('BGN', 'Bulgarian Lev', 2),
    ('BHD', 'Bahraini Dinar', 3),
    ('BIF', 'Burundi Franc', 0),
    ('BMD', 'Bermudian Dollar', 2),
    ('BND', 'Brunei Dollar', 2),
    ('BOB', 'Boliviano', 2),
    ('BRL', 'Brazilian Real', 2),
    ('BSD', 'Bahamian Dollar', 2),
    ('BTN', 'Ngultrum', 2),
    ('BWP', 'Pula', 2),
    ('BYN', 'Belarusian Ruble', 2),
    ('BZD', 'Belize Dollar', 2),
    ('CAD', 'Canadian Dollar', 2),
    ('CDF', 'Congolese Franc', 2),
    ('CHF', 'Swiss Franc', 2),
    ('CLF', 'Unidad de Fomento', 4),
    ('CLP', 'Chilean Peso', 0),
    ('CNY', 'Yuan Renminbi', 2),
    ('COP', 'Colombian Peso', 2),
    ('CRC', 'Costa Rican Colon', 2),
    ('CUP', 'Cuban Peso', 2),
    ('CVE', 'Cabo Verde Escudo', 2),
    ('CZK', 'Czech Koruna', 2),
    ('DJF', 'Djibouti Franc', 0),
    ('DKK', 'Danish Krone', 2),
    ('DOP', 'Dominican Peso', 2),
    ('DZD', 'Algerian Dinar', 2),
    ('EGP', 'Egyptian Pound', 2),
    ('ERN', 'Nakfa', 2),
    ('ETB', 'Ethiopian Birr', 2),
    ('EUR', 'Euro', 2),
    ('FJD', 'Fiji Dollar', 2),
    ('FKP', 'Falkland Islands Pound', 2),
    ('GBP', 'Pound Sterling', 2),
    ('GEL', 'Lari', 2),
    ('GHS', 'Ghana Cedi', 2),
    ('GIP', 'Gibraltar Pound', 2),
    ('GMD', 'Dalasi', 2),
    ('GNF', 'Guinean Franc', 0),
    ('GTQ', 'Quetzal', 2),
    ('GYD', 'Guyana Dollar', 2),
    ('HKD', 'Hong Kong Dollar', 2),
    ('HNL', 'Lempira', 2),
    ('HTG', 'Gourde', 2),
    ('HUF', 'Forint', 2),
    ('IDR', 'Rupiah', 2),
    ('ILS', 'New Israeli Sheqel', 2),
    ('INR', 'Indian Rupee', 2),
    ('IQD', 'Iraqi Dinar', 3),
    ('IRR', 'Iranian Rial', 2),
    ('ISK', 'Iceland Krona', 0),
    ('JMD', 'Jamaican Dollar', 2),
    ('JOD', 'Jordanian Dinar', 3),
    ('JPY', 'Yen', 0),
    ('KES', 'Kenyan Shilling', 2),
    ('KGS', 'Som', 2),
    ('KHR', 'Riel', 2),
    ('KMF', 'Comorian Franc', 0),
    ('KPW', 'North Korean Won', 2),
    ('KRW', 'Won', 0),
    ('KWD', 'Kuwaiti Dinar', 3),
    ('KYD', 'Cayman Islands Dollar', 2),
    ('KZT', 'Tenge', 2),
    ('LAK', 'Lao Kip', 2),
    ('LBP', 'Lebanese Pound', 2),
    ('LKR', 'Sri Lanka Rupee', 2),
    ('LRD', 'Liberian Dollar', 2),
    ('LSL', 'Loti', 2),
    ('LYD', 'Libyan Dinar', 3),
    ('MAD', 'Moroccan Dirham', 2),
    ('MDL', 'Moldovan Leu', 2),
    ('MGA', 'Malagasy Ariary', 2),
    ('MKD', 'Denar', 2),
    ('MMK', 'Kyat', 2),
    ('MNT', 'Tugrik', 2),
    ('MOP', 'Pataca', 2),
    ('MRU', 'Ouguiya', 2),
    ('MUR', 'Mauritius Rupee', 2),
    ('MVR', 'Rufiyaa', 2),
    ('MWK', 'Malawi Kwacha', 2),
    ('MXN', 'Mexican Peso', 2),
    ('MYR', 'Malaysian Ringgit', 2),
    ('MZN', 'Mozambique Metical', 2),
    ('NAD', 'Namibia Dollar', 2),
    ('NGN', 'Naira', 2),
    ('NIO', 'Cordoba Oro', 2),
    ('NOK', 'Norwegian Krone', 2),
    ('NPR', 'Nepalese Rupee', 2),
    ('NZD', 'New Zealand Dollar', 2),
    ('OMR', 'Rial Omani', 3),
    ('PAB', 'Balboa', 2),
    ('PEN', 'Sol', 2),
    ('PGK', 'Kina', 2),
    ('PHP', 'Philippine Peso', 2),
    ('PKR', 'Pakistan Rupee', 2),
    ('PLN', 'Zloty', 2),
    ('PYG', 'Guarani', 0),
    ('QAR', 'Qatari Rial', 2),
    ('RON', 'Romanian Leu', 2),
    ('RSD', 'Serbian Dinar', 2),
    ('RUB', 'Russian Ruble', 2),
    ('RWF', 'Rwanda Franc', 0),
    ('SAR', 'Saudi Riyal', 2),
    ('SBD', 'Solomon Islands Dollar', 2),
    ('SCR', 'Seychelles Rupee', 2),
    ('SDG', 'Sudanese Pound', 2),
    ('SEK', 'Swedish Krona', 2),
    ('SGD', 'Singapore Dollar', 2),
    ('SHP', 'Saint Helena Pound', 2),
    ('SLE', 'Leone', 2),
    ('SOS', 'Somali Shilling', 2),
    ('SRD', 'Surinam Dollar', 2),
    ('SSP', 'South Sudanese Pound', 2),
    ('STN', 'Dobra', 2),
    ('SVC', 'El Salvador Colon', 2),
    ('SYP', 'Syrian Pound', 2),
    ('SZL', 'Lilangeni', 2),
    ('THB', 'Baht', 2),
    ('TJS', 'Somoni', 2),
    ('TMT', 'Turkmenistan New Manat', 2),
    ('TND', 'Tunisian Dinar', 3),
    ('TOP', 'Pa''anga', 2),
    ('TRY', 'Turkish Lira', 2),
    ('TTD', 'Trinidad and Tobago Dollar', 2),
    ('TWD', 'New Taiwan Dollar', 2),
    ('TZS', 'Tanzanian Shilling', 2),
    ('UAH', 'Hryvnia', 2),
    ('UGX', 'Uganda Shilling', 0),
    ('USD', 'US Dollar', 2),
    ('UYU', 'Peso Uruguayo', 2),
    ('UYW', 'Unidad Previsional', 4),
    ('UZS', 'Uzbekistan Sum', 2),
    ('VED', 'Digital Bolivar', 2),
    ('VES', 'Bolivar Soberano', 2),
    ('VND', 'Dong', 0),
    ('VUV', 'Vatu', 0),
    ('WST', 'Tala', 2),
    ('XAF', 'CFA Franc BEAC', 0),
    ('XCD', 'East Caribbean Dollar', 2),
    ('XCG', 'Caribbean Guilder', 2),
    ('XOF', 'CFA Franc BCEAO', 0),
    ('XPF', 'CFP Franc', 0),
    ('YER', 'Yemeni Rial', 2),
    ('ZAR', 'Rand', 2),
    ('ZMW', 'Zambian Kwacha', 2),
    ('ZWG', 'Zimbabwe Gold', 2)
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION crm.create_tenant(
    name text,
    base_currency text DEFAULT NULL,
    time_zone text DEFAULT NULL,
    language text DEFAULT 'en')
RETURNS crm.tenants
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made crm.tenants;
    persian CONSTANT boolean := create_tenant.language = 'fa';
    money CONSTANT text := upper(coalesce(create_tenant.base_currency, CASE WHEN persian THEN 'IRR' ELSE 'USD' END));
BEGIN
    INSERT INTO crm.tenants AS t (name, country, base_currency, time_zone, language, week_start, weekend, fiscal_year_start)
    VALUES (create_tenant.name,
            -- the first two letters of a currency are its country's, but for those of unions
            CASE WHEN persian THEN 'IR' WHEN money !~ '^(EU|X)' THEN left(money, 2) END,
            money,
            coalesce(create_tenant.time_zone, CASE WHEN persian THEN 'Asia/Tehran' ELSE 'UTC' END),
            create_tenant.language,
            CASE WHEN persian THEN 6 ELSE 1 END,
            CASE WHEN persian THEN '{5}'::smallint[] ELSE '{6,7}'::smallint[] END,
            CASE WHEN persian THEN 'jalali:01-01' ELSE '01-01' END)
    RETURNING t.* INTO made;

    -- what a tenant starts with, one line for each kind; the tenant is made.tenant_id
    PERFORM crm.seed_service(made.tenant_id);
    PERFORM crm.create_default_pipelines(made.tenant_id);
    PERFORM crm.seed_leads(made.tenant_id);

    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.create_tenant(text, text, text, text) IS
'Makes a tenant with what it needs to begin. language fa: rials, zone Asia/Tehran, weeks from Saturday with Friday as the day of rest, fiscal years from 1 Farvardin; otherwise US dollars, UTC and ISO weeks unless given. Only for the owner of the CRM. Returns the tenant.';

-- ---- identities are compiled out of these ----
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{tenants,users,teams,team_memberships,access_grants,custom_fields,currencies,exchange_rates}'::text[] LOOP
        EXECUTE pg_catalog.format(
            'CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed()', t || '_after_changed', t);
    END LOOP;
END
$$;

-- ---- checks of rows, on every table with the columns they are about ----
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT c.relname::text AS name,
               pg_catalog.bool_or(a.attname = 'version' AND a.atttypid = 'pg_catalog.int4'::pg_catalog.regtype) AS versioned,
               pg_catalog.bool_or(a.attname = 'updated_at') AS dated,
               pg_catalog.bool_or(a.attname = 'custom' AND a.atttypid = 'pg_catalog.jsonb'::pg_catalog.regtype) AS custom,
               pg_catalog.bool_or(a.attname = 'tags' AND a.atttypid = 'pg_catalog.text[]'::pg_catalog.regtype) AS tagged
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'crm'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        GROUP BY c.relname
    LOOP
        IF t.versioned AND t.dated THEN
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON crm.%I FOR EACH ROW EXECUTE FUNCTION crm.check_version()',
                                      t.name || '_before_version', t.name);
        END IF;
        IF t.custom THEN
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT ON crm.%I FOR EACH ROW EXECUTE FUNCTION crm.check_custom_fields(%L)',
                                      t.name || '_before_insert_custom', t.name, t.name);
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON crm.%I FOR EACH ROW WHEN (NEW.custom IS DISTINCT FROM OLD.custom) EXECUTE FUNCTION crm.check_custom_fields(%L)',
                                      t.name || '_before_update_custom', t.name, t.name);
        END IF;
        IF t.tagged THEN
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT ON crm.%I FOR EACH ROW WHEN (NEW.tags <> ''{}'') EXECUTE FUNCTION crm.check_tags()',
                                      t.name || '_before_insert_tags', t.name);
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON crm.%I FOR EACH ROW WHEN (NEW.tags IS DISTINCT FROM OLD.tags) EXECUTE FUNCTION crm.check_tags()',
                                      t.name || '_before_update_tags', t.name);
        END IF;
    END LOOP;

    FOR t IN VALUES ('teams', 'parent_id'), ('territories', 'parent_id'), ('accounts', 'parent_id'), ('users', 'manager_id') LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON crm.%I FOR EACH ROW WHEN (NEW.%I IS NOT NULL) EXECUTE FUNCTION crm.check_tree(%L, %L)',
                                  t.column1 || '_after_insert_tree', t.column1, t.column2, t.column1, t.column2);
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON crm.%I FOR EACH ROW WHEN (NEW.%I IS DISTINCT FROM OLD.%I AND NEW.%I IS NOT NULL) EXECUTE FUNCTION crm.check_tree(%L, %L)',
                                  t.column1 || '_after_update_tree', t.column1, t.column2, t.column2, t.column2, t.column1, t.column2);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION crm.guard_custom_field()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute AS a
                   WHERE a.attrelid = to_regclass('crm.' || quote_ident(NEW.table_name))
                     AND a.attname = 'custom' AND NOT a.attisdropped)
    THEN
        RAISE EXCEPTION 'table "%" cannot have custom fields', NEW.table_name
            USING ERRCODE = 'undefined_table', HINT = 'It must be a table in schema crm with a column custom.';
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.table_name, NEW.name, NEW.type) IS DISTINCT FROM (OLD.table_name, OLD.name, OLD.type) THEN
        RAISE EXCEPTION 'table, name and type of custom field "%" cannot be changed', OLD.name
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Set active = false and declare another field.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.guard_custom_field() IS 'Trigger: custom fields belong to tables that can have them, and keep their type.';
CREATE OR REPLACE TRIGGER custom_fields_before_guard BEFORE INSERT OR UPDATE ON crm.custom_fields
    FOR EACH ROW EXECUTE FUNCTION crm.guard_custom_field();
