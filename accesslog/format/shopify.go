package format

import (
	"strings"
	"time"
	"unicode/utf8"
)

// shopifyNames are the names a column of an export of the Dev Dashboard's logs may have. Shopify
// documents what a row shows (shop, client IP address, user agent) and no format, so names are
// compared without case, spaces and underscores, and a column nobody knows is kept in attributes.
var shopifyNames = map[string]string{
	"timestamp": "time", "time": "time", "date": "time", "datetime": "time", "createdat": "time", "occurredat": "time", "receivedat": "time",
	"shop": "shop", "shopdomain": "shop", "shopname": "shop", "store": "shop", "storedomain": "shop", "myshopifydomain": "shop",
	"ip": "ip", "clientip": "ip", "ipaddress": "ip", "clientipaddress": "ip", "sourceip": "ip", "remoteip": "ip",
	"useragent": "agent", "agent": "agent", "clientuseragent": "agent",
	"operation": "operation", "operationname": "operation", "query": "operation", "endpoint": "operation", "path": "operation", "resource": "operation", "event": "operation", "topic": "operation", "name": "operation",
	"operationtype": "type", "type": "type", "eventtype": "type", "api": "type", "apitype": "type", "logtype": "type",
	"method": "method", "httpmethod": "method",
	"status": "status", "statuscode": "status", "responsestatus": "status", "responsecode": "status", "httpstatus": "status", "result": "status",
	"requestid": "id", "id": "id", "eventid": "id", "xrequestid": "id",
}

func shopifyName(column string) string {
	return shopifyNames[strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, column)]
}

// looksShopify says whether the names of columns are those of such an export: a shop and the
// address of a client.
func looksShopify(columns []string) bool {
	has := map[string]bool{}
	for _, c := range columns {
		has[shopifyName(c)] = true
	}
	return has["time"] && has["shop"] && has["ip"]
}

// shopify reads a row of an export of the Dev Dashboard's logs: a request made to Shopify with the
// app's own token, so the actor is the app, as the address it came from knows it.
func (d *Decoder) shopify(raw []byte) error {
	if !utf8.Valid(raw) {
		return &Invalid{"event", "is not valid UTF-8"}
	}
	values := map[string]string{}
	a := d.attributes()
	keep := func(column, value string) {
		if name := shopifyName(column); name == "" {
			a.text(cut(column, 64), value)
		} else if values[name] == "" {
			values[name] = value
		}
	}
	if d.batch.header != nil {
		row, err := csvRecord(raw)
		if err != nil {
			return &Invalid{"event", "is not a row of CSV"}
		}
		for i, v := range row {
			if i < len(d.batch.header) {
				keep(d.batch.header[i], v)
			}
		}
	} else {
		v, err := d.parse(raw)
		if err != nil {
			return err
		}
		o, _ := v.Object()
		for _, name := range objectNames(v) {
			keep(name, loose(o.Get(name)))
		}
	}
	e := &d.event
	var err error
	if e.Time, err = exportTime(values["time"]); err != nil {
		return err
	}
	if values["shop"] == "" {
		return &Invalid{"shop", "is missing"}
	}
	shop := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(values["shop"], "https://"), "/"))
	e.Kind, e.Merchant, e.Store = HTTPAccess, cut(shop, MaxName), cut(shop, MaxName)
	e.ActorType, e.ActorID = "service", "shopify_app"
	e.ID, e.IP, e.Agent = cut(values["id"], MaxName), address(strings.TrimSpace(values["ip"])), cut(values["agent"], MaxText)
	operation := values["operation"]
	path, _, _ := strings.Cut(operation, "?")
	e.Endpoint = join(first(values["method"], values["type"]), " ", template(path))
	e.Action = first(methodAction(strings.ToUpper(values["method"])), "read")
	if t := strings.ToLower(values["type"] + " " + operation); strings.Contains(t, "mutation") {
		e.Action = "update"
	} else if strings.Contains(t, "query") {
		e.Action = "read" // GraphQL posts its questions too
	}
	e.Outcome = statusOutcome(values["status"])
	switch strings.ToLower(values["status"]) {
	case "success", "ok", "succeeded":
		e.Outcome = "ok"
	case "error", "failure", "failed":
		e.Outcome = "error"
	}
	if operation != path {
		a.text("operation", operation)
	}
	a.text("status", values["status"])
	e.Attributes = a.obj
	return nil
}

// exportTime reads the spellings of a time that exports use. One without a zone is taken as UTC: the
// format documents none, and a guess that is the same everywhere can be corrected everywhere.
func exportTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, &Invalid{"time", "is missing"}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700", "2006-01-02 15:04:05.999999999 MST", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := instant(layout, s); err == nil && (layout != "2006-01-02 15:04:05.999999999 MST" || strings.HasSuffix(s, " UTC") || strings.HasSuffix(s, " GMT")) {
			return t, nil
		}
	}
	return time.Time{}, &Invalid{"time", "is not a date and a time such as 2026-11-22 03:02:11 UTC"}
}
