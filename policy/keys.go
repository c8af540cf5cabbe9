package policy

import (
	"slices"
)

// form is what may stand behind a key. The parser reads by it, the JSON Schema says it to editors.
type form int

const (
	aText      form = iota // one text
	texts                  // a text, or a list of texts
	anID                   // one id that the policy makes up
	ids                    // an id, or a list of them
	aName                  // one name that is declared elsewhere
	nameList               // such a name, or a list of them
	aDate                  // 2006-01-02
	aLength                // 4h
	clocks                 // a clock, or a list of them
	aCadence               // a length, a range, or a period
	anAnchor               // an instant, A or B, A and B
	aCondition             // CEL
	conditions             // CEL, or a list that must all hold
	aTruth                 // true or false
	aChoice                // one of key.values
	choices                // one of key.values, or a list of them
	signers                // lead, or a list such as [lead, 2 of engineers]
	escalation             // lengths to roles
	proseLines             // a text, or a list of texts and of { text, promise }
	aMapping               // the mapping key.of
	someOf                 // ids to the mapping key.of, in order
	listOf                 // a list of the mapping key.of
	phaseList              // a list of one id with the mapping key.of, or someOf
	tableList              // a list of tables
	freeText               // a text, or a mapping of texts
)

// key is one key of a mapping.
type key struct {
	name   string
	form   form
	doc    string
	values []string // of aChoice and choices
	of     string   // of aMapping, someOf, listOf and phaseList: the name of a shape
	need   bool
	also   string // another spelling that is read as the same
}

// shape is one mapping of the language: what the parser reads and the schema describes.
type shape struct {
	doc  string
	keys []key
}

// channelDoc is a way by which somebody can be told. One by hand is the act of a person, who records
// it; the others are sent by a connector.
type channelDoc struct {
	name, doc string
	byHand    bool
}

var channelDocs = []channelDoc{
	{"email", "e-mail", false}, {"slack", "a Slack channel", false}, {"basecamp", "a Basecamp project", false}, {"teams", "a Microsoft Teams channel", false},
	{"google-chat", "a Google Chat space", false}, {"pagerduty", "PagerDuty", false}, {"webhook", "an HTTP request that is signed", false},
	{"status-page", "the public status page", false}, {"portal", "a form of the recipient's on the web", true}, {"app", "a message in the app", false},
	{"sms", "a text message", false}, {"phone", "a telephone call", true}, {"letter", "a letter", true}, {"in-person", "face to face", true}, {"press", "a press release", true},
}

func channelNames() []string {
	out := make([]string, len(channelDocs))
	for i, c := range channelDocs {
		out[i] = c.name
	}
	return out
}

// kinds of party are what notification law distinguishes.
var kinds = []string{"controller", "processor", "authority", "individuals", "platform", "acquirer", "insurer", "police", "media", "provider", "staff", "public"}

// guarded are the commands a gate can refuse.
var guarded = []string{"restore", "close", "notify", "rotate", "dismiss", "lower", "publish", "waive"}

// probes are the kinds of check. A check of kind connector is the proof a connector makes itself
// when its action has been applied; a check of kind person is somebody's word.
var probes = []string{"http", "http-journey", "tls", "dns", "script", "integrity", "metric", "connector", "person"}

var factTypes = []string{"bool", "int", "string", "choice"}

