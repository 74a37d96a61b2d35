#!/usr/bin/env python3
"""Delivers e-mail from crm.outbound_messages to an SMTP server, and tells the CRM what came back.

    send_mail.py deliver --smtp localhost:25 --known 'grep -qF -- "$1" /var/log/mail.log'
    send_mail.py reports /var/mail/bounces

Needs Python 3 and psql, nothing else. Where the database is and who connects is said as psql is told: PGHOST, PGDATABASE,
PGUSER, PGSERVICE, or --database. The role has level admin.

It may be killed at any moment, as may the database server: what it had not begun is given out again; what it had begun is
looked for on the SMTP server by the command of --known, which is given the Message-ID and says 0 it is there, 1 it is not.
Without --known such messages stay uncertain, for somebody to decide.
"""

import argparse
import email
import email.policy
import email.utils
import hashlib
import json
import mailbox
import smtplib
import subprocess
import sys
import time


class Lost(Exception):
    """The database server is gone; whether it did what was asked is not known."""


class Refused(Exception):
    """The database refused; the SQLSTATE is its first argument."""


class Database:
    """A psql that stays. What is asked of it here may be asked twice, so a lost answer does no harm."""

    def __init__(self, conninfo):
        self.command = ['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=0'] + (['-d', conninfo] if conninfo else [])
        self.psql = None

    def ask(self, query, *values):
        """Rows of a query, each one value of type jsonb. Waits for the server as long as it takes."""
        pause = 0.1
        while True:
            try:
                return self.ask_once(query, values)
            except (Lost, OSError):
                self.close()
                time.sleep(pause)
                pause = min(pause * 2, 10)

    def ask_once(self, query, values):
        if self.psql is None:
            self.psql = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                         encoding='utf-8', errors='strict')
            self.psql.stdin.write("SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\n")
        self.psql.stdin.write(query % tuple(literal(v) for v in values) + ';\n\\echo -- :ERROR :SQLSTATE :LAST_ERROR_MESSAGE\n')
        self.psql.stdin.flush()
        rows = []
        for line in self.psql.stdout:
            if line.startswith('-- '):
                failed, state, message = line[3:].rstrip('\n').split(' ', 2)
                # classes of a server that goes down: 57 and 08
                if failed == 'true' and state[:2] in ('57', '08'):
                    raise Lost
                if failed == 'true':
                    raise Refused(state, message)
                return rows
            rows.append(json.loads(line))
        raise Lost

    def close(self):
        if self.psql is not None:
            self.psql.kill()
            self.psql.wait()
            self.psql.stdin = None
        self.psql = None


def literal(value):
    if value is None:
        return 'NULL'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace('\0', '').replace("'", "''") + "'"


class Sender:
    def __init__(self, options):
        self.database = Database(options.database)
        self.options = options
        self.server = None

    def run(self):
        while True:
            messages = self.database.ask('SELECT to_jsonb(m) FROM crm.claim_messages(%s, %s, %s, \'{email}\', %s) AS m', self.options.name,
                                         self.options.batch, self.options.lease, self.options.known is not None)
            for message in messages:
                self.deal_with(message)
            if not messages:
                if self.options.once:
                    return
                time.sleep(self.options.pause)

    def deal_with(self, message):
        if message['maybe_sent']:
            known = self.server_knows(message)
            if known:
                return self.sent(message, None)
            if known is None:
                return self.failed(message, 'whether it was sent could not be found out', uncertain=True)
        try:
            self.deliver(message, as_mail(message))
        except ValueError as wrong:     # a header that cannot be
            self.failed(message, wrong, permanent=True)

    def deliver(self, message, mail):
        try:
            self.connect()
            self.expect(self.server.mail(message['from_address']))
            self.expect(self.server.rcpt(message['address']))
        except smtplib.SMTPResponseException as answer:
            self.hang_up()
            return self.not_taken(message, answer)
        except (smtplib.SMTPException, OSError) as trouble:
            self.hang_up()
            return self.failed(message, trouble)
        # from here on only the SMTP server knows whether it has it
        if not self.database.ask('SELECT to_jsonb(s) FROM crm.start_message(%s, %s, %s) AS s', message['id'], message['attempt'],
                                 self.options.lease)[0]:
            return self.hang_up()
        try:
            code, text = self.server.data(mail.as_bytes(policy=email.policy.SMTP))
        except smtplib.SMTPDataError as answer:
            self.hang_up()
            return self.not_taken(message, answer)
        except (smtplib.SMTPException, OSError) as trouble:
            self.hang_up()
            return self.failed(message, trouble, uncertain=True)
        if code // 100 == 2:
            return self.sent(message, text.decode('utf-8', 'replace'))
        self.hang_up()
        return self.not_taken(message, smtplib.SMTPResponseException(code, text))

    def connect(self):
        if self.server is None:
            host, _, port = self.options.smtp.rpartition(':')
            self.server = smtplib.SMTP(host, int(port), timeout=60)
            self.server.ehlo_or_helo_if_needed()

    def hang_up(self):
        if self.server is not None:
            self.server.close()
        self.server = None

    @staticmethod
    def expect(answer):
        if answer[0] // 100 != 2:
            raise smtplib.SMTPResponseException(*answer)

    def server_knows(self, message):
        answer = subprocess.run(['sh', '-c', self.options.known, 'known', message['message_id']], check=False).returncode
        known = {0: True, 1: False}.get(answer)
        said = {True: 'is there', False: 'is not there', None: 'may be there'}[known]
        print('send_mail:', message['message_id'], said, file=sys.stderr, flush=True)
        return known

    def not_taken(self, message, answer):
        text = answer.smtp_error.decode('utf-8', 'replace') if isinstance(answer.smtp_error, bytes) else str(answer.smtp_error)
        permanent = answer.smtp_code // 100 == 5
        # RFC 3463: 5.1 the address, 5.2.1 the mailbox is no more
        if permanent and text.startswith(('5.1.', '5.2.1')):
            self.database.ask('SELECT to_jsonb(e) FROM crm.record_delivery_event(%s, %s, \'bounce\', %s, true, detail => %s) AS e', self.options.name,
                              f"refused {message['message_id']} {message['attempt']}", message['message_id'], json.dumps({'answer': text}))
        self.failed(message, f'{answer.smtp_code} {text}', permanent=permanent)

    def sent(self, message, said):
        self.database.ask('SELECT to_jsonb(m) FROM crm.message_sent(%s, %s) AS m', message['id'], said)

    def failed(self, message, why, permanent=False, uncertain=False):
        self.database.ask('SELECT to_jsonb(m) FROM crm.message_failed(%s, %s, %s, %s, %s) AS m', message['id'], message['attempt'],
                          str(why) or type(why).__name__, permanent, uncertain)


