package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

// The folders of rules and of CloudTrail files that the benchmarks of rules read. Nothing of them
// is part of this project; without them the benchmarks make up rules and records of their own, and
// their notes say so.
const (
	rulesFolder   = "TOCSIN_TEST_SIGMA"
	recordsFolder = "TOCSIN_TEST_CLOUDTRAIL"
)

// sigmaBench measures one core: events per second through all rules, decoded beforehand and from
// JSON, and with 3,000 rules.
func sigmaBench(ctx context.Context, o Options) ([]Result, error) {
	files, aboutRules, err := sigmaRules(o)
	if err != nil {
		return nil, err
	}
	records, aboutRecords, err := trailRecords(o)
	if err != nil {
		return nil, err
	}
	engine, problems := sigma.Load(files, sigma.Options{})
	for _, p := range problems {
		if !p.Warning {
			return nil, fmt.Errorf("a rule cannot be used: %w", p)
		}
	}
	many, problems := sigma.Load(append(slices.Clone(files), moreRules(3000-len(engine.Rules()))...), sigma.Options{})
	if len(problems) > 0 {
		return nil, problems[0]
	}
	about := fmt.Sprintf("%d %s, %d %s", len(records), aboutRecords, len(engine.Rules()), aboutRules)
	few, err := decoded(engine, records)
	if err != nil {
		return nil, err
	}
	lots, err := decoded(many, records)
	if err != nil {
		return nil, err
	}
	times := o.of(100)
	match := func(e *sigma.Engine, events []sigma.Event, times int) func() (float64, error) {
		return func() (float64, error) {
			began := time.Now()
			for range times {
				for i := range events {
					e.Observe(0, time.Time{}, &events[i])
				}
			}
			return perSecond(times*len(events), time.Since(began)), nil
		}
	}
	loop := func(e *sigma.Engine, events []sigma.Event, share int) func() (float64, error) {
		return func() (float64, error) {
			began := time.Now()
			for i := range events[:len(events)/share] {
				e.Loop(&events[i])
			}
			return perSecond(len(events)/share, time.Since(began)), nil
		}
	}
	var ev sigma.Event
	decode := func() (float64, error) {
		began := time.Now()
		for range max(times/2, 1) {
			for _, r := range records {
				if err := engine.Decode(r, &ev); err != nil {
					return 0, err
				}
				engine.Observe(0, time.Time{}, &ev)
			}
		}
		return perSecond(max(times/2, 1)*len(records), time.Since(began)), nil
	}
	library := func() (float64, error) {
		began := time.Now()
		for i, r := range records {
			var v map[string]any
			if err := json.Unmarshal(r, &v); err != nil {
				return 0, err
			}
			engine.Loop(&few[i])
		}
		return perSecond(len(records), time.Since(began)), nil
	}
	s, err := alternate(ctx, o, 5, match(engine, few, times), loop(engine, few, 1), decode, library, match(many, lots, times), loop(many, lots, 10))
	if err != nil {
		return nil, err
	}
	slower := make(series, len(s[0]))
	for i := range slower {
		slower[i] = s[0][i] / s[4][i]
	}
	const alone = "a loop over the same rules"
	flat := figure("sigma-3000-slower", "times", "lower", slower, "", nil, fmt.Sprintf("how many times slower than with %d rules, same rounds; one core", len(engine.Rules())))
	return []Result{
		figure("sigma", "events/s", "higher", s[0], alone, s[1], "decoded beforehand, one core; "+about),
		figure("sigma-decode", "events/s", "higher", s[2], "encoding/json into maps, and a loop over the same rules", s[3], "from JSON, matching included, one core; "+about),
		figure("sigma-3000", "events/s", "higher", s[4], alone, s[5], fmt.Sprintf("%d rules: those, and made-up ones of distinct fields and literals about the same log; decoded beforehand, one core", len(many.Rules()))),
		flat,
	}, nil
}

