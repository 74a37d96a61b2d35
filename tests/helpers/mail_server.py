"""An SMTP server for tests (aiosmtpd): mail goes to a Maildir, some addresses are refused, of some a report comes back.

    mail_server.py FOLDER      writes its port to FOLDER/port; mail to FOLDER/inbox, reports to FOLDER/reports

nobody...@ is refused for good, later...@ once with 451, gone...@ is taken and comes back as a bounce, angry...@ as a complaint. After a mail is kept
the answer takes a while, so that whoever is killed is often killed between the two.
"""
import asyncio
import email
import email.policy
import mailbox
import os
import random
import socket
import sys
import threading

from aiosmtpd.controller import Controller

REPORT = '''From: MAILER-DAEMON@example.net
To: {sender}
Message-ID: <report.{n}@example.net>
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary="b"

--b
Content-Type: text/plain

It came back.
--b
Content-Type: message/{part}

{fields}

--b
Content-Type: message/rfc822

{original}
--b--
'''


class Server:
    def __init__(self, folder):
        self.inbox = mailbox.Maildir(os.path.join(folder, 'inbox'))
        self.reports = mailbox.Maildir(os.path.join(folder, 'reports'))
        self.waited = set()
        self.n = 0

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith('nobody'):
            return '550 5.1.1 no such person'
        if address.startswith('later') and address not in self.waited:
            self.waited.add(address)
            return '451 4.2.0 try later'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.n += 1
        self.inbox.add(envelope.content)
        for kind, part, fields, name in (('delivery-status', 'delivery-status', 'Reporting-MTA: dns; example.net\n\nAction: failed\nStatus: 5.1.1', 'gone'),
                                         ('feedback-report', 'feedback-report', 'Feedback-Type: abuse\nVersion: 1', 'angry')):
            if envelope.rcpt_tos[0].startswith(name):
                self.reports.add(REPORT.format(sender=envelope.mail_from, n=self.n, kind=kind, part=part, fields=fields,
                                               original='Message-ID: %s\n\nx' % mail['Message-ID']))
        await asyncio.sleep(random.uniform(0, 0.04))
        return '250 OK kept as %d' % self.n


if __name__ == '__main__':
    controller = Controller(Server(sys.argv[1]), hostname='127.0.0.1', port=0)
    # the controller looks whether it can be reached, at a port that it is to know
    free = socket.socket()
    free.bind(('127.0.0.1', 0))
    controller.port = free.getsockname()[1]
    free.close()
    controller.start()
    with open(os.path.join(sys.argv[1], 'port.new'), 'w', encoding='ascii') as f:
        f.write(str(controller.port))
    os.rename(os.path.join(sys.argv[1], 'port.new'), os.path.join(sys.argv[1], 'port'))
    threading.Event().wait()
