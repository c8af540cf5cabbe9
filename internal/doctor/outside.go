package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

// stale is how old a test, an import or a rehearsal may be before it says little.
const stale = 90 * 24 * time.Hour

func (e *examination) mail() {
	m := e.seen.Mail
	tells := e.promisesOf(func(d *policy.Duty) bool { return d.Do == policy.Notify })
	if m.Relay == "" {
		e.add("mail.relay", tells, Fail, "tocsin setup mail, or write mail: in tocsin.yaml", "Mail is off: nobody can be told and nobody is called.")
		return
	}
	test := "tocsin setup mail sends one to you"
	switch {
	case m.TestFailed != "":
		e.add("mail.relay", tells, Fail, test, "The last test message was not taken by %s: %s.", m.Relay, strings.TrimSuffix(m.TestFailed, "."))
	case m.Tested.IsZero():
		e.add("mail.relay", tells, Warn, test, "Mail goes out by %s, and no test message was ever sent.", m.Relay)
	case e.seen.Now.Sub(m.Tested) > stale:
		e.add("mail.relay", tells, Warn, test, "Mail goes out by %s; the last test is %s old.", m.Relay, ago(e.seen.Now.Sub(m.Tested)))
	default:
		e.add("mail.relay", tells, OK, "", "%s took a test message %s ago.", m.Relay, ago(e.seen.Now.Sub(m.Tested)))
	}
	if e.seen.PublicURL == "" {
		e.add("mail.links", tells, Warn, "write public_url: https://… in tocsin.yaml", "Mails cannot say where to look: no public address is configured.")
	}
	if m.Domain != nil {
		e.domain(*m.Domain, tells)
	}
}

// domain judges what receivers look at before they believe a sender.
func (e *examination) domain(d Domain, tells []string) {
	if d.Waiting {
		e.add("mail.domain", tells, Warn, "load the page again in a moment, or wait for the answer: tocsin doctor", "What %s publishes for mail is being asked; the resolver has not answered yet.", d.Name)
		return
	}
	if d.Problem != "" {
		e.add("mail.domain", tells, Warn, "set network.dns in tocsin.yaml to a resolver that answers, such as 127.0.0.1:53", "What %s publishes for mail could not be looked up: %s.", d.Name, strings.TrimSuffix(d.Problem, "."))
		return
	}
	switch {
	case len(d.SPF) == 0:
		e.add("mail.spf", tells, Fail, "publish a TXT record at "+d.Name+" such as: v=spf1 include:RELAY -all", "%s publishes no SPF record: receivers cannot tell our letters from forged ones.", d.Name)
	case len(d.SPF) > 1:
		e.add("mail.spf", tells, Fail, "keep one of them", "%s publishes %d SPF records; receivers take that for none (RFC 7208, 4.5).", d.Name, len(d.SPF))
	case strings.HasSuffix(d.SPF[0], "+all") || strings.HasSuffix(d.SPF[0], " all"):
		e.add("mail.spf", tells, Fail, "end it with -all", "The SPF record of %s lets everybody send in its name.", d.Name)
	default:
		e.add("mail.spf", tells, OK, "", "%s publishes an SPF record.", d.Name)
	}
	switch {
	case d.Selector == "":
		e.add("mail.dkim", tells, Warn, "write mail.dkim_selector: NAME in tocsin.yaml; the selector stands in the s= of a letter's DKIM-Signature", "Whether letters of %s are signed is not known: no DKIM selector is configured.", d.Name)
	case len(d.DKIM) == 0:
		e.add("mail.dkim", tells, Fail, "publish the key that your relay shows for it", "%s publishes no DKIM key at %s._domainkey.", d.Name, d.Selector)
	case emptyKey(d.DKIM[0]):
		e.add("mail.dkim", tells, Fail, "publish the key that your relay shows for it", "The DKIM key %s._domainkey.%s is revoked.", d.Selector, d.Name)
	default:
		e.add("mail.dkim", tells, OK, "", "%s publishes the DKIM key %s.", d.Name, d.Selector)
	}
	switch {
	case len(d.DMARC) == 0:
		e.add("mail.dmarc", tells, Warn, "publish a TXT record at _dmarc."+d.Name+" such as: v=DMARC1; p=quarantine; rua=mailto:ADDRESS", "%s publishes no DMARC record: large receivers file letters to many as unwanted.", d.Name)
	case len(d.DMARC) > 1:
		e.add("mail.dmarc", tells, Warn, "keep one of them", "%s publishes %d DMARC records; receivers take that for none (RFC 7489, 6.6.3).", d.Name, len(d.DMARC))
	case tag(d.DMARC[0], "p") == "none":
		e.add("mail.dmarc", tells, Warn, "raise it to p=quarantine once its reports are clean", "The DMARC record of %s asks for nothing (p=none): letters in its name may be forged.", d.Name)
	default:
		e.add("mail.dmarc", tells, OK, "", "The DMARC record of %s asks for %s.", d.Name, tag(d.DMARC[0], "p"))
	}
}

