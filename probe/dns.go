package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/tocsin-ir/tocsin/internal/egress"
)

// DNS is a check of what a resolver answers about a name (type dns).
type DNS struct {
	Name     string        `yaml:"name"`
	Record   string        `yaml:"record"`   // A (the default), AAAA, CNAME, TXT or MX
	Resolver string        `yaml:"resolver"` // host:port; default network.dns, else the system's
	AllOf    []string      `yaml:"all_of"`   // values that must all be answered
	AnyOf    []string      `yaml:"any_of"`   // values of which one must be answered; neither: any record will do
	Timeout  time.Duration `yaml:"timeout"`  // default 5 s, at most 1 min
}

var records = map[string]uint16{"A": dns.TypeA, "AAAA": dns.TypeAAAA, "CNAME": dns.TypeCNAME, "TXT": dns.TypeTXT, "MX": dns.TypeMX}

// maxValues bounds how many values a check may expect, and maxShown how many a result names.
const (
	maxValues = 64
	maxShown  = 8
)

// Validate checks the check; field names it in errors, such as "checks.shop_name".
func (d DNS) Validate(field string) error {
	if _, ok := dns.IsDomainName(d.Name); !ok || d.Name == "" || strings.ContainsFunc(d.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("%s.name: it is not a domain name such as shop.example; others than ASCII are written xn--…", field)
	}
	if _, ok := records[d.record()]; !ok {
		return fmt.Errorf("%s.record: it is not one of A, AAAA, CNAME, MX, TXT", field)
	}
	if d.Resolver != "" {
		if host, port, err := net.SplitHostPort(d.Resolver); err != nil || host == "" || !isPort(port) {
			return fmt.Errorf("%s.resolver: it is not host:port, such as 9.9.9.9:53", field)
		}
	}
	if len(d.AllOf)+len(d.AnyOf) > maxValues {
		return fmt.Errorf("%s.all_of: with any_of there are more than %d values", field, maxValues)
	}
	for _, list := range []struct {
		name   string
		values []string
	}{{"all_of", d.AllOf}, {"any_of", d.AnyOf}} {
		for i, v := range list.values {
			if d.comparable(v) == "" {
				return fmt.Errorf("%s.%s[%d]: it is not a value of a record of type %s", field, list.name, i, d.record())
			}
		}
	}
	if d.Timeout < 0 || d.Timeout > time.Minute {
		return fmt.Errorf("%s.timeout: %v is not between 0 and 1m", field, d.Timeout)
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (d DNS) record() string {
	if d.Record == "" {
		return "A"
	}
	return strings.ToUpper(d.Record)
}

// comparable is an expected value as answers are compared with it: addresses in one form, names in
// small letters without the last dot. Text is compared as it is. Empty: it is no value.
func (d DNS) comparable(value string) string {
	switch d.record() {
	case "A", "AAAA":
		a, err := netip.ParseAddr(value)
		if err != nil || a.Zone() != "" || a.Is4() != (d.record() == "A") {
			return ""
		}
		return a.String()
	case "MX":
		if preference, host, ok := strings.Cut(value, " "); ok {
			if _, err := strconv.ParseUint(preference, 10, 16); err != nil || !isName(host) {
				return ""
			}
		} else if !isName(value) {
			return ""
		}
		return sameName(value)
	case "CNAME":
		if !isName(value) {
			return ""
		}
		return sameName(value)
	}
	if len(value) > 4096 {
		return ""
	}
	return value
}

func isName(s string) bool {
	_, ok := dns.IsDomainName(s)
	return ok && s != "" && !strings.Contains(s, " ")
}

func sameName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// Run asks once, or again where an answer does not come. inCharge is the resolver of the
// configuration, used when the check names none; empty: the system's.
func (d DNS) Run(ctx context.Context, out *egress.Client, inCharge string) Result {
	if d.Timeout == 0 {
		d.Timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	what := fmt.Sprintf("%s record of %s", d.record(), strings.TrimSuffix(d.Name, "."))
	servers, dialer, err := d.resolvers(out, inCharge)
	if err != nil {
		return Result{Code: "config", Observed: err.Error(), At: time.Now().UTC()}
	}
	began := time.Now()
	answer, server, err := d.ask(ctx, dialer, servers)
	at := time.Now().UTC()
	if err != nil {
		code := egress.CodeOf(err)
		switch {
		case errors.Is(err, errAnother):
			code = "broken"
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			code = "timeout"
		}
		return Result{Code: code, Observed: fmt.Sprintf("%s: the resolver %s gave no answer: %s", what, server, code), At: at}
	}
	rcode := dns.RcodeToString[answer.Rcode]
	if rcode == "" {
		rcode = strconv.Itoa(answer.Rcode)
	}
	res := Result{Code: "dns " + rcode, At: at}
	if answer.Rcode != dns.RcodeSuccess {
		res.Observed = fmt.Sprintf("%s: the resolver %s answered %s%s", what, server, rcode, meaning[answer.Rcode])
		return res
	}
	got := d.values(answer)
	wrong := d.wrong(got)
	res.Passed = wrong == ""
	res.Observed = fmt.Sprintf("%s: the resolver %s answered %s in %d ms%s", what, server, d.shown(got), at.Sub(began).Milliseconds(), wrong)
	return res
}

var meaning = map[int]string{
	dns.RcodeNameError:     ": the name does not exist",
	dns.RcodeServerFailure: ": it could not find out, which says nothing about the name",
	dns.RcodeRefused:       ": it does not answer us",
}

// resolvers are whom to ask, and the way there. Private addresses have to be allowed, except those
// that the owner of the machine named for all its requests.
func (d DNS) resolvers(out *egress.Client, inCharge string) ([]string, *net.Dialer, error) {
	if d.Resolver != "" {
		return []string{d.Resolver}, out.Dialer(), nil
	}
	servers := []string{inCharge}
	if inCharge == "" {
		system, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(system.Servers) == 0 {
			return nil, nil, errors.New("this system names no resolver in /etc/resolv.conf: write resolver in the check, or network.dns")
		}
		servers = nil
		for _, s := range system.Servers[:min(len(system.Servers), 3)] { // what the C library looks at
			servers = append(servers, net.JoinHostPort(s, system.Port))
		}
	}
	var named []netip.Addr
	for _, s := range servers {
		host, _, _ := net.SplitHostPort(s)
		if a, err := netip.ParseAddr(host); err == nil {
			named = append(named, a.Unmap().WithZone(""))
		}
	}
	return servers, out.Dialer(named...), nil
}

// ask goes to each resolver in turn, and round once more, because a datagram may be lost. A resolver
// that fails is asked no more than the others: the next may know.
func (d DNS) ask(ctx context.Context, dialer *net.Dialer, servers []string) (answer *dns.Msg, server string, err error) {
	share := d.Timeout / time.Duration(2*len(servers))
	for _, to := range append(slices.Clone(servers), servers...) {
		a, e := d.exchange(ctx, dialer, to, share)
		if e != nil && answer == nil {
			server, err = to, e
		}
		if e == nil {
			answer, server, err = a, to, nil
			if a.Rcode == dns.RcodeSuccess || a.Rcode == dns.RcodeNameError {
				break
			}
		}
	}
	return answer, server, err
}

var errAnother = errors.New("the answer is to another question")

func (d DNS) exchange(ctx context.Context, dialer *net.Dialer, server string, share time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(d.Name), records[d.record()])
	q.SetEdns0(1232, false) // what arrives in one piece on every path
	c := dns.Client{Timeout: share, Dialer: dialer}
	a, _, err := c.ExchangeContext(ctx, q, server)
	if err == nil && a.Truncated {
		c.Net = "tcp"
		a, _, err = c.ExchangeContext(ctx, q, server)
	}
	if err != nil {
		return nil, err
	}
	if !a.Response || len(a.Question) != 1 || !strings.EqualFold(a.Question[0].Name, q.Question[0].Name) || a.Question[0].Qtype != q.Question[0].Qtype {
		return nil, errAnother
	}
	return a, nil
}

// values are the answered values of the record that was asked for. A resolver answers those of an
// alias together with the alias, so the owner's name is not looked at.
func (d DNS) values(answer *dns.Msg) []string {
	var got []string
	for _, rr := range answer.Answer {
		if rr.Header().Rrtype != records[d.record()] {
			continue
		}
		switch rr := rr.(type) {
		case *dns.A:
			got = append(got, rr.A.String())
		case *dns.AAAA:
			got = append(got, rr.AAAA.String())
		case *dns.CNAME:
			got = append(got, sameName(rr.Target))
		case *dns.MX:
			got = append(got, fmt.Sprintf("%d %s", rr.Preference, sameName(rr.Mx)))
		case *dns.TXT:
			got = append(got, plain(strings.Join(rr.Txt, "")))
		}
	}
	slices.Sort(got)
	return got
}

// plain takes back the backslashes that the library puts into texts, \" and \032 among them.
func plain(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(text[i])
	}
	return b.String()
}

// wrong says what is missing from the answer, or nothing.
func (d DNS) wrong(got []string) string {
	answered := func(want string) bool {
		want = d.comparable(want)
		return slices.ContainsFunc(got, func(g string) bool {
			if d.record() == "MX" && !strings.Contains(want, " ") { // the preference was left open
				_, g, _ = strings.Cut(g, " ")
			}
			return g == want
		})
	}
	var missing []string
	for _, v := range d.AllOf {
		if !answered(v) {
			missing = append(missing, strconv.Quote(v))
		}
	}
	switch {
	case len(got) == 0:
		return "; the name has no such record"
	case len(missing) > 0:
		return "; missing: " + strings.Join(missing, ", ")
	case len(d.AnyOf) > 0 && !slices.ContainsFunc(d.AnyOf, answered):
		return "; none of the values in any_of was answered"
	}
	return ""
}

// shown names answered values. Texts are counted: they may be anything, of any length.
func (d DNS) shown(got []string) string {
	switch {
	case len(got) == 0:
		return "no value"
	case d.record() == "TXT":
		return fmt.Sprintf("%d texts", len(got))
	case len(got) > maxShown:
		return fmt.Sprintf("%s and %d more", strings.Join(got[:maxShown], ", "), len(got)-maxShown)
	}
	return strings.Join(got, ", ")
}
