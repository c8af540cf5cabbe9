package tally

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Supplied is what a file that was brought in later gave of the events counted. Events in it were
// not logged when they happened: whoever supplied the file answers for them.
type Supplied struct {
	File   string `json:"file"` // "sha256:" and the digest of the file
	Events int64  `json:"events"`
}

// supply counts events of a file that was supplied later.
func (s *sums) supply(file string, events int64) {
	if file == "" {
		return
	}
	if s.supplied == nil {
		s.supplied = map[string]int64{}
	}
	s.supplied[file] += events
}

// suppliedIn lists files by their digests, and says whether the list was cut.
func suppliedIn(files map[string]int64) (list []Supplied, cut bool) {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		list = append(list, Supplied{file, files[file]})
	}
	return list[:min(MaxFiles, len(list))], len(list) > MaxFiles
}

// Region is how many customer accounts live in one place.
type Region struct {
	Region    string `json:"region"` // ISO 3166-1 or 3166-2, such as DE or US-CA; "" is unknown
	Customers int64  `json:"customers"`
}

// MaxRegions is how many regions a result lists; there are fewer than that.
const MaxRegions = 6000

// Place is the code of a country, or of a part of one, in capitals; "" for anything else. What stands
// in a list or an event beside codes is not repeated, because it may be an address.
func Place(s string) string {
	s = strings.ToUpper(strings.TrimSpace(s))
	country, part, divided := strings.Cut(s, "-")
	only := func(s string, digits bool) bool {
		for _, r := range []byte(s) {
			if !('A' <= r && r <= 'Z' || digits && '0' <= r && r <= '9') {
				return false
			}
		}
		return true
	}
	if len(country) != 2 || !only(country, false) || divided && (len(part) < 1 || len(part) > 3 || !only(part, true)) {
		return ""
	}
	return s
}

// live counts where customers live. regions is as long as customers, or nothing is known.
func (s *sums) live(customers, regions []string) {
	if len(regions) != len(customers) {
		return
	}
	for i, region := range regions {
		if region == "" {
			continue
		}
		if s.lives == nil {
			s.lives = map[string]map[string]struct{}{}
		}
		if s.lives[region] == nil {
			s.lives[region] = map[string]struct{}{}
		}
		s.lives[region][customers[i]] = struct{}{}
	}
}

// AddRegions counts what an engine found: distinct customers by region, and of how many of all of
// them a region is known. It is called once.
func (t *Tally) AddRegions(lives map[string]int64, known int64) { t.lives, t.known = lives, known }

// Regions says how many customer accounts live where, the most first and those of whom nothing is
// known last. An account that was seen with two regions counts in both, so that no region is told too
// few; the sum may then be greater than the number of accounts. Empty when nothing is known of any.
func (t *Tally) Regions() []Region {
	count, known, all := maps.Clone(t.lives), t.known, int64(0)
	if count == nil {
		count = map[string]int64{}
	}
	for _, s := range t.rows {
		all += int64(len(s.customers)) + s.counted
		union := map[string]struct{}{}
		for region, customers := range s.lives {
			count[region] += int64(len(customers))
			maps.Copy(union, customers)
		}
		known += int64(len(union))
	}
	if known == 0 {
		return nil
	}
	var list []Region
	for region, n := range count {
		list = append(list, Region{region, n})
	}
	slices.SortFunc(list, func(a, b Region) int {
		return cmp.Or(cmp.Compare(b.Customers, a.Customers), cmp.Compare(a.Region, b.Region))
	})
	list = list[:min(MaxRegions, len(list))]
	if all > known {
		list = append(list, Region{"", all - known})
	}
	return list
}

// Bucket is what happened in a step of the timeline.
type Bucket struct {
	From    time.Time `json:"from"`
	Events  int64     `json:"events"`
	Records int64     `json:"records"`
}

type amount struct{ events, records int64 }

// MaxBuckets bounds a timeline: hours of more than a year.
const MaxBuckets = 10_000

const hour = int64(time.Hour / time.Second)

// hourOf is the UTC hour of a time, counted from 1970.
func hourOf(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= hour - 1
	}
	return s / hour
}

// AddHour counts events of an hour, which is counted from 1970.
func (t *Tally) AddHour(at, events, records int64) {
	if t.hours == nil {
		t.hours = map[int64]*amount{}
	}
	a := t.hours[at]
	if a == nil {
		a = &amount{}
		t.hours[at] = a
	}
	a.events += events
	a.records = plus(a.records, min(records, MaxCount))
}

// Timeline returns what happened when, those steps in which something did. A step is a UTC hour; of
// a time that is too long for that a day, or as many days as it takes.
func (t *Tally) Timeline() (step time.Duration, list []Bucket) {
	step, list = time.Hour, []Bucket{}
	if len(t.hours) == 0 {
		return step, list
	}
	hours := slices.Sorted(maps.Keys(t.hours))
	width := int64(1)
	for (hours[len(hours)-1]-hours[0])/width >= MaxBuckets {
		if width *= 2; width == 2 {
			width = 24
		}
	}
	for _, h := range hours {
		at := h - ((h%width)+width)%width
		from := time.Unix(at*hour, 0).UTC()
		if k := len(list) - 1; k < 0 || !list[k].From.Equal(from) {
			list = append(list, Bucket{From: from})
		}
		b := &list[len(list)-1]
		b.Events += t.hours[h].events
		b.Records = plus(b.Records, t.hours[h].records)
	}
	return time.Duration(width) * time.Hour, list
}
