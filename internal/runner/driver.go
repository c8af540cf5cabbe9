package runner

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivershared/baseservice"
	"github.com/riverqueue/river/rivershared/riverpilot"
	"github.com/riverqueue/river/rivertype"
)

// wakingDriver is a River driver that can wake its client's queues.
//
// Without LISTEN a client of River v0.31 wakes its queues only after an insert outside of a
// transaction, and polls otherwise. The function it wakes them with is handed to its pilot, an
// internal seam of River; a driver may bring a pilot. So this driver brings River's standard
// pilot, which keeps that function. If a later River moves the seam, jobs still run, by polling,
// and a test of the latency fails.
type wakingDriver[TTx any] struct {
	riverdriver.Driver[TTx]
	pilot wakingPilot
	ready atomic.Bool // the client has started: before, its queues must not be woken
}

// PluginInit is part of River's seam for drivers.
func (d *wakingDriver[TTx]) PluginInit(*baseservice.Archetype) {}

// PluginPilot is part of River's seam for drivers.
func (d *wakingDriver[TTx]) PluginPilot() riverpilot.Pilot { return &d.pilot }

func (d *wakingDriver[TTx]) wake() {
	if d.ready.Load() && d.pilot.notify != nil {
		d.pilot.notify(context.Background(), []*rivertype.JobInsertResult{
			{Job: &rivertype.JobRow{Queue: QueueUrgent}}, {Job: &rivertype.JobRow{Queue: QueueUsual}},
		})
	}
}

// wakingPilot is River's standard pilot, and keeps the function that wakes queues.
type wakingPilot struct {
	riverpilot.StandardPilot
	notify func(context.Context, []*rivertype.JobInsertResult)
}

// PilotInit is called while the client is made, before any of it runs.
func (p *wakingPilot) PilotInit(a *baseservice.Archetype, params *riverpilot.PilotInitParams) {
	p.notify = params.NotifyNonTxJobInsert
	p.StandardPilot.PilotInit(a, params)
}

// quiet lets only River's errors through: its other messages are about itself.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(errorsOnly{log.Handler()}) }

type errorsOnly struct{ slog.Handler }

func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

func (h errorsOnly) WithGroup(name string) slog.Handler { return errorsOnly{h.Handler.WithGroup(name)} }