// tag is the value of a tag in a record such as v=DMARC1; p=reject.
func tag(record, name string) string {
	for part := range strings.SplitSeq(record, ";") {
		if k, v, ok := strings.Cut(part, "="); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.ToLower(strings.TrimSpace(v))
		}
	}
	return ""
}

// emptyKey says that a DKIM record holds no key, which is how one is revoked (RFC 6376, 3.6.1).
func emptyKey(record string) bool { return tag(record, "p") == "" }

// silent is how long a source may send nothing before it is thought to be cut off.
const silent = 24 * time.Hour

func (e *examination) events() {
	if e.seen.Org == nil {
		return
	}
	watch := []string{"DET-1", "DET-2", "DET-3", "DET-4", "DET-8", "INV-1", "INV-2", "PRO-6"}
	defer e.refused(watch)
	keys := 0
	known := map[string]bool{}
	for _, k := range e.seen.Org.Keys {
		if k.Purpose == org.PurposeIngest && k.Revoked.IsZero() {
			keys++
			known[k.Source] = true
		}
	}
	if keys == 0 {
		e.add("events.key", watch, Fail, "tocsin key new --purpose ingest --source NAME --app APP --out ingest.key", "No application can send access events: there is no ingest key.")
		return
	}
	if len(e.seen.Sources) == 0 {
		e.add("events.sources", watch, Fail, "tocsin setup events shows the line to send", "There is an ingest key and no access event ever came in.")
	}
	sent := map[string]bool{}
	for _, s := range e.seen.Sources {
		sent[s.Name] = true
		since := e.seen.Now.Sub(s.Newest)
		switch {
		case !known[s.Name]: // its key was revoked on purpose
		case s.Newest.IsZero():
			e.add("events.source."+s.Name, watch, OK, "", "The source %s sent logs that were supplied later, and none as they happened.", s.Name)
		case since > silent:
			e.add("events.source."+s.Name, watch, Fail, "look whether the application still logs, and whether its key and the address are right", "The source %s has been silent for %s: what happens there is not seen.", s.Name, ago(since))
		case !s.Quiet.IsZero():
			e.add("events.source."+s.Name, watch, Warn, "look whether the application still logs, and whether its key and the address are right", "The source %s has said nothing for %s, and at such a time it usually does: what happens there may not be seen.", s.Name, ago(e.seen.Now.Sub(s.Quiet)))
		case since < -5*time.Minute:
			e.add("events.source."+s.Name, watch, Warn, "set the clock of the application's machine", "The newest event of the source %s lies %s ahead of this machine's clock.", s.Name, ago(-since))
		default:
			e.add("events.source."+s.Name, watch, OK, "", "The source %s sent an event %s ago.", s.Name, ago(max(since, 0)))
		}
	}
	for name := range known {
		if !sent[name] && len(e.seen.Sources) > 0 {
			e.add("events.source."+name, watch, Warn, "tocsin setup events shows the line to send", "The source %s has a key and never sent an event.", name)
		}
	}
}

