package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOnesOwnLabelledEventsAreScored(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var events, truth strings.Builder
	write := func(id string, at time.Time, merchant int, ip, agent string) {
		text, err := json.Marshal(map[string]any{
			"id": id, "time": at, "kind": "pii_access", "actor": map[string]string{"id": "worker"}, "credential": "tok_1", "merchant": fmt.Sprint("m_", merchant),
			"subjects": []map[string]string{{"kind": "account", "id": id}}, "records": 1, "outcome": "ok", "source": map[string]string{"ip": ip, "user_agent": agent},
		})
		if err != nil {
			t.Fatal(err)
		}
		events.Write(append(text, '\n'))
	}
	for i := range 14 * 24 {
		write(fmt.Sprint("e", i), start.Add(time.Duration(i)*time.Hour), i%9, "198.51.100.7", "worker/1")
	}
	for i := range 40 {
		id := fmt.Sprint("a", i)
		write(id, start.Add(14*24*time.Hour+time.Duration(i)*time.Second), 100+i, "192.0.2.1", "curl/8")
		fmt.Fprintf(&truth, `{"event":%q,"attack":"walk"}`+"\n", id)
	}
	fmt.Fprintln(&truth, `{"event":"e7","attack":"never seen"}`)
	o := Options{Events: filepath.Join(dir, "events"), Truth: filepath.Join(dir, "truth")}
	put(t, o.Events, []byte(events.String()))
	put(t, o.Truth, []byte(truth.String()))
	r, err := labelledFigures(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Value != 50 || r[1].Value != 6 || r[2].Value != 0 {
		t.Errorf("found %v %%, after %v s, %v false a week", r[0].Value, r[1].Value, r[2].Value)
	}
	put(t, filepath.Join(dir, "bad"), []byte("{}\n"))
	for _, bad := range []struct {
		o    Options
		want string
	}{
		{Options{Events: o.Events}, "belong together"},
		{Options{Events: o.Events, Truth: filepath.Join(dir, "bad")}, "bad:1"},
		{Options{Events: filepath.Join(dir, "bad"), Truth: o.Truth}, "bad:1"},
		{Options{Events: os.DevNull, Truth: o.Truth}, "ids have to be the same"},
	} {
		if _, err := labelledFigures(t.Context(), bad.o); err == nil || !strings.Contains(err.Error(), bad.want) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%+v: %v", bad.o, err)
		}
	}
}
