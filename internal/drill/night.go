package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/attacker"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/drill/world"
)

// The attacker's addresses, one after the other, and the agent that gives it away behind an
// address the vendor trusts.
var (
	walking = world.Client{IP: "185.220.101.7", Agent: "python-requests/2.31"}
	moved   = world.Client{IP: "91.219.236.15", Agent: "python-requests/2.31"}
	hiding  = world.Client{IP: "198.51.100.10", Agent: "curl/8.5.0"}
)

// month lets ordinary days pass, a quarter of a day at a time.
func (r *run) month(ctx context.Context) error {
	eve := r.night.AddDate(0, 0, -1).Add(17 * time.Hour)
	rejected := 0
	for from := r.start; from.Before(eve); {
		to := from.Add(24 * time.Hour)
		if to.After(eve) {
			to = eve
		}
		n, err := r.pass(ctx, from, to)
		if err != nil {
			return err
		}
		rejected += n
		from = to
		r.tell.progress("the month before: %s, %d accesses recorded", to.Format("2 January"), r.events)
	}
	r.tell.say("month", "%d days passed: %d accesses by %d credentials; %d malformed lines were named and not taken", r.o.Days, r.events, 5, rejected)
	return r.nothingYet(ctx)
}

// pass moves the clock to the end of the window and then delivers what happened in it: an
// application that ships its log is always a little behind.
func (r *run) pass(ctx context.Context, from, to time.Time) (rejected int, err error) {
	if err := r.advance(ctx, to); err != nil {
		return 0, err
	}
	if err := r.traffic(ctx, r.world.Traffic(from, to)); err != nil {
		return 0, err
	}
	var lines [][]byte
	for _, l := range r.world.Warehouse(from, to) {
		lines = append(lines, l.Text)
	}
	if rejected, err = r.send(ctx, "warehouse", lines); err != nil {
		return 0, err
	}
	r.events += len(lines) - rejected
	records, err := r.cloud(from, to)
	if err != nil {
		return 0, err
	}
	_, err = r.send(ctx, "cloud", records)
	return rejected, err
}

// traffic has the application perform accesses through its own path, in bulk.
func (r *run) traffic(ctx context.Context, accesses []world.Access) error {
	if len(accesses) == 0 {
		return nil
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for _, a := range accesses {
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
	var count map[int]int
	if err := r.tellApp(ctx, "/drill/accesses", people.NDJSON(body.Bytes()), &count); err != nil {
		return err
	}
	r.events += count[http.StatusOK]
	return nil
}

// cloud is the cloud audit log of the window: generated, or real files shifted so that they end
// on the night of the attack.
func (r *run) cloud(from, to time.Time) ([][]byte, error) {
	records := r.world.Cloud(from, to)
	if r.o.Background != "" {
		all, err := r.background()
		if err != nil {
			return nil, err
		}
		records = slices.DeleteFunc(slices.Clone(all), func(c world.CloudRecord) bool { return c.EventTime.Before(from) || !c.EventTime.Before(to) })
	}
	var lines [][]byte
	for _, c := range records {
		lines = append(lines, c.Event())
	}
	return lines, nil
}

// background reads the folder once per drill.
func (r *run) background() ([]world.CloudRecord, error) {
	if r.shifted != nil {
		return r.shifted, nil
	}
	files, err := filepath.Glob(filepath.Join(r.o.Background, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("drill: --background %s holds no .json files", r.o.Background)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("drill: background: %w", err)
		}
		records, err := world.ReadCloud(raw)
		if err != nil {
			return nil, fmt.Errorf("drill: background: %s: %w", filepath.Base(name), err)
		}
		r.shifted = append(r.shifted, records...)
	}
	slices.SortStableFunc(r.shifted, func(a, b world.CloudRecord) int { return a.EventTime.Compare(b.EventTime) })
	world.Shift(r.shifted, r.at(2, 50))
	return r.shifted, nil
}

// nothingYet says so when an ordinary month has raised an alarm: that would be a false one.
func (r *run) nothingYet(ctx context.Context) error {
	rows, err := r.board(ctx)
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		r.tell.say("alarm", "a false alarm was raised in the month: %s (%s)", rows[0].ID, rows[0].Title)
		r.falseAlarms = len(rows)
		for _, row := range rows {
			if _, err := r.cast[0].Do(ctx, row.ID, "dismiss", map[string]string{"reason": "ordinary traffic of the back office"}); err != nil {
				return err
			}
			r.old = append(r.old, row.ID)
		}
	}
	return nil
}

type boardRow struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Class string `json:"class"`
}

