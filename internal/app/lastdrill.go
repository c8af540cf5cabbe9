package app

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"
)

// lastDrill says when tocsin drill was last played with a policy from the folder the server was
// started in, and whether every expectation held. The scorecard it leaves there is all that is
// known: a drill is no fact of this installation.
func lastDrill(policy string) (at time.Time, kept, ok bool) {
	f, err := os.Open(filepath.Join(".drill", "last", "drill", "scorecard.json"))
	if err != nil {
		return at, false, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return at, false, false
	}
	var card struct {
		Policy string `json:"policy"`
		OK     bool   `json:"ok"`
	}
	const most = 4 << 20
	if err := json.NewDecoder(io.LimitReader(f, most)).Decode(&card); err != nil || card.Policy != policy {
		return at, false, false
	}
	return info.ModTime(), card.OK, true
}
