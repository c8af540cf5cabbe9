// Package drill is the conductor of a drill: it sets up a vendor on an empty data folder, lets a
// month pass, lets an attacker in, lets scripted people respond over the public API, and hands
// what came of it to a judge that believes none of them.
//
// What runs is the production server. A drill differs from production in its addresses, its
// domain clock, its mail retry schedule and, when asked, in one organ that is broken on purpose;
// all of that reaches the server over an inherited pipe and in no other way.
package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/drill/channel"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/drill/storefront"
	"github.com/tocsin-ir/tocsin/internal/drill/world"
	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
	"github.com/tocsin-ir/tocsin/scenarios"
)

const (
	organisation = "javabeanai"
	appID        = "pickandpack"
)

// Options says which drill to run. The zero value, given an output, is the drill of `make drill`.
type Options struct {
	Policy      string        // id of a shipped policy, or a file; default pickandpack
	Scenario    string        // default stolen-token
	Seed        uint64        // default 7
	Sabotage    string        // name of the organ to break; "" for none
	Kills       int           // how often to kill -9 the server at random instants
	KillEvery   time.Duration // with Kills: at this distance instead of at random instants
	Store       string        // URL of a PostgreSQL store without a password; "" for the embedded one
	Logs        Logs          // where the server keeps its two logs
	Background  string        // folder of real CloudTrail files to stand in the timeline; "" for a generated log
	Events      string        // a log of the user's own, replayed instead of the generated month and attack
	Merchants   string        // its merchants, CSV
	Truth       string        // which of its events were the attack, NDJSON; optional
	Dir         string        // data folder to make; default .drill/last
	Interactive bool          // the person at the keyboard responds instead of the script
	Hints       bool          // with Interactive: say what comes next
	In          io.Reader     // what the person at the keyboard types
	JSON        bool          // the scorecard alone, as JSON
	Days        int           // days of ordinary traffic; default: as many as the scenario needs
	People      int           // merchants in the generated directory; default: as many as the scenario needs
	Trials      int           // random alterations of the evidence that must be found; default: as many as the scenario asks for
	Out         io.Writer
	Err         io.Writer // progress; nil for none
	Terminal    bool      // Err is a terminal that can redraw a line
	Binary      string    // the tocsin program; default this one
	Verifier    string    // tocsin-verify; default beside Binary
	Policies    fs.FS     // the shipped policies, ID.yaml
}

// Logs are URLs of the places of both logs, without passwords, as logs: in tocsin.yaml takes them; "" for
// the data folder. A place that is a database has to be empty.
type Logs struct{ Facts, Events string }

func (o Options) withDefaults() (Options, error) {
	if o.Policy == "" {
		o.Policy = "pickandpack"
	}
	if o.Scenario == "" {
		o.Scenario = scenarios.Default
	}
	if o.Seed == 0 {
		o.Seed = 7
	}
	s, err := scriptOf(o.Scenario)
	if err != nil {
		return o, err
	}
	set := s.setting()
	if o.Days == 0 {
		o.Days = set.days
	}
	if o.Days < 2 || o.Days > 60 {
		return o, fmt.Errorf("drill: %d days of traffic: 2 to 60 are possible", o.Days)
	}
	if o.People == 0 {
		o.People = set.people
	}
	if !set.stands && (o.Interactive || o.Events != "" || o.Background != "") {
		return o, fmt.Errorf("drill: --interactive, --events and --background go with scenario %s alone", scenarios.Default)
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(".drill", "last")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, err
	}
	if _, err := app.SocketPath(filepath.Join(o.Dir, set.second)); err != nil {
		return o, fmt.Errorf("drill: %w with --keep DIR", err)
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Err == nil {
		o.Err = io.Discard
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return o, fmt.Errorf("drill: where this program is: %w", err)
		}
	}
	if o.Verifier == "" {
		o.Verifier = filepath.Join(filepath.Dir(o.Binary), "tocsin-verify")
	}
	if (o.Events == "") != (o.Merchants == "") {
		return o, errors.New("drill: --events and --merchants go together")
	}
	if o.Interactive && (o.In == nil || o.Events != "" || o.Kills > 0) {
		return o, errors.New("drill: --interactive needs a keyboard, and goes neither with --events nor with --kills")
	}
	if o.Hints && !o.Interactive {
		return o, errors.New("drill: --hints goes with --interactive")
	}
	if o.KillEvery < 0 || o.KillEvery > time.Minute || o.KillEvery > 0 && o.Kills == 0 {
		return o, errors.New("drill: --kill-every goes with --kills, and is at most a minute")
	}
	if o.Kills < 0 || o.Kills > 1000 {
		return o, fmt.Errorf("drill: %d kills: 0 to 1000 are possible", o.Kills)
	}
	return o, nil
}

// limit is how long a drill may take before everything is stopped, in real time, and stall how long it
// may stand still: it says nothing, no clock of it moves, and no count goes up. A drill that ends in order
// takes half a minute; on a machine that has much else to do it takes many times that, and moves all the
// while. The longest step without a word is the judge's, some seconds on an idle machine.
const (
	limit = 20 * time.Minute
	stall = 4 * time.Minute
)

