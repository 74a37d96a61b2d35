-- Folding of names and normal forms of addresses and numbers.

-- Persian and Arabic code points, digits, marks, joiners, spaces
SELECT crm.fold_text(v) AS folded
FROM (VALUES (1, 'كريم'), (2, 'کریم'), (3, 'فاطمة  احمدي'), (4, 'رضائی'), (5, 'مؤسسۀ أحمد'), (6, 'آذر'),
             (7, U&'\0627\0653ذر'), (8, 'می‌روم'), (9, 'مُحَمَّد'), (10, 'ســـلام'), (11, '۱۲۳٤٥٦'),
             (12, '۱۲٬۳۴۵٫۶۷'), (13, U&'\200Fسلام\200E\00A0\FEFFدنیا'), (14, U&'\FEE3\FEA4\FEE4\FEAA')) AS t (n, v)
ORDER BY n;

-- Latin, Greek, Cyrillic, full width
SELECT crm.fold_text(v) AS folded
FROM (VALUES (1, '  Zoë   MÜLLER '), (2, 'Straße'), (3, 'ŁÓDŹ'), (4, 'Æsir Øre'), (5, 'İstanbul'), (6, 'ΟΔΥΣΣΕΥΣ'),
             (7, 'ЙОЖИК Ёж'), (8, 'ＡＢＣ　１２'), (9, U&'Jose\0301'), (10, 'O’Brien–Smith'), (11, E'a\tb\nc'), (12, 'ﬁn'),
             (13, ''), (14, '   '), (15, '日本'), (16, '👍🏽 ok')) AS t (n, v)
ORDER BY n;

-- a fold of a fold is the fold
SELECT count(*) AS unstable
FROM (SELECT chr(g) AS c FROM generate_series(1, 120000) AS g WHERE g NOT BETWEEN 55296 AND 57343) AS a
WHERE crm.fold_text(crm.fold_text(c)) <> crm.fold_text(c) OR crm.name_key(crm.name_key(c)) <> crm.name_key(c);

SELECT crm.name_key(a) = crm.name_key(b) AS same, crm.name_key(a) AS key
FROM (VALUES (1, 'سید محمد رضایی', 'محمد رضائي'), (2, 'علی‌رضا', 'علي رضا'), (3, 'دکتر احمدی', 'احمدی'), (4, 'GTX Pro', 'GTXPro'),
             (5, 'O''Brien', 'OBRIEN'), (6, 'I.B.M.', 'ibm'), (7, 'Mr. Smith', 'smith'), (8, 'Dr', 'dr.'),
             (9, 'حسین', 'حسن'), (10, '???', '!!!'), (11, 'Kan-code', 'Kancode')) AS t (n, a, b)
ORDER BY n;
SELECT crm.name_words('  Ludwig van-Beethoven, Jr. ') AS words, crm.name_words('علی‌رضا كريمي') AS persian, crm.name_words(' - ') AS none;

-- every writing of one Iranian number
SELECT v AS value, crm.normalize_phone(v, 'IR') AS e164
FROM (VALUES (1, '09121234567'), (2, '+98 912 123 4567'), (3, '۰۹۱۲۱۲۳۴۵۶۷'), (4, '00989121234567'), (5, '+98 (0)912-123-4567'),
             (6, '٠٢١ ٨٨٧٧٦٦٥٥'), (7, '+98 0912 1234567'), (8, '9121234567'), (9, '989121234567'), (10, '021-88776655 داخلی ۱۲'),
             (11, 'tel:+982188776655;ext=9'), (12, '110'), (13, '0912123456'), (14, '۰۹۱۲۱۲۳۴۵۶۷۸'), (15, 'زنگ'), (16, ''),
             (17, '+'), (18, '+999123456789'), (19, '1-800-FLOWERS'), (20, repeat('9', 30)), (21, U&'\200E+989121234567\200F')) AS t (n, v)
ORDER BY n \g (format=unaligned)
-- several in one cell; a comma may stand before an extension, a slash within a number
SELECT v AS value, crm.phone_numbers(v, 'RU') AS numbers FROM unnest(ARRAY['+7 495 123-45-67, +7 495 123-45-68; 8 916 123-45-67', '8 916 123-45-67', '(495) 123-45-67, ext. 12', '8 (495) 123-45-67,12',
    '(495) 123-45-67, (495) 123-45-68', 'ask Ann; 8 916 123-45-67', '+49 30/901820', '8 916 123-45-67 / +49 30 901820', ';;', '']) AS v;
SELECT c AS country, v AS value, crm.normalize_phone(v, c) AS e164
FROM (VALUES (1, 'US', '(212) 555-2368'), (2, 'US', '1 212 555 2368 x99'), (3, 'US', '011 44 20 7946 0958'), (4, 'US', '112 555 2368'),
             (5, 'GB', '020 7946 0958'), (6, 'GB', '+44 (0)20 7946 0958'), (7, 'DE', '030/123456'), (8, 'IT', '06 698 12345'),
             (9, 'RU', '8 (495) 123-45-67'), (10, 'FR', '01 23 45 67 89'), (11, 'us', '2125552368'), (12, 'XX', '2125552368'),
             (13, '', '+390669812345'), (14, 'AE', '050 123 4567'), (15, 'IR', '+1 212 555 2368'), (16, 'AU', '0011 98 912 123 4567'),
             (17, 'HU', '06 1 234 5678')) AS t (n, c, v)
ORDER BY n;

SELECT v AS value, crm.normalize_email(v) AS email
FROM (VALUES (1, ' Ali.Karimi@Example.COM '), (2, 'mailto:a@b.ir'), (3, 'Ali Karimi <ali@b.ir>'), (4, 'a@b'), (5, 'a b@c.de'), (6, 'a@@b.de'),
             (7, '@b.de'), (8, 'a@'), (9, 'a..b@c.de'), (10, 'a@-c.de'), (11, 'info@مثال.ایران'), (12, 'x@bücher.example'),
             (13, U&'a\200E@b.de\FEFF'), (14, 'a@b.de.'), (15, 'ａ@ｂ.de'), (16, repeat('a', 65) || '@b.de'), (17, 'a@' || repeat('b', 64) || '.de'),
             (18, ''), (19, 'ali۱@b.ir'), (20, 'a+tag@b.de')) AS t (n, v)
ORDER BY n \g (format=unaligned)

SELECT k AS kind, v AS value, crm.contact_point_key(k, v, 'IR') AS key
FROM (VALUES (1, 'email', 'A@B.de'), (2, 'mobile', '09121234567'), (3, 'fax', '021 88776655'), (4, 'web', 'https://www.Example.com/About/'),
             (5, 'web', 'not a host'), (6, 'social', '@Ali'), (7, 'chat', 'ALI'), (8, 'post', 'تهران،  خیابان ولي‌عصر'), (9, 'web', 'example.com:8080')) AS t (n, k, v)
ORDER BY n \g (format=unaligned)

SELECT crm.fold_text(NULL) IS NULL AND crm.normalize_phone('1', NULL) IS NULL AS strict;
SELECT p.proname FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
WHERE p.proname IN ('fold_text', 'name_key', 'name_words', 'normalize_email', 'normalize_phone', 'contact_point_key')
  AND (p.provolatile <> 'i' OR p.proparallel <> 's' OR NOT p.proisstrict);
