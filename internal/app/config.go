package app

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/accesslog/table/s3"
	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/translog/driver"
	"github.com/tocsin-ir/tocsin/org"
)

// Config is tocsin.yaml. Each field's comment is its manual.
type Config struct {
	// Organisation is the vendor. Its id names the transparency logs and never changes.
	Organisation struct {
		ID   string `yaml:"id"`
		Name string `yaml:"name"`
	} `yaml:"organisation"`
	// FirstOwner is what the first owner is called. It is read until they have joined.
	FirstOwner string `yaml:"first_owner"`
	// PublicURL is how people outside reach this server; links in mails start with it.
	PublicURL string `yaml:"public_url"`
	// Listen is the address of console, API and ingest. An address that is not loopback needs TLS
	// or a trusted proxy.
	Listen string `yaml:"listen"`
	// TrustedProxies are the addresses or prefixes whose X-Forwarded-Proto and -For are believed.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// TLS names a certificate and key in PEM.
	TLS struct {
		Cert string `yaml:"cert"`
		Key  string `yaml:"key"`
	} `yaml:"tls"`
	// Apps are the apps whose incidents are handled here.
	Apps []struct {
		ID   string `yaml:"id"`
		Name string `yaml:"name"`
	} `yaml:"apps"`
	// Policy is the file of the policy in force, relative to the data folder.
	Policy string `yaml:"policy"`
	Mail   Mail   `yaml:"mail"`
	// Network.Allow are the private prefixes that outgoing requests may reach; none by default.
	Network struct {
		Allow []string `yaml:"allow"`
		// DNS is the resolver that tocsin doctor asks what the sender's domain publishes, host:port;
		// the system's when absent.
		DNS string `yaml:"dns"`
	} `yaml:"network"`
	// Evidence says who signs the checkpoints of both logs beside us: a log whose checkpoints others
	// have signed cannot be rewritten, not even with the key that signs it.
	Evidence struct {
		Witnesses []Witness `yaml:"witnesses"`
		// Keep is how long the days of the access log are kept, such as 13 months (when absent) or 400
		// days. Days that an open incident is about, or a hold covers, are kept until that ends.
		Keep string `yaml:"keep"`
	} `yaml:"evidence"`
	// Copy is where facts and both logs are copied to as they come, off this machine.
	Copy Copy `yaml:"copy"`
	// Backup are the backups that are taken by themselves.
	Backup Backup `yaml:"backup"`
	// Heartbeat is who misses this server when it stops.
	Heartbeat Heartbeat `yaml:"heartbeat"`
	// Intake is the door of the access log.
	Intake struct {
		// Quota is the events per second of one ingest key; 100,000 when absent.
		Quota float64 `yaml:"quota"`
		// Scrub are patterns that the scrubber replaces by [name], beside e-mail addresses, cards and
		// telephone numbers.
		Scrub []struct {
			Name    string `yaml:"name"`
			Pattern string `yaml:"pattern"`
		} `yaml:"scrub"`
	} `yaml:"intake"`
	// Logs says where the two transparency logs are kept, when not in the data folder.
	Logs struct {
		Facts  driver.Config `yaml:"facts"`
		Events driver.Config `yaml:"events"`
	} `yaml:"logs"`
	// Table is where the table of access events is kept, when not in the data folder.
	Table Table `yaml:"table"`
	// Detection says how the access log is watched.
	Detection Detection `yaml:"detection"`
	// Integrity are the files that are compared with what somebody approved, by name: folders of this
	// machine, and themes of Shopify stores.
	Integrity map[string]yaml.Node `yaml:"integrity"`
	// Connectors do containment. Each kind owns its own settings.
	Connectors map[string]yaml.Node `yaml:"connectors"`
	// Channels are where clients are told beside mail, by the policy's name for them: slack and basecamp.
	Channels map[string]yaml.Node `yaml:"channels"`
	// Checks are the recovery checks that the restore gate asks for.
	Checks map[string]yaml.Node `yaml:"checks"`
	// Probes are checks that run by themselves. One that fails often enough raises an incident, and
	// has to pass before service returns.
	Probes map[string]yaml.Node `yaml:"probes"`

	dir  string    // the data folder, which relative names start from
	file string    // where this was read
	root yaml.Node // the document, for the lines of mistakes
}

