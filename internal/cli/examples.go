package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples is one line for each command, as somebody would type it. A test holds that every command has
// one and that each is accepted as it stands.
const examples = `
access erase shop_17 customers.csv --basis "GDPR 17, asked on 20 November" --reason "the customer asked"
access erasures
access list --credential tok_9f2c --from 2026-11-22T03:00Z
access show 01J9Z3K4T8
backup --to /mnt/backup/tocsin.tar.age --recipient age1qexample
bench ingest
clocks INC-1
completion bash
completion fish
completion powershell
completion zsh
detect backtest --rule own.yaml --from 2026-11-01T00:00Z --to 2026-11-22T00:00Z
detect check rules/
detect explain own_rule
detect run --rules rules/ events.ndjson
doctor --all
drill --policy policies/policy.yaml
evidence checkpoint
evidence days
evidence export --incident INC-1 --recipient "the authority" --out inc-1.tocsin
evidence prove 01J9Z3K4T8 --out proof.json
evidence verify inc-1.tocsin
incident accept-role INC-1 lead
incident acknowledge INC-1
incident answer INC-1 exposed yes --reason "orders were read"
incident approve INC-1 ACT-1
incident approve-notice INC-1 NTC-1
incident assess INC-1 --vector "token in a build log" --root-cause "logs kept secrets" --risk "orders of 214 shops were read"
incident assign INC-1 lead lena
incident attach INC-1 mail.eml --note "what the finder wrote"
incident attachment INC-1 ATT-1 --out mail.eml
incident attest INC-1 restore
incident break-glass INC-1 --reason "the readers cannot be reached"
incident cancel INC-1 ACT-1 --reason "the wrong token"
incident check INC-1
incident close INC-1 --reason "reviewed"
incident confirm INC-1 --reason "the token was used from two countries"
incident contain INC-1 revoke_token --target credential=tok_9f2c --reason "stolen"
incident correct INC-1 confirmed --at 2026-11-22T03:10Z --reason "the call came earlier"
incident corrective INC-1 "No secrets in build logs" --owner person:ines --due 2026-12-15
incident dismiss INC-1 --reason "a test of our own"
incident done INC-1 telephone_platform --note "spoken with support"
incident draft INC-1 tell_merchants
incident exclude INC-1 shop_17 --reason "a shop of our own"
incident files INC-1
incident fix INC-1 "build logs are scrubbed"
incident grant INC-1 ines --reason "knows the build"
incident hand-over INC-1 lead omar --note "asleep until eight"
incident hold INC-1 "the log of 22 November" --basis "GDPR 33" --until 2027-11-22
incident include INC-1 shop_17 --reason "named in the finder's mail"
incident link-signal INC-1 SIG-7 --from INC-2
incident list
incident mark INC-1 contained --reason "the provider blocked it"
incident match INC-1 customers.csv --out matches.csv
incident merge INC-1 INC-2 --reason "the same token"
incident move-corrective INC-1 CA-1 --state done --note "shipped"
incident move-policy INC-1 --reason "the new text applies"
incident note INC-1 "spoke with the host"
incident open --class credential_exposure --title "Token in a public log"
incident override INC-1 restore --reason "shops lose orders"
incident pick INC-1 12
incident publish INC-1
incident release-hold INC-1 HLD-1 --reason "the case is over"
incident reopen INC-1 --reason "it goes on"
incident resend INC-1 NTC-1 shop_17 --reason "a new address"
incident restore INC-1 --reason "the fix is proven"
incident restrict INC-1 --reader lena --reason "staff are involved"
incident review INC-1
incident revoke-access INC-1 ines --reason "no longer needed"
incident scale INC-1 impact high --reason "orders were read"
incident scope INC-1 --credential tok_9f2c --from 2026-11-22T03:00Z --to 2026-11-22T04:00Z
incident scopes INC-1
incident send INC-1 NTC-1
incident severity INC-1 critical --reason "data left"
incident show INC-1
incident sign INC-1 restore
incident snapshot INC-1
incident split INC-1 --signal SIG-7 --title "Another token" --reason "not the same thief"
incident timeline INC-1
incident told INC-1 NTC-1 shop_17 --via telephone --reason "the mail came back"
incident undo INC-1 ACT-1 --reason "the shop is clean"
incident unlink-signal INC-1 SIG-7 --reason "another story"
incident unpick INC-1 PCK-1
incident verify-fix INC-1 "the old token was refused"
incident waive INC-1 tell_press --reason "nobody asked"
ingest events.ndjson
init --organisation acme --name Acme --app acme_app
integrity baseline theme --reason "release 41"
integrity check theme
integrity diff theme
integrity list
integrity restore theme --incident INC-1 --reason "a script was added"
key list
key new --purpose ingest --source web --app acme_app --out ingest.key
key revoke key-7f3a
law ask --to authority --country DE
law facts
law list
law show gdpr-33
man man1/
merchants import merchants.csv
merchants list
move-logs
notify approve INC-1 NTC-1
notify draft INC-1 --duty tell_merchants
notify preview INC-1 NTC-1 shop_17
notify resend INC-1 NTC-1 shop_17 --reason "a new address"
notify send INC-1 NTC-1
people email lena lena@example.org
people invite lena --access responder --role lead --email lena@example.com
people join
people list
people revoke lena --reason "left the company"
people revoke-token tok-4d1e
people tokens
policy check policies/policy.yaml
policy diff old.yaml new.yaml
policy explain policy.yaml --facts facts.yaml --at 2026-11-22T03:31Z
policy fmt policy.yaml
policy new --out policy.yaml
policy page policy.yaml --format html
policy schema
policy simulate policy.yaml --facts facts.yaml
probes
probes check storefront
programme
programme done drill_yearly --note "held with everybody"
programme event subprocessor_change --note "a new host from January"
programme waive train_staff --reason "nobody new this year"
rebuild
rejected
report "an invoice of another shop lay in my mailbox"
restore --from tocsin.tar.age --identity key.txt --data restored
review action INC-1 CA-1 --state done --note "shipped"
review actions --overdue
review diff INC-1 --from 1 --to 2
review entries INC-1
review pick INC-1 12
review plan INC-1
review publish INC-1
review published INC-1
review show INC-1 --format pdf --out review.pdf
review unpick INC-1 PCK-1
review write INC-1 impact --text "Orders of 214 shops were read."
scope --credential tok_9f2c --from 2026-11-22T03:00Z --to 2026-11-22T04:00Z
secret put app_admin < app_admin.txt
serve --data /srv/tocsin
setup
setup events
setup mail you@example.com
setup skip away
switch flip shop_17 off --reason "contained"
switch list
watch
whoami
`

// AddExamples gives each command below root its example. The program calls it once more after it has
// added commands of its own.
func AddExamples(root *cobra.Command) {
	byPath := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(examples)) {
		line = strings.TrimSpace(line)
		// The longest command that the line begins with is the one it is about.
		words := strings.Fields(line)
		cmd := root
		for _, w := range words {
			next := (*cobra.Command)(nil)
			for _, c := range cmd.Commands() {
				if c.Name() == w {
					next = c
				}
			}
			if next == nil {
				break
			}
			cmd = next
		}
		byPath[cmd.CommandPath()] = root.Name() + " " + line
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if text := byPath[c.CommandPath()]; text != "" && c.Example == "" && c != root {
			c.Example = "  " + text
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
