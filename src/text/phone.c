/*
 * phone.c
 *	  Telephone numbers in E.164.
 *
 * A table of numbering plans (ITU-T E.164 country codes, ISO 3166-1 countries,
 * trunk prefixes, lengths of the national number) is enough to bring the ways
 * in which people write a number to one form.  Whether the number is in service
 * is not checked.  Iran, whose writing habits vary most in our users' data, comes
 * first.  Lengths follow the national numbering plans published by the ITU;
 * where a plan is open or was not at hand, 4 to 15 digits in all.
 */
#include "text/text.h"

#define MAX_INPUT 1000			/* bytes; longer is no telephone number */
#define MAX_DIGITS 15			/* of E.164, country code included */

typedef struct NumberingPlan
{
	char		country[3];		/* ISO 3166-1 alpha-2 */
	const char *code;			/* country code, of the NANP with area code where one is enough */
	const char *trunk;			/* dialled before a national number, or "" */
	const char *abroad;			/* dialled before a country code */
	int			min;			/* digits of the national number */
	int			max;
} NumberingPlan;

/* Where several countries have one code, the first decides about lengths. */
static const NumberingPlan plans[] =
{
	{"IR", "98", "0", "00", 10, 10},
	{"US", "1", "1", "011", 10, 10},
	{"CA", "1", "1", "011", 10, 10},
	{"AE", "971", "0", "00", 8, 9},
	{"AF", "93", "0", "00", 9, 9},
	{"AM", "374", "0", "00", 8, 8},
	{"AZ", "994", "0", "00", 9, 9},
	{"BH", "973", "", "00", 8, 8},
	{"IQ", "964", "0", "00", 8, 10},
	{"KW", "965", "", "00", 7, 8},
	{"OM", "968", "", "00", 7, 8},
	{"PK", "92", "0", "00", 8, 10},
	{"QA", "974", "", "00", 7, 8},
	{"SA", "966", "0", "00", 8, 9},
	{"TJ", "992", "", "00", 9, 9},
	{"TM", "993", "8", "00", 8, 8},
	{"TR", "90", "0", "00", 10, 10},
	{"AD", "376", "", "00", 6, 9},
	{"AG", "1", "1", "011", 10, 10},
	{"AI", "1", "1", "011", 10, 10},
	{"AL", "355", "0", "00", 5, 9},
	{"AO", "244", "", "00", 9, 9},
	{"AR", "54", "0", "00", 10, 11},
	{"AS", "1", "1", "011", 10, 10},
	{"AT", "43", "0", "00", 4, 13},
	{"AU", "61", "0", "0011", 5, 9},
	{"AW", "297", "", "00", 7, 7},
	{"BA", "387", "0", "00", 8, 9},
	{"BB", "1", "1", "011", 10, 10},
	{"BD", "880", "0", "00", 6, 10},
	{"BE", "32", "0", "00", 8, 9},
	{"BF", "226", "", "00", 8, 8},
	{"BG", "359", "0", "00", 6, 9},
	{"BI", "257", "", "00", 8, 8},
	{"BJ", "229", "", "00", 8, 10},
	{"BM", "1", "1", "011", 10, 10},
	{"BN", "673", "", "00", 7, 7},
	{"BO", "591", "0", "00", 8, 8},
	{"BR", "55", "0", "00", 8, 11},
	{"BS", "1", "1", "011", 10, 10},
	{"BT", "975", "", "00", 7, 8},
	{"BW", "267", "", "00", 7, 8},
	{"BY", "375", "8", "810", 9, 9},
	{"BZ", "501", "", "00", 7, 7},
	{"CD", "243", "0", "00", 7, 9},
	{"CF", "236", "", "00", 8, 8},
	{"CG", "242", "", "00", 9, 9},
	{"CH", "41", "0", "00", 9, 9},
	{"CI", "225", "", "00", 8, 10},
	{"CK", "682", "", "00", 5, 5},
	{"CL", "56", "", "00", 9, 9},
	{"CM", "237", "", "00", 8, 9},
	{"CN", "86", "0", "00", 7, 11},
	{"CO", "57", "", "00", 8, 10},
	{"CR", "506", "", "00", 8, 8},
	{"CU", "53", "0", "119", 6, 10},
	{"CV", "238", "", "00", 7, 7},
	{"CW", "599", "", "00", 7, 8},
	{"CY", "357", "", "00", 8, 8},
	{"CZ", "420", "", "00", 9, 9},
	{"DE", "49", "0", "00", 4, 13},
	{"DJ", "253", "", "00", 8, 8},
	{"DK", "45", "", "00", 8, 8},
	{"DM", "1", "1", "011", 10, 10},
	{"DO", "1", "1", "011", 10, 10},
	{"DZ", "213", "0", "00", 8, 9},
	{"EC", "593", "0", "00", 8, 9},
	{"EE", "372", "", "00", 7, 8},
	{"EG", "20", "0", "00", 8, 10},
	{"ER", "291", "0", "00", 7, 7},
	{"ES", "34", "", "00", 9, 9},
	{"ET", "251", "0", "00", 9, 9},
	{"FI", "358", "0", "00", 5, 12},
	{"FJ", "679", "", "00", 7, 7},
	{"FK", "500", "", "00", 5, 5},
	{"FM", "691", "", "00", 7, 7},
	{"FO", "298", "", "00", 6, 6},
	{"FR", "33", "0", "00", 9, 9},
	{"GA", "241", "", "00", 7, 8},
	{"GB", "44", "0", "00", 9, 10},
	{"GG", "44", "0", "00", 9, 10},
	{"IM", "44", "0", "00", 9, 10},
	{"JE", "44", "0", "00", 9, 10},
	{"GD", "1", "1", "011", 10, 10},
	{"GE", "995", "0", "00", 9, 9},
	{"GF", "594", "0", "00", 9, 9},
	{"GH", "233", "0", "00", 8, 9},
	{"GI", "350", "", "00", 8, 8},
	{"GL", "299", "", "00", 6, 6},
	{"GM", "220", "", "00", 7, 7},
	{"GN", "224", "", "00", 8, 9},
	{"GP", "590", "0", "00", 9, 9},
	{"GQ", "240", "", "00", 9, 9},
	{"GR", "30", "", "00", 10, 10},
	{"GT", "502", "", "00", 8, 8},
	{"GU", "1", "1", "011", 10, 10},
	{"GW", "245", "", "00", 7, 9},
	{"GY", "592", "", "001", 7, 7},
	{"HK", "852", "", "001", 8, 9},
	{"HN", "504", "", "00", 8, 8},
	{"HR", "385", "0", "00", 8, 9},
	{"HT", "509", "", "00", 8, 8},
	{"HU", "36", "06", "00", 8, 9},
	{"ID", "62", "0", "001", 7, 12},
	{"IE", "353", "0", "00", 7, 9},
	{"IL", "972", "0", "00", 8, 9},
	{"IN", "91", "0", "00", 10, 10},
	{"IS", "354", "", "00", 7, 9},
	{"IT", "39", "", "00", 6, 12},
	{"SM", "378", "", "00", 6, 10},
	{"VA", "39", "", "00", 6, 12},
	{"JM", "1", "1", "011", 10, 10},
	{"JO", "962", "0", "00", 8, 9},
	{"JP", "81", "0", "010", 9, 10},
	{"KE", "254", "0", "000", 7, 9},
	{"KG", "996", "0", "00", 9, 9},
	{"KH", "855", "0", "001", 8, 9},
	{"KI", "686", "", "00", 5, 8},
	{"KM", "269", "", "00", 7, 7},
	{"KN", "1", "1", "011", 10, 10},
	{"KP", "850", "0", "00", 6, 12},
	{"KR", "82", "0", "00", 8, 10},
	{"KY", "1", "1", "011", 10, 10},
	{"RU", "7", "8", "810", 10, 10},
	{"KZ", "7", "8", "810", 10, 10},
	{"LA", "856", "0", "00", 8, 10},
	{"LB", "961", "0", "00", 7, 8},
	{"LC", "1", "1", "011", 10, 10},
	{"LI", "423", "", "00", 7, 9},
	{"LK", "94", "0", "00", 9, 9},
	{"LR", "231", "0", "00", 7, 9},
	{"LS", "266", "", "00", 8, 8},
	{"LT", "370", "0", "00", 8, 8},
	{"LU", "352", "", "00", 4, 11},
	{"LV", "371", "", "00", 8, 8},
	{"LY", "218", "0", "00", 8, 9},
	{"MA", "212", "0", "00", 9, 9},
	{"EH", "212", "0", "00", 9, 9},
	{"MC", "377", "", "00", 8, 9},
	{"MD", "373", "0", "00", 8, 8},
	{"ME", "382", "0", "00", 8, 9},
	{"MF", "590", "0", "00", 9, 9},
	{"BL", "590", "0", "00", 9, 9},
	{"MG", "261", "0", "00", 9, 10},
	{"MH", "692", "1", "011", 7, 7},
	{"MK", "389", "0", "00", 8, 8},
	{"ML", "223", "", "00", 8, 8},
	{"MM", "95", "0", "00", 6, 10},
	{"MN", "976", "0", "001", 7, 8},
	{"MO", "853", "", "00", 7, 8},
	{"MP", "1", "1", "011", 10, 10},
	{"MQ", "596", "0", "00", 9, 9},
	{"MR", "222", "", "00", 7, 8},
	{"MS", "1", "1", "011", 10, 10},
	{"MT", "356", "", "00", 8, 8},
	{"MU", "230", "", "020", 7, 8},
	{"MV", "960", "", "00", 7, 7},
	{"MW", "265", "0", "00", 7, 9},
	{"MX", "52", "", "00", 10, 11},
	{"MY", "60", "0", "00", 7, 10},
	{"MZ", "258", "", "00", 8, 9},
	{"NA", "264", "0", "00", 6, 10},
	{"NC", "687", "", "00", 6, 6},
	{"NE", "227", "", "00", 8, 8},
	{"NF", "672", "", "00", 5, 6},
	{"NG", "234", "0", "009", 7, 10},
	{"NI", "505", "", "00", 8, 8},
	{"NL", "31", "0", "00", 9, 9},
	{"NO", "47", "", "00", 5, 8},
	{"SJ", "47", "", "00", 5, 8},
	{"NP", "977", "0", "00", 8, 10},
	{"NR", "674", "", "00", 7, 7},
	{"NU", "683", "", "00", 4, 7},
	{"NZ", "64", "0", "00", 8, 10},
	{"PA", "507", "", "00", 7, 8},
	{"PE", "51", "0", "00", 8, 9},
	{"PF", "689", "", "00", 6, 8},
	{"PG", "675", "", "00", 7, 8},
	{"PH", "63", "0", "00", 8, 10},
	{"PL", "48", "", "00", 9, 9},
	{"PM", "508", "0", "00", 6, 9},
	{"PR", "1", "1", "011", 10, 10},
	{"PS", "970", "0", "00", 8, 9},
	{"PT", "351", "", "00", 9, 9},
	{"PW", "680", "", "011", 7, 7},
	{"PY", "595", "0", "00", 7, 9},
	{"RE", "262", "0", "00", 9, 9},
	{"YT", "262", "0", "00", 9, 9},
	{"RO", "40", "0", "00", 9, 9},
	{"RS", "381", "0", "00", 6, 12},
	{"XK", "383", "0", "00", 8, 9},
	{"RW", "250", "", "00", 8, 9},
	{"SB", "677", "", "00", 5, 7},
	{"SC", "248", "", "00", 7, 7},
	{"SD", "249", "0", "00", 9, 9},
	{"SE", "46", "0", "00", 6, 10},
	{"SG", "65", "", "000", 8, 8},
	{"SH", "290", "", "00", 4, 5},
	{"SI", "386", "0", "00", 8, 8},
	{"SK", "421", "0", "00", 9, 9},
	{"SL", "232", "0", "00", 8, 8},
	{"SN", "221", "", "00", 9, 9},
	{"SO", "252", "0", "00", 6, 9},
	{"SR", "597", "", "00", 6, 7},
	{"SS", "211", "0", "00", 9, 9},
	{"ST", "239", "", "00", 7, 7},
	{"SV", "503", "", "00", 8, 8},
	{"SX", "1", "1", "011", 10, 10},
	{"SY", "963", "0", "00", 8, 9},
	{"SZ", "268", "", "00", 8, 8},
	{"TC", "1", "1", "011", 10, 10},
	{"TD", "235", "", "00", 8, 8},
	{"TG", "228", "", "00", 8, 8},
	{"TH", "66", "0", "001", 8, 9},
	{"TK", "690", "", "00", 4, 5},
	{"TL", "670", "", "00", 7, 8},
	{"TN", "216", "", "00", 8, 8},
	{"TO", "676", "", "00", 5, 7},
	{"TT", "1", "1", "011", 10, 10},
	{"TV", "688", "", "00", 5, 7},
	{"TW", "886", "0", "002", 8, 9},
	{"TZ", "255", "0", "000", 9, 9},
	{"UA", "380", "0", "00", 9, 9},
	{"UG", "256", "0", "000", 9, 9},
	{"UY", "598", "0", "00", 7, 8},
	{"UZ", "998", "", "00", 9, 9},
	{"VC", "1", "1", "011", 10, 10},
	{"VE", "58", "0", "00", 10, 10},
	{"VG", "1", "1", "011", 10, 10},
	{"VI", "1", "1", "011", 10, 10},
	{"VN", "84", "0", "00", 7, 10},
	{"VU", "678", "", "00", 5, 7},
	{"WF", "681", "", "00", 6, 6},
	{"WS", "685", "", "00", 5, 7},
	{"YE", "967", "0", "00", 7, 9},
	{"ZA", "27", "0", "00", 9, 9},
	{"ZM", "260", "0", "00", 9, 9},
	{"ZW", "263", "0", "00", 5, 10},
	/* no country: freephone, satellite and other international services */
	{"", "800", "", "", 8, 8},
	{"", "808", "", "", 8, 8},
	{"", "870", "", "", 9, 12},
	{"", "881", "", "", 8, 12},
	{"", "882", "", "", 6, 12},
	{"", "883", "", "", 6, 12},
	{"", "888", "", "", 8, 12},
	{"", "979", "", "", 9, 9},
};

