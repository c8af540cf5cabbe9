package accesslog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/format"
)

// What is planted: the same person by everything that the door declares or the scrubber knows.
const (
	mail     = "planted.person@example.net"
	phone    = "+49 171 5550199"
	card     = "4111 1111 1111 1111"
	iban     = "DE89370400440532013000" // by a pattern of the operator's own
	customer = "KD-77-81-x"             // by one as well, and it has few digits
	account  = "planted-account-7781"   // declared, which is the only way to see it
)

// plantings are bodies of each format with identifiers in every field that takes free text, in names
// and in entries that are refused.
var plantings = map[string]string{
	format.Native: `{"id":"n-` + mail + `","time":"2026-11-22T11:00:00Z","actor":{"type":"user","id":"` + mail + `"},"credential":"tok-` + card + `","session":"` + mail + `","action":"read","merchant":"shop of ` + mail + `","store":"` + phone + `","endpoint":"GET /find?mail=planted.person%40example.net","purpose":"call ` + phone + ` back","subjects":[{"kind":"account","id":"` + account + `"},{"kind":"email","id":"` + strings.ToUpper(mail) + `"},{"kind":"phone","id":"` + phone + `"}],"source":{"user_agent":"x ` + mail + `"},"attributes":{"note":"paid with ` + card + `, ` + iban + `","card":4111111111111111,"` + mail + `":"x","deep":[{"a":"` + phone + `"}]},"nobody_declared":"` + mail + `"}
{"time":"2026-11-22T11:00:00Z","kind":"http_access","actor":{"type":"user","id":"u"},"session":"` + customer + `","action":"mail ` + mail + ` ` + card + `","subjects":[{"kind":"account","id":"` + account + `","region":"` + customer + `"}]}
{"id":"` + mail + `","time":"` + mail + `"}
` + mail + ` ` + card + `
`,
	format.OCSF: `{"class_uid":6003,"activity_id":2,"time":1795316400000,"status_id":1,"actor":{"user":{"uid":"u-1"},"session":{"uid":"` + mail + `"}},"api":{"operation":"Get","service":{"name":"orders"}},"http_request":{"user_agent":"` + mail + `","http_method":"GET","url":{"path":"/customers/` + mail + `","url_string":"https://x/customers/` + mail + `?c=` + card + `"}},"message":"` + phone + `","metadata":{"uid":"` + mail + `"},"unmapped":{"kind":"pii_access","merchant":"m_1","subjects":[{"kind":"account","id":"` + account + `"}]}}
{"class_uid":6005,"activity_id":1,"time":1795316400000,"actor":{"user":{"uid":"db"}},"query_info":{"query_string":"select 1 where mail = '` + mail + `' and iban = '` + iban + `'"}}
{"class_uid":6005,"time":"` + mail + `"}
`,
	format.CloudTrail: `{"Records":[{"eventID":"e-2","eventTime":"2026-11-22T11:00:00Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","managementEvent":true,"requestParameters":{"tags":[{"key":"owner","value":"` + mail + `"}],"note":"` + phone + ` ` + iban + `","` + mail + `":"` + card + `"},"responseElements":{"credentials":{"sessionToken":"s"}},"userIdentity":{"type":"Root","arn":"arn:aws:iam::1:root"}},{"eventID":"e-3","eventTime":"2026-11-22T11:00:00Z","eventSource":"cognito-idp.amazonaws.com","eventName":"AdminDisableUser","managementEvent":true,"requestParameters":{"username":"` + account + `"},"userIdentity":{"type":"Root","arn":"arn:aws:iam::1:root"}},{"eventID":"e-1","eventTime":"2026-11-22T11:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","userAgent":"[` + mail + `]","requestParameters":{"key":"` + account + `/` + mail + `","userName":"` + mail + `","bucketName":"of ` + phone + `"},"errorMessage":"` + card + `","sourceIPAddress":"198.51.100.7","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/x","userName":"` + mail + `"}},{"eventName":"` + mail + `","eventTime":"` + mail + `"}]}`,
	format.GCP: `{"protoPayload":{"authenticationInfo":{"principalEmail":"jo@acme.example"},"requestMetadata":{"callerSuppliedUserAgent":"` + mail + `"},"serviceName":"storage.googleapis.com","methodName":"storage.objects.get","resourceName":"projects/_/buckets/b/objects/` + mail + `","request":{"q":"` + account + `"},"status":{"message":"` + card + `"},"serviceData":{"policyDelta":{"bindingDeltas":[{"action":"ADD","role":"roles/viewer","member":"user:` + mail + `"}]}}},"insertId":"` + mail + `","timestamp":"2026-11-22T11:00:00Z"}
`,
	format.GitHub: `{"@timestamp":1795345200000,"_document_id":"` + mail + `","action":"org.invite_member","actor":"ops","org":"acme","user_agent":"` + mail + `","email":"` + mail + `","external_identity_nameid":"` + mail + `","data":{"note":["` + card + `","` + phone + `"]}}
{"@timestamp":"` + mail + `","_document_id":"x","action":"org.invite_member","org":"acme"}
`,
	format.Okta: `{"uuid":"` + mail + `","published":"2026-11-22T11:00:00Z","eventType":"user.session.start","displayMessage":"` + mail + `","actor":{"id":"00u1","type":"User","alternateId":"ops@acme.example"},"authenticationContext":{"externalSessionId":"` + mail + `"},"client":{"userAgent":{"rawUserAgent":"` + mail + `"},"ipAddress":"198.51.100.7"},"target":[{"id":"00u2","type":"User","alternateId":"` + mail + `","displayName":"` + phone + `"}],"outcome":{"result":"FAILURE","reason":"` + card + `"}}
`,
	format.Combined: `203.0.113.9 - ` + mail + ` [22/Nov/2026:11:00:00 +0000] "GET /customers/` + mail + `?card=` + strings.ReplaceAll(card, " ", "") + ` HTTP/1.1" 200 1 "https://x/?q=` + mail + `" "` + mail + `"
` + mail + ` is not a line
`,
	format.Postgres: `2026-11-22 11:00:00 UTC [1] app@shop LOG:  statement: select * from customers where mail = '` + mail + `' and phone = '` + phone + `' or card = '` + card + `'
2026-11-22 11:00:00 UTC [1] app@shop LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.customers,select '` + iban + `',"` + mail + `"
2026-11-22 11:00:00 CEST [1] app@shop LOG:  statement: ` + mail + `
`,
	format.Shopify: `Timestamp,Shop,Client IP,User Agent,Operation,Customer
2026-11-22 11:00:00,corner.myshopify.com,203.0.113.9,` + mail + `,/customers/search.json?query=` + mail + `,` + mail + ` ` + phone + `
` + mail + `,x,y,z,,
`,
	format.OTLP: `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1795316400000000000","eventName":"pii_access","body":{"stringValue":"shown to ` + mail + `"},"attributes":[{"key":"enduser.id","value":{"stringValue":"` + mail + `"}},{"key":"action","value":{"stringValue":"read"}},{"key":"merchant","value":{"stringValue":"m_1"}},{"key":"subject.account","value":{"stringValue":"` + account + `"}},{"key":"subject.email","value":{"stringValue":"` + mail + `"}},{"key":"note","value":{"stringValue":"` + card + ` ` + iban + `"}},{"key":"` + mail + `","value":{"kvlistValue":{"values":[{"key":"x","value":{"stringValue":"` + phone + `"}}]}}}]},{"body":{"stringValue":"` + mail + `"},"timeUnixNano":"1"}]}]}]}`,
}

