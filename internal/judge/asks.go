package judge

import (
	"maps"
	"slices"
)

// asked says of a policy's text whether its structure makes a promise, which duty's clock it has ("" for
// none), and what is lacking that a story would hold it by.
type asked func(policyText) (duty string, stated bool, lacks string)

// opens says whether a class is opened by one of the signals, or has its name.
func (t policyText) opens(signals ...string) bool {
	for name, c := range t.Classes {
		if slices.Contains(signals, name) || slices.ContainsFunc(words(c.Signals), func(s string) bool { return slices.Contains(signals, s) }) {
			return true
		}
	}
	return false
}

// changesWatched: files are compared in this story under every policy; one that names the signal promises it.
func changesWatched(t policyText) (string, bool, string) {
	return "", t.opens("template_changed"), ""
}

// putsBack: what the policy's own action did can be shown; without one people put files back by hand.
func putsBack(t policyText) (string, bool, string) {
	for _, a := range t.Actions {
		if a.Uses == "known_good" {
			return "", false, ""
		}
	}
	return "", false, "the policy has no action that uses known_good: people put the files back by hand, and nobody promised how"
}

// outageHasNoClass: a class is judged where the story has one name for it, and an outage has many.
func outageHasNoClass(t policyText) (string, bool, string) {
	if len(t.Classes) == 0 {
		return "", false, "the policy has no class"
	}
	return "", true, "what an outage is called differs from policy to policy"
}

// outagesWatched: probes look in this story under every policy; one that names what they raise promises it.
func outagesWatched(t policyText) (string, bool, string) {
	return "", t.opens("dns_failure", "tls_failure", "checkout_failure", "storefront_outage"), ""
}

// tellsAgain is the duty of updates to those affected, which is marked with the promise or is the first.
func tellsAgain(t policyText) (string, bool, string) {
	first := ""
	for _, id := range slices.Sorted(maps.Keys(t.Duties)) {
		d := t.Duties[id]
		if d.Do != "update" || d.For == "programme" || d.To != "merchants.affected" {
			continue
		}
		if slices.Contains(words(d.Promise), "NOT-8") {
			return id, true, ""
		}
		if first == "" {
			first = id
		}
	}
	if first == "" {
		return "", false, "the policy promises it and has no update to merchants.affected that a drill could hold it by"
	}
	return first, true, ""
}

// tellsInChannels: by mail nobody is told where they talk, so a policy that marks its updates with the promise
// and names no other way cannot be held to it. Its clock is that of the updates.
func tellsInChannels(t policyText) (string, bool, string) {
	ways := words(t.Parties["merchants"].Via)
	if !slices.Contains(ways, "slack") && !slices.Contains(ways, "basecamp") {
		return "", false, "the policy tells merchants by mail and names no channel of theirs"
	}
	duty, _, lacks := tellsAgain(t)
	return duty, false, lacks
}

// checksWhatFailed: the probes that raise the incident are its checks, whatever checks the policy has.
func checksWhatFailed(policyText) (string, bool, string) { return "", false, "" }