static const NumberingPlan *
plan_of_country(const char *country)
{
	for (int i = 0; i < lengthof(plans); i++)
		if (plans[i].country[0] != '\0' && pg_strcasecmp(plans[i].country, country) == 0)
			return &plans[i];
	return NULL;
}

/* No code is the beginning of another one, so the first match is the match. */
static const NumberingPlan *
plan_of_digits(const char *digits)
{
	for (int i = 0; i < lengthof(plans); i++)
		if (strncmp(digits, plans[i].code, strlen(plans[i].code)) == 0)
			return &plans[i];
	return NULL;
}

static bool
is_national(const NumberingPlan *plan, const char *digits)
{
	int			n = strlen(digits);

	if (n < plan->min || n > plan->max || n + strlen(plan->code) > MAX_DIGITS)
		return false;
	/* a number that begins with the trunk's digit is not yet national */
	if (plan->trunk[0] == '0' && digits[0] == '0')
		return false;
	/* North America: neither area nor exchange begins with 0 or 1 */
	if (strcmp(plan->code, "1") == 0 && (digits[0] < '2' || digits[3] < '2'))
		return false;
	return true;
}

/*
 * Take the digits out of a folded text.  Stops at an extension.  Sets plus
 * where a plus sign stands before them; false where something else does.
 */