func decoded(e *sigma.Engine, records []json.RawMessage) ([]sigma.Event, error) {
	events := make([]sigma.Event, len(records))
	for i, r := range records {
		if err := e.Decode(r, &events[i]); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func folder(flag, variable string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(variable)
}

// sigmaRules reads the rules of a folder, but not a specification's examples, or makes some up.
func sigmaRules(o Options) ([]sigma.File, string, error) {
	dir := folder(o.Rules, rulesFolder)
	if dir == "" {
		return moreRules(152), "made-up rules, a stand-in: name a folder of rules with --rules or " + rulesFolder, nil
	}
	var files []sigma.File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "specification-tests" {
			return fs.SkipDir
		}
		if ext := filepath.Ext(path); d.IsDir() || ext != ".yml" && ext != ".yaml" {
			return nil
		}
		src, err := os.ReadFile(path)
		files = append(files, sigma.File{Name: path, Data: src})
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there are no rules in %s", dir)
	}
	return files, "rules of " + filepath.Base(dir), err
}

// trailRecords reads the records of the CloudTrail files in a folder, or makes some up.
func trailRecords(o Options) ([]json.RawMessage, string, error) {
	dir := folder(o.Records, recordsFolder)
	var records []json.RawMessage
	if dir == "" {
		for i := range 2900 {
			records = append(records, madeUpRecord(i))
		}
		return records, "made-up CloudTrail records, a stand-in: name a folder with --records or " + recordsFolder, nil
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, "", err
	}
	for _, n := range names {
		src, err := os.ReadFile(n)
		if err != nil {
			return nil, "", err
		}
		var f struct{ Records []json.RawMessage }
		if err := json.Unmarshal(src, &f); err != nil {
			return nil, "", fmt.Errorf("%s is no CloudTrail file: %w", n, err)
		}
		records = append(records, f.Records...)
	}
	if len(records) == 0 {
		return nil, "", fmt.Errorf("there are no CloudTrail records in %s", dir)
	}
	return records, "records of " + filepath.Base(dir), nil
}

var madeUpCalls = [][2]string{{"s3", "GetObject"}, {"s3", "ListBuckets"}, {"ec2", "DescribeInstances"}, {"iam", "CreateUser"}, {"sts", "AssumeRole"}, {"kms", "Decrypt"}, {"cloudtrail", "LookupEvents"}, {"ssm", "GetParameters"}}

func madeUpRecord(i int) json.RawMessage {
	c := madeUpCalls[i%len(madeUpCalls)]
	return fmt.Appendf(nil, `{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDA%016d","arn":"arn:aws:iam::111122223333:user/user-%d","accountId":"111122223333","accessKeyId":"ASIA%016d","userName":"user-%d","sessionContext":{"sessionIssuer":{},"attributes":{"creationDate":"2026-01-01T08:00:00Z","mfaAuthenticated":"true"}}},"eventTime":"2026-01-01T09:%02d:%02dZ","eventSource":"%s.amazonaws.com","eventName":"%s","awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.%d","userAgent":"aws-sdk-go/1.%d (linux; amd64)","requestParameters":{"bucketName":"bucket-%d","Host":"bucket-%d.s3.eu-central-1.amazonaws.com","key":"orders/%d.json"},"responseElements":null,"additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":0,"bytesTransferredOut":%d},"requestID":"R%d","eventID":"00000000-0000-4000-8000-%012d","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256"}}`,
		i%40, i%40, i, i%40, i/60%60, i%60, c[0], c[1], i%250, i%30, i%90, i%90, i, i*7, i, i)
}

// moreRules makes up rules about CloudTrail, each with literals of its own: a third ask fields of
// their own, the others compare fields that every record has.
func moreRules(n int) (files []sigma.File) {
	for i := range n {
		var b strings.Builder
		fmt.Fprintf(&b, "title: Made up %d\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n", i)
		switch i % 6 {
		case 0, 1:
			fmt.Fprintf(&b, "  s:\n    requestParameters.made%d|contains: [alpha%d, beta%d]\n    madeUp%d.name: gamma%d\n  condition: s\n", i, i, i, i, i)
		case 2:
			fmt.Fprintf(&b, "  s: {eventName: [Made%dUp, Made%dDown], eventSource: made%d.amazonaws.com}\n  condition: s\n", i, i, i)
		case 3:
			fmt.Fprintf(&b, "  s: {userAgent|contains: [tool%dx, kit%dy]}\n  f: {userIdentity.arn|endswith: ':user/known%d'}\n  condition: s and not f\n", i, i, i)
		case 4:
			fmt.Fprintf(&b, "  s: {eventSource: s3.amazonaws.com, requestParameters.bucketName|startswith: private%d-}\n  condition: s\n", i)
		default:
			fmt.Fprintf(&b, "  s: {userIdentity.arn|re: 'arn:aws:iam::[0-9]+:role/made%d-(ops|dev)'}\n  condition: s\n", i)
		}
		files = append(files, sigma.File{Name: fmt.Sprintf("made-up-%d.yml", i), Data: []byte(b.String())})
	}
	return files
}
