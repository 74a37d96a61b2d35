/*
 * country.c
 *	  crm.country_code(): the country that a text means.
 *
 * Exports and forms write countries as codes of two or three letters, or by
 * name.  The names are kept as keys (crm_fold_name_key()), so that case,
 * accents, blanks and the letters of Persian and Arabic keyboards do not
 * matter.  A name that two countries have, such as Congo, means none.
 */
#include "base/crm.h"

#include "utils/builtins.h"

#include "text/text.h"

typedef struct CountryName
{
	const char *key;
	const char *code;
}			CountryName;

/* ISO 3166-1, two letters each, and XK */
static const char country_codes[] =
	"ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBY"
	"BZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFK"
	"FMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIR"
	"ISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMK"
	"MLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPM"
	"PNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTF"
	"TGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

/* In the order of their bytes, which bsearch() needs */
static const CountryName country_names[] = {
	{"abw", "AW"}, {"afg", "AF"}, {"afghanistan", "AF"}, {"ago", "AO"}, {"aia", "AI"},
	{"ala", "AX"}, {"alandislands", "AX"}, {"alb", "AL"}, {"albania", "AL"},
	{"algeria", "DZ"}, {"america", "US"}, {"americansamoa", "AS"}, {"and", "AD"},
	{"andorra", "AD"}, {"angola", "AO"}, {"anguilla", "AI"}, {"antarctica", "AQ"},
	{"antiguaandbarbuda", "AG"}, {"antiguabarbuda", "AG"}, {"arabrepublicofegypt", "EG"},
	{"are", "AE"}, {"arg", "AR"}, {"argentina", "AR"}, {"argentinerepublic", "AR"},
	{"arm", "AM"}, {"armenia", "AM"}, {"aruba", "AW"},
	{"ascensionandtristandacunhasainthelena", "SH"}, {"asm", "AS"}, {"ata", "AQ"},
	{"atf", "TF"}, {"atg", "AG"}, {"aus", "AU"}, {"australia", "AU"}, {"austria", "AT"},
	{"aut", "AT"}, {"aze", "AZ"}, {"azerbaijan", "AZ"}, {"bahamas", "BS"}, {"bahrain", "BH"},
	{"bangladesh", "BD"}, {"barbados", "BB"}, {"bdi", "BI"}, {"bel", "BE"},
	{"belarus", "BY"}, {"belgie", "BE"}, {"belgique", "BE"}, {"belgium", "BE"},
	{"belize", "BZ"}, {"ben", "BJ"}, {"benin", "BJ"}, {"bermuda", "BM"}, {"bes", "BQ"},
	{"bfa", "BF"}, {"bgd", "BD"}, {"bgr", "BG"}, {"bhr", "BH"}, {"bhs", "BS"},
	{"bhutan", "BT"}, {"bih", "BA"}, {"blm", "BL"}, {"blr", "BY"}, {"blz", "BZ"},
	{"bmu", "BM"}, {"bol", "BO"}, {"bolivarianrepublicofvenezuela", "VE"}, {"bolivia", "BO"},
	{"boliviaplurinationalstateof", "BO"}, {"bonaire", "BQ"},
	{"bonairesinteustatiusandsaba", "BQ"}, {"bosnia", "BA"}, {"bosniaandherzegovina", "BA"},
	{"bosniaherzegovina", "BA"}, {"botswana", "BW"}, {"bouvetisland", "BV"}, {"bra", "BR"},
	{"brasil", "BR"}, {"brazil", "BR"}, {"brb", "BB"}, {"britain", "GB"},
	{"britishindianoceanterritory", "IO"}, {"britishvirginislands", "VG"}, {"brn", "BN"},
	{"brunei", "BN"}, {"bruneidarussalam", "BN"}, {"btn", "BT"}, {"bulgaria", "BG"},
	{"burkinafaso", "BF"}, {"burma", "MM"}, {"burundi", "BI"}, {"bvt", "BV"}, {"bwa", "BW"},
	{"byelorussia", "BY"}, {"caboverde", "CV"}, {"caf", "CF"}, {"cambodia", "KH"},
	{"cameroon", "CM"}, {"can", "CA"}, {"canada", "CA"}, {"capeverde", "CV"}, {"car", "CF"},
	{"caribbeannetherlands", "BQ"}, {"caymanislands", "KY"}, {"cck", "CC"},
	{"centralafricanrepublic", "CF"}, {"chad", "TD"}, {"che", "CH"}, {"chile", "CL"},
	{"china", "CN"}, {"chl", "CL"}, {"chn", "CN"}, {"christmasisland", "CX"}, {"civ", "CI"},
	{"cmr", "CM"}, {"cocoskeelingislands", "CC"}, {"cod", "CD"}, {"cog", "CG"},
	{"cok", "CK"}, {"col", "CO"}, {"colombia", "CO"}, {"com", "KM"},
	{"commonwealthofdominica", "DM"}, {"commonwealthofthebahamas", "BS"},
	{"commonwealthofthenorthernmarianaislands", "MP"}, {"comoros", "KM"},
	{"congobrazzaville", "CG"}, {"congodemocraticrepublicofthe", "CD"},
	{"congokinshasa", "CD"}, {"congorepublic", "CG"},
	{"congothedemocraticrepublicofthe", "CD"}, {"cookislands", "CK"}, {"costarica", "CR"},
	{"cotedivoire", "CI"}, {"cpv", "CV"}, {"cri", "CR"}, {"croatia", "HR"}, {"cub", "CU"},
	{"cuba", "CU"}, {"curacao", "CW"}, {"cuw", "CW"}, {"cxr", "CX"}, {"cym", "KY"},
	{"cyp", "CY"}, {"cyprus", "CY"}, {"cze", "CZ"}, {"czechia", "CZ"},
	{"czechrepublic", "CZ"}, {"danmark", "DK"}, {"democraticpeoplesrepublicofkorea", "KP"},
	{"democraticrepublicofsaotomeandprincipe", "ST"}, {"democraticrepublicofthecongo", "CD"},
	{"democraticrepublicoftimorleste", "TL"},
	{"democraticsocialistrepublicofsrilanka", "LK"}, {"denmark", "DK"}, {"deu", "DE"},
	{"deutschland", "DE"}, {"dji", "DJ"}, {"djibouti", "DJ"}, {"dma", "DM"}, {"dnk", "DK"},
	{"dom", "DO"}, {"dominica", "DM"}, {"dominicanrepublic", "DO"}, {"dprk", "KP"},
	{"drc", "CD"}, {"dza", "DZ"}, {"easternrepublicofuruguay", "UY"}, {"easttimor", "TL"},
	{"ecu", "EC"}, {"ecuador", "EC"}, {"egy", "EG"}, {"egypt", "EG"}, {"eire", "IE"},
	{"elsalvador", "SV"}, {"emirates", "AE"}, {"england", "GB"}, {"equatorialguinea", "GQ"},
	{"eri", "ER"}, {"eritrea", "ER"}, {"esh", "EH"}, {"esp", "ES"}, {"espana", "ES"},
	{"est", "EE"}, {"estonia", "EE"}, {"eswatini", "SZ"}, {"eth", "ET"}, {"ethiopia", "ET"},
	{"falklandislands", "FK"}, {"falklandislandsmalvinas", "FK"}, {"faroeislands", "FO"},
	{"federaldemocraticrepublicofethiopia", "ET"},
	{"federaldemocraticrepublicofnepal", "NP"}, {"federalrepublicofgermany", "DE"},
	{"federalrepublicofnigeria", "NG"}, {"federalrepublicofsomalia", "SO"},
	{"federatedstatesofmicronesia", "FM"}, {"federativerepublicofbrazil", "BR"},
	{"fiji", "FJ"}, {"fin", "FI"}, {"finland", "FI"}, {"fji", "FJ"}, {"flk", "FK"},
	{"fra", "FR"}, {"france", "FR"}, {"frenchguiana", "GF"}, {"frenchpolynesia", "PF"},
	{"frenchrepublic", "FR"}, {"frenchsouthernterritories", "TF"}, {"fro", "FO"},
	{"fsm", "FM"}, {"gab", "GA"}, {"gabon", "GA"}, {"gaboneserepublic", "GA"},
	{"gambia", "GM"}, {"gbr", "GB"}, {"geo", "GE"}, {"georgia", "GE"}, {"germany", "DE"},
	{"ggy", "GG"}, {"gha", "GH"}, {"ghana", "GH"}, {"gib", "GI"}, {"gibraltar", "GI"},
	{"gin", "GN"}, {"glp", "GP"}, {"gmb", "GM"}, {"gnb", "GW"}, {"gnq", "GQ"},
	{"grandduchyofluxembourg", "LU"}, {"grc", "GR"}, {"grd", "GD"}, {"greatbritain", "GB"},
	{"greece", "GR"}, {"greenland", "GL"}, {"grenada", "GD"}, {"grl", "GL"}, {"gtm", "GT"},
	{"guadeloupe", "GP"}, {"guam", "GU"}, {"guatemala", "GT"}, {"guernsey", "GG"},
	{"guf", "GF"}, {"guinea", "GN"}, {"guineabissau", "GW"}, {"gum", "GU"}, {"guy", "GY"},
	{"guyana", "GY"}, {"haiti", "HT"}, {"hashemitekingdomofjordan", "JO"},
	{"heardislandandmcdonaldislands", "HM"}, {"heardmcdonaldislands", "HM"},
	{"hellas", "GR"}, {"hellenicrepublic", "GR"}, {"hkg", "HK"}, {"hmd", "HM"},
	{"hnd", "HN"}, {"holland", "NL"}, {"holysee", "VA"}, {"holyseevaticancitystate", "VA"},
	{"honduras", "HN"}, {"hongkong", "HK"}, {"hongkongsarchina", "HK"},
	{"hongkongspecialadministrativeregionofchina", "HK"}, {"hrv", "HR"}, {"hti", "HT"},
	{"hun", "HU"}, {"hungary", "HU"}, {"iceland", "IS"}, {"idn", "ID"}, {"imn", "IM"},
	{"ind", "IN"}, {"independentstateofpapuanewguinea", "PG"},
	{"independentstateofsamoa", "WS"}, {"india", "IN"}, {"indonesia", "ID"}, {"iot", "IO"},
	{"iran", "IR"}, {"iranislamicrepublicof", "IR"}, {"iraq", "IQ"}, {"ireland", "IE"},
	{"iriran", "IR"}, {"irl", "IE"}, {"irn", "IR"}, {"irq", "IQ"}, {"isl", "IS"},
	{"islamicrepublicofafghanistan", "AF"}, {"islamicrepublicofiran", "IR"},
	{"islamicrepublicofmauritania", "MR"}, {"islamicrepublicofpakistan", "PK"},
	{"isleofman", "IM"}, {"isr", "IL"}, {"israel", "IL"}, {"ita", "IT"}, {"italia", "IT"},
	{"italianrepublic", "IT"}, {"italy", "IT"}, {"ivorycoast", "CI"}, {"jam", "JM"},
	{"jamaica", "JM"}, {"japan", "JP"}, {"jersey", "JE"}, {"jey", "JE"}, {"jor", "JO"},
	{"jordan", "JO"}, {"jpn", "JP"}, {"kaz", "KZ"}, {"kazakhstan", "KZ"}, {"ken", "KE"},
	{"kenya", "KE"}, {"kgz", "KG"}, {"khm", "KH"}, {"kingdomofbahrain", "BH"},
	{"kingdomofbelgium", "BE"}, {"kingdomofbhutan", "BT"}, {"kingdomofcambodia", "KH"},
	{"kingdomofdenmark", "DK"}, {"kingdomofeswatini", "SZ"}, {"kingdomoflesotho", "LS"},
	{"kingdomofmorocco", "MA"}, {"kingdomofnorway", "NO"}, {"kingdomofsaudiarabia", "SA"},
	{"kingdomofspain", "ES"}, {"kingdomofsweden", "SE"}, {"kingdomofthailand", "TH"},
	{"kingdomofthenetherlands", "NL"}, {"kingdomoftonga", "TO"}, {"kir", "KI"},
	{"kiribati", "KI"}, {"kna", "KN"}, {"kor", "KR"}, {"korea", "KR"},
	{"koreademocraticpeoplesrepublicof", "KP"}, {"koreanorth", "KP"},
	{"korearepublicof", "KR"}, {"koreasouth", "KR"}, {"kosovo", "XK"}, {"ksa", "SA"},
	{"kuwait", "KW"}, {"kwt", "KW"}, {"kyrgyzrepublic", "KG"}, {"kyrgyzstan", "KG"},
	{"lao", "LA"}, {"laopeoplesdemocraticrepublic", "LA"}, {"laos", "LA"}, {"latvia", "LV"},
	{"lbn", "LB"}, {"lbr", "LR"}, {"lby", "LY"}, {"lca", "LC"}, {"lebaneserepublic", "LB"},
	{"lebanon", "LB"}, {"lesotho", "LS"}, {"liberia", "LR"}, {"libya", "LY"}, {"lie", "LI"},
	{"liechtenstein", "LI"}, {"lithuania", "LT"}, {"lka", "LK"}, {"lso", "LS"},
	{"ltu", "LT"}, {"lux", "LU"}, {"luxembourg", "LU"}, {"lva", "LV"}, {"mac", "MO"},
	{"macao", "MO"}, {"macaosarchina", "MO"},
	{"macaospecialadministrativeregionofchina", "MO"}, {"macau", "MO"}, {"macedonia", "MK"},
	{"madagascar", "MG"}, {"maf", "MF"}, {"malawi", "MW"}, {"malaysia", "MY"},
	{"maldives", "MV"}, {"mali", "ML"}, {"malta", "MT"}, {"mar", "MA"},
	{"marshallislands", "MH"}, {"martinique", "MQ"}, {"mauritania", "MR"},
	{"mauritius", "MU"}, {"mayotte", "YT"}, {"mco", "MC"}, {"mda", "MD"}, {"mdg", "MG"},
	{"mdv", "MV"}, {"mex", "MX"}, {"mexico", "MX"}, {"mhl", "MH"}, {"micronesia", "FM"},
	{"micronesiafederatedstatesof", "FM"}, {"mkd", "MK"}, {"mli", "ML"}, {"mlt", "MT"},
	{"mmr", "MM"}, {"mne", "ME"}, {"mng", "MN"}, {"mnp", "MP"}, {"moldova", "MD"},
	{"moldovarepublicof", "MD"}, {"monaco", "MC"}, {"mongolia", "MN"}, {"montenegro", "ME"},
	{"montserrat", "MS"}, {"morocco", "MA"}, {"moz", "MZ"}, {"mozambique", "MZ"},
	{"mrt", "MR"}, {"msr", "MS"}, {"mtq", "MQ"}, {"mus", "MU"}, {"mwi", "MW"},
	{"myanmar", "MM"}, {"myanmarburma", "MM"}, {"mys", "MY"}, {"myt", "YT"}, {"nam", "NA"},
	{"namibia", "NA"}, {"nauru", "NR"}, {"ncl", "NC"}, {"nederland", "NL"}, {"nepal", "NP"},
	{"ner", "NE"}, {"netherlands", "NL"}, {"newcaledonia", "NC"}, {"newzealand", "NZ"},
	{"nfk", "NF"}, {"nga", "NG"}, {"nic", "NI"}, {"nicaragua", "NI"}, {"niger", "NE"},
	{"nigeria", "NG"}, {"niu", "NU"}, {"niue", "NU"}, {"nld", "NL"}, {"nor", "NO"},
	{"norfolkisland", "NF"}, {"norge", "NO"}, {"northernireland", "GB"},
	{"northernmarianaislands", "MP"}, {"northkorea", "KP"}, {"northmacedonia", "MK"},
	{"norway", "NO"}, {"npl", "NP"}, {"nru", "NR"}, {"nzl", "NZ"}, {"oman", "OM"},
	{"omn", "OM"}, {"osterreich", "AT"}, {"pak", "PK"}, {"pakistan", "PK"}, {"palau", "PW"},
	{"palestine", "PS"}, {"palestinestateof", "PS"}, {"palestinianterritories", "PS"},
	{"pan", "PA"}, {"panama", "PA"}, {"papuanewguinea", "PG"}, {"paraguay", "PY"},
	{"pcn", "PN"}, {"peoplesdemocraticrepublicofalgeria", "DZ"},
	{"peoplesrepublicofbangladesh", "BD"}, {"peoplesrepublicofchina", "CN"}, {"per", "PE"},
	{"persia", "IR"}, {"peru", "PE"}, {"philippines", "PH"}, {"phl", "PH"},
	{"pitcairn", "PN"}, {"pitcairnislands", "PN"}, {"plurinationalstateofbolivia", "BO"},
	{"plw", "PW"}, {"png", "PG"}, {"pol", "PL"}, {"poland", "PL"}, {"polska", "PL"},
	{"portugal", "PT"}, {"portugueserepublic", "PT"}, {"prchina", "CN"}, {"pri", "PR"},
	{"principalityofandorra", "AD"}, {"principalityofliechtenstein", "LI"},
	{"principalityofmonaco", "MC"}, {"prk", "KP"}, {"provinceofchinataiwan", "TW"},
	{"prt", "PT"}, {"pry", "PY"}, {"pse", "PS"}, {"puertorico", "PR"}, {"pyf", "PF"},
	{"qat", "QA"}, {"qatar", "QA"}, {"republicofalbania", "AL"}, {"republicofangola", "AO"},
	{"republicofarmenia", "AM"}, {"republicofaustria", "AT"}, {"republicofazerbaijan", "AZ"},
	{"republicofbelarus", "BY"}, {"republicofbenin", "BJ"},
	{"republicofbosniaandherzegovina", "BA"}, {"republicofbotswana", "BW"},
	{"republicofbulgaria", "BG"}, {"republicofburundi", "BI"}, {"republicofcaboverde", "CV"},
	{"republicofcameroon", "CM"}, {"republicofchad", "TD"}, {"republicofchile", "CL"},
	{"republicofcolombia", "CO"}, {"republicofcostarica", "CR"},
	{"republicofcotedivoire", "CI"}, {"republicofcroatia", "HR"}, {"republicofcuba", "CU"},
	{"republicofcyprus", "CY"}, {"republicofdjibouti", "DJ"}, {"republicofecuador", "EC"},
	{"republicofelsalvador", "SV"}, {"republicofequatorialguinea", "GQ"},
	{"republicofestonia", "EE"}, {"republicoffiji", "FJ"}, {"republicoffinland", "FI"},
	{"republicofghana", "GH"}, {"republicofguatemala", "GT"}, {"republicofguinea", "GN"},
	{"republicofguineabissau", "GW"}, {"republicofguyana", "GY"}, {"republicofhaiti", "HT"},
	{"republicofhonduras", "HN"}, {"republicoficeland", "IS"}, {"republicofindia", "IN"},
	{"republicofindonesia", "ID"}, {"republicofiraq", "IQ"}, {"republicofireland", "IE"},
	{"republicofkazakhstan", "KZ"}, {"republicofkenya", "KE"}, {"republicofkiribati", "KI"},
	{"republicofkorea", "KR"}, {"republicoflatvia", "LV"}, {"republicofliberia", "LR"},
	{"republicoflithuania", "LT"}, {"republicofmadagascar", "MG"},
	{"republicofmalawi", "MW"}, {"republicofmaldives", "MV"}, {"republicofmali", "ML"},
	{"republicofmalta", "MT"}, {"republicofmauritius", "MU"}, {"republicofmoldova", "MD"},
	{"republicofmozambique", "MZ"}, {"republicofmyanmar", "MM"}, {"republicofnamibia", "NA"},
	{"republicofnauru", "NR"}, {"republicofnicaragua", "NI"},
	{"republicofnorthmacedonia", "MK"}, {"republicofpalau", "PW"},
	{"republicofpanama", "PA"}, {"republicofparaguay", "PY"}, {"republicofperu", "PE"},
	{"republicofpoland", "PL"}, {"republicofsanmarino", "SM"}, {"republicofsenegal", "SN"},
	{"republicofserbia", "RS"}, {"republicofseychelles", "SC"},
	{"republicofsierraleone", "SL"}, {"republicofsingapore", "SG"},
	{"republicofslovenia", "SI"}, {"republicofsouthafrica", "ZA"},
	{"republicofsouthsudan", "SS"}, {"republicofsuriname", "SR"},
	{"republicoftajikistan", "TJ"}, {"republicofthecongo", "CG"},
	{"republicofthegambia", "GM"}, {"republicofthemarshallislands", "MH"},
	{"republicoftheniger", "NE"}, {"republicofthephilippines", "PH"},
	{"republicofthesudan", "SD"}, {"republicoftrinidadandtobago", "TT"},
	{"republicoftunisia", "TN"}, {"republicofturkiye", "TR"}, {"republicofuganda", "UG"},
	{"republicofuzbekistan", "UZ"}, {"republicofvanuatu", "VU"}, {"republicofyemen", "YE"},
	{"republicofzambia", "ZM"}, {"republicofzimbabwe", "ZW"}, {"reu", "RE"},
	{"reunion", "RE"}, {"romania", "RO"}, {"rou", "RO"}, {"rus", "RU"}, {"russia", "RU"},
	{"russianfederation", "RU"}, {"rwa", "RW"}, {"rwanda", "RW"}, {"rwandeserepublic", "RW"},
	{"saintbarthelemy", "BL"}, {"sainthelena", "SH"},
	{"sainthelenaascensionandtristandacunha", "SH"}, {"saintkittsandnevis", "KN"},
	{"saintlucia", "LC"}, {"saintmartinfrenchpart", "MF"}, {"saintpierreandmiquelon", "PM"},
	{"saintvincentandthegrenadines", "VC"}, {"samoa", "WS"}, {"sanmarino", "SM"},
	{"saotomeandprincipe", "ST"}, {"saotomeprincipe", "ST"}, {"sau", "SA"},
	{"saudiarabia", "SA"}, {"schweiz", "CH"}, {"scotland", "GB"}, {"sdn", "SD"},
	{"sen", "SN"}, {"senegal", "SN"}, {"serbia", "RS"}, {"seychelles", "SC"}, {"sgp", "SG"},
	{"sgs", "GS"}, {"shn", "SH"}, {"sierraleone", "SL"}, {"singapore", "SG"},
	{"sinteustatiusandsababonaire", "BQ"}, {"sintmaarten", "SX"},
	{"sintmaartendutchpart", "SX"}, {"sjm", "SJ"}, {"slb", "SB"}, {"sle", "SL"},
	{"slovakia", "SK"}, {"slovakrepublic", "SK"}, {"slovenia", "SI"}, {"slv", "SV"},
	{"smr", "SM"}, {"socialistrepublicofvietnam", "VN"}, {"solomonislands", "SB"},
	{"som", "SO"}, {"somalia", "SO"}, {"southafrica", "ZA"},
	{"southgeorgiaandthesouthsandwichislands", "GS"},
	{"southgeorgiasouthsandwichislands", "GS"}, {"southkorea", "KR"}, {"southsudan", "SS"},
	{"spain", "ES"}, {"spm", "PM"}, {"srb", "RS"}, {"srilanka", "LK"}, {"ssd", "SS"},
	{"stateofisrael", "IL"}, {"stateofkuwait", "KW"}, {"stateofpalestine", "PS"},
	{"stateofqatar", "QA"}, {"stbarthelemy", "BL"}, {"sthelena", "SH"},
	{"stkittsandnevis", "KN"}, {"stkittsnevis", "KN"}, {"stlucia", "LC"}, {"stmartin", "MF"},
	{"stp", "ST"}, {"stpierremiquelon", "PM"}, {"stvincentgrenadines", "VC"},
	{"sudan", "SD"}, {"suisse", "CH"}, {"sultanateofoman", "OM"}, {"suomi", "FI"},
	{"sur", "SR"}, {"suriname", "SR"}, {"svalbardandjanmayen", "SJ"},
	{"svalbardjanmayen", "SJ"}, {"sverige", "SE"}, {"svizzera", "CH"}, {"svk", "SK"},
	{"svn", "SI"}, {"swaziland", "SZ"}, {"swe", "SE"}, {"sweden", "SE"},
	{"swissconfederation", "CH"}, {"switzerland", "CH"}, {"swz", "SZ"}, {"sxm", "SX"},
	{"syc", "SC"}, {"syr", "SY"}, {"syria", "SY"}, {"syrianarabrepublic", "SY"},
	{"taiwan", "TW"}, {"taiwanprovinceofchina", "TW"}, {"tajikistan", "TJ"},
	{"tanzania", "TZ"}, {"tanzaniaunitedrepublicof", "TZ"}, {"tca", "TC"}, {"tcd", "TD"},
	{"tgo", "TG"}, {"tha", "TH"}, {"thailand", "TH"}, {"thebahamas", "BS"},
	{"thedemocraticrepublicofthecongo", "CD"}, {"thegambia", "GM"}, {"thenetherlands", "NL"},
	{"thephilippines", "PH"}, {"thestateoferitrea", "ER"}, {"thestateofpalestine", "PS"},
	{"theunitedstates", "US"}, {"timorleste", "TL"}, {"tjk", "TJ"}, {"tkl", "TK"},
	{"tkm", "TM"}, {"tls", "TL"}, {"togo", "TG"}, {"togoleserepublic", "TG"},
	{"tokelau", "TK"}, {"ton", "TO"}, {"tonga", "TO"}, {"trinidad", "TT"},
	{"trinidadandtobago", "TT"}, {"trinidadtobago", "TT"}, {"tto", "TT"}, {"tun", "TN"},
	{"tunisia", "TN"}, {"tur", "TR"}, {"turkey", "TR"}, {"turkiye", "TR"},
	{"turkmenistan", "TM"}, {"turksandcaicosislands", "TC"}, {"turkscaicosislands", "TC"},
	{"tuv", "TV"}, {"tuvalu", "TV"}, {"twn", "TW"}, {"tza", "TZ"}, {"uae", "AE"},
	{"uga", "UG"}, {"uganda", "UG"}, {"ukr", "UA"}, {"ukraine", "UA"}, {"umi", "UM"},
	{"unionofthecomoros", "KM"}, {"unitedarabemirates", "AE"}, {"unitedkingdom", "GB"},
	{"unitedkingdomofgreatbritainandnorthernireland", "GB"}, {"unitedmexicanstates", "MX"},
	{"unitedrepublicoftanzania", "TZ"}, {"unitedstates", "US"},
	{"unitedstatesminoroutlyingislands", "UM"}, {"unitedstatesofamerica", "US"},
	{"uruguay", "UY"}, {"ury", "UY"}, {"usa", "US"}, {"usoutlyingislands", "UM"},
	{"usvirginislands", "VI"}, {"uzb", "UZ"}, {"uzbekistan", "UZ"}, {"vanuatu", "VU"},
	{"vat", "VA"}, {"vatican", "VA"}, {"vaticancity", "VA"}, {"vct", "VC"}, {"ven", "VE"},
	{"venezuela", "VE"}, {"venezuelabolivarianrepublicof", "VE"}, {"vgb", "VG"},
	{"vietnam", "VN"}, {"vir", "VI"}, {"virginislandsbritish", "VG"},
	{"virginislandsoftheunitedstates", "VI"}, {"virginislandsus", "VI"}, {"vnm", "VN"},
	{"vut", "VU"}, {"wales", "GB"}, {"wallisandfutuna", "WF"}, {"wallisfutuna", "WF"},
	{"westernsahara", "EH"}, {"wlf", "WF"}, {"wsm", "WS"}, {"xkx", "XK"}, {"yem", "YE"},
	{"yemen", "YE"}, {"zaf", "ZA"}, {"zambia", "ZM"}, {"zimbabwe", "ZW"}, {"zmb", "ZM"},
	{"zwe", "ZW"}, {"اتریش", "AT"}, {"اتیوپی", "ET"}, {"اذربایجان", "AZ"}, {"اردن", "JO"},
	{"ارمنستان", "AM"}, {"اروبا", "AW"}, {"اروگویه", "UY"}, {"ارژانتین", "AR"},
	{"اریتره", "ER"}, {"ازبکستان", "UZ"}, {"استرالیا", "AU"}, {"استونی", "EE"},
	{"اسراییل", "IL"}, {"اسلواکی", "SK"}, {"اسلوونی", "SI"}, {"اسواتینی", "SZ"},
	{"اسپانیا", "ES"}, {"اسکاتلند", "GB"}, {"افریقایجنوبی", "ZA"}, {"افغانستان", "AF"},
	{"البانی", "AL"}, {"الجزایر", "DZ"}, {"السالوادور", "SV"}, {"المان", "DE"},
	{"امارات", "AE"}, {"اماراتمتحدهعربی", "AE"}, {"امریکا", "US"}, {"انتیگواوباربودا", "AG"},
	{"اندورا", "AD"}, {"اندونزی", "ID"}, {"انگلستان", "GB"}, {"انگلیس", "GB"},
	{"انگولا", "AO"}, {"انگویلا", "AI"}, {"اوکراین", "UA"}, {"اوگاندا", "UG"},
	{"اکوادور", "EC"}, {"ایالاتمتحده", "US"}, {"ایالاتمتحدهامریکا", "US"}, {"ایتالیا", "IT"},
	{"ایران", "IR"}, {"ایرلند", "IE"}, {"ایسلند", "IS"}, {"باربادوس", "BB"},
	{"باهاما", "BS"}, {"بحرین", "BH"}, {"برزیل", "BR"}, {"برمه", "MM"}, {"برمودا", "BM"},
	{"برونیی", "BN"}, {"بریتانیا", "GB"}, {"بریتانیایکبیر", "GB"}, {"بلاروس", "BY"},
	{"بلغارستان", "BG"}, {"بلژیک", "BE"}, {"بلیز", "BZ"}, {"بنگلادش", "BD"}, {"بنین", "BJ"},
	{"بوتان", "BT"}, {"بوتسوانا", "BW"}, {"بوروندی", "BI"}, {"بورکینافاسو", "BF"},
	{"بوسنی", "BA"}, {"بوسنیوهرزگوین", "BA"}, {"بولیوی", "BO"}, {"تاجیکستان", "TJ"},
	{"تانزانیا", "TZ"}, {"تایلند", "TH"}, {"تایوان", "TW"}, {"ترکمنستان", "TM"},
	{"ترکیه", "TR"}, {"ترینیدادوتوباگو", "TT"}, {"تونس", "TN"}, {"تونگا", "TO"},
	{"تووالو", "TV"}, {"توکلایو", "TK"}, {"توگو", "TG"}, {"تیمورلسته", "TL"},
	{"جاماییکا", "JM"}, {"جبلالطارق", "GI"}, {"جرزی", "JE"}, {"جزایرالاند", "AX"},
	{"جزایرتورکسوکایکوس", "TC"}, {"جزایردورافتادهایالاتمتحده", "UM"}, {"جزایرسلیمان", "SB"},
	{"جزایرفارو", "FO"}, {"جزایرفالکلند", "FK"}, {"جزایرمارشال", "MH"},
	{"جزایرماریانایشمالی", "MP"}, {"جزایرویرجینایالاتمتحده", "VI"},
	{"جزایرویرجینبریتانیا", "VG"}, {"جزایرپیتکرن", "PN"}, {"جزایرکاراییبهلند", "BQ"},
	{"جزایرکوک", "CK"}, {"جزایرکوکوس", "CC"}, {"جزایرکیمن", "KY"}, {"جزیرهبووه", "BV"},
	{"جزیرهمن", "IM"}, {"جزیرهنورفولک", "NF"}, {"جزیرهکریسمس", "CX"},
	{"جمهوریاذربایجان", "AZ"}, {"جمهوریاسلامیایران", "IR"}, {"جمهوریافریقایمرکزی", "CF"},
	{"جمهوریدموکراتیککنگو", "CD"}, {"جمهوریدومینیکن", "DO"}, {"جمهوریچک", "CZ"},
	{"جمهوریکنگو", "CG"}, {"جنوبگان", "AQ"}, {"جورجیایجنوبیوجزایرساندویچجنوبی", "GS"},
	{"جیبوتی", "DJ"}, {"دانمارک", "DK"}, {"دومینیکا", "DM"}, {"رواندا", "RW"},
	{"روسیه", "RU"}, {"روسیهسفید", "BY"}, {"رومانی", "RO"}, {"ریونیون", "RE"},
	{"زامبیا", "ZM"}, {"زیمبابوه", "ZW"}, {"ساحلعاج", "CI"}, {"ساموا", "WS"},
	{"ساموایامریکا", "AS"}, {"سانمارینو", "SM"}, {"سایوتومهوپرینسیپ", "ST"},
	{"سرزمینهایجنوبیفرانسه", "TF"}, {"سرزمینهایفلسطینی", "PS"}, {"سریلانکا", "LK"},
	{"سنبارتلمی", "BL"}, {"سنتلوسیا", "LC"}, {"سنتمارتن", "SX"}, {"سنتمارتین", "MF"},
	{"سنتهلن", "SH"}, {"سنتوینسنتوگرنادین", "VC"}, {"سنتکیتسونویس", "KN"},
	{"سنپیرومیکلن", "PM"}, {"سنگال", "SN"}, {"سنگاپور", "SG"}, {"سوالباردویانماین", "SJ"},
	{"سودان", "SD"}, {"سودانجنوبی", "SS"}, {"سورینام", "SR"}, {"سوریه", "SY"},
	{"سومالی", "SO"}, {"سوید", "SE"}, {"سویس", "CH"}, {"سوییس", "CH"}, {"سیرالیون", "SL"},
	{"سیشل", "SC"}, {"شیلی", "CL"}, {"صحرایغربی", "EH"}, {"صربستان", "RS"}, {"عراق", "IQ"},
	{"عربستان", "SA"}, {"عربستانسعودی", "SA"}, {"عمان", "OM"}, {"غنا", "GH"},
	{"فدراسیونروسیه", "RU"}, {"فرانسه", "FR"}, {"فلسطین", "PS"}, {"فنلاند", "FI"},
	{"فیجی", "FJ"}, {"فیلیپین", "PH"}, {"قبرس", "CY"}, {"قرقیزستان", "KG"},
	{"قزاقستان", "KZ"}, {"قطر", "QA"}, {"قلمروبریتانیادراقیانوسهند", "IO"}, {"لایوس", "LA"},
	{"لبنان", "LB"}, {"لتونی", "LV"}, {"لسوتو", "LS"}, {"لهستان", "PL"},
	{"لوکزامبورگ", "LU"}, {"لیبریا", "LR"}, {"لیبی", "LY"}, {"لیتوانی", "LT"},
	{"لیختناشتاین", "LI"}, {"ماداگاسکار", "MG"}, {"مارتینیک", "MQ"}, {"مالاوی", "MW"},
	{"مالت", "MT"}, {"مالدیو", "MV"}, {"مالزی", "MY"}, {"مالی", "ML"}, {"ماکایو", "MO"},
	{"ماکایومنطقهویژهاداریچین", "MO"}, {"مایوت", "YT"}, {"مجارستان", "HU"}, {"مراکش", "MA"},
	{"مصر", "EG"}, {"مغولستان", "MN"}, {"مقدونیه", "MK"}, {"مقدونیهشمالی", "MK"},
	{"موریتانی", "MR"}, {"موریس", "MU"}, {"موزامبیک", "MZ"}, {"مولداوی", "MD"},
	{"موناکو", "MC"}, {"مونتسرات", "MS"}, {"مونتهنگرو", "ME"}, {"مکزیک", "MX"},
	{"میانمار", "MM"}, {"میانماربرمه", "MM"}, {"میکرونزی", "FM"}, {"نامیبیا", "NA"},
	{"نایورو", "NR"}, {"نروژ", "NO"}, {"نپال", "NP"}, {"نیجر", "NE"}, {"نیجریه", "NG"},
	{"نیوزلند", "NZ"}, {"نیوزیلند", "NZ"}, {"نیویه", "NU"}, {"نیکاراگویه", "NI"},
	{"هاییتی", "HT"}, {"هردوجزایرمکدونالد", "HM"}, {"هلند", "NL"}, {"هند", "IN"},
	{"هندوراس", "HN"}, {"هندوستان", "IN"}, {"هنگکنگ", "HK"},
	{"هنگکنگمنطقهویژهاداریچین", "HK"}, {"واتیکان", "VA"}, {"والیسوفوتونا", "WF"},
	{"وانواتو", "VU"}, {"ونزویلا", "VE"}, {"ویتنام", "VN"}, {"پادشاهیمتحده", "GB"},
	{"پاراگویه", "PY"}, {"پالایو", "PW"}, {"پاناما", "PA"}, {"پاپواگینهنو", "PG"},
	{"پاکستان", "PK"}, {"پرتغال", "PT"}, {"پرو", "PE"}, {"پلینزیفرانسه", "PF"},
	{"پورتوریکو", "PR"}, {"چاد", "TD"}, {"چین", "CN"}, {"ژاپن", "JP"}, {"کاستاریکا", "CR"},
	{"کالدونیایجدید", "NC"}, {"کامبوج", "KH"}, {"کامرون", "CM"}, {"کانادا", "CA"},
	{"کره", "KR"}, {"کرهجنوبی", "KR"}, {"کرهشمالی", "KP"}, {"کرواسی", "HR"},
	{"کلمبیا", "CO"}, {"کنگوبرازویل", "CG"}, {"کنگوکینشاسا", "CD"}, {"کنیا", "KE"},
	{"کوبا", "CU"}, {"کوراسایو", "CW"}, {"کوزوو", "XK"}, {"کومور", "KM"}, {"کویت", "KW"},
	{"کیریباتی", "KI"}, {"کیپورد", "CV"}, {"گابن", "GA"}, {"گامبیا", "GM"},
	{"گرجستان", "GE"}, {"گرنادا", "GD"}, {"گرنزی", "GG"}, {"گرینلند", "GL"},
	{"گواتمالا", "GT"}, {"گوادلوپ", "GP"}, {"گوام", "GU"}, {"گویان", "GY"},
	{"گویانفرانسه", "GF"}, {"گینه", "GN"}, {"گینهاستوایی", "GQ"}, {"گینهبیسایو", "GW"},
	{"یمن", "YE"}, {"یونان", "GR"},
};