static bool
collect_digits(const char *p, char *digits, bool *plus)
{
	int			n = 0;

	*plus = false;
	if (strncmp(p, "tel:", 4) == 0)
		p += 4;
	for (; *p != '\0'; p++)
	{
		if (*p >= '0' && *p <= '9')
		{
			if (n == MAX_DIGITS + 5)
				return false;
			digits[n++] = *p;
		}
		else if (*p == '+' && n == 0 && !*plus)
			*plus = true;
		else if (*p == '(' && strncmp(p, "(0)", 3) == 0 && n > 0)
			p += 2;				/* +44 (0)20: the trunk prefix for callers at home */
		else if (strchr(" -.()/_~", *p) != NULL)
			continue;
		else if (n > 0 && (*p == 'x' || *p == '#' || *p == ';' || *p == ',' ||
						   strncmp(p, "ext", 3) == 0 ||
						   strncmp(p, "داخلی", strlen("داخلی")) == 0))
			break;
		else
			return false;
	}
	digits[n] = '\0';
	return n > 0;
}

/* Append a number whose country code is in front; false where it is none. */
static bool
append_international(const char *digits, StringInfo out)
{
	const NumberingPlan *plan = plan_of_digits(digits);
	const char *national;

	if (plan == NULL)
		return false;
	national = digits + strlen(plan->code);
	/* +98 0912: the trunk prefix left in */
	if (plan->trunk[0] != '\0' && plan->trunk[0] != '1' && !is_national(plan, national) &&
		strncmp(national, plan->trunk, strlen(plan->trunk)) == 0)
		national += strlen(plan->trunk);
	if (!is_national(plan, national))
		return false;
	appendStringInfo(out, "+%s%s", plan->code, national);
	return true;
}

