package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// Real clients, as people have them. .ci/run installs what is not there; a client that is missing fails its test.
func TestRealClients(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		tool    string
		adds    string // what the client itself puts at the end
		command func(host, port, file string) *exec.Cmd
	}{
		{"curl without AUTH", "curl", "", func(host, port, file string) *exec.Cmd {
			return exec.Command("curl", "-sS", "--url", "smtp://"+host+":"+port+"/device", "--mail-from", testMailbox,
				"--mail-rcpt", "office@contoso.example", "--mail-rcpt", "second@contoso.example", "-T", file)
		}},
		{"curl with AUTH", "curl", "", func(host, port, file string) *exec.Cmd {
			return exec.Command("curl", "-sS", "--url", "smtp://"+host+":"+port, "--user", "scanner:geheim", "--mail-from", testMailbox,
				"--mail-rcpt", "office@contoso.example", "--mail-rcpt", "second@contoso.example", "-T", file)
		}},
		{"swaks", "swaks", "\r\n", func(host, port, file string) *exec.Cmd {
			return exec.Command("swaks", "--server", host, "--port", port, "--auth", "LOGIN", "--auth-user", "scanner", "--auth-password", "geheim",
				"--from", testMailbox, "--to", "office@contoso.example,second@contoso.example", "--data", "@"+file, "--suppress-data")
		}},
		{"msmtp", "msmtp", "", func(host, port, file string) *exec.Cmd {
			cmd := exec.Command("msmtp", "--file=/dev/null", "--host="+host, "--port="+port, "--auth=plain", "--user=scanner", "--passwordeval=echo geheim",
				"--from="+testMailbox, "--tls=off", "office@contoso.example", "second@contoso.example")
			cmd.Stdin, _ = os.Open(file)
			return cmd
		}},
		{"Python", "python3", "", func(host, port, file string) *exec.Cmd {
			return exec.Command("python3", "-c", `
import smtplib, sys
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=30) as s:
    s.login("scanner", "geheim")
    s.sendmail("`+testMailbox+`", ["office@contoso.example", "second@contoso.example"], open(sys.argv[3], "rb").read())
`, host, port, file)
		}},
		{"Perl", "perl", "", func(host, port, file string) *exec.Cmd {
			return exec.Command("perl", "-MNet::SMTP", "-e", `
my ($host, $port, $file) = @ARGV;
my $s = Net::SMTP->new($host, Port => $port, Timeout => 30) or die "connect: $@";
open my $f, '<:raw', $file or die; local $/; my $text = <$f>; $text =~ s/\r\n/\n/g;
$s->mail('`+testMailbox+`') && $s->to('office@contoso.example', 'second@contoso.example') && $s->data($text) or die $s->message;
$s->quit;
`, host, port, file)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(c.tool); err != nil {
				t.Fatalf("%v: install it; .ci/run does", err)
			}
			w := newWorld(t, fake365.Options{})
			w.start()
			text := message(c.name, 4096)
			file := filepath.Join(w.dir, "message.eml")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			host, port, _ := net.SplitHostPort(w.relay.address)
			if out, err := c.command(host, port, file).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s\n%s", err, out, tail(w.relay.logged()))
			}
			m := w.arrived(1, 10*time.Second)[0]
			header, ok := bytes.CutSuffix(bytes.TrimSuffix(m.Data, []byte(c.adds)), text)
			if !ok || !onlyReceived(header) {
				t.Errorf("the text was changed: %d octets arrived, %d were sent:\n%.600q", len(m.Data), len(text), m.Data)
			}
			if to := strings.Join(m.Recipients, " "); m.Sender != testMailbox || to != "office@contoso.example second@contoso.example" {
				t.Errorf("envelope: from <%s> to %s", m.Sender, to)
			}
			if n := len(w.fake.Messages()); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

func TestCertificateFlow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "app.crt"), filepath.Join(dir, "app.key")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=relay", "-days", "30", "-keyout", key, "-out", cert).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pfx := filepath.Join(dir, "app.pfx")
	if out, err := exec.Command("openssl", "pkcs12", "-export", "-inkey", key, "-in", cert, "-out", pfx, "-passout", "pass:geheim").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	registered, _ := os.ReadFile(cert)
	for name, keys := range map[string]string{
		"PEM": fmt.Sprintf("certificate = '%s', certificate_key = '%s'", cert, key),
		"PFX": fmt.Sprintf("certificate = '%s', certificate_password = \"geheim\"", pfx),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake365.Options{ClientCertificate: registered})
			w.configure(map[string]string{"oauth": fmt.Sprintf(`{ flow = "client-certificate", tenant = "%s", client_id = "%s", %s }`, w.fake.Tenant(), w.fake.ClientID(), keys)})
			w.start()
			if reply, err := send(w.relay.address, message("x", 500)); err != nil || !strings.HasPrefix(reply, "250 2.0.0 OK") {
				t.Fatalf("%q, %v\n%s", reply, err, tail(w.relay.logged()))
			}
			out, _, _ := output("status", "--json", "--config", w.config)
			if !strings.Contains(out, "credential_expires") {
				t.Errorf("status does not show when the certificate expires: %s", out)
			}
		})
	}
}
