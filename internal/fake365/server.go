package fake365

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// Server is one fake tenant: Entra and Graph on one HTTPS port, Exchange Online's submission on an SMTP port.
// Its methods may be called from any goroutine.
type Server struct {
	opt      Options
	tenantID string
	ca       *authority
	entra    *directory
	record   *record
	script   script
	smtp     *smtpDoor
	https    *httpsDoor

	mu     sync.Mutex // guards the doors' opening and closing
	closed bool
}

// Start opens a tenant on free ports of 127.0.0.1. Close it when done.
func Start(o Options) (*Server, error) {
	s := &Server{opt: o.withDefaults(), tenantID: newGUID(), record: newRecord(o.Keep)}
	var err error
	if s.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	if s.entra, err = newDirectory(s.opt); err != nil {
		return nil, err
	}
	s.smtp = &smtpDoor{serve: s.session}
	s.https = &httpsDoor{handler: s.routes(), config: s.ca.tlsConfig()}
	if err := errors.Join(s.smtp.open(), s.https.open()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// routes are the paths of login.microsoftonline.com and of graph.microsoft.com, which do not overlap.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{tenant}/v2.0/.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("/{tenant}/discovery/v2.0/keys", s.keys)
	mux.HandleFunc("/{tenant}/oauth2/v2.0/token", s.token)
	mux.HandleFunc("/{tenant}/oauth2/v2.0/devicecode", s.deviceCode)
	mux.HandleFunc("/{tenant}/oauth2/v2.0/authorize", s.authorize)
	mux.HandleFunc("POST /v1.0/users/{id}/sendMail", s.sendMail)
	mux.HandleFunc("POST /v1.0/me/sendMail", s.sendMail)
	mux.HandleFunc("/", s.notFound)
	return mux
}

// SMTP returns "localhost:PORT", the submission service (STARTTLS).
func (s *Server) SMTP() string { return local(s.smtp.address()) }

// Authority returns "https://localhost:PORT", Entra's base URL without the tenant.
func (s *Server) Authority() string { return "https://" + local(s.https.address()) }

// Graph returns "https://localhost:PORT", Graph's base URL without the version.
func (s *Server) Graph() string { return s.Authority() }

// Tenant returns the tenant's verified domain.
func (s *Server) Tenant() string { return s.opt.Tenant }

// TenantID returns the tenant's GUID, the tid of its tokens.
func (s *Server) TenantID() string { return s.tenantID }

// ClientID returns the application (client) id of the registered app.
func (s *Server) ClientID() string { return s.opt.ClientID }

// ClientSecret returns the app's secret, for configuration.
func (s *Server) ClientSecret() string { return s.opt.ClientSecret }

// local names the loopback host as certificates and configuration do.
func local(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort("localhost", port)
}

// Down stops listening for SMTP and cuts every SMTP connection; it returns once their goroutines have ended.
func (s *Server) Down() error { return s.shut(s.smtp) }

// Up listens for SMTP again, on the same port.
func (s *Server) Up() error { return s.reopen(s.smtp) }

// TokensDown stops listening for HTTPS (Entra and Graph) and cuts every HTTPS connection.
func (s *Server) TokensDown() error { return s.shut(s.https) }

// TokensUp listens for HTTPS again, on the same port.
func (s *Server) TokensUp() error { return s.reopen(s.https) }

func (s *Server) shut(d door) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return d.shut()
}

func (s *Server) reopen(d door) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("fake365: %w", net.ErrClosed)
	}
	return d.open()
}

// Close cuts every connection and returns once every goroutine of the server has ended. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return errors.Join(s.smtp.shut(), s.https.shut())
}