/*
 * Append the number in E.164; country (ISO 3166-1, or "") is where a number
 * without a country code belongs.  False where it is no number of that plan.
 */
bool
crm_phone_normalize(const char *in, int len, const char *country, StringInfo out)
{
	const NumberingPlan *home = plan_of_country(country);
	char		digits[MAX_DIGITS + 6];
	const char *abroad = home != NULL ? home->abroad : "00";
	const char *national;
	StringInfoData folded;
	bool		plus;
	bool		valid;

	if (len > MAX_INPUT)
		return false;
	initStringInfo(&folded);
	crm_fold(in, len, &folded);
	valid = collect_digits(folded.data, digits, &plus);
	pfree(folded.data);
	if (!valid)
		return false;
	if (plus)
	{
		if (strncmp(digits, "00", 2) == 0)
			return append_international(digits + 2, out);
		return append_international(digits, out);
	}
	if (strncmp(digits, abroad, strlen(abroad)) == 0 &&
		append_international(digits + strlen(abroad), out))
		return true;
	if (strncmp(digits, "00", 2) == 0)
		return append_international(digits + 2, out);
	if (home == NULL)
		return false;

	national = digits;
	if (home->trunk[0] != '\0' &&
		strncmp(digits, home->trunk, strlen(home->trunk)) == 0 &&
		is_national(home, digits + strlen(home->trunk)))
		national = digits + strlen(home->trunk);
	if (is_national(home, national))
	{
		appendStringInfo(out, "+%s%s", home->code, national);
		return true;
	}
	/* 98 912 ...: the country code without a sign before it */
	if (strncmp(digits, home->code, strlen(home->code)) == 0)
		return append_international(digits, out);
	return false;
}