// refused names the sources of which something is not taken: what they say is missing from every answer.
func (e *examination) refused(watch []string) {
	for _, r := range e.seen.Refused {
		e.add("events.refused."+r.Source, watch, Warn, "tocsin rejected --source "+r.Source+" names each; with --raw FILE it writes what was sent, to mend it and send it again",
			"The source %s had %s refused in the last day, most often (%d) because %s %s.", r.Source, counted(r.Entries, "entry", "entries"), r.Most, r.Field, r.Reason)
	}
	for _, q := range e.seen.Quotas {
		e.add("events.quota."+q.Source, watch, Warn, "send less, or raise intake: { quota: … } in tocsin.yaml and restart; a sender that heeds Retry-After loses nothing",
			"The source %s sent more than its %s events a second: %s got 429, the last %s ago.", q.Source, strconv.FormatFloat(q.PerSecond, 'f', -1, 64), counted(q.Requests, "request", "requests"), ago(max(e.seen.Now.Sub(q.Last), 0)))
	}
}

// channels judges whether those whom the policy tells in a channel can be told there.
func (e *examination) channels() {
	for _, name := range []string{"slack", "basecamp"} {
		in := func(d *policy.Duty) bool {
			if d.Do != policy.Notify && d.Do != policy.Announce || !strings.HasPrefix(d.To, "merchants") {
				return false
			}
			id, _, _ := strings.Cut(d.To, ".")
			i := slices.IndexFunc(e.seen.Policy.Parties, func(q policy.Party) bool { return q.ID == id })
			return slices.Contains(d.Via, name) || i >= 0 && len(d.Via) == 0 && slices.Contains(e.seen.Policy.Parties[i].Via, name)
		}
		if !slices.ContainsFunc(e.seen.Policy.Duties, func(d policy.Duty) bool { return in(&d) }) {
			continue
		}
		promises, n, all := e.promisesOf(in), e.seen.Directory.In[name], e.seen.Directory.Merchants
		switch {
		case !e.seen.Channels[name]:
			e.add("channel."+name, promises, Warn, "write channels: { "+name+": … } in tocsin.yaml, as docs/operator.md says", "The policy tells clients by %s, and nothing is connected to it: they are told by mail.", name)
		case n == 0 && all > 0:
			e.add("channel."+name, promises, Warn, "fill the column "+name+", then: tocsin merchants import merchants.csv", "No merchant of the directory has a place in %s: they are told by mail.", name)
		default:
			e.add("channel."+name, promises, OK, "", "%d of %s can be told by %s.", n, count(all, "merchant"), name)
		}
	}
}

func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

func (e *examination) directory() {
	if e.seen.Org == nil {
		return
	}
	told := e.promisesOf(func(d *policy.Duty) bool { return d.Do == policy.Notify && strings.HasPrefix(d.To, "merchants") })
	imports := e.seen.Org.Imports
	do := "tocsin merchants import merchants.csv"
	if len(imports) == 0 || e.seen.Directory.Merchants == 0 {
		e.add("merchants.import", told, Fail, do, "No merchants were imported: nobody could be told.")
		return
	}
	age := e.seen.Now.Sub(imports[len(imports)-1].At)
	if age > 30*24*time.Hour {
		e.add("merchants.import", told, Warn, do, "The directory of %s is %s old: merchants who came since cannot be told.", count(e.seen.Directory.Merchants, "merchant"), ago(age))
	} else {
		e.add("merchants.import", told, OK, "", "%s were imported %s ago.", count(e.seen.Directory.Merchants, "merchant"), ago(age))
	}
	if n := e.seen.Directory.NoMail; n > 0 {
		e.add("merchants.contacts", told, Warn, "complete the email column, then: "+do, "%s of %d cannot be told by mail: no address.", count(n, "merchant"), e.seen.Directory.Merchants)
	}
}
