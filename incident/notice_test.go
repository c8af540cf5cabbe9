package incident

import (
	"strings"
	"testing"
)

func (w *world) scoped(merchants ...string) {
	w.t.Helper()
	w.confirmed()
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "orders"}, ReasonAnswered)
	w.must(lena, scopeOf("d1", merchants...), ReasonScopeRecorded)
}

func (w *world) wantDelivery(notice, recipient string, want DeliveryState) *Delivery {
	w.t.Helper()
	d := w.s.notice(notice).Deliveries[recipient]
	if d == nil || d.State != want {
		w.t.Fatalf("delivery to %s: %+v, want %s", recipient, d, want)
	}
	return d
}

// promise: NOT-2
func TestANoticeLackingAnItemCannotBeApproved(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1")
	w.must(mark, DraftNotice{Duty: "tell_merchants", Subject: "News", Content: map[string]string{"what_happened": "  "}}, ReasonDrafted)
	r := w.refused(lena, ApproveNotice{Notice: "NTC-1", Attest: true}, RefusedContent)
	if len(r.Missing) != 2 || !strings.Contains(r.Error(), "what_happened") || !strings.Contains(r.Error(), "your_actions") {
		t.Fatalf("missing: %+v", r.Missing)
	}
	// Everything that stands in the way is listed at once: content, own work, and the signer's word.
	r = w.refused(mark, ApproveNotice{Notice: "NTC-1"}, RefusedContent)
	if len(r.Missing) != 4 {
		t.Fatalf("missing: %+v", r.Missing)
	}
	w.refused(mark, SendNotice{Notice: "NTC-1"}, RefusedState)
	w.must(mark, DraftNotice{Duty: "tell_merchants", Notice: "NTC-1", Subject: "News", Content: map[string]string{"what_happened": "a", "your_actions": "b"}}, ReasonDrafted)
	w.refused(nadia, ApproveNotice{Notice: "NTC-1", Attest: true}, RefusedRole)
	w.refused(lena, ApproveNotice{Notice: "NTC-1"}, RefusedGate)
	w.must(lena, ApproveNotice{Notice: "NTC-1", Attest: true}, ReasonApproved)
	w.must(lena, ApproveNotice{Notice: "NTC-1", Attest: true}, ReasonAlreadySigned)
	if len(w.s.Refusals) != 5 {
		t.Fatalf("refusals kept: %d", len(w.s.Refusals))
	}
}

func TestWhoWroteANoticeCannotSignItAndARewriteVoidsSignatures(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1")
	full := map[string]string{"what_happened": "a", "your_actions": "b"}
	w.must(mark, DraftNotice{Duty: "tell_merchants", Subject: "News", Content: full}, ReasonDrafted)
	w.must(lena, ApproveNotice{Notice: "NTC-1", Attest: true}, ReasonApproved)
	w.must(lena, DraftNotice{Duty: "tell_merchants", Notice: "NTC-1", Subject: "Other", Content: full}, ReasonDrafted)
	if n := w.s.notice("NTC-1"); n.State != NoticeDraft || len(n.Approvals) != 0 {
		t.Fatalf("%+v", n)
	}
	w.refused(lena, ApproveNotice{Notice: "NTC-1", Attest: true}, RefusedOwnWork)
}

// promise: NOT-1
func TestEachMerchantIsToldOnceAndItsDutyIsMetByTheAcceptance(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1", "m_2", "m_3")
	id := w.noticeSent("tell_merchants")
	effects := w.owed(EffectSend)
	if len(effects) != 3 || effects[0].ID != "send/INC-1/NTC-1/m_1/1" {
		t.Fatalf("owed: %+v", effects)
	}
	w.after(h)
	for i, e := range effects {
		if w.s.has("notified") {
			t.Fatalf("notified after %d of 3", i)
		}
		w.do(e, ReportResult{Outcome: Done, Code: "250"})
		d := w.wantDuty("tell_merchants/"+e.Party, DutyMet)
		if d.Proof != w.wantDelivery(id, e.Party, DeliveryAccepted).Fact || d.Trigger != "person" {
			t.Fatalf("%+v", d)
		}
	}
	if !w.s.has("notified") || w.s.notice(id).State != NoticeSent {
		t.Fatal("everybody was told and nothing says so")
	}
	w.must(mark, SendNotice{Notice: id}, ReasonNobodyLeft)
	w.must(lena, scopeOf("d2", "m_1", "m_2", "m_3", "m_4"), ReasonScopeRecorded)
	w.must(mark, SendNotice{Notice: id}, ReasonSending)
	if e := w.one(EffectSend); e.Party != "m_4" {
		t.Fatalf("sent again to %s", e.Party)
	}
}

