package policy

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Union are the members of the European Union, by the codes of ISO 3166. It is the one list of them.
var Union = []string{"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"}

// parts are the parts of countries that laws and policies name most, by the codes of ISO 3166-2.
const parts = `US-AL Alabama,US-AK Alaska,US-AZ Arizona,US-AR Arkansas,US-CA California,US-CO Colorado,US-CT Connecticut,US-DE Delaware,US-FL Florida,US-GA Georgia,US-HI Hawaii,US-ID Idaho,
US-IL Illinois,US-IN Indiana,US-IA Iowa,US-KS Kansas,US-KY Kentucky,US-LA Louisiana,US-ME Maine,US-MD Maryland,US-MA Massachusetts,US-MI Michigan,US-MN Minnesota,US-MS Mississippi,US-MO Missouri,
US-MT Montana,US-NE Nebraska,US-NV Nevada,US-NH New Hampshire,US-NJ New Jersey,US-NM New Mexico,US-NY New York,US-NC North Carolina,US-ND North Dakota,US-OH Ohio,US-OK Oklahoma,US-OR Oregon,
US-PA Pennsylvania,US-RI Rhode Island,US-SC South Carolina,US-SD South Dakota,US-TN Tennessee,US-TX Texas,US-UT Utah,US-VT Vermont,US-VA Virginia,US-WA Washington State,US-WV West Virginia,
US-WI Wisconsin,US-WY Wyoming,US-DC the District of Columbia,US-PR Puerto Rico,US-GU Guam,US-VI the US Virgin Islands,CA-AB Alberta,CA-BC British Columbia,CA-MB Manitoba,CA-NB New Brunswick,
CA-NL Newfoundland and Labrador,CA-NS Nova Scotia,CA-ON Ontario,CA-PE Prince Edward Island,CA-QC Quebec,CA-SK Saskatchewan,CA-NT the Northwest Territories,CA-NU Nunavut,CA-YT Yukon,
AU-NSW New South Wales,AU-QLD Queensland,AU-SA South Australia,AU-TAS Tasmania,AU-VIC Victoria,AU-WA Western Australia,AU-ACT the Australian Capital Territory,AU-NT the Northern Territory,
DE-BW Baden-Württemberg,DE-BY Bavaria,DE-BE Berlin,DE-BB Brandenburg,DE-HB Bremen,DE-HH Hamburg,DE-HE Hesse,DE-MV Mecklenburg-Vorpommern,DE-NI Lower Saxony,DE-NW North Rhine-Westphalia,
DE-RP Rhineland-Palatinate,DE-SL Saarland,DE-SN Saxony,DE-ST Saxony-Anhalt,DE-SH Schleswig-Holstein,DE-TH Thuringia,GB-ENG England,GB-NIR Northern Ireland,GB-SCT Scotland,GB-WLS Wales,AE-DU Dubai,AE-AZ Abu Dhabi`

// withThe are countries whose name takes an article in a sentence.
var withThe = []string{"AE", "BS", "CD", "CF", "CG", "DO", "FK", "GB", "GM", "IM", "KY", "MH", "MP", "MV", "NL", "PH", "SB", "SC", "TC", "US", "VG", "VI"}

// placeName is how a sentence names a place: Germany, California, the European Union. Of a part of a
// country that has no name here it is the country's, with the code behind it.
func placeName(code string) string {
	if code == "EU" {
		return "the European Union"
	}
	country, _, parted := strings.Cut(code, "-")
	if parted {
		if _, rest, ok := strings.Cut(","+strings.ReplaceAll(parts, "\n", ""), ","+code+" "); ok {
			name, _, _ := strings.Cut(rest, ",")
			return name
		}
	}
	region, err := language.ParseRegion(country)
	if err != nil || !region.IsCountry() {
		return code
	}
	name := display.English.Regions().Name(region)
	switch {
	case name == "":
		return code
	case slices.Contains(withThe, country):
		name = "the " + name
	}
	if parted {
		return name + " (" + code + ")"
	}
	return name
}

func placeNames(codes []string) []string {
	out := make([]string, len(codes))
	for i, code := range codes {
		out[i] = placeName(code)
	}
	return out
}

// countryMeant is the code of a country that is written by its name; "" where none is known.
func countryMeant(name string) string {
	switch name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "the "))); name {
	case "uk", "britain", "great britain", "england":
		return "GB"
	case "usa", "america":
		return "US"
	}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			region, err := language.ParseRegion(code)
			if err == nil && region.IsCountry() && region.Canonicalize().String() == code && strings.EqualFold(display.English.Regions().Name(region), name) {
				return code
			}
		}
	}
	return ""
}

// isCountry reports whether a text is the code of a country that laws and directories use.
func isCountry(code string) bool {
	region, err := language.ParseRegion(code)
	return err == nil && region.IsCountry() && region.String() == code
}

// RegionsFact is the fact that says where those affected live, where a policy asks somebody for it: laws
// hold in places, and no machine knows the people behind an account. Its answer is text: "DE, US-CA".
const RegionsFact = "regions"

// ParseRegions reads the answer to RegionsFact: codes of ISO 3166 or names of countries, parted by
// commas; the European Union stands for its members, none for nobody.
func ParseRegions(answer string) ([]string, error) {
	out := []string{}
	for _, word := range strings.FieldsFunc(answer, func(r rune) bool { return r == ',' || r == ';' }) {
		code := strings.TrimSpace(word)
		country, part, parted := strings.Cut(code, "-")
		switch {
		case code == "" || strings.EqualFold(code, "none"):
		case code == "EU":
			out = append(out, Union...)
		case country != "UK" && isCountry(country) && (!parted || partForm.MatchString(part)):
			out = append(out, code)
		case countryMeant(code) != "":
			out = append(out, countryMeant(code))
		default:
			return nil, fmt.Errorf("%q is no code of ISO 3166, such as DE or US-CA", short(code))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// languageName is how a sentence names a language: German.
func languageName(code string) string {
	tag, err := language.Parse(code)
	if err != nil {
		return code
	}
	if name := display.English.Tags().Name(tag); name != "" {
		return name
	}
	return code
}