// Copy is the off-box copy.
type Copy struct {
	// To is a folder that is kept elsewhere: a mounted share, or a volume that outlives the machine.
	To string `yaml:"to"`
	// Recipients are the public halves of age identities. The keys are copied too, encrypted to them.
	Recipients []string `yaml:"recipients"`
}

// Backup says which backups are taken by themselves. Each is one file that is encrypted as a whole.
type Backup struct {
	Every      time.Duration `yaml:"every"`      // 24h when absent
	Keep       int           `yaml:"keep"`       // how many are kept; 14 when absent
	To         string        `yaml:"to"`         // a folder, best one that is elsewhere
	Recipients []string      `yaml:"recipients"` // public halves of age identities
}

// Heartbeat is an address elsewhere that is asked as long as the server can write facts. A service
// there calls people when it hears nothing.
type Heartbeat struct {
	URL   string        `yaml:"url"`
	Every time.Duration `yaml:"every"` // 1m when absent
}

// Table is an object store that keeps the table of access events. The data folder then holds copies of
// the files that were written or read last.
type Table struct {
	URL      string `yaml:"url"`      // s3://BUCKET/PREFIX; one installation, one prefix
	Endpoint string `yaml:"endpoint"` // https://HOST; AWS when absent
	Region   string `yaml:"region"`   // us-east-1 when absent
	// CredentialsFile is a file in the form of AWS's, relative to the data folder. When absent,
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment count.
	CredentialsFile string `yaml:"credentials_file"`
	CacheMB         int64  `yaml:"cache_mb"` // of copies; 10240 when absent
}

// Witness is a C2SP witness of both logs. It has to know their keys, which tocsin evidence checkpoint
// prints.
type Witness struct {
	Key string `yaml:"key"` // its verifier key, such as witness.example.org+1a2b3c4d+BA…
	URL string `yaml:"url"` // what /add-checkpoint is appended to
}

// Detection is how the access log is watched.
type Detection struct {
	// Rules are files and folders of Sigma rules beside those that come with the program.
	Rules []string `yaml:"rules"`
	// Level is the lowest level of a rule that raises a signal; high when absent.
	Level string `yaml:"level"`
	// Budgets are what credentials may cost in a period.
	Budgets []struct {
		Credential string        `yaml:"credential"`
		Amount     float64       `yaml:"amount"`
		Unit       string        `yaml:"unit"` // events and records are counted from the log, anything else from cost events
		Period     time.Duration `yaml:"period"`
	} `yaml:"budgets"`
}

// Mail is the relay that notices go out by.
type Mail struct {
	Relay        string          `yaml:"relay"`         // host:port
	From         string          `yaml:"from"`          // "Name <address>"
	Hello        string          `yaml:"hello"`         // name given in EHLO; default the machine's
	TLS          string          `yaml:"tls"`           // starttls (default), tls, or none on loopback
	Username     string          `yaml:"username"`      // empty: no sign-in
	PasswordFile string          `yaml:"password_file"` // relative to the data folder
	DKIMSelector string          `yaml:"dkim_selector"` // the s= of the signature that the relay adds; tocsin doctor looks its key up
	Retry        []time.Duration `yaml:"retry"`         // waits between attempts; default over two days
}

// DefaultRetry is how long a deferred mail waits before each further attempt: two days in all, as
// RFC 5321 4.5.4.1 asks for at least.
var DefaultRetry = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour, 24 * time.Hour}

const maxConfig = 1 << 20

// LoadConfig reads DIR/tocsin.yaml. Every mistake is named by file, line and field.
func LoadConfig(dir, file string) (*Config, error) {
	if file == "" {
		file = filepath.Join(dir, "tocsin.yaml")
	}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: make it with tocsin init, or name another with --config", file)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxConfig {
		return nil, fmt.Errorf("%s is larger than 1 MiB", file)
	}
	return readConfig(src, dir, file)
}

// CheckConfig says what is wrong with the text of a configuration, without looking at the files
// that it names.
func CheckConfig(src []byte) error {
	_, err := readConfig(src, "", "tocsin.yaml")
	return err
}

