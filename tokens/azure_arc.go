package tokens

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mailbearer/mailbearer/diagnose"
)

// arc is where Azure Arc's agent is on this system.
type arc struct {
	agent  string // the program whose presence tells that there is one
	tokens string // the directory that challenges point into
}

const (
	arcURL     = "http://localhost:40342/metadata/identity/oauth2/token"
	arcVersion = "2020-06-01"
	maxArcKey  = 4096 // octets of a challenge's file
)

func (f ManagedIdentity) arcPlaces() arc {
	switch {
	case f.arc.tokens != "":
		return f.arc
	case runtime.GOOS == "windows":
		return arc{
			agent:  filepath.Join(f.getenv("ProgramFiles"), "AzureConnectedMachineAgent", "himds.exe"),
			tokens: filepath.Join(f.getenv("ProgramData"), "AzureConnectedMachineAgent", "Tokens"),
		}
	}
	return arc{agent: "/opt/azcmagent/bin/himds", tokens: "/var/opt/azcmagent/tokens"}
}

// arcEndpoint is the agent's address; "" where there is no agent. IDENTITY_ENDPOINT alone does not tell: other
// services of Azure set it too.
func (f ManagedIdentity) arcEndpoint() string {
	endpoint := f.getenv("IDENTITY_ENDPOINT")
	if endpoint != "" && f.getenv("IMDS_ENDPOINT") != "" {
		return endpoint
	}
	if info, err := os.Stat(f.arcPlaces().agent); err == nil && info.Mode().IsRegular() {
		return arcURL
	}
	return ""
}

// askArc proves to the agent that we may read what it writes: the first answer names a file, the second request
// repeats what is in it.
func (f ManagedIdentity) askArc(ctx context.Context, client *http.Client, x *exchange, endpoint string) (oauthAnswer, error) {
	if f.ClientID != "" {
		return oauthAnswer{}, misconfigured("Azure Arc knows the machine's own identity only", "1. Remove oauth.client_id.", nil)
	}
	req, err := metadataRequest(ctx, endpoint, f.query(arcVersion))
	if err != nil {
		return oauthAnswer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return oauthAnswer{}, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return oauthAnswer{}, errNoToken
	}
	_, path, _ := strings.Cut(resp.Header.Get("WWW-Authenticate"), "realm=")
	key, err := f.arcKey(strings.Trim(path, `" `))
	if err != nil {
		return oauthAnswer{}, arcKeyProblem(err)
	}
	if req, err = metadataRequest(ctx, endpoint, f.query(arcVersion)); err != nil {
		return oauthAnswer{}, err
	}
	req.Header.Set("Authorization", "Basic "+key)
	return ask(client, req)
}

// arcKey reads a challenge's file. Whoever sits on the agent's port could name any file to have its contents sent, so
// it must be a small .key file, directly in the agent's own directory.
func (f ManagedIdentity) arcKey(path string) (string, error) {
	want := filepath.Clean(f.arcPlaces().tokens)
	if filepath.Clean(path) != path || filepath.Dir(path) != want || filepath.Ext(path) != ".key" {
		return "", fmt.Errorf("the agent names a file that is not a .key file in %s", want)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxArcKey {
		return "", fmt.Errorf("the agent names a file that is no plain file of at most %d octets", maxArcKey)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxArcKey+1))
	if err == nil && len(data) > maxArcKey {
		err = fmt.Errorf("the agent's file has grown beyond %d octets", maxArcKey)
	}
	return string(data), err
}

func arcKeyProblem(err error) *diagnose.Problem {
	return misconfigured("Azure Arc's proof cannot be read", "1. Add the relay's user to the group himds (Linux: usermod -a -G himds USER; Windows: "+
		"Hybrid agent extension applications), and restart the relay. 2. See that nothing else listens on localhost:40342.", err)
}