func (r *run) board(ctx context.Context) ([]boardRow, error) {
	var out struct {
		Incidents []boardRow `json:"incidents"`
	}
	err := r.cast[0].Call(ctx, http.MethodGet, "/v1/incidents", nil, &out)
	return out.Incidents, err
}

// attack is the evening and the night, up to the alarm.
func (r *run) attack(ctx context.Context) error {
	r.tell.say("attack", "somebody walks slowly through the merchants with the back office's token, from %s", walking.IP)
	for hour := 17; hour < 22; hour++ {
		from := r.night.AddDate(0, 0, -1).Add(time.Duration(hour) * time.Hour)
		if err := r.advance(ctx, from.Add(time.Hour)); err != nil {
			return err
		}
		if err := r.order(ctx, "walk", walking, from, from.Add(time.Hour), 9); err != nil {
			return err
		}
		if _, err := r.pass(ctx, from, from.Add(time.Hour)); err != nil {
			return err
		}
	}
	if _, err := r.pass(ctx, r.night.AddDate(0, 0, -1).Add(22*time.Hour), r.at(3, 0)); err != nil {
		return err
	}
	if err := r.nothingYet(ctx); err != nil {
		return err
	}
	r.tell.say("attack", "it takes as much as it can")
	for part := range 6 {
		from := r.at(3, 0).Add(time.Duration(part) * 20 * time.Second)
		if err := r.advance(ctx, from.Add(20*time.Second)); err != nil {
			return err
		}
		if err := r.order(ctx, "burst", walking, from, from.Add(20*time.Second), 75); err != nil {
			return err
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.tell.say("attack", "it slows down and goes on from %s", moved.IP)
	if err := r.advance(ctx, r.at(3, 10)); err != nil {
		return err
	}
	if err := r.order(ctx, "slow", moved, r.at(3, 4), r.at(3, 10), 36); err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.alarm(ctx)
}

// order gives the attacker one.
func (r *run) order(ctx context.Context, phase string, who world.Client, from, to time.Time, count int) error {
	return r.take(ctx, attacker.Order{Phase: phase, IP: who.IP, Agent: who.Agent, From: from, To: to, Count: count})
}

// take gives the attacker an order and waits until it is carried out.
func (r *run) take(_ context.Context, o attacker.Order) error {
	var rep attacker.Report
	o.ID = 1
	if err := r.attacker.ask(o, &rep); err != nil {
		return err
	}
	if rep.Error != "" {
		return fmt.Errorf("attacker: %s", rep.Error)
	}
	r.events += rep.Taken
	r.refused = rep.Refused > 0
	return nil
}

// flush returns when everything the application has emitted is durable and looked at.
func (r *run) flush(ctx context.Context) error {
	if err := r.tellApp(ctx, "/drill/flush", nil, nil); err != nil {
		return err
	}
	return r.server.quiet(ctx)
}

// alarm waits, in real time, for the incident the detector opens. When none comes, somebody who
// looks at the log in the morning opens it: that is what would happen, and it is slow.
func (r *run) alarm(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		rows, err := r.board(ctx)
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(b boardRow) bool { return slices.Contains(r.old, b.ID) })
		if len(rows) > 0 {
			r.inc = rows[0].ID
			r.tell.say("alarm", "%s is open: %s", r.inc, rows[0].Title)
			return nil
		}
		t := time.NewTimer(50 * time.Millisecond)
		select {
		case <-wait.Done():
			t.Stop()
			return r.openByHand(ctx)
		case <-t.C:
		}
	}
}

func (r *run) openByHand(ctx context.Context) error {
	r.tell.say("alarm", "no signal came; the lead reads the log and opens an incident by hand")
	class := "unclassified"
	if len(r.program.Classes) > 0 {
		class = r.program.Classes[0].ID
	}
	var out people.Outcome
	body := map[string]any{"class": class, "title": "Unusual reads by the back office's token", "suspected": r.at(3, 0)}
	if err := r.cast[0].Call(ctx, http.MethodPost, "/v1/incidents", body, &out); err != nil {
		return err
	}
	r.inc = out.Incident
	return nil
}
