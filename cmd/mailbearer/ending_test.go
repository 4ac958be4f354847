package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/internal/fake365"
)

// A certificate that is replaced is used without a word, and its end is known as soon.
func TestEndingOfAReplacedCertificate(t *testing.T) {
	t.Parallel()
	dir, day := t.TempDir(), 24*time.Hour
	writeAppCertificate(t, dir, time.Now().Add(2*day))
	o := config.OAuth{Certificate: filepath.Join(dir, "app.crt"), CertificateKey: filepath.Join(dir, "app.key")}
	at, err := endOf(o)
	if err != nil {
		t.Fatal(err)
	}
	e := newEnding(o, at)
	if left := time.Until(e.time()); left > 2*day || left < 2*day-time.Hour {
		t.Errorf("%v", left)
	}
	if err := os.WriteFile(o.Certificate, []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !e.time().Equal(at) {
		t.Error("a broken file ends something")
	}
	writeAppCertificate(t, dir, time.Now().Add(700*day))
	if left := time.Until(e.time()); left < 699*day {
		t.Errorf("still %v", left)
	}
	secret := config.OAuth{ClientSecretExpires: at}
	if !newEnding(secret, at).time().Equal(at) {
		t.Error("a secret's end is another one")
	}
}

// status tells of a credential that ends soon.
func TestStatusShowsWhatEndsSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	certificateThatEnds(5*24*time.Hour)(t, w)
	w.start()
	w.eventually(func() bool { return !w.status().Accounts[0].CredentialExpires.IsZero() })
	if out, _, _ := output("status", "--config", w.config); !strings.Contains(out, "what it signs in with ends on 2") {
		t.Error(out)
	}
}

// Two commands that look at one certificate say the same.
func TestDaysLeftAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	certificateThatEnds(5*24*time.Hour)(t, w)
	out, errs, _ := output("certificate", "show", "--account", "default", "--json", "--config", w.config)
	var v certificateView
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.DaysLeft != 5 {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	w.fake.Fault(fake365.Fault{At: "token", Answer: `{"access_token":"opaque","expires_in":60}`})
	steps, human, _ := w.check()
	if !strings.Contains(steps["token"].Cause, "expires in 5 days") {
		t.Errorf("%+v\n%s", steps["token"], human)
	}
}
