package format

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func sampleBatch(n int) []byte {
	var b []byte
	for k := range n {
		b = fmt.Appendf(b, `{"id":"ev-%d","time":"2026-11-22T03:02:11.482Z","kind":"pii_access","actor":{"type":"staff","id":"staff-%d"},"credential":"tok_%d","session":"s%d","action":"list","endpoint":"GET /orders","purpose":"packing_slip","merchant":"m_%03d","store":"s_1","subjects":[{"kind":"account","id":"%d"},{"kind":"account","id":"%d"}],"data_types":["customer.email","order.address"],"records":2,"bytes":2048,"outcome":"ok","source":{"ip":"203.0.113.9","user_agent":"Mozilla/5.0 helpdesk"}}`+"\n",
			k, k%9, k%50, k%977, k%300, k, k+1)
	}
	return b
}

// The decoder of the door, and beside it the general parser that it has for odd events, and the one of
// the standard library into the same fields.
func BenchmarkDecode(b *testing.B) {
	body := sampleBatch(500)
	b.Run("fastjson", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		var d Decoder
		for b.Loop() {
			batch, err := Cut(body, Native, 500)
			if err != nil {
				b.Fatal(err)
			}
			d.Reset(batch, nil)
			for i := range batch.Len() {
				d.event.reset()
				if err := d.general(batch.Raw(i)); err != nil {
					b.Fatal(err)
				}
				if err := d.event.Check(); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("door", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		var d Decoder
		for b.Loop() {
			batch, err := Cut(body, Native, 500)
			if err != nil {
				b.Fatal(err)
			}
			d.Reset(batch, nil)
			for i := range batch.Len() {
				e, err := d.Decode(i)
				if err == nil {
					err = e.Check()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			batch, err := Cut(body, Native, 500)
			if err != nil {
				b.Fatal(err)
			}
			for i := range batch.Len() {
				var e struct {
					ID                                 string
					Time                               time.Time
					Kind, App, Env                     string
					Actor                              struct{ Type, ID string }
					Credential, Session, Action        string
					Endpoint, Purpose, Merchant, Store string
					Subjects                           []struct{ Kind, ID, Region string }
					DataTypes                          []string `json:"data_types"`
					Records, Bytes                     int64
					Outcome                            string
					Source                             struct{ IP, UserAgent string }
					Attributes                         json.RawMessage
				}
				if err := json.Unmarshal(batch.Raw(i), &e); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
	})
}
