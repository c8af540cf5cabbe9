package desk

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

// maxMerchantsFile bounds an import; 50,000 merchants are about 8 MB.
const maxMerchantsFile = 64 << 20

// maxRejected bounds what is said about a file that is something else.
const maxRejected = 10_000

var merchantColumns = []string{"merchant", "name", "store", "domain", "email", "email_2", "phone", "language", "zone", "country", "contract_hours", "installed", "uninstalled", "slack", "basecamp"}

// ImportMerchants takes in the directory of merchants as CSV. A row that cannot be read is named by
// its line and field, never quoted, and does not spoil the others; a merchant with several stores
// has a row for each. Importing again replaces what is known of the merchants named.
func (d *Desk) ImportMerchants(ctx context.Context, who Caller, file io.Reader) (int, []Reject, error) {
	if d.o.ReadOnly {
		return 0, nil, ErrReadOnly
	}
	sum := sha256.New()
	limited := &io.LimitedReader{R: file, N: maxMerchantsFile + 1}
	list, rejected, err := readMerchants(io.TeeReader(limited, sum))
	if err != nil {
		return 0, nil, err
	}
	if limited.N <= 0 {
		return 0, nil, fmt.Errorf("%w: the file is larger than %d MiB: split it", ErrTooLarge, maxMerchantsFile>>20)
	}
	// The directory is written before the fact that says so: a crash between the two leaves a
	// directory that is newer than its last import fact, and importing the file again mends that.
	for at := 0; at < len(list); at += 1000 {
		part := list[at:min(at+1000, len(list))]
		if err := d.o.Store.Update(ctx, func(tx ledger.Tx) error { return tx.PutMerchants(part) }); err != nil {
			return 0, nil, err
		}
	}
	digest := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if _, err = d.SubmitOrg(ctx, "", who, org.ImportMerchants{Count: len(list), Rejected: len(rejected), Digest: digest}); err != nil {
		return len(list), rejected, err
	}
	return len(list), rejected, d.tellIncidents(ctx, list)
}

// spreadsheet reads CSV as spreadsheets write it, and refuses what would be read as something else: as
// one line, or as none.
func spreadsheet(r io.Reader) (*csv.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	start, _ := in.Peek(4096) // less is there when the file is short
	switch {
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")), bytes.IndexByte(start, 0) >= 0:
		return nil, fmt.Errorf("%w: line 1: the file is UTF-16: save it as CSV UTF-8", ErrInvalid)
	case bytes.IndexByte(start, '\n') < 0 && bytes.IndexByte(bytes.TrimRight(start, "\r"), '\r') >= 0:
		return nil, fmt.Errorf("%w: line 1: the lines of the file end in CR alone: save it as CSV UTF-8, and not as that of old Macintoshes", ErrInvalid)
	}
	cr := csv.NewReader(in)
	cr.Comma = separator(start)
	cr.FieldsPerRecord = -1
	return cr, nil
}

