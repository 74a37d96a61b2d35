/*
 * errors.h
 *	  SQLSTATEs of class CR: the errors a client must be able to branch on.
 *
 * They are part of the interface: documented in docs/reference/errors.md, never
 * renumbered.  Every other error uses PostgreSQL's own codes.
 */
#ifndef CRM_ERRORS_H
#define CRM_ERRORS_H

#define CRM_ERRCODE(c3, c4, c5) MAKE_SQLSTATE('C', 'R', c3, c4, c5)

/* 0: installation and identity */
#define ERRCODE_CRM_NOT_INSTALLED			CRM_ERRCODE('0', '0', '1')
#define ERRCODE_CRM_SCHEMA_OUTDATED			CRM_ERRCODE('0', '0', '2')
#define ERRCODE_CRM_SCHEMA_TOO_NEW			CRM_ERRCODE('0', '0', '3')
#define ERRCODE_CRM_NO_TENANT				CRM_ERRCODE('0', '1', '0')

/* 1: process */
#define ERRCODE_CRM_TRANSITION_NOT_ALLOWED	CRM_ERRCODE('1', '0', '1')
#define ERRCODE_CRM_REQUIRED_FIELDS			CRM_ERRCODE('1', '0', '2')
#define ERRCODE_CRM_APPROVAL_MISSING		CRM_ERRCODE('1', '0', '3')
#define ERRCODE_CRM_GUARD_FAILED			CRM_ERRCODE('1', '0', '4')
#define ERRCODE_CRM_ROLE_NOT_ALLOWED		CRM_ERRCODE('1', '0', '5')
#define ERRCODE_CRM_LOSS_REASON_MISSING		CRM_ERRCODE('1', '0', '6')
#define ERRCODE_CRM_UNKNOWN_STAGE			CRM_ERRCODE('1', '0', '7')

/* 2: data */
#define ERRCODE_CRM_STALE_VERSION			CRM_ERRCODE('2', '0', '1')
#define ERRCODE_CRM_CUSTOM_FIELD			CRM_ERRCODE('2', '0', '2')
#define ERRCODE_CRM_RATE_MISSING			CRM_ERRCODE('2', '0', '3')
#define ERRCODE_CRM_CIRCULAR_TREE			CRM_ERRCODE('2', '0', '4')
#define ERRCODE_CRM_TAX_RATE_MISSING		CRM_ERRCODE('2', '0', '5')

/* 3: business time and service */
#define ERRCODE_CRM_CALENDAR				CRM_ERRCODE('3', '0', '1')
#define ERRCODE_CRM_NO_OPEN_HOURS			CRM_ERRCODE('3', '0', '2')
#define ERRCODE_CRM_NO_OPEN_TIME			CRM_ERRCODE('3', '0', '3')

/* 4: models and rules */
#define ERRCODE_CRM_MODEL_DATA				CRM_ERRCODE('4', '0', '1')
#define ERRCODE_CRM_MODEL_DOMAIN			CRM_ERRCODE('4', '0', '2')
#define ERRCODE_CRM_RULE					CRM_ERRCODE('4', '0', '3')

/* 5: analytics */
#define ERRCODE_CRM_ROLLUP					CRM_ERRCODE('5', '0', '1')

/* 6: secrets */
#define ERRCODE_CRM_KEY_UNAVAILABLE			CRM_ERRCODE('6', '0', '1')
#define ERRCODE_CRM_SEALED_DAMAGED			CRM_ERRCODE('6', '0', '2')
#define ERRCODE_CRM_TOKEN_INVALID			CRM_ERRCODE('6', '0', '3')
#define ERRCODE_CRM_TOKEN_EXPIRED			CRM_ERRCODE('6', '0', '4')
#define ERRCODE_CRM_TOKEN_REVOKED			CRM_ERRCODE('6', '0', '5')
#define ERRCODE_CRM_DRY_RUN					CRM_ERRCODE('6', '0', '6')
#define ERRCODE_CRM_AUDIT_KEPT				CRM_ERRCODE('6', '0', '7')
#define ERRCODE_CRM_PERSON_ERASED			CRM_ERRCODE('6', '0', '8')

/* 7: messages */
#define ERRCODE_CRM_CONSENT_MISSING			CRM_ERRCODE('7', '0', '1')
#define ERRCODE_CRM_TEMPLATE				CRM_ERRCODE('7', '0', '2')

/* 8: documents and points */
#define ERRCODE_CRM_DOCUMENT_POSTED			CRM_ERRCODE('8', '0', '1')
#define ERRCODE_CRM_QUOTE_NOT_OPEN			CRM_ERRCODE('8', '0', '2')
#define ERRCODE_CRM_NOTHING_LEFT			CRM_ERRCODE('8', '0', '3')
#define ERRCODE_CRM_NOT_ENOUGH_POINTS		CRM_ERRCODE('8', '0', '4')

/* 9: exchange with programs */
#define ERRCODE_CRM_REQUEST_REUSED			CRM_ERRCODE('9', '0', '1')

#endif							/* CRM_ERRORS_H */
