package fake365

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// submit sends a small message in one flight and returns the reply that it ended with.
func (c *client) submit(text string) string {
	c.t.Helper()
	c.send("MAIL FROM:<" + mailbox + ">\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
	c.want("250 ")
	c.want("250 ")
	c.want("354 ")
	c.send(text + "\r\n.\r\n")
	return c.reply()
}

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault  Fault
		dialog []string
	}{
		{Fault{At: "ehlo", Answer: "250-odd\n250 SIZE"}, []string{"EHLO a.b", "250 SIZE"}},
		{Fault{At: "auth", Match: mailbox, Answer: "454 4.7.0 Temporary authentication failure"}, []string{"AUTH XOAUTH2 " + xoauth2(mailbox, "t"), "454 4.7.0"}},
		{Fault{At: "auth", Match: "LOGIN", Answer: "421 4.3.2 Service not active"}, []string{"AUTH LOGIN dXNlcg==", "334 ", "cHc=", "421 "}},
	} {
		t.Run(test.fault.At, func(t *testing.T) {
			t.Parallel()
			s := start(t, Options{})
			c := s.secure(t)
			s.Fault(test.fault)
			for i := 0; i < len(test.dialog); i += 2 {
				c.do(test.dialog[i], test.dialog[i+1])
			}
		})
	}
}

func TestFaultsInATransaction(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := s.login(t)
	s.Fault(Fault{At: "mail", Match: "boss@", Answer: "550 5.1.8 Access denied, bad outbound sender"})
	s.Fault(Fault{At: "rcpt", Match: "nobody@", Answer: "550 5.1.10 RESOLVER.ADR.RecipientNotFound"})
	s.Fault(Fault{At: "rcpt", Match: "moved@", Answer: "251 2.1.5 forwarded"})
	s.Fault(Fault{At: "data", Match: "busy@", Answer: "430 4.2.0 STOREDRV; mailbox logon failure"})
	c.do("MAIL FROM:<boss@b.c>", "550 5.1.8")
	c.do("MAIL FROM:<"+mailbox+">", "250 2.1.0")
	c.do("RCPT TO:<nobody@b.c>", "550 5.1.10")
	c.do("DATA", "503 5.5.2 Need rcpt command")
	c.do("RCPT TO:<busy@b.c>", "250 2.1.5")
	c.do("BDAT 3\r\nx", "430 4.2.0")
	c.do("BDAT 0 LAST", "503 ")
	c.do("MAIL FROM:<"+mailbox+">", "250 2.1.0")
	c.do("RCPT TO:<moved@b.c>", "251 2.1.5 forwarded")
	c.do("DATA", "354 ")
	c.do(".", "250 2.0.0 OK")
	if m := s.Messages(); len(m) != 1 || m[0].Recipients[0] != "moved@b.c" {
		t.Errorf("arrived: %v", m)
	}
	if n := s.Counters().Faults; n != 4 {
		t.Errorf("%d faults fired, want 4", n)
	}
}

func TestFaultTimesAndAfter(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := s.login(t)
	s.Fault(Fault{At: "end", Answer: "451 4.7.0 Temporary server error. Please try again later. PRX4", After: 1, Times: 2})
	for i, want := range []string{"250", "451", "451", "250"} {
		if reply := c.submit("x"); !strings.HasPrefix(reply, want) {
			t.Errorf("message %d: %q, want %s", i, reply, want)
		}
	}
	s.Fault(Fault{At: "end", Match: "Subject: bad", Answer: "550 5.7.1 no", Taken: true})
	if reply := c.submit("Subject: bad\r\n"); !strings.HasPrefix(reply, "550") {
		t.Errorf("%q", reply)
	}
	s.ClearFaults()
	if reply := c.submit("Subject: bad\r\n"); !strings.HasPrefix(reply, "250") {
		t.Errorf("%q", reply)
	}
	if n := len(s.Messages()); n != 4 {
		t.Errorf("%d messages, want 2 good, 1 taken and refused, 1 good", n)
	}
}

func TestFaultDrops(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{false, true} {
		s := start(t, Options{})
		c := s.login(t)
		s.Fault(Fault{At: "end", Drop: true, Taken: taken})
		c.send("MAIL FROM:<" + mailbox + ">\r\nRCPT TO:<a@b.c>\r\nBDAT 0 LAST\r\n")
		c.want("250 2.1.0") // how far it got is told
		c.want("250 2.1.5")
		c.gone()
		if got := len(s.Messages()) == 1; got != taken {
			t.Errorf("taken %v: %v", taken, got)
		}
	}
}

