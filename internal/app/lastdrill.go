package app

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/internal/played"
)

// lastDrill says when a drill was last played with the policy in force, and whether every
// expectation held: of those kept in the data folder and the one that tocsin drill left in the folder
// the server was started in, the newer.
func (a *App) lastDrill() (at time.Time, kept, ok bool) {
	at, kept, ok = lastScorecard(a.policy.ID)
	runs, err := played.Read(a.o.Dir)
	if err != nil {
		a.o.Log.Warn("the drills that were played cannot be read", "error", err)
	}
	for _, r := range runs {
		if r.Failed == "" && r.Card.Policy == a.policy.ID && r.At.After(at) {
			return r.At, r.Card.OK, true
		}
	}
	return at, kept, ok
}

// lastScorecard is what tocsin drill left in the folder that this process was started in.
func lastScorecard(policy string) (at time.Time, kept, ok bool) {
	f, err := os.Open(filepath.Join(".drill", "last", "drill", "scorecard.json"))
	if err != nil {
		return at, false, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return at, false, false
	}
	var card played.Card
	const most = 4 << 20
	if err := json.NewDecoder(io.LimitReader(f, most)).Decode(&card); err != nil || card.Policy != policy {
		return at, false, false
	}
	return info.ModTime(), card.OK, true
}
