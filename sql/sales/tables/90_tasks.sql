INSERT INTO crm.maintenance_tasks (name, position, function_name, next_function_name, every, batch) VALUES
    ('record_sla_breaches', 5, 'crm.record_sla_breaches', NULL,        '1 minute', 1000),
    ('escalate',     10, 'crm.escalate',     'crm.next_escalation_at', NULL,       1000),
    ('send_surveys', 20, 'crm.send_due_surveys', 'crm.next_survey_at', NULL,       1000),
    ('route_waiting', 30, 'crm.route_waiting', NULL,                   '1 minute', 1000),
    ('assign_leads', 31, 'crm.assign_waiting_leads', NULL,           '1 minute', 1000),
    ('recycle_leads', 32, 'crm.recycle_due_leads', 'crm.next_recycle_at', NULL, 1000),
    ('fold_rollups', 50, 'crm.fold_due_rollups', 'crm.next_fold_at',    NULL,       1000),
    ('seal_audit',   60, 'crm.seal_audit',   NULL,                     '1 minute', 1000);