func readConfig(src []byte, dir, file string) (*Config, error) {
	c := Config{dir: dir, file: file}
	if err := yaml.Unmarshal(src, &c.root); err != nil {
		return nil, located(file, nil, syntax(err))
	}
	if len(c.root.Content) > 0 { // an empty file has no document
		if err := decode(c.root.Content[0], "", &c); err != nil {
			return nil, located(file, &c.root, err)
		}
	}
	if err := c.check(); err != nil {
		return nil, located(file, &c.root, err)
	}
	return &c, nil
}

// check fills the defaults in and names every mistake, each by its field.
func (c *Config) check() error {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if len(c.Mail.Retry) == 0 {
		c.Mail.Retry = DefaultRetry
	}
	if c.Mail.TLS == "" {
		c.Mail.TLS = "starttls"
	}
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, &mistake{Field: field, Say: fmt.Sprintf(format, args...)})
	}
	if !validID(c.Organisation.ID) {
		add("organisation.id", "has to be 1 to 64 characters of a-z, 0-9, - and .")
	}
	if c.Organisation.Name == "" {
		add("organisation.name", "is missing: it is how notices name you")
	}
	if why := org.UnfitName(c.FirstOwner); why != "" {
		add("first_owner", "%s", why)
	}
	if c.Policy == "" {
		add("policy", "is missing: name the policy file, such as policies/pickandpack.yaml")
	}
	if len(c.Apps) == 0 {
		add("apps", "is missing: name at least one app")
	}
	seen := map[string]bool{}
	for i, a := range c.Apps {
		if seen[a.ID] {
			add(fmt.Sprintf("apps[%d].id", i), "stands there twice: remove one")
		}
		seen[a.ID] = true
		if !validID(strings.ReplaceAll(a.ID, "_", "-")) {
			add(fmt.Sprintf("apps[%d].id", i), "has to be 1 to 64 characters of a-z, 0-9, -, _ and .")
		}
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			add("public_url", "has to be an address such as https://security.example.com")
		case u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "80")):
			add("public_url", "has to start with https://: links with one-time codes start with it")
		}
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		add("listen", "has to be host:port, such as 127.0.0.1:8080")
	} else if !loopback(c.Listen) && c.TLS.Cert == "" && len(c.TrustedProxies) == 0 {
		add("listen", "%s is not loopback: set tls.cert and tls.key, or name the proxy in trusted_proxies", c.Listen)
	}
	if c.Mail.Relay != "" {
		if _, _, err := net.SplitHostPort(c.Mail.Relay); err != nil {
			add("mail.relay", "has to be host:port, such as smtp.example.com:587")
		}
		if _, err := mail.ParseAddress(c.Mail.From); err != nil {
			add("mail.from", "has to be an address such as \"Example Security <security@example.com>\"")
		}
	}
	if strings.Trim(strings.ToLower(c.Mail.DKIMSelector), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || len(c.Mail.DKIMSelector) > 200 {
		add("mail.dkim_selector", "has to be a name such as mail2026, as it stands in the s= of a letter's DKIM-Signature")
	}
	if c.Network.DNS != "" {
		if _, _, err := net.SplitHostPort(c.Network.DNS); err != nil {
			add("network.dns", "has to be host:port, such as 127.0.0.1:53")
		}
	}
	if !slices.Contains([]string{"starttls", "tls", "none"}, c.Mail.TLS) {
		add("mail.tls", "has to be starttls, tls or none")
	}
	if c.Mail.TLS == "none" && !loopback(c.Mail.Relay) {
		add("mail.tls", "none is only for a relay on loopback: mail to merchants does not leave this machine in the clear")
	}
	for i, p := range append(slices.Clone(c.TrustedProxies), c.Network.Allow...) {
		if _, err := prefix(p); err != nil {
			field := fmt.Sprintf("trusted_proxies[%d]", i)
			if i >= len(c.TrustedProxies) {
				field = fmt.Sprintf("network.allow[%d]", i-len(c.TrustedProxies))
			}
			add(field, "has to be an address or a prefix such as 10.0.0.0/8")
		}
	}
	if c.Heartbeat.Every == 0 {
		c.Heartbeat.Every = time.Minute
	}
	if c.Heartbeat.Every < 10*time.Second || c.Heartbeat.Every > time.Hour {
		add("heartbeat.every", "has to be 10s to 1h")
	}
	if c.Heartbeat.URL != "" {
		if u, err := url.Parse(c.Heartbeat.URL); err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(net.JoinHostPort(u.Hostname(), "80"))) || u.User != nil || u.Fragment != "" {
			add("heartbeat.url", "has to be an address such as https://hc.example.com/ID")
		}
	}
	for i, w := range c.Evidence.Witnesses {
		if _, err := cosignature.NewVerifierForCosignatureV1(w.Key); err != nil {
			add(fmt.Sprintf("evidence.witnesses[%d].key", i), "has to be the verifier key of a witness, as it publishes it, such as witness.example.org+1a2b3c4d+BA…")
		}
		if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			add(fmt.Sprintf("evidence.witnesses[%d].url", i), "has to be an address such as https://witness.example.org")
		} else if slices.ContainsFunc(c.Evidence.Witnesses[:i], func(o Witness) bool { return o.URL == w.URL || o.Key == w.Key }) {
			add(fmt.Sprintf("evidence.witnesses[%d]", i), "stands there twice: remove one")
		}
	}
	if _, err := parseKeep(c.Evidence.Keep); err != nil {
		add("evidence.keep", "%v", err)
	}
	if c.Copy.To != "" && !filepath.IsAbs(c.Copy.To) {
		add("copy.to", "has to be a folder by its whole path, such as /mnt/elsewhere/tocsin")
	}
	if _, err := backup.Recipients(c.Copy.Recipients); err != nil {
		add("copy.recipients", "%v", err)
	}
	if c.Copy.To == "" && len(c.Copy.Recipients) > 0 {
		add("copy.to", "is missing: it says where the copy is kept")
	}
	c.Backup.check(add)
	c.checkLogs(add)
	if c.Table != (Table{}) {
		if _, err := c.bucket(nil); err != nil {
			field, why, _ := strings.Cut(err.Error(), ": ")
			add("table."+field, "%s", why)
		}
		if at, err := url.Parse(c.Table.Endpoint); err == nil && at.Scheme == "http" && !loopback(net.JoinHostPort(at.Hostname(), "80")) {
			add("table.endpoint", "has to start with https://: pseudonyms of customers do not leave this machine in the clear")
		}
		if c.Table.CacheMB < 0 {
			add("table.cache_mb", "is negative")
		}
	}
	if l := c.Detection.Level; l != "" && !slices.Contains([]string{"informational", "low", "medium", "high", "critical"}, l) {
		add("detection.level", "has to be informational, low, medium, high or critical")
	}
	for i, b := range c.Detection.Budgets {
		field := fmt.Sprintf("detection.budgets[%d]", i)
		if b.Credential == "" {
			add(field+".credential", "is missing: name the credential as the access log does")
		}
		if !(b.Amount > 0) {
			add(field+".amount", "has to be above 0")
		}
		if b.Unit == "" {
			add(field+".unit", "is missing: events, records, or what cost events are in, such as USD")
		}
		if b.Period < 24*time.Hour {
			add(field+".period", "has to be a day or more, such as 720h")
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		add("tls", "needs both cert and key")
	}
	// Nothing is run here: the way out and the secrets are asked for only when a check runs.
	if _, _, err := c.sources(nil, nil); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.checks(nil, nil, nil); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.probes(nil, nil); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.channels(nil, nil); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// bucket is the object store of the table; nil when it is kept in the data folder.
func (c *Config) bucket(out http.RoundTripper) (table.Bucket, error) {
	if c.Table == (Table{}) {
		return nil, nil
	}
	file := c.Table.CredentialsFile
	if file != "" && !filepath.IsAbs(file) {
		file = filepath.Join(c.dir, file)
	}
	return s3.New(s3.Options{URL: c.Table.URL, Endpoint: c.Table.Endpoint, Region: c.Table.Region, File: file, Transport: out})
}

func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// loopback says whether host:port is on this machine alone. A name counts only when it is localhost.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func prefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// prefixes parses a list that check has already accepted.
func prefixes(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		if p, err := prefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// path resolves a file named in the configuration against the data folder.
func (c *Config) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}