// limitInteractive is the limit where people respond, who may stand still.
const limitInteractive = 8 * time.Hour

// run is one drill under way.
type run struct {
	o        Options
	began    time.Time // real time
	tell     *teller
	manifest scenarios.Manifest
	program  *policy.Program
	source   []byte // of the policy
	own      bool   // the policy is not one of the shipped ones, so what is expected of it is derived from its text
	world    *world.World
	start    time.Time // first day of the month
	night    time.Time // midnight before the attack, UTC

	server   *server
	victim   *child
	attacker *child
	sink     *child
	judge    *child
	store    *child           // a shop with a theme; nil where no files are looked after
	shop     *child           // the storefront; nil where nothing looks at one
	front    storefront.Ready // where it is reached
	channels *child           // where clients talk with the vendor; nil where they are told by mail alone
	meet     channel.Ready    // where it is reached
	tokens   channel.Config   // what it asks for

	roots                  string // file of the authority whose certificates are believed; "" where nothing speaks TLS
	app                    string // address of the victim
	admin                  string // its admin token
	stolen                 string // the token the attacker has
	hook                   string // the webhook secret before the rotation
	slackHook              string // path of a client's incoming webhook
	session                string // the secret that signs sessions, before the rotation
	secrets                []string
	storeAdmin, storeToken string // of the shop: who may change its theme behind the API, and the server
	envFile                string

	api       *people.Server
	owner     *people.Person
	cast      []*people.Person
	moved     time.Time // when the server went to another machine; zero: it did not
	backups   []judge.Backup
	recipient string // whom the keys of backups and copies are encrypted to
	switchKey people.Token
	outside   []*people.Person        // who may not know of a private incident
	ingest    map[string]people.Token // by source
	client    *http.Client
	inc       string
	ids       map[string]string // of actions and notices, by what they are for
	exported  string
	truth     json.RawMessage // what is true, in a scenario in which no attacker knows it
	kept      string          // the checkpoint of the facts log that anybody could fetch right before the export
	logKeys   string          // verifier keys of both logs, read before anything happened
	events    int             // accesses of the month and the attack

	ackMu   sync.Mutex
	acked   map[string]people.FactRef
	retried int
	killer  func() // stops the killer

	shifted     []world.CloudRecord // of --background
	old         []string            // incidents of false alarms
	falseAlarms int
	refused     bool // the attacker was refused at its last order
	proven      bool // the revocation was proven by a probe
	troubles    []string
	missed      []string          // clocks that ran out while a person responded
	tale        map[string]string // what people write of it, by item and part; what is not there is of a stolen token

	arrived func(context.Context, time.Time) error // called when everybody's clock has been moved; nil: nobody looks
}

// Run runs a drill from an empty folder to the scorecard. The error is about the drill itself; a
// promise that was not kept is in the scorecard.
func Run(ctx context.Context, o Options) (Scorecard, error) {
	r, err := prepare(o)
	if err != nil {
		return Scorecard{}, err
	}
	return r.whole(ctx)
}

// prepare reads what a drill is about, and starts nothing.
func prepare(o Options) (*run, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{
		o: o, began: time.Now(), tell: newTeller(o), ids: map[string]string{}, acked: map[string]people.FactRef{}, ingest: map[string]people.Token{},
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: false}},
	}
	if r.manifest, err = scenarios.Load(o.Scenario); err != nil {
		return nil, err
	}
	if _, ok := r.manifest.Sabotage[o.Sabotage]; o.Sabotage != "" && !ok {
		return nil, fmt.Errorf("drill: sabotage %q is not in scenario %s", o.Sabotage, o.Scenario)
	}
	if err := r.readPolicy(); err != nil {
		return nil, err
	}
	return r, r.expectOfOwn()
}

// whole plays the drill, stops every process, and writes the scorecard.
func (r *run) whole(caller context.Context) (Scorecard, error) {
	bound, still := limit, stall
	if r.o.Interactive {
		bound, still = limitInteractive, limitInteractive
	}
	ctx, cancel := whileMoving(caller, bound, still, r.tell.movedAt)
	defer cancel()
	defer r.client.CloseIdleConnections()
	card, err := r.play(ctx)
	var late *overdue
	errors.As(context.Cause(ctx), &late)
	stopped := r.stop()
	if err != nil && late != nil { // whatever it was waiting for says only that it was cut off
		err = late
	} else if err != nil && caller.Err() != nil { // so does whichever process it was talking to
		err = fmt.Errorf("drill: it was stopped from outside before it ended, and nothing was judged: %w", context.Cause(caller))
	}
	if err != nil {
		return Scorecard{}, err
	}
	if stopped != nil {
		return Scorecard{}, stopped
	}
	card.Elapsed = time.Since(r.began).Seconds()
	if err := r.save(card); err != nil {
		return Scorecard{}, err
	}
	r.tell.scorecard(card, r.command())
	if r.o.Interactive {
		record, err := r.writeRecord(card)
		if err != nil {
			return Scorecard{}, fmt.Errorf("drill: the record: %w", err)
		}
		r.tell.say("you", "what you did, what would have been missed and the score by promise, to print: %s", record)
	}
	return card, nil
}

