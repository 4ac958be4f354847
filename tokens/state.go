package tokens

import (
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// The states of an account's token.
const (
	Ready      = "ready"      // a token is at hand, whether or not its renewal succeeds at the moment
	Refreshing = "refreshing" // the first fetch is on its way, or a renewal that did not fail before
	Held       = "held"       // no token is at hand, and the last fetch failed
)

// State is how an account's token stands.
type State struct {
	State   string            // Ready, Refreshing or Held
	Since   time.Time         // since when
	Problem *diagnose.Problem // why it is held, or why the last renewal failed although it is not; nil when all is well
	Expires time.Time         // of the token at hand, or of the last one; zero when there never was one
	Renewal time.Time         // when the next fetch is planned, as far as the clock can be trusted
	Claims  Claims            // of the token at hand
	Opaque  bool              // the token at hand says nothing about itself
	Warning *diagnose.Problem // what a person should know although tokens come: the sign-in cannot be stored
}

// warner is a Flow that may have something to say although it succeeds. It must not wait.
type warner interface{ Warning() *diagnose.Problem }

// NoRoles says that the token carries no application permission. Exchange still takes it when the app was allowed
// by RBAC for Applications, so it is a hint for `check` and not an error.
func (s State) NoRoles() bool {
	return !s.Expires.IsZero() && !s.Opaque && len(s.Claims.Roles) == 0
}

// State returns how the token stands now.
func (m *Manager) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	s := State{
		Problem: m.problem,
		Expires: m.cur.Expires,
		Renewal: now.Add(max(m.nextFetch(), 0)),
		Claims:  m.cur.claims,
		Opaque:  m.cur.opaque,
	}
	if w, ok := m.flow.(warner); ok {
		s.Warning = w.Warning()
	}
	switch {
	case m.left() > 0 && m.flight != nil && m.problem == nil:
		s.State, s.Since = Refreshing, m.flight.began
	case m.left() > 0:
		s.State, s.Since = Ready, m.readySince
	case m.problem != nil:
		s.State, s.Since = Held, later(m.problemSince, m.cur.Expires)
	default:
		s.State, s.Since = Refreshing, later(m.made, m.cur.Expires)
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tell reports the state if it is another one than was reported last; the same trouble once more is none. Reports
// are made one at a time and each reads the state anew, so that the last one is true however goroutines meet.
func (m *Manager) tell() {
	if m.changed == nil {
		return
	}
	m.telling.Lock()
	defer m.telling.Unlock()
	s := m.State()
	if s.State == m.told.State && sameTrouble(s.Problem, m.told.Problem) && sameTrouble(s.Warning, m.told.Warning) &&
		s.Expires.Equal(m.told.Expires) {
		return
	}
	m.told = s
	m.changed(s)
}

// sameTrouble compares what problems mean; a provider's words differ each time by a trace id and a date.
func sameTrouble(a, b *diagnose.Problem) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Unreachable == b.Unreachable && a.Class == b.Class && a.Cause == b.Cause
}
