package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// CloudRecord is one record of a cloud audit log in the shape of CloudTrail. Only what the drill
// carries over is read; the rest of a real record is left where it was.
type CloudRecord struct {
	EventID      string    `json:"eventID"`
	EventTime    time.Time `json:"eventTime"`
	EventSource  string    `json:"eventSource"`
	EventName    string    `json:"eventName"`
	AWSRegion    string    `json:"awsRegion"`
	SourceIP     string    `json:"sourceIPAddress"`
	UserAgent    string    `json:"userAgent"`
	ErrorCode    string    `json:"errorCode,omitempty"`
	ReadOnly     bool      `json:"readOnly"`
	UserIdentity struct {
		Type        string `json:"type"`
		ARN         string `json:"arn,omitempty"`
		UserName    string `json:"userName,omitempty"`
		AccessKeyID string `json:"accessKeyId,omitempty"`
	} `json:"userIdentity"`
}

// CloudFile is a CloudTrail file.
type CloudFile struct {
	Records []CloudRecord `json:"Records"`
}

// ReadCloud reads a CloudTrail file.
func ReadCloud(data []byte) ([]CloudRecord, error) {
	var f CloudFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("not a CloudTrail file: %w", err)
	}
	if f.Records == nil {
		return nil, errors.New("not a CloudTrail file: it has no Records")
	}
	return f.Records, nil
}

// Shift moves records in time so that the newest is at end.
func Shift(records []CloudRecord, end time.Time) {
	var newest time.Time
	for _, r := range records {
		if r.EventTime.After(newest) {
			newest = r.EventTime
		}
	}
	for i := range records {
		records[i].EventTime = records[i].EventTime.Add(end.Sub(newest))
	}
}

// TheftAddress is where the token was read out of the cloud account, the day before the attack.
const TheftAddress = "45.83.12.7"

// Cloud is a generated cloud audit log: routine every day, and the evening on which the token was
// read from the secret store by somebody who should not have.
func (w *World) Cloud(from, to time.Time) []CloudRecord {
	var out []CloudRecord
	routine := []struct{ source, name string }{
		{"sts.amazonaws.com", "AssumeRole"}, {"s3.amazonaws.com", "GetBucketLocation"}, {"ec2.amazonaws.com", "DescribeInstances"},
		{"kms.amazonaws.com", "Decrypt"}, {"logs.amazonaws.com", "DescribeLogGroups"}, {"secretsmanager.amazonaws.com", "GetSecretValue"},
	}
	for day := from.UTC().Truncate(24 * time.Hour); day.Before(to); day = day.AddDate(0, 0, 1) {
		r := stream(w.Seed, "cloud "+day.Format(time.DateOnly))
		for i := range 8 {
			k := routine[r.IntN(len(routine))]
			out = append(out, cloudRecord(fmt.Sprintf("ct-%s-%d", day.Format(time.DateOnly), i), day.Add(time.Duration(r.IntN(86400))*time.Second), k.source, k.name, "deploy-bot", "10.20.0.30", "aws-sdk-go/1.44", true))
		}
	}
	theft := w.Start.AddDate(0, 0, w.Days-1).Add(16 * time.Hour)
	for i, name := range []string{"ConsoleLogin", "ListSecrets", "GetSecretValue"} {
		source := "secretsmanager.amazonaws.com"
		if i == 0 {
			source = "signin.amazonaws.com"
		}
		out = append(out, cloudRecord(fmt.Sprintf("ct-theft-%d", i), theft.Add(time.Duration(i*3)*time.Minute), source, name, "contractor", TheftAddress, "Mozilla/5.0 (X11; Linux)", i > 0))
	}
	kept := out[:0]
	for _, c := range out {
		if !c.EventTime.Before(from) && c.EventTime.Before(to) {
			kept = append(kept, c)
		}
	}
	return kept
}

func cloudRecord(id string, at time.Time, source, name, user, ip, agent string, read bool) CloudRecord {
	c := CloudRecord{EventID: id, EventTime: at, EventSource: source, EventName: name, AWSRegion: "eu-central-1", SourceIP: ip, UserAgent: agent, ReadOnly: read}
	c.UserIdentity.Type, c.UserIdentity.UserName = "IAMUser", user
	return c
}

// Event is the record as an access event of kind cloud_audit, in the native form.
func (c CloudRecord) Event() []byte {
	who := c.UserIdentity.UserName
	if who == "" {
		who = c.UserIdentity.ARN
	}
	if who == "" {
		who = c.UserIdentity.Type
	}
	action, outcome := "update", "ok"
	if c.ReadOnly {
		action = "read"
	}
	if c.ErrorCode != "" {
		outcome = "denied"
	}
	line, _ := json.Marshal(wire{ // strings only: cannot fail
		ID: c.EventID, Time: c.EventTime.UTC().Format(time.RFC3339Nano), Kind: "cloud_audit", Env: "drill",
		Actor: map[string]string{"type": "user", "id": who}, Credential: c.UserIdentity.AccessKeyID, Action: action,
		Endpoint: c.EventSource + " " + c.EventName, Outcome: outcome,
		Source:     map[string]string{"ip": c.SourceIP, "user_agent": c.UserAgent},
		Attributes: map[string]string{"region": c.AWSRegion},
	})
	return line
}
