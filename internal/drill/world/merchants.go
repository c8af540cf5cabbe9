package world

import (
	"fmt"
	"strings"
	"time"
)

// place is where a merchant is at home.
type place struct {
	country, zone, language string
	words                   [2][]string // first and second word of ordinary names
}

var latin = [2][]string{
	{"Northern", "Velvet", "Copper", "Quiet", "Harbour", "Juniper", "Marble", "Saffron", "Willow", "Ember", "Cobalt", "Meadow", "Lantern", "Granite", "Orchid", "Pebble", "Thistle", "Walnut", "Crimson", "Silver"},
	{"Outfitters", "Ceramics", "Apothecary", "Bicycles", "Bookbinders", "Roastery", "Textiles", "Woodworks", "Gardening", "Stationery", "Leathergoods", "Candlemakers", "Instruments", "Spectacles", "Confectioners"},
}

var places = []place{
	{"DE", "Europe/Berlin", "de", latin},
	{"US", "America/New_York", "en", latin},
	{"US", "America/Los_Angeles", "en", latin},
	{"GB", "Europe/London", "en", latin},
	{"FR", "Europe/Paris", "fr", latin},
	{"AU", "Australia/Sydney", "en", latin},
	{"BR", "America/Sao_Paulo", "pt", latin},
	{"IN", "Asia/Kolkata", "en", latin},
	{"AE", "Asia/Dubai", "ar", [2][]string{{"متجر", "دار", "سوق", "بيت"}, {"النور الجديد", "الياسمين", "البحر الأزرق", "النخيل"}}},
	{"IL", "Asia/Jerusalem", "he", [2][]string{{"חנות", "בית", "שוק"}, {"הזית הירוק", "הים הכחול", "השמש"}}},
	{"JP", "Asia/Tokyo", "ja", [2][]string{{"山田", "青空", "桜", "東京"}, {"商店本舗", "文具店", "茶舗", "工房"}}},
	{"CN", "Asia/Shanghai", "zh", [2][]string{{"华星", "金龙", "春晓"}, {"百货商行", "茶叶公司", "丝绸店"}}},
}

// hostile are names as a directory that anybody can write to will hold one day. A number is
// appended to each, so that every name is unique and no name is a part of another.
var hostile = []string{
	`<script>alert("shop")</script>`,
	"Evil Shop\r\nBcc: everyone@victims.example",
	`"Quoted" 'Names' & Sons, Ltd; DROP TABLE`,
	`=HYPERLINK("http://evil.example","Click")`,
	"+1-800-FORMULA|cmd",
	"@SUM(A1:A9) Traders",
	"Safe \u202Etxt.exe Reversed",
	"🦊🛍️ Fox & Friends 👩‍👩‍👧‍👦",
	"{{.Secret}} ${secret:app_admin} %s%n",
	"Very " + "Long" + " Name " + "of a shop that goes on and on and on without ever saying what it sells to whom",
	"\t Tabs\tand  spaces ",
	"Zero\u200bWidth\u200dShop",
	`</td></tr><img src=x onerror=alert(1)>`,
	"../../etc/passwd Trading",
}

var firstNames = []string{"Ada", "Bruno", "Chen", "Dora", "Emil", "Fatima", "Goro", "Hanna", "Igor", "Jana", "Kofi", "Lena", "Mika", "Nora", "Omar", "Petra", "Quinn", "Rosa", "Sven", "Tara"}
var lastNames = []string{"Abel", "Bauer", "Costa", "Diaz", "Egger", "Fuchs", "Garcia", "Haddad", "Ivanov", "Jensen", "Kimura", "Lopez", "Moreau", "Novak", "Okafor", "Pereira", "Rossi", "Silva", "Tanaka", "Weber"}

func merchants(o Options) []Merchant {
	r := stream(o.Seed, "merchants")
	out := make([]Merchant, 0, o.Merchants)
	for i := range o.Merchants {
		n := i + 1
		id := fmt.Sprintf("m_%03d", n)
		p := places[r.IntN(len(places))]
		m := Merchant{
			ID:        id,
			Name:      fmt.Sprintf("%s %s %03d", p.words[0][r.IntN(len(p.words[0]))], p.words[1][r.IntN(len(p.words[1]))], n),
			Language:  p.language,
			Zone:      p.zone,
			Country:   p.country,
			Phone:     fmt.Sprintf("+49 30 5550%03d", n),
			Email:     fmt.Sprintf("owner%03d@shop-%03d.example", n, n),
			Installed: o.Start.AddDate(0, 0, -30-r.IntN(600)).Add(time.Duration(r.IntN(86400)) * time.Second),
			Customers: 12 + r.IntN(60),
			Stores:    []Store{{ID: fmt.Sprintf("s_%03d_a", n), Domain: fmt.Sprintf("shop-%03d.example", n)}},
		}
		if r.IntN(5) == 0 {
			m.Customers += 100 // a few are large
		}
		if r.IntN(6) == 0 {
			m.Stores = append(m.Stores, Store{ID: fmt.Sprintf("s_%03d_b", n), Domain: fmt.Sprintf("second-%03d.example", n)})
		}
		if r.IntN(2) == 0 {
			m.Email2 = fmt.Sprintf("backup%03d@shop-%03d.example", n, n)
		}
		if r.IntN(12) == 0 {
			m.ContractHours = 96
		}
		if r.IntN(25) == 0 {
			m.Uninstalled = o.Start.AddDate(0, 0, 3+r.IntN(20))
		}
		out = append(out, m)
	}
	place := func(k int) *Merchant { return &out[(k*19+int(o.Seed%7))%len(out)] }
	for k, name := range hostile {
		m := place(k)
		m.Name = fmt.Sprintf("%s %s", name, strings.TrimPrefix(m.ID, "m_"))
	}
	for k := range max(2, o.Merchants/50) { // dead addresses: half of them have a second one that works
		m := place(100 + k)
		m.Dead, m.Email = true, fmt.Sprintf("gone%s@dead.example", strings.TrimPrefix(m.ID, "m_"))
		m.Email2 = ""
		if k%2 == 0 {
			m.Email2 = fmt.Sprintf("alive%s@shop.example", strings.TrimPrefix(m.ID, "m_"))
		}
	}
	one, two := place(60), place(61) // one agency looks after two merchants
	if one.ID != two.ID && !one.Dead && !two.Dead {
		one.Email, two.Email = "agency@two-shops.example", "agency@two-shops.example"
	}
	return out
}