static int
compare_country_names(const void *a, const void *b)
{
	return strcmp(((const CountryName *) a)->key, ((const CountryName *) b)->key);
}

static bool
is_country_code(const char *code)
{
	for (const char *p = country_codes; *p; p += 2)
		if (p[0] == code[0] && p[1] == code[1])
			return true;
	return false;
}

/* Two letters for what a text names, or NULL. */
static const char *
find_country(const char *in, int len)
{
	StringInfoData key;
	CountryName wanted;
	const CountryName *found;

	initStringInfo(&key);
	crm_fold_name_key(in, len, &key);
	if (key.len == 2)
	{
		char	   *code = pstrdup(key.data);

		code[0] = pg_ascii_toupper(code[0]);
		code[1] = pg_ascii_toupper(code[1]);
		if (strcmp(code, "UK") == 0)
			return "GB";
		return is_country_code(code) ? code : NULL;
	}
	wanted.key = key.data;
	found = bsearch(&wanted, country_names, lengthof(country_names), sizeof(CountryName),
					compare_country_names);
	return found != NULL ? found->code : NULL;
}

PG_FUNCTION_INFO_V1(crm_country_code);

/* crm.country_code(text) -> text */
Datum
crm_country_code(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	const char *code;

	crm_check_encoding();
	code = find_country(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	if (code == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(code));
}