// One person is planted everywhere, in every format. Nothing names them outside of sealed leaves,
// and what the leaves disclose is scrubbed too: not a file of the data folder, not the table, a
// receipt, an error or a log.
//
// promise: INV-3
func TestIdentifiersOfPeopleReachNothingButTheSealedLeaves(t *testing.T) {
	s := newSite(t)
	s.close()
	var logged bytes.Buffer
	s.logger = slog.New(slog.NewTextHandler(&logged, nil))
	s.open(t)
	var shown strings.Builder
	for name, body := range plantings {
		for _, form := range []string{name, format.Auto} {
			r, err := s.Ingest(t.Context(), accesslog.Source{Name: "log " + name}, "", form, strings.NewReader(body))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if form == name && r.Accepted == 0 {
				t.Errorf("%s: %+v", name, r)
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&shown, "receipt of", name, string(text))
		}
	}
	for _, bad := range []string{"{" + mail, "[" + mail, "\x1f\x8b" + mail} {
		if _, err := s.Ingest(t.Context(), accesslog.Source{Name: "x"}, "", format.OTLP, strings.NewReader(bad)); err != nil {
			fmt.Fprintln(&shown, err)
		}
	}
	kinds := map[string]bool{}
	var seqs []int64
	for _, e := range s.all(t) {
		fmt.Fprintf(&shown, "event %+v\n", e)
		kinds[e.Source] = true
		seqs = append(seqs, e.Seq)
	}
	if len(kinds) != len(plantings) {
		t.Fatalf("events of %d formats, want %d", len(kinds), len(plantings))
	}
	s.sealedIDs(t)
	scrubbed := 0
	if err := s.Disclose(t.Context(), seqs, func(l accesslog.Leaf) error {
		for _, d := range l.Events {
			fmt.Fprintf(&shown, "disclosed %s\n", d.Event)
			scrubbed += bytes.Count(d.Event, []byte("[email]"))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if scrubbed < 10 {
		t.Errorf("only %d addresses were scrubbed in the leaves: are the originals kept?", scrubbed)
	}
	rejected := 0
	if err := s.Rejects(func(r accesslog.Rejected) error {
		for _, e := range r.Entries {
			if bytes.Contains(e.Raw, []byte(mail)) {
				rejected++
			}
		}
		return nil
	}); err != nil || rejected < 6 {
		t.Errorf("%d rejected entries are kept as they came, %v", rejected, err)
	}
	s.close()
	files := 0
	look := func(where string, raw []byte) {
		for _, p := range []string{mail, strings.ToUpper(mail), "planted.person", phone, "5550199", card, "4111111111111111", iban, customer, account} {
			if i := bytes.Index(raw, []byte(p)); i >= 0 {
				t.Errorf("%s holds %q: %.200q", where, p, raw[max(0, i-80):])
			}
		}
	}
	look("what was shown", []byte(shown.String()))
	look("the log", logged.Bytes())
	if err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		look(filepath.Base(path), raw)
		return nil
	}); err != nil || files < 5 {
		t.Fatalf("%d files were looked at, %v", files, err)
	}
}