func readMerchants(r io.Reader) ([]ledger.Merchant, []Reject, error) {
	cr, err := spreadsheet(r)
	if err != nil {
		return nil, nil, err
	}
	head, err := cr.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: line 1: no CSV header: the first line has to be %s", ErrInvalid, strings.Join(merchantColumns, ","))
	}
	index := map[string]int{}
	for i, name := range head {
		index[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	for _, need := range []string{"merchant", "name", "email"} {
		if _, ok := index[need]; !ok {
			return nil, nil, fmt.Errorf("%w: line 1: there is no column %q: the columns are %s", ErrInvalid, need, strings.Join(merchantColumns, ","))
		}
	}
	var rejected []Reject
	byID := map[string]int{}
	var list []ledger.Merchant
	for {
		rec, err := cr.Read()
		if errors.Is(err, io.EOF) {
			return list, rejected, nil
		}
		if len(rejected) == maxRejected {
			return nil, nil, fmt.Errorf("%w: line %d: more than %d lines cannot be read: is this the directory of merchants?", ErrInvalid, rejected[maxRejected-1].Line, maxRejected-1)
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			reason := bad.Err.Error()
			if bad.Line > bad.StartLine {
				// A quote that is not closed takes in what follows, perhaps the rest of the file.
				reason = fmt.Sprintf("a quote is not closed: lines %d to %d were not read", bad.StartLine, bad.Line)
			}
			rejected = append(rejected, Reject{Line: bad.StartLine, Reason: reason})
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		line, _ := cr.FieldPos(0)
		// A whole file is in one encoding: taking in the lines that happen to have no umlaut, and refusing
		// the others one by one, would leave a directory with holes.
		if slices.ContainsFunc(rec, func(v string) bool { return !utf8.ValidString(v) }) {
			return nil, nil, fmt.Errorf("%w: line %d: the file is not UTF-8: save it as CSV UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv", ErrInvalid, line)
		}
		m, field, reason := merchantOf(func(name string) string {
			if i, ok := index[name]; ok && i < len(rec) {
				return strings.TrimSpace(rec[i])
			}
			return ""
		})
		if reason != "" {
			rejected = append(rejected, Reject{Line: line, Field: field, Reason: reason})
			continue
		}
		if at, ok := byID[m.ID]; ok {
			list[at].Stores = append(list[at].Stores, m.Stores...)
			if slices.ContainsFunc(m.Emails, func(a string) bool { return !slices.Contains(list[at].Emails, a) }) {
				rejected = append(rejected, Reject{Line: line, Field: "email", Reason: "is another address than in an earlier line of the same merchant, and the earlier one counts: email_2 takes a second one"})
			}
			continue
		}
		byID[m.ID] = len(list)
		list = append(list, m)
	}
}

// separator is what stands between the columns of the first line: a comma, or what spreadsheets write
// where the comma is in numbers.
func separator(start []byte) rune {
	line, _, _ := bytes.Cut(start, []byte("\n"))
	best, most := ',', bytes.Count(line, []byte(","))
	for _, c := range []rune{';', '\t'} {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

// channelForms is how a merchant's place in a channel is written in the directory, by the column of its name.
var channelForms = map[string]struct {
	form *regexp.Regexp
	say  string
}{
	"slack":    {regexp.MustCompile(`^(?:[CG][A-Z0-9]{5,30}|hook:[A-Za-z0-9][A-Za-z0-9_.-]{0,127})$`), "has to be the id of a channel such as C0123ABCD, which Slack shows in its details, or hook:NAME with the secret that holds the address of an incoming webhook"},
	"basecamp": {regexp.MustCompile(`^[0-9]{1,20}$`), "has to be the id of a message board, which is the number at the end of its address"},
}

func merchantOf(get func(string) string) (m ledger.Merchant, field, reason string) {
	m = ledger.Merchant{ID: get("merchant"), Name: get("name"), Phone: get("phone"), Language: get("language"), Zone: get("zone"), Country: strings.ToUpper(get("country"))}
	if m.ID == "" || len(m.ID) > 128 || m.ID == "*" ||
		strings.ContainsFunc(m.ID, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return m, "merchant", "has to be 1 to 128 characters without spaces or slashes, and not *, which stands for all"
	}
	if len(m.Name) > 512 {
		return m, "name", "is longer than 512 bytes"
	}
	if m.Zone != "" {
		if _, err := time.LoadLocation(m.Zone); err != nil {
			return m, "zone", "is no time zone: use a name such as Europe/Berlin"
		}
	}
	for _, name := range []string{"email", "email_2"} {
		v := get(name)
		if v == "" {
			continue
		}
		a, err := mail.ParseAddress(v)
		if err != nil || a.Address != v {
			return m, name, "is no e-mail address"
		}
		m.Emails = append(m.Emails, v)
	}
	for name, c := range channelForms {
		v := get(name)
		if v == "" {
			continue
		}
		if !c.form.MatchString(v) {
			return m, name, c.say
		}
		if m.Channels == nil {
			m.Channels = map[string]string{}
		}
		m.Channels[name] = v
	}
	if id, domain := get("store"), get("domain"); id != "" || domain != "" {
		m.Stores = append(m.Stores, ledger.MerchantStore{ID: id, Domain: domain})
	}
	if v := get("contract_hours"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 24*366 {
			return m, "contract_hours", "has to be a number of hours"
		}
		m.ContractHours = n
	}
	for name, at := range map[string]*time.Time{"installed": &m.Installed, "uninstalled": &m.Uninstalled} {
		v := get(name)
		if v == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, v)
		if err != nil {
			if t, err = time.Parse(time.DateOnly, v); err != nil {
				return m, name, "has to be a date such as 2026-11-22 or a time with its zone"
			}
		}
		*at = t.UTC()
	}
	return m, "", ""
}

// Merchants lists the directory by id.
func (d *Desk) Merchants(ctx context.Context, after string, limit int) ([]ledger.Merchant, error) {
	var list []ledger.Merchant
	err := d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		list, err = r.Merchants(after, min(max(limit, 1), 1000))
		return err
	})
	return list, err
}

// directoryPage is how many merchants are read at a time, and of how many the whole directory is gone through
// sooner than each is looked up.
const directoryPage = 1000

// eachMerchant gives what the directory says of some merchants. Those it does not have are left out.
func eachMerchant(r ledger.Reader, ids map[string]bool, fn func(ledger.Merchant)) error {
	if len(ids) <= directoryPage {
		for id := range ids {
			m, err := r.Merchant(id)
			if errors.Is(err, ledger.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			fn(m)
		}
		return nil
	}
	for after := ""; ; {
		page, err := r.Merchants(after, directoryPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, m := range page {
			if after = m.ID; ids[m.ID] {
				fn(m)
			}
		}
	}
}