// shapes are the mappings of the language by what messages call them.
var shapes = map[string]*shape{
	"the policy": {"A security incident response policy: the public page and the rules that run.", []key{
		{name: "policy", form: anID, need: true, doc: "The policy's own id, in snake_case."},
		{name: "title", form: aText, need: true, doc: "The title of the page."},
		{name: "owner", form: aText, need: true, doc: "The company or person that publishes the policy."},
		{name: "updated", form: aDate, doc: "The date of the last change, as readers see it."},
		{name: "time", form: aMapping, of: "time", doc: "The time zone, business hours and holidays, and the target behind promptly."},
		{name: "scales", form: someOf, of: "a scale", doc: "Ordered levels, worst first. severity is the one that people are paged by; others are free."},
		{name: "classes", form: someOf, of: "a class", doc: "The kinds of incident, and the signals that open them."},
		{name: "facts", form: someOf, of: "a fact", doc: "Judgements that conditions read: asked of somebody, unknown until answered."},
		{name: "milestones", form: someOf, of: "a milestone", doc: "Instants of your own beside those of every incident."},
		{name: "events", form: someOf, of: "an event", doc: "What happens to the programme and not to an incident, for duties of each."},
		{name: "parties", form: someOf, of: "a party", doc: "Who is told, and by which channels."},
		{name: "roles", form: someOf, of: "a role", doc: "Who does what, and who stands in."},
		{name: "duties", form: someOf, of: "a duty", doc: "Anything with a clock: who does what, due when."},
		{name: "tables", form: tableList, doc: "Clocks by severity, class, another scale or a fact."},
		{name: "gates", form: listOf, of: "a gate", doc: "Anything that may be refused, and what opens it."},
		{name: "actions", form: someOf, of: "an action", doc: "What can be done at once, by a connector."},
		{name: "checks", form: someOf, of: "a check", doc: "What is tested before service returns, and the proofs of actions."},
		{name: "phases", form: phaseList, of: "a phase", doc: "The steps of the procedure, in the order of the page."},
		{name: "review", form: ids, doc: "The parts that every review must have."},
		{name: "contact", form: aMapping, of: "contact", doc: "Where problems are reported."},
		{name: "law", form: aMapping, of: "law", doc: "Which law may apply."},
		{name: "page", form: proseLines, doc: "The public page. Numbers come from the rules: {duties.tell_merchants.due}."},
	}},
	"time": {"How time is counted.", []key{
		{name: "zone", form: aText, doc: "The IANA time zone of dates and business time, such as Europe/Berlin."},
		{name: "business", form: aText, doc: `Opening hours: "Mon-Fri 09:00-17:30", several parted by a semicolon.`},
		{name: "holidays", form: texts, doc: "Days on which business time stands still: calendars such as DE-BE, dates, or both."},
		{name: "promptly", form: aLength, doc: "The target behind the word promptly."},
		{name: "starts", form: aName, doc: "The milestone a clock starts at when it names none."},
	}},
	"a scale": {"A scale: its levels, worst first.", nil},
	"a severity level": {"One level of a scale.", []key{
		{name: "means", form: aText, need: true, doc: "What makes it this level, as the page says it."},
		{name: "when", form: aCondition, doc: "When it is at least this level. Proved, it is set by itself; people may raise freely and lower with a signature."},
	}},
	"a class": {"A kind of incident.", []key{
		{name: "means", form: aText, need: true, doc: "What happened, as the page says it."},
		{name: "signals", form: ids, doc: "The detections that open an incident of this class."},
		{name: "promise", form: texts, doc: "Your ids of what you promise in public."},
	}},
	"a fact": {"A judgement no machine can make. Until it is answered it is unknown.", []key{
		{name: "type", form: aChoice, values: factTypes, doc: "What an answer is. bool when left out."},
		{name: "values", form: ids, doc: "Of type choice: what may be answered."},
		{name: "ask", form: aText, need: true, doc: "The question."},
		{name: "by", form: aName, need: true, doc: "The role it is put to."},
		{name: "due", form: clocks, doc: "When it has to be answered. Promptly when left out."},
		{name: "say", form: aText, need: true, doc: "The words conditions print as, on the page and in refusals."},
		{name: "presume", form: aTruth, doc: "What the page assumes until it is answered."},
	}},
	"a milestone": {"An instant of an incident that the policy adds.", []key{
		{name: "means", form: aText, need: true, doc: "What has been reached."},
		{name: "implies", form: nameList, doc: "Milestones that are reached with it."},
	}},
	"an event": {"Something that happens to the programme: a subprocessor is added, the law changes.", []key{
		{name: "means", form: aText, need: true, doc: "What happens."},
		{name: "promise", form: texts, doc: "Your ids of what you promise in public."},
	}},
	"a party": {"Somebody who is told.", []key{
		{name: "name", form: aText, doc: "What the page calls it."},
		{name: "affected", form: aChoice, values: []string{"scope.merchants"}, doc: "PARTY.affected are the merchants that the scope names."},
		{name: "all", form: aChoice, values: []string{"directory.merchants"}, doc: "PARTY.all is every merchant of the directory."},
		{name: "broadcast", form: aTruth, doc: "Told all at once, by publishing."},
		{name: "address", form: texts, doc: "Fixed addresses, in order of preference."},
		{name: "via", form: choices, values: channelNames(), doc: "Channels, the first by default. email when left out."},
		{name: "fallback", form: choices, values: channelNames(), doc: "Channels to turn to when there is no address or it bounced."},
		{name: "contract", form: aText, doc: "Where each merchant's own terms stand, for clocks as contract."},
		{name: "kind", form: aChoice, values: kinds, doc: "What law calls the party, for clocks as law. Merchants are controllers."},
	}},
	"a role": {"What somebody is responsible for.", []key{
		{name: "does", form: aText, need: true, doc: "What the role does, as the page says it."},
		{name: "holder", form: texts, doc: `Who holds it: ids of people, or "?" while it is open.`},
		{name: "backup", form: nameList, doc: "Roles that stand in."},
	}},
	"a duty": {"Anything with a clock.", []key{
		{name: "who", form: aName, need: true, doc: "The role that does it."},
		{name: "do", form: aChoice, values: verbs, need: true, doc: "The verb: what meets the duty."},
		{name: "for", form: aText, doc: "incident (when left out), programme, or each EVENT."},
		{name: "of", form: nameList, doc: "Of decide and reach the milestones, of answer the fact."},
		{name: "task", form: aText, doc: "Of perform: what is to be done, as the page says it."},
		{name: "to", form: aName, doc: "Whom it tells: merchants.affected, merchants.all, a party, or the recipients of another duty: DUTY.to."},
		{name: "via", form: choices, values: channelNames(), doc: "Channels, where they differ from the party's."},
		{name: "when", form: aCondition, doc: "The condition. Unknown, the duty runs provisionally; only a recorded no makes it not due."},
		{name: "unless", form: aCondition, doc: "Stands the duty down while it is proved."},
		{name: "due", form: clocks, doc: "When it is due. Of a list the earliest runs."},
		{name: "not_before", also: "not-before", form: clocks, doc: "The earliest it may be done. Of a list the last counts."},
		{name: "every", form: aCadence, doc: "How often it comes again: 2h..4h, year."},
		{name: "until", form: anAnchor, doc: "What ends the repetition."},
		{name: "content", form: ids, doc: "What the notice must contain."},
		{name: "approve", form: nameList, doc: "Roles that sign before it is sent. Who drafted it cannot."},
		{name: "late", form: escalation, doc: "Who is paged how long after the limit; with a minus, before it."},
		{name: "promise", form: texts, doc: "Your ids of what you promise in public."},
		{name: "say", form: aText, doc: "The duty's sentence where the one the page makes does not fit."},
	}},
	"a gate": {"Anything that may be refused.", []key{
		{name: "id", form: anID, doc: "The gate's id, where two guard the same."},
		{name: "guards", form: aName, values: guarded, need: true, doc: "What it may refuse: a command, or the id of an action."},
		{name: "when", form: aCondition, doc: "The gate stands only while this is not ruled out."},
		{name: "need", form: conditions, doc: "What must be so. Unknown is shut."},
		{name: "sign", form: signers, doc: "Who must sign: [lead, 2 of engineers]."},
		{name: "attest", form: aText, doc: "What whoever gives the command declares, for a rule no machine can test."},
		{name: "override", form: aMapping, of: "an override", doc: "How a shut gate may be passed."},
		{name: "otherwise", form: aText, doc: "What a refusal says beside what is missing."},
		{name: "promise", form: texts, doc: "Your ids of what you promise in public."},
	}},
	"an override": {"How a shut gate may be passed.", []key{
		{name: "sign", form: signers, need: true, doc: "Who must sign to pass it."},
		{name: "record", form: aText, doc: "What has to be recorded. reason when left out."},
	}},
	"an action": {"Something that can be done at once.", []key{
		{name: "uses", form: aName, need: true, doc: "The connector of the configuration that does it."},
		{name: "means", form: aText, doc: "What it does, as the page says it. The id in words when left out."},
		{name: "when", form: aCondition, doc: "When it is proposed."},
		{name: "after", form: nameList, doc: "Actions that come first, or snapshot."},
		{name: "approve", form: nameList, doc: "Roles that sign. Who planned it cannot."},
		{name: "confirm", form: aName, doc: "The check that must refuse afterwards."},
		{name: "promise", form: texts, doc: "Your ids of what you promise in public."},
	}},
	"a check": {"Something that is tested.", []key{
		{name: "probe", form: aChoice, values: probes, need: true, doc: "How it is tested. connector is the proof a connector makes itself; person is somebody's word."},
		{name: "means", form: aText, doc: "What has been shown when it passes. The id in words when left out."},
		{name: "with", form: freeText, doc: "A file, or settings of the probe."},
	}},
	"a phase": {"A step of the procedure.", []key{
		{name: "title", form: aText, doc: "The heading. The id in words when left out."},
		{name: "until", form: anAnchor, doc: "The milestone that ends it."},
		{name: "says", form: proseLines, doc: "The text of the step."},
		{name: "tasks", form: ids, doc: "What is done in it."},
		{name: "promise", form: texts, doc: "Your ids of what you promise in public."},
	}},
	"law": {"Which law may apply.", []key{
		{name: "where", form: texts, doc: "The only places where those live whose data you hold: countries (DE), parts of countries (US-CA), EU. Laws of other places are left out."},
	}},
	"contact": {"Where problems are reported.", []key{
		{name: "email", form: aText, doc: "The address reports are sent to."},
		{name: "url", form: aText, doc: "The https address of a form or of instructions."},
	}},
	"a cell of a table": {"What a duty's clocks are at one level.", []key{
		{name: "due", form: clocks, doc: "The clock, or only its length; none where it is not due."},
		{name: "every", form: aCadence, doc: "How often it comes again."},
	}},
	"a line of the page": {"A text with the promises it makes itself.", []key{
		{name: "text", form: aText, need: true, doc: "The text."},
		{name: "promise", form: texts, doc: "Your ids of what you promise in public."},
	}},
}

// keysOf lists the keys of a shape, nil for none.
func keysOf(what string) []string {
	s := shapes[what]
	if s == nil {
		return nil
	}
	out := make([]string, len(s.keys))
	for i, k := range s.keys {
		out[i] = k.name
	}
	return out
}

// spelling is the key a shape means by what is written.
func spelling(what, written string) string {
	if s := shapes[what]; s != nil {
		if i := slices.IndexFunc(s.keys, func(k key) bool { return k.also != "" && k.also == written }); i >= 0 {
			return s.keys[i].name
		}
	}
	return written
}