def as_mail(message):
    mail = email.message.EmailMessage()
    mail['From'] = message['from_address']
    mail['To'] = message['address']
    if message['reply_to']:
        mail['Reply-To'] = message['reply_to']
    mail['Subject'] = message['subject'] or ''
    mail['Message-ID'] = message['message_id']
    mail['Date'] = email.utils.formatdate(localtime=False)
    if message['language']:
        mail['Content-Language'] = message['language']
    for name, value in message['headers'].items():
        mail[name] = value
    mail.set_content(message['body'], subtype='html' if message['format'] == 'html' else 'plain')
    return mail


# ---- what comes back ----

def report_of(mail):
    """(kind, Message-ID, hard, detail) of a report (RFC 3464, RFC 5965) or an answer; None for what is neither."""
    status, original = '', None
    for part in mail.walk():
        if part.get_content_type() == 'message/delivery-status':
            for block in part.get_payload():
                status = block.get('Status', status).strip()
        elif part.get_content_type() in ('message/rfc822', 'text/rfc822-headers') and part is not mail:
            inner = part.get_payload(0) if part.is_multipart() else email.message_from_string(part.get_payload(decode=True).decode('utf-8', 'replace'))
            original = inner.get('Message-ID', original)
    kind = mail.get_param('report-type')
    if kind == 'delivery-status' and original and status.startswith(('4', '5')):
        return 'bounce', original, status.startswith(('5.1.', '5.2.1')), {'status': status}
    if kind == 'delivery-status' and original and status.startswith('2'):
        return 'delivered', original, False, {'status': status}
    if kind == 'feedback-report' and original:
        return 'complaint', original, False, {}
    if mail.get('In-Reply-To') and mail.get('Auto-Submitted', 'no') == 'no':
        return 'reply', mail['In-Reply-To'], False, {}
    return None


def take_reports(options):
    """Each mail of a Maildir that was not looked at yet; looked at, it is marked as seen."""
    database = Database(options.database)
    box = mailbox.Maildir(options.maildir, create=False)
    for key, mail in box.iteritems():
        if 'S' in mail.get_flags():
            continue
        found = report_of(mail)
        if found is not None:
            kind, message_id, hard, detail = found
            name = mail.get('Message-ID') or hashlib.sha256(mail.as_bytes()).hexdigest()
            try:
                database.ask('SELECT to_jsonb(e) FROM crm.record_delivery_event(%s, %s, %s, %s, %s, detail => %s) AS e', options.name, name, kind,
                             message_id.strip(), hard, json.dumps(detail))
            except Refused as refused:
                # about a mail that is not the CRM's
                if refused.args[0] != 'P0002':
                    raise
        mail.add_flag('S')
        mail.set_subdir('cur')
        box[key] = mail
    database.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--database', help='connection string; else as psql finds it')
    parser.add_argument('--name', default='mail', help='what this sender is called')
    jobs = parser.add_subparsers(dest='job', required=True)
    deliver = jobs.add_parser('deliver')
    deliver.add_argument('--smtp', default='localhost:25')
    deliver.add_argument('--known', help='shell command: is the Message-ID in $1 on the server? 0 yes, 1 no')
    deliver.add_argument('--batch', type=int, default=100)
    deliver.add_argument('--lease', default='5 minutes', help='longer than a batch takes, and than the server may keep a mail before it is to be found')
    deliver.add_argument('--pause', type=float, default=5, help='seconds between looks when nothing is due')
    deliver.add_argument('--once', action='store_true', help='end when nothing is due')
    reports = jobs.add_parser('reports')
    reports.add_argument('maildir')
    options = parser.parse_args()
    if options.job == 'deliver':
        Sender(options).run()
    else:
        take_reports(options)


if __name__ == '__main__':
    try:
        main()
    except Refused as refused:
        sys.exit('send_mail: ' + ' '.join(refused.args))
