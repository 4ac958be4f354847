package upstream

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/mail"
)

// probe runs Probe with a station's own options and returns what it told, stage by stage.
func (s *station) probe(ctx context.Context, change ...func(*Options)) (steps []Step, t *mail.Trouble) {
	o := s.SMTP.opts
	for _, c := range change {
		c(&o)
	}
	t = Probe(ctx, o, func(step Step) { steps = append(steps, step) })
	return steps, t
}

func stages(steps []Step) (list []Stage) {
	for _, s := range steps {
		list = append(list, s.Stage)
	}
	return list
}

func TestProbeGoesTheWholeWay(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{MaxConnections: 1})
	for range 3 { // each gives its connection back
		steps, trouble := s.probe(t.Context())
		if trouble != nil || !slices.Equal(stages(steps), []Stage{StageConnect, StageGreeting, StageEHLO, StageTLS, StageEHLO, StageAuth}) {
			t.Fatalf("%v: %v", stages(steps), trouble)
		}
		if !strings.HasPrefix(steps[1].Said, "220 ") || steps[3].TLS == nil || !slices.Contains(steps[4].Offers, "XOAUTH2") || steps[5].Reply.Code != 235 {
			t.Errorf("%+v", steps)
		}
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// What is said of each stage that fails, and that nothing is tried after it.
func TestProbeFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault fake365.Fault
		stage Stage
		said  string
		kind  mail.TroubleKind
	}{
		{"greeting", fake365.Fault{At: "connect", Answer: "554 5.7.1 no"}, StageGreeting, "554 5.7.1 no", mail.Refused},
		{"greeting cut", fake365.Fault{At: "connect", Drop: true}, StageGreeting, "EOF", mail.Unreachable},
		{"greeting is not SMTP", fake365.Fault{At: "connect", Answer: "HTTP/1.1 400 Bad Request"}, StageGreeting, "not an SMTP reply", mail.Unreachable},
		{"ehlo", fake365.Fault{At: "ehlo", Answer: "501 5.5.4 Invalid domain name"}, StageEHLO, "501 5.5.4", mail.Refused},
		{"starttls", fake365.Fault{At: "starttls", Answer: "454 4.7.0 TLS not available"}, StageTLS, "454 4.7.0", mail.Unreachable},
		{"auth", fake365.Fault{At: "auth", Answer: "535 5.7.3 Authentication unsuccessful"}, StageAuth, "535 5.7.3", mail.Refused},
		{"auth busy", fake365.Fault{At: "auth", Answer: "432 4.3.2 Concurrent connections limit exceeded."}, StageAuth, "432 4.3.2", mail.Throttled},
		{"auth cut", fake365.Fault{At: "auth", Drop: true}, StageAuth, "EOF", mail.Unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, fake365.Options{})
			s.Fault(c.fault)
			steps, trouble := s.probe(t.Context())
			last := steps[len(steps)-1]
			if trouble == nil || trouble.Kind != c.kind || last.Trouble != trouble || last.Stage != c.stage || !strings.Contains(last.Said, c.said) {
				t.Errorf("%+v: %+v", trouble, last)
			}
			if strings.Contains(trouble.Cause, last.Said) {
				t.Errorf("the words stand in the cause too: %s", trouble.Cause)
			}
			if s.Counters().AuthRefused > 1 {
				t.Error("a probe renewed its token")
			}
		})
	}
}

// A token source that has none is asked at AUTH and not before.
func TestProbeWithoutAToken(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	problem := &diagnose.Problem{Class: diagnose.ClassConfig, Cause: "no secret", Said: "AADSTS7000215"}
	steps, trouble := s.probe(t.Context(), func(o *Options) { o.Tokens = brokenTokens{problem} })
	last := steps[len(steps)-1]
	if trouble == nil || trouble.Cause != "no secret" || last.Stage != StageAuth || !errors.Is(last.Err, trouble) || last.Said != "AADSTS7000215" {
		t.Errorf("%+v: %+v", trouble, last)
	}
}

type brokenTokens struct{ err error }

func (b brokenTokens) Token(context.Context, string) (string, error) { return "", b.err }

func TestProbeDistrustsAForeignAuthority(t *testing.T) {
	t.Parallel()
	s := newStation(t, fake365.Options{})
	steps, trouble := s.probe(t.Context(), func(o *Options) { o.RootCAs = nil })
	last := steps[len(steps)-1]
	if trouble == nil || trouble.Class != mail.ClassConfig || last.Stage != StageTLS || !strings.Contains(last.Said, "x509") || !strings.Contains(trouble.Fix, "ca_file") {
		t.Errorf("%+v: %+v", trouble, last)
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"connect", "ehlo", "starttls", "auth"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, fake365.Options{})
			s.Fault(fake365.Fault{At: at, Hang: true})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if _, trouble := s.probe(ctx); trouble == nil || time.Since(begin) > 4*time.Second {
				t.Errorf("%v after %v", trouble, time.Since(begin))
			}
		})
	}
}
