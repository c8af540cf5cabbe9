package desk

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

// Org returns the organisation as the newest durable fact left it. It is shared: nobody changes it.
func (d *Desk) Org(ctx context.Context) (*org.State, error) {
	var s *org.State
	err := d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		s, _, err = d.readOrg(r)
		return err
	})
	return s, err
}

// readOrg folds the organisation's chain, from the cache when the head has not moved. It returns
// nil before the organisation was founded.
func (d *Desk) readOrg(r ledger.Reader) (*org.State, ledger.Head, error) {
	head, err := r.Head(OrgChain)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, ledger.Head{Chain: OrgChain}, nil
	}
	if err != nil {
		return nil, head, err
	}
	d.mu.Lock()
	s := d.orgState
	d.mu.Unlock()
	if s != nil && s.Version == head.N && s.Head == head.ID {
		return s, head, nil
	}
	s = nil
	for f, err := range d.factsAfter(r, OrgChain, 0) {
		if err != nil {
			return nil, head, err
		}
		if s, err = org.Fold(s, f); err != nil {
			return nil, head, fmt.Errorf("desk: fact %s: %w", f.ID, err)
		}
	}
	d.mu.Lock()
	d.orgState = s
	d.mu.Unlock()
	return s, head, nil
}

// SubmitOrg gives one command to the organisation's chain, under the same rules as Submit.
func (d *Desk) SubmitOrg(ctx context.Context, id string, who Caller, c org.Command) (org.Outcome, error) {
	if d.o.ReadOnly {
		if d.joinAsReader(c) {
			return org.Outcome{Reason: "joined", Person: "reader"}, nil
		}
		return org.Outcome{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	var out org.Outcome
	// A key for an app that nobody configured sends events that belong to nothing.
	if k, ok := c.(org.IssueKey); ok && k.App != "" && len(d.o.Apps) > 0 && !slices.Contains(d.o.Apps, k.App) {
		return out, fmt.Errorf("%w: app: there is no app of that id here; there are %s", ErrInvalid, strings.Join(d.o.Apps, ", "))
	}
	if err := d.announce(ctx, who, c); err != nil {
		return out, err
	}
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		now := d.o.Clock.Now()
		key := "org/" + string(who.Principal) + "/" + id
		if id != "" {
			found, err := replayOrg(tx, key, c, &out)
			if found || err != nil {
				return err
			}
		}
		var err error
		if out, err = d.decideOrg(tx, who, c, now); err != nil || id == "" {
			return err
		}
		digest, err := commandDigest(OrgChain, c.Name(), askedOf(c))
		if err != nil {
			return err
		}
		body, err := json.Marshal(orgMemo{Request: digest, Outcome: out})
		if err != nil {
			return err
		}
		// In the transaction of the facts: a crash leaves both or neither.
		return tx.Command(key, body, now)
	})
	// Also after an error: it may have been committed all the same.
	d.ingestKeys.forget()
	if err != nil {
		return org.Outcome{}, err
	}
	return out, nil
}

// askedOf is a command without what was minted for it: a caller who asks again after a restart
// asks for the same, though the secret made for it is another.
func askedOf(c org.Command) org.Command {
	switch c := c.(type) {
	case org.Found:
		c.CodeHash = ""
		return c
	case org.Invite:
		c.CodeHash = ""
		return c
	case org.Join:
		c.TokenID, c.TokenHash = "", ""
		return c
	case org.IssueToken:
		c.TokenID, c.TokenHash = "", ""
		return c
	case org.IssueKey:
		c.KeyID, c.KeyHash = "", ""
		return c
	case org.OrderErasure:
		c.UpTo, c.Held, c.Key = 0, nil, ""
		return c
	}
	return c
}

// orgMemo is what memo is for incidents.
type orgMemo struct {
	Request string      `json:"request"`
	Outcome org.Outcome `json:"outcome"`
}

func replayOrg(r ledger.Reader, key string, c org.Command, out *org.Outcome) (found bool, err error) {
	body, err := r.Outcome(key)
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var m orgMemo
	if err := json.Unmarshal(body, &m); err != nil {
		return false, fmt.Errorf("desk: remembered outcome: %w", err)
	}
	digest, err := commandDigest(OrgChain, c.Name(), askedOf(c))
	if err != nil {
		return false, err
	}
	if m.Request != digest {
		return false, errOtherRequest
	}
	*out = m.Outcome
	out.Replayed = true
	return true, nil
}

// decideOrg runs inside a transaction: nothing it does is visible before the commit.
func (d *Desk) decideOrg(tx ledger.Tx, who Caller, c org.Command, now time.Time) (org.Outcome, error) {
	s, head, err := d.readOrg(tx)
	if err != nil {
		return org.Outcome{}, err
	}
	if e, ok := c.(org.OrderErasure); ok { // in this transaction, so that no hold comes in between
		if e.Held, err = d.holding(tx, who, e.Merchant, now); err != nil {
			return org.Outcome{}, err
		}
		c = e
	}
	decision, err := org.Decide(s, c, incident.Context{
		Now:      now,
		Actor:    incident.Actor{Principal: who.Principal, Roles: who.Roles, Access: who.Access},
		Env:      d.o.Env,
		Versions: incident.Versions{Policy: d.current.Hash, Engine: EngineVersion, TZData: tzVersion()},
	})
	if err != nil {
		return org.Outcome{}, err
	}
	out := org.Outcome{Reason: decision.Reason, Version: head.N}
	if len(decision.Facts) == 0 {
		return out, nil
	}
	for i := range decision.Facts {
		decision.Facts[i].Chain = OrgChain
		if d.o.Clock.Simulated() {
			decision.Facts[i].Simulated, decision.Facts[i].Real = true, time.Now().UTC()
		}
	}
	records, err := ledger.Encode(decision.Facts, head, d.o.Keys)
	if err != nil {
		return org.Outcome{}, err
	}
	if err := tx.Append(OrgChain, head.N, records); err != nil {
		return org.Outcome{}, err
	}
	last := records[len(records)-1]
	out.Version, out.Fact = last.N, last.ID
	return out, nil
}