// play is the whole story, in order.
func (r *run) play(ctx context.Context) (Scorecard, error) {
	if err := r.setUp(ctx); err != nil {
		return Scorecard{}, err
	}
	if r.o.Events != "" {
		return r.replay(ctx)
	}
	s, err := scriptOf(r.o.Scenario)
	if err != nil {
		return Scorecard{}, err
	}
	if err := s.play(ctx, r); err != nil {
		return Scorecard{}, fmt.Errorf("drill: %w", err)
	}
	r.stopKiller()
	return r.verdict(ctx)
}

// command is the one command that opens this incident in the console.
func (r *run) command() string {
	dir := r.data()
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, dir); err == nil && !strings.HasPrefix(rel, "..") {
			dir = rel
		}
	}
	return "bin/tocsin serve --data " + dir
}

// readPolicy finds the policy by id or file and compiles it.
func (r *run) readPolicy() error {
	name := r.o.Policy
	var err error
	if strings.ContainsAny(name, "/.") {
		r.source, err = os.ReadFile(name)
	} else if r.o.Policies != nil {
		r.source, err = fs.ReadFile(r.o.Policies, name+".yaml")
		if errors.Is(err, fs.ErrNotExist) { // ids have an underscore where file names have a hyphen
			r.source, err = fs.ReadFile(r.o.Policies, strings.ReplaceAll(name, "_", "-")+".yaml")
		}
		name += ".yaml"
	} else {
		return fmt.Errorf("drill: policy %q: no policies are shipped with this program; name a file", name)
	}
	if err != nil {
		return fmt.Errorf("drill: policy: %w", err)
	}
	program, diags := policy.Compile(name, r.source, policy.WithLaws(regimes.Catalogue()))
	if policy.HasErrors(diags) {
		return fmt.Errorf("drill: policy does not compile: %s", policy.Format(diags, r.source))
	}
	r.program = program
	return nil
}

// stop ends every process in the order in which nobody is left talking to nobody.
func (r *run) stop() error {
	r.stopKiller()
	var errs []error
	for _, c := range []*child{r.attacker, r.victim} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	if r.server != nil {
		errs = append(errs, r.server.stop())
	}
	for _, c := range []*child{r.store, r.shop, r.channels, r.sink, r.judge} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}

func (r *run) save(card Scorecard) error {
	b, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.o.Dir, "drill", "scorecard.json"), append(b, '\n'), 0o600)
}

// at is an instant of the night of the attack.
func (r *run) at(hour, minute int) time.Time {
	return r.night.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
}

// advance moves everybody's clock: the server's, and the ones the mail server and the judge note
// beside what they see.
func (r *run) advance(ctx context.Context, t time.Time) error {
	if err := r.server.advance(ctx, t); err != nil {
		return err
	}
	r.tell.now(t)
	message := map[string]any{"id": 1, "now": t}
	if r.sink != nil {
		if err := r.sink.ask(message, nil); err != nil {
			return err
		}
	}
	if r.channels != nil {
		if err := r.channels.ask(message, nil); err != nil {
			return err
		}
	}
	if r.shop != nil {
		if err := r.shop.ask(storefront.Order{ID: 1, Now: t}, nil); err != nil {
			return err
		}
	}
	if r.judge != nil {
		if err := r.judge.ask(message, nil); err != nil {
			return err
		}
	}
	if r.arrived != nil {
		return r.arrived(ctx, t)
	}
	return nil
}

// startKiller kills the server at random instants from now on.
func (r *run) startKiller(ctx context.Context) {
	if r.o.Kills == 0 {
		return
	}
	whole := ctx // the servers it starts outlive the killer
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	r.killer = func() { cancel(); done.Wait() }
	dice := rand.New(rand.NewPCG(r.o.Seed, 0x6b696c6c))
	done.Go(func() {
		for n := range r.o.Kills {
			after := r.o.KillEvery
			if after == 0 {
				after = time.Duration(50+dice.IntN(700)) * time.Millisecond
			}
			t := time.NewTimer(after)
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
			r.tell.say("kill", "kill -9 of tocsin serve, number %d of %d; it is started again on the same folder", n+1, r.o.Kills)
			if err := r.server.kill(whole); err != nil {
				return // the conductor's next question reports it
			}
		}
	})
}

func (r *run) stopKiller() {
	if r.killer != nil {
		r.killer()
		r.killer = nil
	}
}

// ack remembers a fact the server said it has recorded, so that it can be compared at the end.
func (r *run) ack(incident string, f people.FactRef) {
	r.ackMu.Lock()
	defer r.ackMu.Unlock()
	if incident != "" && incident == r.inc && r.exported == "" { // what comes after the export is not in it
		r.acked[f.ID] = f
	}
}
