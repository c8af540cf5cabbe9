package app

import (
	"context"
	"errors"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// lookups is what the domain of the sender was found to publish. A page does not wait for a resolver that
// does not answer: it shows what was found last and when that was asked, and has it asked again.
type lookups struct {
	mu     sync.Mutex
	known  *doctor.Domain
	asking chan struct{} // closed when the question that is under way is answered; nil: none is
}

const (
	// pageWaits is how long a page waits for the first answer there is.
	pageWaits = 250 * time.Millisecond
	// askedAgain is how old an answer is when a page has it asked again.
	askedAgain = time.Minute
)

// published is what the domain of the sender publishes: asked now, and waited for, or for a page as far as
// it is known.
func (a *App) published(ctx context.Context, page bool) *doctor.Domain {
	l := &a.lookups
	if !page || a.life == nil {
		d := a.cfg.lookUp(ctx)
		l.mu.Lock()
		l.known = d
		l.mu.Unlock()
		return d
	}
	l.mu.Lock()
	if l.asking == nil && (l.known == nil || time.Since(l.known.Asked) > askedAgain) {
		done := make(chan struct{})
		l.asking = done
		a.running.Go(func() {
			d := a.cfg.lookUp(a.life)
			l.mu.Lock()
			l.known, l.asking = d, nil
			l.mu.Unlock()
			close(done)
		})
	}
	known, asking := l.known, l.asking
	l.mu.Unlock()
	if known == nil && asking != nil {
		wait := time.NewTimer(pageWaits)
		defer wait.Stop()
		select {
		case <-asking:
		case <-wait.C:
		case <-ctx.Done():
		}
		l.mu.Lock()
		known = l.known
		l.mu.Unlock()
	}
	if known == nil {
		name := ""
		if from, err := mail.ParseAddress(a.cfg.Mail.From); err == nil {
			_, name, _ = strings.Cut(from.Address, "@")
		}
		return &doctor.Domain{Name: name, Waiting: true}
	}
	copied := *known
	return &copied
}

// lookUp asks what the domain of the sender publishes.
func (c *Config) lookUp(ctx context.Context) *doctor.Domain {
	from, err := mail.ParseAddress(c.Mail.From)
	if err != nil {
		return nil // the configuration was checked
	}
	_, name, _ := strings.Cut(from.Address, "@")
	d := &doctor.Domain{Name: name, Selector: c.Mail.DKIMSelector, Asked: time.Now().UTC()}
	resolver := net.DefaultResolver
	if at := c.Network.DNS; at != "" {
		resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, at)
		}}
	}
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	texts := func(name, begins string) []string {
		if d.Problem != "" {
			return nil
		}
		all, err := resolver.LookupTXT(ctx, name+".")
		var none *net.DNSError
		if err != nil && !(errors.As(err, &none) && none.IsNotFound) {
			d.Problem = "the resolver does not answer"
			if none != nil && strings.Contains(none.Err, "server misbehaving") {
				d.Problem = "the resolver answers that it cannot find out"
			}
			return nil
		}
		return slices.DeleteFunc(all, func(t string) bool { return !strings.HasPrefix(strings.ToLower(t), begins) })
	}
	d.SPF = texts(name, "v=spf1")
	d.DMARC = texts("_dmarc."+name, "v=dmarc1")
	if d.Selector != "" {
		d.DKIM = texts(d.Selector+"._domainkey."+name, "")
	}
	return d
}