// Authenticate finds whose bearer secret this is. It looks up a digest of 32 random bytes, so the
// time it takes says nothing about other secrets.
func (d *Desk) Authenticate(ctx context.Context, bearer string) (Identity, error) {
	if bearer == "" || len(bearer) > 256 {
		return Identity{}, ErrUnauthenticated
	}
	hash := org.Hash(bearer)
	if c, ok := d.admitted(hash); ok {
		return Identity{Person: &c}, nil
	}
	known, ok, epoch := d.ingestKeys.find(hash, time.Now()) // protocol time: how long ago it was looked up
	if ok {
		d.used.note(known.ID, time.Now().UTC())
		return Identity{Key: &known}, nil
	}
	s, err := d.Org(ctx)
	if err != nil {
		return Identity{}, err
	}
	if s == nil {
		return Identity{}, ErrUnauthenticated
	}
	if k, err := s.MachineKey(hash); err == nil {
		d.used.note(k.ID, time.Now().UTC())
		if k.Purpose == org.PurposeIngest {
			d.ingestKeys.keep(hash, Key{ID: k.ID, Purpose: k.Purpose, Source: k.Source, App: k.App}, time.Now(), epoch)
		}
		return Identity{Key: &Key{ID: k.ID, Purpose: k.Purpose, Source: k.Source, App: k.App}}, nil
	}
	p, t, err := s.Bearer(hash, d.o.Clock.Now())
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	d.used.note(t.ID, time.Now().UTC())
	return Identity{Person: &Caller{Principal: p.Principal(), Name: p.Name, Access: p.Access, Roles: p.Roles, Token: t.ID}}, nil
}

// keyCache remembers ingest keys for a second, because a sender of single events authenticates
// thousands of times in one and looking up costs more than taking the event. This process forgets
// at once when a key changes; another one on the same database within the second.
type keyCache struct {
	mu    sync.Mutex
	by    map[string]cachedKey // hash of the key
	epoch int                  // changes when everything is forgotten
}

type cachedKey struct {
	key   Key
	until time.Time
}

const keyCacheFor = time.Second

func (c *keyCache) find(hash string, now time.Time) (Key, bool, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.by[hash]
	return k.key, ok && now.Before(k.until), c.epoch
}

// keep remembers a key that was looked up since the given epoch. Only keys that exist get here, so
// nobody fills it with invented ones.
func (c *keyCache) keep(hash string, k Key, now time.Time, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if c.by == nil {
		c.by = map[string]cachedKey{}
	}
	c.by[hash] = cachedKey{k, now.Add(keyCacheFor)}
}

func (c *keyCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by = nil
	c.epoch++
}

// Admit lets the bearer of a secret in for as long as this process lives: the account that owns the
// data folder, over the socket in it, and the reader of a finished drill. It is no fact, because it
// changes nothing and signs nothing.
func (d *Desk) Admit(secret string, c Caller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.guests[org.Hash(secret)] = c
}

func (d *Desk) admitted(hash string) (Caller, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.guests[hash]
	return c, ok
}

// joinAsReader answers an invitation to a read-only installation: nothing can be written, so the
// token lives as long as the process. It reports false for any other command.
func (d *Desk) joinAsReader(c org.Command) bool {
	join, ok := c.(org.Join)
	if !ok {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	guest, ok := d.guests[join.CodeHash]
	if !ok {
		return false
	}
	delete(d.guests, join.CodeHash)
	d.guests[join.TokenHash] = guest
	return true
}

// Found starts the organisation when there is none, and returns the code of the first owner's
// invitation. While no owner has joined, each call makes a new code and voids the one before, so a
// link lost on the first start is not lost for good. It returns "" once an owner has joined.
func (d *Desk) Found(ctx context.Context) (code string, err error) {
	s, err := d.Org(ctx)
	if err != nil {
		return "", err
	}
	if s != nil && s.Owners() > 0 {
		return "", nil
	}
	if code, err = NewSecret(); err != nil {
		return "", err
	}
	system := Caller{Principal: "service:tocsin", Name: "tocsin", Access: incident.Service}
	var c org.Command = org.Found{ID: d.o.Org, Title: d.o.OrgName, Owner: "owner", OwnerName: cmp.Or(d.o.FirstOwner, "Owner"), CodeHash: org.Hash(code)}
	if s != nil {
		c = org.Invite{Person: "owner", FullName: d.o.FirstOwner, Access: incident.Owner, CodeHash: org.Hash(code)}
	}
	if _, err = d.SubmitOrg(ctx, "", system, c); err != nil {
		return "", err
	}
	return code, nil
}

// PublishPolicy records which policy is in force, when it is not the one recorded last.
func (d *Desk) PublishPolicy(ctx context.Context) error {
	s, err := d.Org(ctx)
	if err != nil {
		return err
	}
	if last, ok := s.Policy(); ok && last.Hash == d.current.Hash {
		return d.beginProgramme(ctx)
	}
	system := Caller{Principal: "service:tocsin", Name: "tocsin", Access: incident.Service}
	if _, err = d.SubmitOrg(ctx, "", system, org.PublishPolicy{Policy: d.current.ID, Hash: d.current.Hash}); err != nil {
		return err
	}
	// A crash between the two: the next start finds the policy in force and the programme not begun.
	return d.beginProgramme(ctx)
}

// NewSecret makes a code, token or key: 32 random bytes in URL-safe text.
func NewSecret() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("desk: no randomness: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