func TestFaultAtConnectAndSTARTTLS(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	s.Fault(Fault{At: "connect", Answer: "421 4.3.2 Service not active", Times: 1})
	s.Fault(Fault{At: "starttls", Answer: "454 4.7.0 TLS not available", Times: 1})
	c := s.dial(t)
	c.want("421 4.3.2")
	c.gone()
	c = s.dial(t)
	c.want("220 ")
	c.do("EHLO a.b", "250 ")
	c.do("STARTTLS", "454 ")
	c.do("STARTTLS", "220 ")
}

func TestFaultDelays(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	s.Fault(Fault{At: "connect", Delay: 30 * time.Millisecond})
	began := time.Now()
	s.dial(t).want("220 ")
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("greeted after %v", took)
	}
}

// TestCloseEndsHangs is not parallel: it looks for goroutines of the server after its end, and tests that run beside
// it have some of their own.
func TestCloseEndsHangs(t *testing.T) {
	faults := make(chan Event, 2)
	s := start(t, Options{Observe: func(e Event) {
		if e.Kind == EventFault {
			faults <- e
		}
	}})
	s.Fault(Fault{At: "mail", Hang: true})
	s.Fault(Fault{At: "token", Hang: true})
	c, idle := s.login2(t), s.dial(t)
	c.send("MAIL FROM:<a@b.c>\r\n")
	tokens := make(chan error, 1)
	go func() {
		_, err := s.http(t).PostForm(s.Authority()+s.tokenPath(), s.appForm(appScopeSMTP))
		tokens <- err
	}()
	<-faults
	<-faults
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, mine := range []string{"fake365.(*session)", "fake365.(*smtpDoor)", "fake365.(*httpsDoor)", "fake365.(*Server).token"} {
		if strings.Contains(string(stacks), mine) {
			t.Errorf("%s is still running after Close", mine)
		}
	}
	c.gone()
	idle.conn.Close()
	if err := <-tokens; err == nil {
		t.Error("the token request was answered")
	}
}

// login2 is login with a token made behind the token endpoint's back.
func (s *Server) login2(t *testing.T) *client {
	t.Helper()
	s.entra.mu.Lock()
	s.entra.access["t"] = access{audience: outlook365, grant: "SMTP.SendAsApp", expires: time.Now().Add(time.Hour)}
	s.entra.mu.Unlock()
	c := s.secure(t)
	c.do("AUTH XOAUTH2 "+xoauth2(mailbox, "t"), "235 ")
	return c
}

func TestFaultsOfHTTP(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	s.Fault(Fault{At: "token", Match: "grant_type=client_credentials", Status: 429, Header: map[string]string{"Retry-After": "7"}, Answer: `{"error":"temporarily_unavailable"}`, Times: 1})
	s.Fault(Fault{At: "token", Drop: true, Times: 1})
	s.Fault(Fault{At: "discovery", Status: 503, Times: 1})
	resp, err := s.http(t).PostForm(s.Authority()+s.tokenPath(), s.appForm(appScopeSMTP))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" || string(body) != `{"error":"temporarily_unavailable"}` {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	if _, err := s.http(t).PostForm(s.Authority()+s.tokenPath(), s.appForm(appScopeSMTP)); err == nil {
		t.Error("the second request was not cut")
	}
	s.appToken(t, appScopeSMTP)
	for _, want := range []int{503, 200} {
		resp, err := s.http(t).Get(s.Authority() + "/" + s.Tenant() + "/v2.0/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("discovery: %d, want %d", resp.StatusCode, want)
		}
	}
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	smtp, https := s.SMTP(), s.Authority()
	c := s.login(t)
	if err := s.Down(); err != nil {
		t.Fatal(err)
	}
	c.gone()
	if conn, err := net.Dial("tcp", smtp); err == nil {
		conn.Close()
		t.Error("SMTP answers while down")
	}
	if err := s.Up(); err != nil || s.SMTP() != smtp {
		t.Fatal(err, s.SMTP())
	}
	s.login(t)
	if err := s.TokensDown(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.http(t).Get(https); err == nil {
		t.Error("HTTPS answers while down")
	}
	if err := s.TokensUp(); err != nil || s.Authority() != https {
		t.Fatal(err, s.Authority())
	}
	s.appToken(t, appScopeSMTP)
	if n := s.Counters(); n.OpenConnections > 1 || n.Connections != 2 {
		t.Errorf("%d connections, %d open", n.Connections, n.OpenConnections)
	}
}

func TestClosedStaysClosed(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s.Up() == nil || s.TokensUp() == nil {
		t.Error("a closed server opened again")
	}
}

func TestWaitGivesUp(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Keep: 1})
	c := s.login(t)
	c.submit("one")
	c.submit("two")
	messages, err := s.Wait(t.Context(), 2)
	if err != nil || len(messages) != 1 || string(messages[0].Data) != "two\r\n" {
		t.Errorf("%v, %d kept", err, len(messages))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Wait(ctx, 3); err == nil {
		t.Error("a third message arrived")
	}
}
