package app

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/tocsin-ir/tocsin/internal/played"
)

// lastDrill is the newest drill that was played to its end with the policy in force: of those kept in
// the data folder and the one that tocsin drill left in the folder the server was started in.
func (a *App) lastDrill() (last played.Run, ok bool) {
	last, ok = lastScorecard(a.policy.ID)
	runs, err := played.Read(a.o.Dir)
	if err != nil {
		a.o.Log.Warn("the drills that were played cannot be read", "error", err)
	}
	for _, r := range runs {
		if r.Failed == "" && r.Card.Policy == a.policy.ID && r.At.After(last.At) {
			return r, true
		}
	}
	return last, ok
}

// lastScorecard is what tocsin drill left in the folder that this process was started in.
func lastScorecard(policy string) (last played.Run, ok bool) {
	f, err := os.Open(filepath.Join(".drill", "last", "drill", "scorecard.json"))
	if err != nil {
		return last, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return last, false
	}
	const most = 4 << 20
	if err := json.NewDecoder(io.LimitReader(f, most)).Decode(&last.Card); err != nil || last.Card.Policy != policy {
		return played.Run{}, false
	}
	last.At = info.ModTime()
	return last, true
}
