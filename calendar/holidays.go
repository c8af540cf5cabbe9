package calendar

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/at"
	"github.com/rickar/cal/v2/au"
	"github.com/rickar/cal/v2/be"
	"github.com/rickar/cal/v2/bg"
	"github.com/rickar/cal/v2/br"
	"github.com/rickar/cal/v2/ca"
	"github.com/rickar/cal/v2/ch"
	"github.com/rickar/cal/v2/cy"
	"github.com/rickar/cal/v2/cz"
	"github.com/rickar/cal/v2/de"
	"github.com/rickar/cal/v2/dk"
	"github.com/rickar/cal/v2/ee"
	"github.com/rickar/cal/v2/es"
	"github.com/rickar/cal/v2/fi"
	"github.com/rickar/cal/v2/fr"
	"github.com/rickar/cal/v2/gb"
	"github.com/rickar/cal/v2/gr"
	"github.com/rickar/cal/v2/hr"
	"github.com/rickar/cal/v2/hu"
	"github.com/rickar/cal/v2/ie"
	"github.com/rickar/cal/v2/is"
	"github.com/rickar/cal/v2/it"
	"github.com/rickar/cal/v2/jp"
	"github.com/rickar/cal/v2/lt"
	"github.com/rickar/cal/v2/lu"
	"github.com/rickar/cal/v2/lv"
	"github.com/rickar/cal/v2/mt"
	"github.com/rickar/cal/v2/mx"
	"github.com/rickar/cal/v2/nl"
	"github.com/rickar/cal/v2/no"
	"github.com/rickar/cal/v2/nz"
	"github.com/rickar/cal/v2/pl"
	"github.com/rickar/cal/v2/pt"
	"github.com/rickar/cal/v2/ro"
	"github.com/rickar/cal/v2/se"
	"github.com/rickar/cal/v2/si"
	"github.com/rickar/cal/v2/sk"
	"github.com/rickar/cal/v2/us"
	"github.com/rickar/cal/v2/za"
)

// regions are the calendars of public holidays by ISO 3166-1 country, and by ISO 3166-2 part of a
// country where the library knows its own. The dates are github.com/rickar/cal's.
var regions = map[string][]*cal.Holiday{
	"AT": at.Holidays, "BE": be.Holidays, "BG": bg.Holidays, "BR": br.Holidays, "CA": ca.Holidays, "CH": ch.Holidays, "CY": cy.Holidays,
	"CZ": cz.Holidays, "DE": de.Holidays, "DK": dk.Holidays, "EE": ee.Holidays, "ES": es.Holidays, "FI": fi.Holidays, "FR": fr.Holidays,
	"GB": gb.Holidays, "GR": gr.Holidays, "HR": hr.Holidays, "HU": hu.Holidays, "IE": ie.Holidays, "IS": is.Holidays, "IT": it.Holidays,
	"JP": jp.Holidays, "LT": lt.Holidays, "LU": lu.Holidays, "LV": lv.Holidays, "MT": mt.Holidays, "MX": mx.Holidays, "NL": nl.Holidays,
	"NO": no.Holidays, "NZ": nz.Holidays, "PL": pl.Holidays, "PT": pt.Holidays, "RO": ro.Holidays, "SE": se.Holidays, "SI": si.Holidays,
	"SK": sk.Holidays, "US": us.Holidays, "ZA": za.Holidays,

	"AU-ACT": au.HolidaysACT, "AU-NSW": au.HolidaysNSW, "AU-NT": au.HolidaysNT, "AU-QLD": au.HolidaysQLD, "AU-SA": au.HolidaysSA,
	"AU-TAS": au.HolidaysTAS, "AU-VIC": au.HolidaysVIC, "AU-WA": au.HolidaysWA,

	"DE-BB": de.HolidaysBB, "DE-BE": de.HolidaysBE, "DE-BW": de.HolidaysBW, "DE-BY": de.HolidaysBY, "DE-HB": de.HolidaysHB, "DE-HE": de.HolidaysHE,
	"DE-HH": de.HolidaysHH, "DE-MV": de.HolidaysMV, "DE-NI": de.HolidaysNI, "DE-NW": de.HolidaysNW, "DE-RP": de.HolidaysRP, "DE-SH": de.HolidaysSH,
	"DE-SL": de.HolidaysSL, "DE-SN": de.HolidaysSN, "DE-ST": de.HolidaysST, "DE-TH": de.HolidaysTH,

	"CH-AG": ch.HolidaysAG, "CH-BE": ch.HolidaysBE, "CH-BL": ch.HolidaysBL, "CH-BS": ch.HolidaysBS, "CH-FR": ch.HolidaysFR, "CH-GE": ch.HolidaysGE,
	"CH-LU": ch.HolidaysLU, "CH-SG": ch.HolidaysSG, "CH-TI": ch.HolidaysTI, "CH-VD": ch.HolidaysVD, "CH-ZG": ch.HolidaysZG, "CH-ZH": ch.HolidaysZH,
}

// Regions lists the calendars of public holidays that Hours may name, in the order of the alphabet.
func Regions() []string {
	names := make([]string, 0, len(regions))
	for name := range regions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// KnownRegion reports whether there is a calendar of public holidays of that name, such as DE-BE.
func KnownRegion(name string) bool { return regions[name] != nil }

// Holiday reports whether date (2006-01-02) is a public holiday in the region, or the day on which
// one is kept that falls on a weekend. A region nobody knows has none.
func Holiday(region, date string) bool {
	year, ok := yearOf(date)
	return ok && regions[region] != nil && holidaysOf(region, year)[date]
}

func yearOf(date string) (int, bool) {
	t, err := time.Parse(time.DateOnly, date)
	return t.Year(), err == nil
}

type regionYear struct {
	region string
	year   int
}

// computed remembers the holidays of a region's year: they depend on nothing else.
var computed sync.Map // regionYear to map[string]bool

func holidaysOf(region string, year int) map[string]bool {
	key := regionYear{region, year}
	if got, ok := computed.Load(key); ok {
		return got.(map[string]bool)
	}
	days := map[string]bool{}
	for _, y := range []int{year - 1, year, year + 1} { // the day kept for a holiday may lie in another year
		for _, h := range regions[region] {
			if h.Type == cal.ObservanceOther {
				continue // kept by some, and shops and offices are open
			}
			actual, observed := h.Calc(y)
			for _, t := range []time.Time{actual, observed} {
				if date := t.Format(time.DateOnly); !t.IsZero() && strings.HasPrefix(date, key.prefix()) {
					days[date] = true
				}
			}
		}
	}
	got, _ := computed.LoadOrStore(key, days)
	return got.(map[string]bool)
}

func (k regionYear) prefix() string {
	return time.Date(k.year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006-")
}