func TestABounceGoesToTheNextAddressAndThenToAPerson(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1")
	id := w.noticeSent("tell_merchants")
	w.do(w.one(EffectSend), ReportResult{Outcome: Failed, Code: "550", Addresses: 2})
	if d := w.wantDelivery(id, "m_1", DeliveryOwed); d.Address != 1 {
		t.Fatalf("address %d", d.Address)
	}
	w.do(w.one(EffectSend), ReportResult{Outcome: Failed, Code: "550", Addresses: 2})
	w.wantDelivery(id, "m_1", DeliveryBounced)
	if len(Owed(w.s)) != 0 {
		t.Fatal("a bounce is tried for ever")
	}
	if !w.duty("tell_merchants/m_1").owing() {
		t.Fatal("a bounce settled the duty")
	}
	if w.s.has("notified") {
		t.Fatal("notified with a bounce")
	}
	w.must(mark, ResendNotice{Notice: id, Party: "m_1", Reason: "new address by phone"}, ReasonResent)
	w.do(w.one(EffectSend), ReportResult{Outcome: Done})
	w.wantDuty("tell_merchants/m_1", DutyMet)
}

func TestARecipientWithoutAnAddressIsKnownBeforeAnAttempt(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1")
	id := w.noticeSent("tell_merchants")
	w.must(worker, ReportResult{Effect: w.one(EffectSend), Outcome: Failed, Code: "no_address"}, ReasonResult)
	w.wantDelivery(id, "m_1", DeliveryNoAddress)
}

func TestAnUncertainMailIsRepeatedOnceWithTheSameMessageIDAndThenLeftToAPerson(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1")
	id := w.noticeSent("tell_merchants")
	for i := range 2 {
		e := w.one(EffectSend)
		if e.Attempt != i+1 {
			t.Fatalf("attempt %d", e.Attempt)
		}
		w.must(worker, ReportAttempt{Effect: e, Message: "<same@x>"}, ReasonAttempt)
		w.must(worker, ReportResult{Effect: InFlight(w.s)[0], Outcome: Uncertain}, ReasonResult)
		w.must(worker, ReportResult{Effect: e, Outcome: Uncertain}, ReasonAlreadyReported)
	}
	d := w.wantDelivery(id, "m_1", DeliveryUncertain)
	if d.MessageID != "<same@x>" || len(Owed(w.s)) != 0 {
		t.Fatalf("%+v, owed %v", d, Owed(w.s))
	}
	if !w.duty("tell_merchants/m_1").owing() {
		t.Fatal("an uncertain mail met the duty")
	}
	w.must(mark, ResendNotice{Notice: id, Party: "m_1", Reason: "they have not had it"}, ReasonResent)
	w.do(w.one(EffectSend), ReportResult{Outcome: Done})
}

// promise: NOT-3
func TestThePlatformIsToldOnceOnItsOwnClock(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.noticeSent("tell_shopify")
	e := w.one(EffectSend)
	if e.Party != "shopify" {
		t.Fatalf("%+v", e)
	}
	w.do(e, ReportResult{Outcome: Done})
	d := w.wantDuty("tell_shopify/shopify", DutyMet)
	if d.Proof != w.wantDelivery(id, "shopify", DeliveryAccepted).Fact {
		t.Fatal("no proof")
	}
	for _, f := range w.facts {
		for _, p := range f.Parts {
			if p.Merchant == "shopify" {
				t.Fatalf("%s has a merchant's part for a party", f.Kind)
			}
		}
	}
}

func TestMailThatHasNotLeftIsTakenBackWhenItsRecipientLeavesTheScope(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1", "m_2")
	shop := w.noticeSent("tell_shopify")
	id := w.noticeSent("tell_merchants")
	w.must(lena, scopeOf("d2", "m_1"), ReasonScopeRecorded)
	w.wantDelivery(id, "m_2", DeliveryWithdrawn)
	w.wantDelivery(shop, "shopify", DeliveryOwed)
	w.wantDuty("tell_merchants/m_2", DutyNot)
	w.must(lena, scopeOf("d3", "m_1", "m_2"), ReasonScopeRecorded)
	w.must(mark, SendNotice{Notice: id}, ReasonSending)
	w.wantDelivery(id, "m_2", DeliveryOwed)
	w.must(lena, Dismiss{Reason: "a test"}, ReasonDismissed)
	if list := Owed(w.s); len(list) != 0 {
		t.Fatalf("a dismissed incident owes %v", list)
	}
}

func TestNoFactHeaderNamesAMerchant(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_secret_1", "m_secret_2")
	w.noticeSent("tell_merchants")
	w.do(w.owed(EffectSend)[0], ReportResult{Outcome: Deferred, Retry: t0})
	w.do(w.owed(EffectSend)[0], ReportResult{Outcome: Done})
	w.must(lena, AdjustScope{Merchant: "m_secret_2", Include: false, Reason: "x"}, ReasonScopeAdjusted)
	w.must(mark, PlanAction{Action: "switch_off", Target: map[string]string{"merchant": "m_secret_1"}, Reason: "x"}, ReasonPlanned)
	w.must(lena, RecordSwitch{Merchant: "m_secret_1", State: "off", Reason: "x"}, ReasonSwitched)
	w.tickTo(t0.Add(100 * h))
	for _, f := range w.facts {
		if strings.Contains(string(f.Body), "m_secret") {
			t.Errorf("the header of %s names a merchant: %s", f.Kind, f.Body)
		}
		for _, p := range f.Parts {
			if p.Merchant == "" && strings.Contains(string(p.Body), "m_secret") {
				t.Errorf("the common part of %s names a merchant: %s", f.Kind, p.Body)
			}
		}
	}
}
