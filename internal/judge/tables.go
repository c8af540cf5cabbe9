package judge

import "maps"

// table is how one scenario is judged.
type table struct {
	checks map[string]check     // by promise; what is not here is not reached
	also   []func(*bench) error // what has to hold whatever the policy promises: an error is a finding, and a finding fails the drill
	trials int                  // random alterations of the evidence
	bare   bool                 // the evidence may hold no scope and no accesses, and then there is nothing of them to alter
	// Of a policy of one's own: what a promise needs of its text, where that differs from a breach, and
	// which duties nobody in the story does, with the reason. Without idle the clocks of its duties are not judged.
	asks map[string]asked
	idle map[string]string
}

// tables has one entry for each folder of scenarios.
var tables = map[string]table{
	"stolen-token": {checks: checks, trials: randomTrials, idle: map[string]string{"update": "what recurs is not judged: the people of this story send no updates"}},
	"false-alarm": {
		checks: with(of("CLS-1", "INV-3", "PRO-12", "PUB-1"), map[string]check{"CLS-3": (*bench).dismissedByName}),
		also:   []func(*bench) error{(*bench).nobodyOutsideTold, (*bench).dismissalStands},
		trials: fewTrials, bare: true,
	},
	"nobody-acts": {
		checks: with(of("CLS-1", "CLS-2", "CLS-3", "CON-1", "CON-6", "DET-2", "INV-1", "INV-3", "INV-4", "NOT-3", "PRO-12", "PUB-1"), map[string]check{
			"NOT-1": (*bench).notToldInTheOpen, "NOT-4": (*bench).notToldInTheOpen, "NOT-6": (*bench).notToldInTheOpen,
		}),
		also:   []func(*bench) error{(*bench).nothingPretended, (*bench).nobodyOutsideTold, (*bench).everythingInTheOpen},
		trials: fewTrials, bare: true,
	},
	"supplier": {
		checks: with(of("CLS-1", "CLS-3", "INV-3", "INV-4", "NOT-1", "NOT-3", "NOT-4", "NOT-6", "PRO-12", "PUB-1"), map[string]check{"NOT-2": (*bench).contentWithoutNumbers}),
		also:   []func(*bench) error{(*bench).raisedBySupplier, (*bench).onlyTheNamed},
		trials: fewTrials, bare: true,
	},
	"outside-report": {
		checks: with(of("CLS-3", "INV-3", "INV-4", "PRO-12", "PUB-1", "REV-1"), map[string]check{
			"DET-11": (*bench).reportTakenIn, "PUB-2": (*bench).contactAnswers, "REV-3": (*bench).correctedToTheEnd, "REV-4": (*bench).policyReread,
			"PRO-1": (*bench).encrypted, "PRO-4": (*bench).roleBased, "PRO-7": (*bench).keptApart, "PRO-11": (*bench).accessReviewed,
		}),
		also:   []func(*bench) error{(*bench).nobodyOutsideTold},
		trials: fewTrials, bare: true,
	},
	"other-alarms": {
		checks: with(of("CLS-3", "INV-3", "PRO-12", "PUB-1"), map[string]check{
			"DET-4": (*bench).alarmed, "DET-5": (*bench).alarmed, "DET-8": (*bench).alarmed, "DET-9": (*bench).alarmed, "DET-10": (*bench).alarmed,
		}),
		also:   []func(*bench) error{(*bench).nobodyOutsideTold},
		trials: fewTrials, bare: true,
	},
	"template-tamper": {
		checks: with(of("CLS-1", "CLS-3", "INV-4", "NOT-1", "NOT-3", "NOT-4", "NOT-6", "PRO-12", "PUB-1"), map[string]check{
			"CON-5": (*bench).gone, "DET-7": (*bench).changeNoticed, "INV-3": (*bench).untouchedAndKept, "NOT-2": (*bench).contentWithoutNumbers,
			"REC-1": (*bench).restoredWhenAsApproved, "REC-3": (*bench).putBackAndLookedAt,
		}),
		also:   []func(*bench) error{(*bench).onlyTheNamed},
		trials: fewTrials, bare: true,
		asks: map[string]asked{"DET-7": changesWatched, "CON-5": putsBack, "REC-3": putsBack},
		idle: map[string]string{
			"contain": "nothing is cut off in this story: changed files are put back", "scope": "no log shows whom it touched: the merchants are taken in by hand",
			"review": "the story ends before the review", "update": "the story ends before anything recurs",
		},
	},
	"tocsin-down": {
		checks: with(of("CLS-1", "CLS-2", "CLS-3", "DET-1", "DET-2", "INV-1", "INV-3", "INV-4", "NOT-2", "NOT-3", "NOT-4", "PRO-12", "PUB-1"), map[string]check{"NOT-1": (*bench).merchantsToldOnce, "NOT-6": (*bench).toldWithoutDelayOnce, "PRO-8": (*bench).backedUp, "REC-3": (*bench).restoredWhole}),
		also:   []func(*bench) error{(*bench).wentOnElsewhere},
		trials: fewTrials,
	},
	"storefront-outage": {
		checks: with(of("CLS-2", "CLS-3", "CON-6", "INV-3", "INV-4", "PRO-12", "PUB-1", "REC-1", "REV-1", "REV-2"), map[string]check{
			"DET-6": (*bench).outageSeen, "NOT-7": (*bench).inTheirChannels, "NOT-8": (*bench).updatesNeverStop, "REC-4": (*bench).checkedOnDevices,
		}),
		also:   []func(*bench) error{(*bench).probesHeldService, (*bench).clocksInTime},
		trials: fewTrials, bare: true,
		asks: map[string]asked{"CLS-1": outageHasNoClass, "DET-6": outagesWatched, "NOT-7": tellsInChannels, "NOT-8": tellsAgain, "REC-4": checksWhatFailed},
		idle: map[string]string{"scope": "an outage touches nobody's data, so that nobody counts it"},
	},
	"insider": {
		checks: with(of("CLS-1", "CLS-2", "CLS-3", "DET-1", "INV-1", "INV-4", "NOT-1", "NOT-2", "NOT-3", "NOT-4", "NOT-6", "PRO-12", "PUB-1"), map[string]check{"INV-3": (*bench).untouchedAndUnknown}),
		also:   []func(*bench) error{(*bench).unknownOutside, (*bench).calledWithin},
		trials: fewTrials,
	},
	"late-scope": {
		checks: with(of("CLS-1", "CLS-2", "CLS-3", "DET-1", "DET-2", "INV-1", "INV-3", "INV-4", "NOT-1", "NOT-3", "NOT-4", "NOT-6", "PRO-12", "PUB-1"), map[string]check{"NOT-2": (*bench).contentOfItsScope}),
		also:   []func(*bench) error{(*bench).nobodyToldTwiceTheSame},
		trials: fewTrials,
	},
}

// fewTrials is how many copies of the evidence are altered at random where the scenario is about
// something else.
const fewTrials = 15

// of is the checks of some promises, as they are for a breach that was answered.
func of(ids ...string) map[string]check {
	out := map[string]check{}
	for _, id := range ids {
		out[id] = checks[id]
	}
	return out
}

// with puts a scenario's own checks over others.
func with(base, own map[string]check) map[string]check {
	out := maps.Clone(base)
	maps.Copy(out, own)
	return out
}
