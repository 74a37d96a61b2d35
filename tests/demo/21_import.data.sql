\echo
\echo '== Importing accounts, products, people and opportunities'
INSERT INTO crm.custom_fields (table_name, name, type) VALUES ('accounts', 'office', 'text');
SELECT b.target_table, b.rows_read AS read, b.rows_inserted AS inserted, b.rows_bad AS bad
FROM crm.import_table('staging.accounts', '{
    "target": "accounts", "source_system": "sales export", "key": "account",
    "columns": {
        "name": "account",
        "industry": {"column": "sector", "values": {"technolgy": "technology"}},
        "founded_year": "year_established",
        "annual_revenue": {"column": "revenue", "scale": 1000000},
        "employees": "employees",
        "custom.office": "office_location",
        "parent_id": {"column": "subsidiary_of", "lookup": "accounts"}
    },
    "defaults": {"currency": "USD", "roles": "{customer}"}
}') AS b;
SELECT b.target_table, b.rows_read AS read, b.rows_inserted AS inserted, b.rows_bad AS bad
FROM crm.import_table('staging.products', '{
    "target": "products", "source_system": "sales export", "key": "product",
    "columns": {"name": "product", "family": "series", "list_price": "sales_price"},
    "defaults": {"currency": "USD"}
}') AS b;
SELECT b.target_table, b.rows_read AS read, b.rows_inserted AS inserted, b.rows_bad AS bad
FROM crm.import_table('staging.sales_teams', '{
    "target": "users", "source_system": "sales export", "key": "sales_agent",
    "columns": {
        "name": "sales_agent",
        "manager_id": {"column": "manager", "lookup": "users", "missing": "create"}
    }
}') AS b;
-- a team for each manager, in the regional office's territory
INSERT INTO crm.teams (name, lead_id, source_system, source_id)
SELECT DISTINCT t.regional_office || ': ' || t.manager, u.id, 'sales export', t.manager
FROM staging.sales_teams AS t JOIN crm.users AS u ON u.source_system = 'sales export' AND u.name = t.manager
ON CONFLICT DO NOTHING;
INSERT INTO crm.team_memberships (team_id, user_id, valid)
SELECT m.id, u.id, tstzrange('2016-01-01', NULL)
FROM staging.sales_teams AS t
JOIN crm.teams AS m ON m.source_system = 'sales export' AND m.source_id = t.manager
JOIN crm.users AS u ON u.source_system = 'sales export' AND u.name = t.sales_agent;
SELECT crm.define_pipeline('export', '{
    "name": "Sales export", "subject_table": "opportunities",
    "stages": [
        {"code": "prospecting", "name": "Prospecting", "probability": 10, "is_initial": true},
        {"code": "engaging", "name": "Engaging", "probability": 40, "rotting_days": 90},
        {"code": "won", "name": "Won", "type": "won"},
        {"code": "lost", "name": "Lost", "type": "lost"}
    ]
}') IS NOT NULL AS pipeline_defined;
SELECT b.target_table, b.rows_read AS read, b.rows_inserted AS inserted, b.rows_bad AS bad
FROM crm.import_table('staging.sales_pipeline', '{
    "target": "opportunities", "source_system": "sales export", "key": "opportunity_id",
    "columns": {
        "name": "opportunity_id",
        "owner_id": {"column": "sales_agent", "lookup": "users"},
        "product_id": {"column": "product", "lookup": "products"},
        "account_id": {"column": "account", "lookup": "accounts"},
        "pipeline_id": {"value": "export", "lookup": "pipelines"},
        "stage_id": {"column": "deal_stage", "lookup": "stages", "pipeline": "export"},
        "close_date": "close_date",
        "amount": "close_value"
    },
    "defaults": {"currency": "USD"},
    "history": [{"stage": "engaging", "at": "engage_date"}, {"at": "close_date"}],
    "exported_at": "2017-12-31"
}') AS b;
