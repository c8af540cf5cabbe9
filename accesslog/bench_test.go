package accesslog_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkIngest takes batches of 500 events of some 450 bytes and reports events per second to
// the durable answer, with sealing going on beside it.
func BenchmarkIngest(b *testing.B) {
	s := newSite(b)
	s.close()
	s.flush = 0 // as in production
	s.open(b)
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			batch := n.Add(1)
			var body strings.Builder
			for i := range 500 {
				k := batch*500 + int64(i)
				fmt.Fprintf(&body, `{"id":"ev-%d","time":"2026-11-22T11:%02d:%02d.%03dZ","kind":"pii_access","actor":{"type":"staff","id":"staff-%d"},"credential":"tok_%d","session":"s%d","action":"list","endpoint":"GET /orders","purpose":"packing_slip","merchant":"m_%03d","store":"s_1","subjects":[{"kind":"account","id":"%d"},{"kind":"account","id":"%d"},{"kind":"account","id":"%d"}],"data_types":["customer.email","order.address"],"records":3,"bytes":2048,"outcome":"ok","source":{"ip":"203.0.113.%d","user_agent":"Mozilla/5.0 helpdesk"}}`+"\n",
					k, i%60, k%60, k%1000, k%9, k%5, k%977, k%300, k%9973, k%9967, k%9949, k%200)
			}
			r, err := s.Ingest(context.Background(), app, "", "native", strings.NewReader(body.String()))
			if err != nil || r.Accepted != 500 {
				b.Errorf("receipt %+v, %v", r, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
}
